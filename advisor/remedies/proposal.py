"""Proposal: one way to mend one issue, before proposals that do the same are joined into a remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from advisor.issues import Issue
from advisor.plan import Price, RemedyKind


def free(basis: str = "no paid step") -> Price:
    """Return the price of what costs a person's time only."""
    return Price(low=0.0, high=0.0, cap=0.0, basis=basis)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What would be done about one issue.

    Attributes:
        key: Proposals of one kind with the same key are one remedy.
        hours: A person's hours, (low, high), for the remedy with its first issue.
        hours_each: Further hours for every other issue it covers.
        mends: Share of the issue's failures it is expected to mend, (low, high), 0-1.
        basis: Where that expectation comes from.
        after: True for what should wait until a cheaper remedy was tried.
    """

    kind: RemedyKind
    key: str
    action: str
    issue: Issue
    why: str
    why_not_next: str
    hours: tuple[float, float]
    mends: tuple[float, float]
    basis: str
    hours_each: tuple[float, float] = (0.0, 0.0)
    needs: tuple[str, ...] = ()
    blocked: bool = False
    after: bool = False
    price: Price = field(default_factory=free)
    details: Mapping[str, object] = field(default_factory=dict)
