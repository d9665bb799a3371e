"""The faces of a result: an HTML page, a screen of text, and plain data. Nothing here decides anything."""
