"""Comparison: a canary against what is live, looked at as often as one likes without being fooled by chance.

Each share has a confidence sequence: intervals that hold at all times together with probability 1 - alpha, so that looking
after every reply is allowed. For Bernoulli outcomes the beta-binomial mixture (Robbins 1970; Howard et al. 2021, section 4)
gives one in closed form: all p for which p^s (1-p)^(n-s) / [B(a+s, b+n-s) / B(a, b)] > alpha.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from router.outcomes import Tally

ALPHA = 0.05
MARGIN = 0.05
"""Drop of a share, 0-1, that is not worth going back for."""

_PRIOR = 0.5
_STEPS = 60

Verdict = Literal["go on", "return", "promote"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is known of a canary.

    Attributes:
        verdict: `return` once it is worse, `promote` once it is better or no worse than the margin, else `go on`.
        reason: Why, in one sentence.
        held: Intervals of the share of replies that kept their contract, (live, canary).
        good: Likewise of the ratings that were good.
    """

    verdict: Verdict
    reason: str
    held: tuple[tuple[float, float], tuple[float, float]]
    good: tuple[tuple[float, float], tuple[float, float]]


def compare(live: Tally, canary: Tally, *, alpha: float = ALPHA, margin: float = MARGIN) -> Comparison:
    """Return what may be said now; saying it wrongly at any time has probability `alpha` at most.

    Conversations make their replies depend on each other, so counts are divided by the mean number of replies a
    conversation: the worst case, in which all replies of a conversation fare alike.
    """
    # Four sequences, two a measure, share alpha (Bonferroni).
    held = (
        _sequence(live.held, live.replies, live, alpha / 4),
        _sequence(canary.held, canary.replies, canary, alpha / 4),
    )
    good = (
        _sequence(live.good, live.rated, live, alpha / 4),
        _sequence(canary.good, canary.rated, canary, alpha / 4),
    )
    named = [("replies that keep their contract", held, canary.replies)]
    if live.rated or canary.rated:
        named.append(("good ratings", good, canary.rated))
    for what, (old, new), n in named:
        if new[1] < old[0]:
            told = f"{what} fell: {new[0]:.0%} to {new[1]:.0%} of {n} against {old[0]:.0%} to {old[1]:.0%} before"
            return Comparison(verdict="return", reason=told, held=held, good=good)
    if all(new[0] >= old[1] - margin for _, (old, new), _ in named):
        told = f"no worse than {margin:.0%} in contract and ratings, after {canary.replies} replies and {canary.rated} ratings"
        return Comparison(verdict="promote", reason=told, held=held, good=good)
    told = f"not decided after {canary.replies} replies and {canary.rated} ratings of the canary"
    return Comparison(verdict="go on", reason=told, held=held, good=good)


def confidence_sequence(successes: float, n: float, alpha: float) -> tuple[float, float]:
    """Return the interval of a share, valid at all times together with probability 1 - alpha; 0 to 1 of nothing."""
    if n <= 0:
        return 0.0, 1.0
    mixture = _log_beta(_PRIOR + successes, _PRIOR + n - successes) - _log_beta(_PRIOR, _PRIOR)
    least = mixture + math.log(alpha)

    def inside(p: float) -> bool:
        likelihood = (successes * math.log(p) if successes else 0.0) + (
            (n - successes) * math.log1p(-p) if n - successes else 0.0
        )
        return likelihood > least

    middle = min(max(successes / n, 1e-12), 1 - 1e-12)
    return _edge(0.0, middle, inside), _edge(1.0, middle, inside)


def _edge(outside: float, within: float, inside: Callable[[float], bool]) -> float:
    """Bisect between a point outside the interval and one within it."""
    for _ in range(_STEPS):
        middle = (outside + within) / 2
        if 0 < middle < 1 and inside(middle):
            within = middle
        else:
            outside = middle
    return within if 1e-9 < within < 1 - 1e-9 else round(within)


def _sequence(successes: int, n: int, tally: Tally, alpha: float) -> tuple[float, float]:
    a_conversation = max(1.0, tally.replies / tally.conversations) if tally.conversations else 1.0
    return confidence_sequence(successes / a_conversation, n / a_conversation, alpha)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
