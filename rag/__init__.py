"""Documents, chunks and hits. Imports no sibling package."""
