"""Lessons: what the outcomes of remedies here say to the next plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from advisor.plan import Facts
from advisor.proof import NEARLY
from advisor.state import Outcome
from rag.statistics import share

_ENOUGH = 6
"""Fewest held-out failures that tell of a change that it leaves some."""


def told(facts: Facts, outcomes: Sequence[Outcome]) -> Facts:
    """Return the facts with what outcomes say."""
    return replace(facts, learned=learned(outcomes), refused=refused(outcomes))


def refused(outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    """Return the issues for which the gate last refused a change to the prompt, or could not tell of one that surely leaves failures, by id.

    Args:
        outcomes: The oldest first.
    """
    last = {i: o for o in outcomes if o.kind == "ChangePrompt" for i in o.body.get("issues", ())}
    return tuple(sorted(issue for issue, o in last.items() if o.verdict == "refused" or _is_short(o)))


def _is_short(outcome: Outcome) -> bool:
    """Whether of enough held-out failures so few were mended that some surely stay."""
    mended, tried = (int(outcome.body.get(n) or 0) for n in ("mended", "tried"))
    return (
        outcome.verdict == "not enough evidence" and tried >= _ENOUGH and share(mended, tried).high < NEARLY
    )


def learned(outcomes: Iterable[Outcome]) -> dict[str, tuple[int, int]]:
    """Return, by kind of remedy, how many held-out failures were mended of how many tried, over all that was gated."""
    # What waited for a yes and then got it is told of twice and was gated once.
    last = {
        (o.kind, *(o.body.get(k, n) for k in ("plan", "remedy", "route"))): o.body
        for n, o in enumerate(outcomes)
    }
    found: dict[str, tuple[int, int]] = {}
    for (kind, *_), body in last.items():
        mended, tried = body.get("mended"), body.get("tried")
        if isinstance(mended, int) and isinstance(tried, int) and tried:
            before = found.get(kind, (0, 0))
            found[kind] = (before[0] + mended, before[1] + tried)
    return found
