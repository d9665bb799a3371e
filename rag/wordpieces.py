"""WordPiece: how BERT's family cuts words, in plain Python, so that lengths are known without a model.

The uncased vocabulary of Devlin et al. 2019 (Apache-2.0), greedy longest match first.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib import resources

_LONGEST = 100
UNKNOWN = 100
"""Number of `[UNK]`."""


def count(text: str) -> int:
    """Return the number of word pieces, without `[CLS]` and `[SEP]`."""
    return sum(len(_cut(word)) for word in _words(text))


def pieces(text: str) -> list[int]:
    """Return the numbers of the word pieces, without `[CLS]` and `[SEP]`."""
    return [number for word in _words(text) for number in _cut(word)]


@cache
def vocabulary() -> dict[str, int]:
    """Return every piece with its number."""
    text = resources.files("rag").joinpath("wordpieces.txt").read_text(encoding="utf-8")
    return {piece: number for number, piece in enumerate(text.split("\n")) if piece}


def _words(text: str) -> Iterator[str]:
    for word in text.split():
        yield from _plain(word) if word.isascii() and word.isalnum() else _parts(word)


def _plain(word: str) -> Iterator[str]:
    yield word.lower()


@lru_cache(maxsize=65_536)
def _parts(word: str) -> tuple[str, ...]:
    """Return a word without accents, cut at punctuation and at every ideograph."""
    bare = "".join(c for c in unicodedata.normalize("NFD", word.lower()) if unicodedata.category(c) != "Mn")
    found: list[str] = []
    current = ""
    for character in bare:
        if _dropped(character):
            continue
        if character.isspace() or _alone(character):
            found += [current] if current else []
            found += [] if character.isspace() else [character]
            current = ""
        else:
            current += character
    return (*found, current) if current else tuple(found)


def _dropped(character: str) -> bool:
    return character in "\0\ufffd" or (
        unicodedata.category(character) in ("Cc", "Cf") and not character.isspace()
    )


def _alone(character: str) -> bool:
    point = ord(character)
    if 33 <= point <= 47 or 58 <= point <= 64 or 91 <= point <= 96 or 123 <= point <= 126:
        return True
    return unicodedata.category(character).startswith("P") or _ideograph(point)


def _ideograph(point: int) -> bool:
    return (
        0x4E00 <= point <= 0x9FFF or 0x3400 <= point <= 0x4DBF or 0x20000 <= point <= 0x2CEAF or 0xF900 <= point <= 0xFAFF
        or 0x2F800 <= point <= 0x2FA1F
    )  # fmt: skip


@lru_cache(maxsize=262_144)
def _cut(word: str) -> tuple[int, ...]:
    known = vocabulary()
    if len(word) > _LONGEST:
        return (UNKNOWN,)
    found: list[int] = []
    at = 0
    while at < len(word):
        for end in range(len(word), at, -1):
            number = known.get(("##" if at else "") + word[at:end])
            if number is not None:
                break
        else:
            return (UNKNOWN,)
        found.append(number)
        at = end
    return tuple(found)
