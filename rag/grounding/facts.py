"""Facts that can be compared exactly: numbers, dates, names, identifiers, addresses on the web."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_URL = re.compile(r"https?://[^\s<>()\[\]\"']+|www\.[^\s<>()\[\]\"']+|[\w.+-]+@[\w-]+\.[\w.]+")
_CODE = re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\b")
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,\u202f\u00a0']\d+)*(?![\w])|(?<=[€$£¥])\d+(?:[.,]\d+)*")
_NAME = re.compile(
    r"(?<=[^.!?:\n\s•*#\-\d)] )(?:[A-ZÀ-ÖØ-ÞА-Я][\w'’-]+(?: (?:of |de |van |von |the )?(?=[A-ZÀ-ÖØ-ÞА-Я]))?){1,5}"
)
_WORDS = {
    w: str(i)
    for i, w in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ]
    )
}
_WORD = re.compile(r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b", re.I)
_CAP = 12_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a text states that can be compared exactly; every item in normal form."""

    numbers: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.numbers) + len(self.names) + len(self.codes) + len(self.urls)

    def all(self) -> frozenset[str]:
        """Return all of them."""
        return self.numbers | self.names | self.codes | self.urls


@lru_cache(maxsize=4096)
def facts(text: str) -> Facts:
    """Return the facts in a text (its first 12,000 characters)."""
    text = _digits(text[:_CAP])
    urls = frozenset(u.rstrip(".,;:!?").lower() for u in _URL.findall(text))
    plain = _URL.sub(" ", text)
    codes = frozenset(
        c.lower()
        for c in _CODE.findall(plain)
        if not re.fullmatch(r"\d+(?:st|nd|rd|th|s|am|pm|h|k|m|kg|km|cm|mm|g|gb|mb)", c.lower())
    )
    numbers = {number_of(n) for n in _NUMBER.findall(plain)} | {
        _WORDS[w.lower()] for w in _WORD.findall(plain)
    }
    numbers |= {
        m[1] for c in _CODE.findall(plain) if (m := re.fullmatch(r"(\d+)(?:st|nd|rd|th|s)", c.lower()))
    }
    names = frozenset(n.strip().lower() for n in _NAME.findall(plain))
    return Facts(numbers=frozenset(numbers), names=names, codes=codes, urls=urls)


def missing(stated: Facts, texts: Iterable[str]) -> Facts:
    """Return what is stated and none of the texts holds."""
    known = [facts(t) for t in texts]
    low = " ".join(texts).lower()
    return Facts(
        numbers=stated.numbers - {n for k in known for n in k.numbers},
        names=frozenset(n for n in stated.names if not all(part in low for part in n.split())),
        codes=frozenset(c for c in stated.codes if c not in low),
        urls=frozenset(u for u in stated.urls if u not in low),
    )


def _digits(text: str) -> str:
    """Write the digits of any script as 0-9."""
    if text.isascii():
        return text
    return "".join(
        str(unicodedata.digit(c))
        if c.isdigit() and not c.isascii() and unicodedata.category(c) == "Nd"
        else c
        for c in text
    )


def number_of(raw: str) -> str:
    """Return a number in normal form: 1,000 and 1.000 are 1000; 1.5 and 1,5 are 1.5; 3.0 is 3."""
    raw = re.sub(r"[\u202f\u00a0']", "", raw)
    if re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", raw):
        return re.sub(r"[.,]", "", raw)
    raw = raw.replace(",", ".") if raw.count(",") == 1 and "." not in raw else raw.replace(",", "")
    return raw.rstrip("0").rstrip(".") if "." in raw else raw.lstrip("0") or "0"
