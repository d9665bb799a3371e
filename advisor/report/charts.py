"""Small drawings in HTML and SVG: an interval as a dot with whiskers, a bar, a line over time.

Each carries its figures as text for those who do not see it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from advisor.issues import Rate, Trend
from advisor.plan import Gain
from advisor.report.markup import esc
from advisor.report.words import gain_words, interval, percent, several

_WIDE, _HIGH = 96, 26


def scale(rates: Iterable[Rate]) -> float:
    """Return the share at which a common axis for these rates ends: a round number above them all."""
    top = max((r.high for r in rates), default=0.0)
    steps = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
    return next((s for s in steps if s >= top), 1.0)


def whisker(rate: Rate, top: float) -> str:
    """Draw a rate as a dot with its 95 % interval on an axis from 0 to `top`."""
    low, high, dot = (_place(x, top) for x in (rate.low, rate.high, rate.value))
    words = f"{percent(rate.value)}, 95% interval {interval(rate)}"
    return (
        f'<span class="whisker" role="img" aria-label="{esc(words)}" title="{esc(words)}">'
        f'<i style="left:{low:.2f}%;width:{max(0.0, high - low):.2f}%"></i><b style="left:{dot:.2f}%"></b></span>'
    )


def bar(rate: Rate, top: float, css: str) -> str:
    """Draw a rate as a bar, its 95 % interval on top of it."""
    low, high, end = (_place(x, top) for x in (rate.low, rate.high, rate.value))
    words = f"{percent(rate.value)}, 95% interval {interval(rate)}"
    return (
        f'<span class="bar {css}" role="img" aria-label="{esc(words)}" title="{esc(words)}">'
        f'<b style="width:{end:.2f}%"></b><i style="left:{low:.2f}%;width:{max(0.0, high - low):.2f}%"></i></span>'
    )


def gain_bar(gain: Gain, failures: int) -> str:
    """Draw of all failures those a remedy addresses, and of these those it is expected to mend."""
    whole = max(failures, gain.failures, 1)
    ends = [100 * gain.failures * x / whole for x in (gain.low, gain.high, 1.0)]
    words = f"expected to mend {gain_words(gain)}; {several(failures, 'failure')} in all"
    return (
        f'<span class="gain" role="img" aria-label="{esc(words)}" title="{esc(words)}">'
        f'<i class="of" style="width:{ends[2]:.1f}%"></i><i class="high" style="width:{ends[1]:.1f}%"></i>'
        f'<i class="low" style="width:{ends[0]:.1f}%"></i></span>'
    )


def sparkline(trend: Trend) -> str:
    """Draw the share of failures per period, oldest first; empty if there are fewer than two periods."""
    shares = [c / t if t > 0 else None for c, t in zip(trend.counts, trend.totals, strict=False)]
    known = [s for s in shares if s is not None]
    if len(known) < 2:
        return ""
    top = max(known) or 1.0
    points = _points(shares, top)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    words = f"{trend.direction} over {len(shares)} periods of {_days(trend.period_days)}: " + ", ".join(
        "none read" if s is None else percent(s) for s in shares[-12:]
    )
    return (
        f'<svg class="spark {esc(trend.direction)}" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{esc(words)}">'
        f"<title>{esc(words)}</title>"
        f'<polygon points="{points[0][0]:.1f},{_HIGH} {line} {x:.1f},{_HIGH}"/><polyline points="{line}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4"/></svg>'
    )


def _points(shares: Sequence[float | None], top: float) -> list[tuple[float, float]]:
    step = (_WIDE - 6) / max(1, len(shares) - 1)
    # Periods in which nothing was read have no share; the line passes over them.
    return [(3 + i * step, 3 + (_HIGH - 6) * (1 - s / top)) for i, s in enumerate(shares) if s is not None]


def _place(share: float, top: float) -> float:
    if not (math.isfinite(share) and top > 0):
        return 0.0
    return 100 * max(0.0, min(1.0, share / top))


def _days(days: float) -> str:
    return several(round(days), "day") if days >= 1 else several(max(1, round(days * 24)), "hour")
