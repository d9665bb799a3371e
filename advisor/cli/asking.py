"""A question to the person at the terminal, and what may be paid for without one."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping

from advisor.apply.workplace import Agreed


def agreed(question: str, *, otherwise: str = "") -> bool:
    """Ask on stderr and return whether the answer is yes.

    Args:
        question: What is asked.
        otherwise: Told where nobody sits at stdin, which is no.
    """
    if not sys.stdin.isatty():
        if otherwise:
            print(otherwise, file=sys.stderr)
        return False
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def paying(most: float) -> Agreed:
    """Pay up to so many US dollars in all without asking, and ask from there."""
    left = most

    def pays(kind: str, what: str, usd: float) -> bool:
        nonlocal left
        if usd <= left:
            left -= 0.0 if math.isinf(left) else usd
            return True
        if math.isinf(usd):
            cost, otherwise = f"{what} costs what nobody knows", "set `probe.price` (0 if it is free)"
        else:
            cost, otherwise = (
                f"{what} may cost up to ${usd:.2f}",
                f"say --pay {most - left + usd:.2f} to allow it",
            )
        return agreed(f"{cost}. Pay?", otherwise=f"{cost}; {otherwise}")

    return pays


def within(allowed: Mapping[str, float]) -> Agreed:
    """Pay for a kind of remedy up to so many US dollars in all, and for nothing beyond."""
    left = dict(allowed)

    def pays(kind: str, what: str, usd: float) -> bool:
        may = usd <= left.get(kind, 0.0)
        if may:
            left[kind] = left.get(kind, 0.0) - usd
        return may

    return pays
