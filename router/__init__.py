"""Messages, models, replies and releases. Imports `rag` only."""
