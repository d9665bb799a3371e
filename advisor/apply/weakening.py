"""Weakening: how much of what a training changed is enough, told on the half that teaches.

Of six corrections SmolLM2-135M learnt a form whole and read one page in twelve worse; at half of its strength it kept all of the form and broke
nothing (docs/benchmarks.md; Wortsman et al. 2022, 2109.01903). Not so of tools: whether a call is made is one thing or the other, and a half and three
quarters of an adapter that learnt to call them called where no call was due, and the whole did not; so one that breaks nothing there is taken whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from advisor.apply.workplace import Workplace
from advisor.evidence import Gap
from advisor.gate import tuning
from advisor.gate.trial import pairs
from advisor.plan import Remedy

STRENGTHS = (0.5, 0.75)
"""Tried in this order, before the whole."""

MOST = 60
"""Failures, and good replies, that are asked at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What an adapter does at a strength, on the teaching half.

    Attributes:
        strength: Above 0 to 1.
        model: Its reference.
        mended: Failures mended, less those lost.
        broken: Good replies that are no longer good, and mended ones that say less.
        good: Good replies, and rightly said ones, that could be broken.
    """

    strength: float
    model: str
    mended: int
    broken: int
    good: int


def weakest(
    place: Workplace, remedy: Remedy, model: str, gaps: frozenset[Gap], weaker: Callable[[float], str]
) -> tuple[Weighed, list[Weighed]]:
    """Return the weakest form of an adapter that mends as many failures as the whole and breaks no more, and all that were weighed; of one that learnt to
    call tools the whole, where that breaks nothing.

    Args:
        place: What it works with. Only the half that teaches is asked; the other judges.
        remedy: Whose failures are to be mended.
        model: Reference of the adapter as it was trained.
        gaps: What it is for.
        weaker: Returns the reference of the same at a strength.
    """
    whole = _weighed(place, remedy, model, gaps, 1.0)
    found = [whole]
    # Of an adapter that mends nothing no part does.
    less = "tool_call" not in gaps or whole.broken > 0 or not whole.good
    for strength in STRENGTHS if whole.mended > 0 and less else ():
        part = _weighed(place, remedy, weaker(strength), gaps, strength)
        found.append(part)
        if part.mended >= whole.mended and part.broken <= whole.broken:
            return part, found
    return whole, found


def _weighed(place: Workplace, remedy: Remedy, model: str, gaps: frozenset[Gap], strength: float) -> Weighed:
    cases = [*place.failures(remedy, held_out=False)[:MOST], *place.good(held_out=False, most=MOST)]
    what = f"asking {model} at strength {strength:g}"

    def tell(done: int, total: int) -> None:
        place.tell(what, done, total)

    before = place.bench.asked(cases, place.subject(place.base))
    after = place.bench.asked(cases, place.subject(replace(place.base, model=model)), tell=tell)
    found = pairs(cases, before, after, gaps=gaps) + tuning.kept(cases, before, after, gaps=gaps)
    changed = [
        (p.kind, p.after) for p in found if None not in (p.before, p.after) and p.before is not p.after
    ]
    return Weighed(
        strength=strength, model=model, mended=changed.count(("target", True)) - changed.count(("target", False)),
        broken=changed.count(("good", False)), good=sum(p.kind == "good" and None not in (p.before, p.after) for p in found),
    )  # fmt: skip
