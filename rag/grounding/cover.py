"""How much of a question's or a reply's vocabulary a text holds, as a whole and in its best two sentences.

A long page holds most words of any question somewhere; that two neighbouring sentences hold them is what says that
the answer may stand there. Lexical, so a page in other words looks as if it did not hold them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Set
from functools import lru_cache
from itertools import pairwise

from rag.lexical import terms

Weigh = Callable[[str], float]
"""Weight of a term: its inverse document frequency, or 1."""

_SENTENCE = re.compile(r"(?<=[.!?。！？])\s*(?=\S)|\n+")
_CAP = 8_000


def plain(term: str) -> float:
    """Every term weighs the same; for want of documents to count in."""
    return 1.0


def share(wanted: Set[str], held: Set[str], weigh: Weigh) -> float:
    """Return the share of the weight of `wanted` that is in `held`, 0-1; 0 if nothing is wanted."""
    total = sum(map(weigh, wanted))
    return sum(map(weigh, wanted & held)) / total if total else 0.0


@lru_cache(maxsize=8192)
def vocabulary(text: str) -> frozenset[str]:
    """Return the terms of a text (its first 8,000 characters)."""
    return frozenset(terms(text[:_CAP]))


@lru_cache(maxsize=8192)
def windows(text: str) -> tuple[frozenset[str], ...]:
    """Return the terms of every two neighbouring sentences of a text."""
    sentences = [frozenset(terms(s)) for s in _SENTENCE.split(text[:_CAP])]
    found = [s for s in sentences if s]
    return tuple(a | b for a, b in pairwise(found)) or tuple(found)


def best_window(wanted: Set[str], texts: Iterable[str], weigh: Weigh) -> float:
    """Return the largest share of `wanted` that two neighbouring sentences of one of the texts hold, 0-1."""
    return max((share(wanted, w, weigh) for text in texts for w in windows(text)), default=0.0)
