"""The decision tree from issues to remedies: settings and prompt first, the index for what is not known, training last."""

from advisor.remedies.tree import plan

__all__ = ["plan"]
