"""Verdict: what a checker says of one reply and one rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the rule was held.

    Attributes:
        note: One plain sentence that says what was found.
        span: The offending words, or the words that hold it; empty if the whole reply is meant.
        near: The breach is so slight that counting differently could undo it.
    """

    held: bool
    note: str
    span: str = ""
    near: bool = False


Checker = Callable[[str, Mapping[str, Any]], Verdict | None]
"""From the reply's text and the rule's parameters to a verdict; None if it cannot be judged."""


def within(found: int, params: Mapping[str, Any], *, unit: str, slack: float = 0.0) -> Verdict | None:
    """Judge a count by `min` and `max`; a miss of at most `slack` (a share of the bound) is near."""
    low, high = _bound(params.get("min")), _bound(params.get("max"))
    if low is None and high is None:
        return None
    wanted = _wanted(low, high)
    held = (low is None or found >= low) and (high is None or found <= high)
    bound = low if low is not None and found < low else high
    near = not held and bound is not None and abs(found - bound) <= slack * bound
    return Verdict(held, f"The reply has {found} {unit}, asked for was {wanted}.", near=near)


def _bound(value: Any) -> int | None:
    return (
        int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value
        else None
    )


def _wanted(low: int | None, high: int | None) -> str:
    if low == high:
        return f"exactly {low}"
    if high is None:
        return f"at least {low}"
    return f"at most {high}" if low is None else f"{low} to {high}"


def words_of(params: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The texts under a key, whether one or several were given."""
    value = params.get(key, ())
    items = (value,) if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    return tuple(str(v) for v in items if str(v).strip())
