"""Evidence: what one check saw. The vocabulary of gaps and causes lives here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from advisor.checks import Context
    from advisor.exchange import Exchange

Gap = Literal["knowledge", "style", "tool_call", "classification"]
GAPS: tuple[Gap, ...] = ("knowledge", "style", "tool_call", "classification")

CAUSES: dict[Gap, tuple[str, ...]] = {
    "knowledge": ("missing_content", "retrieval_miss", "context_unused", "stale_content", "unanswerable"),
    "style": ("format", "required_element", "tone", "length", "language", "persona", "drift"),
    "tool_call": (
        "malformed",
        "schema_violation",
        "wrong_tool",
        "wrong_arguments",
        "missing_call",
        "unneeded_call",
    ),
    "classification": ("misrouted", "out_of_scope_accepted", "in_scope_rejected"),
}
"""The finer word under each gap."""

Place = Literal["reply", "request", "system", "passage", "document", "expected", "later", "feedback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A span of text that a person can check.

    Attributes:
        text: The span, verbatim, at most 300 characters.
        place: Which text it stands in.
        id: Id of the passage or document, or number of the message, where `place` needs one.
    """

    text: str
    place: Place
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one check saw. It never says what to do; a check that could not look gives none.

    Attributes:
        check: Dotted name of what was looked at, from `advisor.checks.SIGNALS`, for instance `json.parse`.
        gap: The gap it speaks for; None if it only says that the reply was bad (or good).
        cause: The finer word it speaks for, from `CAUSES[gap]`.
        strength: -1 (speaks firmly against) to 1 (firmly for); 0 would say nothing.
        note: One plain sentence an operator understands.
        quotes: Spans that show it.
        rule: Id of the contract rule that was checked, if one was.
    """

    check: str
    gap: Gap | None
    strength: float
    note: str
    cause: str | None = None
    quotes: tuple[Quote, ...] = ()
    rule: str | None = None


Check = Callable[["Exchange", "Context"], Iterable[Evidence]]
"""The port: a pure function from one exchange to what it shows."""


def quote(text: str, place: Place, *, id: str | None = None, limit: int = 300) -> Quote:
    """Return a quote cut to `limit` characters."""
    return Quote(text=text[:limit], place=place, id=id)
