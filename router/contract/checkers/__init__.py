"""One checker for every kind of rule."""
