"""Counts in prompts: "at least three", "5 to 10", "fewer than 100", in several languages and any script's digits."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORDS: dict[str, int] = {
    "once": 1, "twice": 2, "thrice": 3, "a single": 1, "single": 1,
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "hundred": 100,
    "ein": 1, "eine": 1, "einem": 1, "einen": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5, "sechs": 6, "zehn": 10,
    "un": 1, "une": 1, "deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "dix": 10,
    "una": 1, "dos": 2, "tres": 3, "cuatro": 4, "cinco": 5, "diez": 10,
    "due": 2, "tre": 3, "quattro": 4, "cinque": 5, "dieci": 10,
    "um": 1, "uma": 1, "dois": 2, "duas": 2, "três": 3, "quatro": 4,
    "een": 1, "één": 1, "twee": 2, "drie": 3, "vijf": 5, "tien": 10,
}  # fmt: skip

_LEAST = (
    r"at least|a minimum of|minimum of|minimum|min\.?|no (?:less|fewer) than|not (?:less|fewer) than|mindestens|wenigstens|"
    r"au moins|al menos|por lo menos|como mínimo|almeno|pelo menos|no mínimo|minstens|ten minste"
)
_MOST = (
    r"at most|at maximum|a maximum of|maximum of|maximum|max\.?|no more than|not more than|not exceed(?:ing)?|up to|"
    r"limit(?:ed)? to|within|höchstens|maximal|nicht mehr als|au plus|au maximum|pas plus de|como máximo|no más de|máximo|"
    r"al massimo|non più di|massimo|no máximo|não mais de|maximaal|hooguit|niet meer dan|only"
)
_LESS = r"less than|fewer than|under|below|shorter than|weniger als|unter|moins de|menos de|meno di|minder dan|inferior a"
_MORE = r"more than|over|longer than|mehr als|plus de|más de|più di|mais de|meer dan"
_EXACT = r"exactly|precisely|genau|exactement|exactamente|esattamente|exatamente|precies"
_ABOUT = r"about|around|approximately|approx\.?|roughly|~|circa|ca\.|etwa|ungefähr|environ|aproximadamente|ongeveer"
_NUMBER = r"\d{1,3}(?:,\d{3})+|\d{1,6}|" + "|".join(
    sorted((re.escape(w) for w in _WORDS), key=len, reverse=True)
)

COUNT = (
    rf"(?:(?P<rel>(?P<least>{_LEAST})|(?P<most>{_MOST})|(?P<less>{_LESS})|(?P<more>{_MORE})|(?P<exact>{_EXACT})|"
    rf"(?P<about>{_ABOUT})|between|zwischen|entre|tra|tussen)\s*)?"
    rf"(?<![\w.])(?P<n>{_NUMBER})(?![\d.]*\d)(?P<plus>\+)?"
    rf"(?:\s?(?:-|–|—|to|and|or|bis|und|oder|à|et|ou|a|y|o|e|tot|en)\s?(?P<m>{_NUMBER})(?!\w))?"
)
"""Regex source of a count; use it once in a pattern and give the match to `bounds`."""

_TAIL_MOST = re.compile(
    r"\W{0,2}(?:or (?:less|fewer)|at (?:the )?most|max(?:imum)?\b|oder weniger|maximum|máximo|ou moins|o menos)",
    re.IGNORECASE,
)
_TAIL_LEAST = re.compile(r"\W{0,2}(?:or more|at least|min(?:imum)?\b|oder mehr|ou plus|o más)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Least and most allowed, both included.

    Attributes:
        bare: No relation was written ("3 bullet points"); the family decides what that means.
        about: The number was given as approximate.
    """

    low: int | None
    high: int | None
    bare: bool = False
    about: bool = False


def bounds(match: re.Match[str]) -> Bounds | None:
    """Return the bounds that a match of `COUNT` states, None if it states none."""
    n = number(match["n"])
    if n is None:
        return None
    if match["m"] is not None:
        m = number(match["m"])
        return Bounds(min(n, m), max(n, m), about=match["about"] is not None) if m is not None else None
    rest = match.string[match.end() : match.end() + 20]
    if match["least"] or match["plus"] or _TAIL_LEAST.match(rest):
        return Bounds(n, None)
    if match["most"] or _TAIL_MOST.match(rest):
        return Bounds(None, n)
    return _by_relation(match, n)


def _by_relation(match: re.Match[str], n: int) -> Bounds | None:
    if match["less"]:
        return Bounds(None, n - 1) if n > 0 else None
    if match["more"]:
        return Bounds(n + 1, None)
    if match["exact"]:
        return Bounds(n, n)
    if match["rel"] and not match["about"]:
        return None  # "between 3" without its second number
    return Bounds(n, n, bare=match["about"] is None, about=match["about"] is not None)


def number(text: str) -> int | None:
    """Return the number a word or digits of any script stand for."""
    low = text.lower().replace(",", "")
    if low in _WORDS:
        return _WORDS[low]
    try:
        return int(low)
    except ValueError:
        return None
