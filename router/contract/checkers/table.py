"""The table of checkers."""

from router.contract.checkers import counts, language, layout, wording
from router.contract.checkers.verdict import Checker

CHECKERS: dict[str, Checker] = {**counts.CHECKERS, **wording.CHECKERS, **layout.CHECKERS, **language.CHECKERS}
"""Name of a kind of rule to the function that checks it."""
