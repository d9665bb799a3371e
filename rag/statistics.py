"""Shares and paired differences with their intervals: what a figure must stand with before anybody trusts it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share with its 95 % interval (Wilson 1927).

    Attributes:
        value: 0-1; 0 if n is 0, and then the interval is 0-1.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] n={self.n}"


def share(count: int, n: int) -> Share:
    """Return a share with its Wilson interval."""
    low, high = wilson(count, n)
    return Share(value=count / n if n else 0.0, low=low, high=high, n=n)


def mcnemar(gained: int, lost: int) -> float:
    """Return the two-sided exact p of McNemar's test for that many pairs that changed."""
    n = gained + lost
    tail = sum(math.comb(n, i) for i in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / (1 << n))


def at_most(count: int, n: int, chance: float) -> float:
    """Return how likely at most `count` of n come out where each does with a chance of 0-1 (binomial)."""
    return math.fsum(math.comb(n, i) * chance**i * (1 - chance) ** (n - i) for i in range(count + 1))


def wilson(count: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927); 0 to 1 of nothing."""
    if not n:
        return 0.0, 1.0
    p = count / n
    centre = p + _Z**2 / (2 * n)
    spread = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n))
    scale = 1 + _Z**2 / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def newcombe(both: int, gained: int, lost: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a difference of paired shares, after - before (Newcombe 1998, method 10)."""
    if not n:
        return -1.0, 1.0
    neither = n - both - gained - lost
    before, after = both + lost, both + gained
    p1, p2 = after / n, before / n
    (l1, u1), (l2, u2) = wilson(after, n), wilson(before, n)
    margins = after * (n - after) * before * (n - before)
    phi = 0.0
    if margins:
        crossed = both * neither - gained * lost
        # Continuity correction of Newcombe's method 10: only a positive correlation is made smaller.
        corrected = max(crossed - n / 2, 0) if crossed > 0 else crossed
        phi = corrected / math.sqrt(margins)
    d = p1 - p2
    down = math.sqrt(max(0.0, (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2))
    up = math.sqrt(max(0.0, (u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2))
    return max(-1.0, d - down), min(1.0, d + up)


def bootstrap(differences: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of paired differences and its 95 % interval (2,000 draws, fixed seed)."""
    if not differences:
        return 0.0, -1.0, 1.0
    chance = random.Random(0)
    means = sorted(fmean(chance.choices(differences, k=len(differences))) for _ in range(2000))
    return fmean(differences), means[49], means[1949]
