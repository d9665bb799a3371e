"""Numbers that the reply gives where the passages give another one for the same thing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.grounding.facts import number_of
from rag.lexical import terms

_SENTENCE = re.compile(r"(?<=[.!?。！？;])\s+|\n+")
_AMOUNT = re.compile(
    r"(?P<sign>[€$£¥])?\s?(?<![\w.,])(?P<number>\d+(?:[.,]\d+)*)(?![\w]*[-_]\w)\s?(?P<unit>%|[€$£¥]|[^\W\d_]+)?"
)
_TO = re.compile(r"\d\s*(?:-|–|to|bis|à|a)\s*\d", re.IGNORECASE)
_ALIKE = 0.6
_LEAST_WORDS = 2
_CAP = 8_000
_MOST = 6
_SIGNS = {"€": "euro", "$": "dollar", "£": "pound", "¥": "yen"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A number in the reply and the sentence of a passage that gives another one with the same unit."""

    said: str
    sentence: str
    held: str


@dataclass(frozen=True, slots=True)
class _Sentence:
    text: str
    words: frozenset[str]
    amounts: frozenset[tuple[str, str]]


def contradiction(reply: str, texts: Sequence[str]) -> Contradiction | None:
    """Return the first number of the reply that the sentences most like its own contradict, None if none does."""
    ours = [s for s in _read(reply[:3000]) if s.amounts and len(s.words) >= _LEAST_WORDS][:_MOST]
    if not ours:
        return None
    theirs = [s for text in texts for s in _read(text[:_CAP]) if s.amounts]
    for mine in ours:
        alike = [s for s in theirs if len(mine.words & s.words) / len(mine.words) >= _ALIKE]
        held = {amount for s in alike for amount in s.amounts}
        units = {unit for _, unit in held}
        near = {a for s in theirs if len(mine.words & s.words) >= _LEAST_WORDS for a in s.amounts}
        wrong = sorted((n, u) for n, u in mine.amounts if u and u in units and (n, u) not in held | near)
        if wrong and not any(n == number for n, _ in held for number, _ in wrong):
            sentence = max(alike, key=lambda s: (len(mine.words & s.words), s.text))
            return Contradiction(said=" ".join(wrong[0]), sentence=mine.text, held=sentence.text)
    return None


def _read(text: str) -> Iterator[_Sentence]:
    for sentence in _SENTENCE.split(text):
        if not sentence.strip():
            continue
        amounts = frozenset(_amounts(sentence))
        words = frozenset(t for t in terms(sentence) if not t.isdigit())
        yield _Sentence(sentence.strip(), words, amounts)


def _amounts(sentence: str) -> Iterator[tuple[str, str]]:
    """Numbers with the unit behind them; of a range only the last number has one, so ranges give none."""
    if _TO.search(sentence):
        return
    for match in _AMOUNT.finditer(sentence):
        unit = match["unit"] or match["sign"] or ""
        unit = _SIGNS.get(unit, unit.lower())
        yield number_of(match["number"]), unit[:-1] if len(unit) > 3 and unit.endswith("s") else unit
