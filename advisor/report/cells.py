"""Text on a terminal: how many columns it takes, how it is cut, wrapped and coloured."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
_WORD = re.compile(r"\S+|\s+")


def columns(text: str) -> int:
    """Return how many columns a text takes; East Asian wide characters take two, combining ones none."""
    return len(text) if text.isascii() else sum(map(_cell, text))


@lru_cache(maxsize=8192)
def _cell(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def fit(text: str, width: int) -> str:
    """Return text of at most `width` columns, its end replaced by an ellipsis if it is longer."""
    return text if columns(text) <= width else f"{_head(text, max(0, width - 1)).rstrip()}…"


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Return text of exactly `width` columns; `right` moves it to the right end."""
    text = fit(text, width)
    blanks = " " * (width - columns(text))
    return blanks + text if right else text + blanks


def wrap(text: str, width: int, *, indent: str = "") -> list[str]:
    """Return text as lines of at most `width` columns, its own line breaks kept, each behind the indent."""
    room = max(1, width - columns(indent))
    return [f"{indent}{row}".rstrip() for line in text.expandtabs(4).split("\n") for row in _rows(line, room)]


def paint(text: str, style: str, *, colour: bool) -> str:
    """Return text in a style such as `bold` or `red`; as it is if there is no colour."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if colour and text else text


def _rows(line: str, width: int) -> Iterator[str]:
    row, used = "", 0
    for word in _WORD.findall(line):
        size = columns(word)
        if used and used + size > width:
            yield row
            row, used = "", 0
            if word.isspace():
                continue
        while size > width:
            head = _head(word, width) or word[0]
            yield head
            word = word[len(head) :]
            size = columns(word)
        row, used = row + word, used + size
    yield row


def _head(text: str, width: int) -> str:
    used = 0
    for n, character in enumerate(text):
        used += _cell(character)
        if used > width:
            return text[:n]
    return text
