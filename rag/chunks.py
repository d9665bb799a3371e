"""Chunks: pieces of a document short enough for an embedder, each knowing its exact span and what it stands under."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from rag.documents import Document, Section

Measure = Callable[[str], int]
"""Length of a text, in the unit of the limit it is held against."""

_BREAK = re.compile(r"\n\s*\n|\n(?=#{1,6}\s)")
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n")
_SMALL = 0.25
"""Share of the limit below which a section is joined with the next one: a bare heading is no passage."""


class Piece(NamedTuple):
    """A span and its length."""

    start: int
    end: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a document.

    Attributes:
        text: `document.text[start:end]`.
        start: First character of the span.
        end: One past the last.
        heading: Headings it stands under, outermost first, without the title.
        place: URL fragment that opens it, None if there is none.
    """

    document: Document
    text: str
    start: int
    end: int
    heading: tuple[str, ...] = ()
    place: str | None = None

    @property
    def context(self) -> str:
        """Title and headings, as one line."""
        return " > ".join(dict.fromkeys(filter(None, (self.document.title, *self.heading))))


def words(text: str) -> int:
    """Return the number of words between spaces."""
    return len(text.split())


def split(document: Document, *, limit: int = 200, measure: Measure = words) -> Iterator[Chunk]:
    """Yield chunks of at most `limit` by `measure`, cut at headings, paragraphs, else sentences, words, characters.

    Lengths of pieces are added up, so `measure` should not count more for two pieces joined than for the two apart.
    """
    pieces = [p for start, end in _parts(document) for p in _cut(document.text, start, end, limit, measure)]
    starts = [s.start for s in document.sections]
    for begin, end in _packed(pieces, set(starts), limit):
        at = bisect_right(starts, begin) - 1
        section = document.sections[at] if at >= 0 else Section(start=0)
        yield Chunk(
            document=document, text=document.text[begin:end], start=begin, end=end, heading=section.heading, place=section.place
        )  # fmt: skip


def _parts(document: Document) -> Iterator[tuple[int, int]]:
    """Yield the spans between the beginnings of sections."""
    bounds = sorted({0, *(s.start for s in document.sections), len(document.text)})
    yield from pairwise(bounds)


def _cut(text: str, start: int, end: int, limit: int, measure: Measure) -> Iterator[Piece]:
    for s, e in _pieces(text, start, end, _BREAK):
        size = measure(text[s:e])
        if size <= limit:
            yield Piece(s, e, size)
            continue
        for inner, stop in _pieces(text, s, e, _SENTENCE):
            for first, last in _by_words(text, inner, stop, limit, measure):
                yield Piece(first, last, measure(text[first:last]))


def _pieces(text: str, start: int, end: int, mark: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    at = start
    for hit in mark.finditer(text, start, end):
        if text[at : hit.start()].strip():
            yield at, hit.start()
        at = hit.end()
    if text[at:end].strip():
        yield at, end


def _by_words(text: str, start: int, end: int, limit: int, measure: Measure) -> Iterator[tuple[int, int]]:
    if measure(text[start:end]) <= limit:
        yield start, end
        return
    found = [(start + m.start(), start + m.end()) for m in re.finditer(r"\S{1,200}", text[start:end])]
    first = 0
    while first < len(found):
        begin, stop = found[first]
        low, high = first, len(found) - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (
                (middle, high) if measure(text[begin : found[middle][1]]) <= limit else (low, middle - 1)
            )
        if low == first:
            yield from _by_characters(text, begin, stop, limit, measure)
        else:
            yield begin, found[low][1]
        first = low + 1


def _by_characters(
    text: str, start: int, end: int, limit: int, measure: Measure
) -> Iterator[tuple[int, int]]:
    """Yield halves of halves of a word that is too long by itself."""
    if end - start < 2 or measure(text[start:end]) <= limit:
        yield start, end
        return
    middle = (start + end) // 2
    yield from _by_characters(text, start, middle, limit, measure)
    yield from _by_characters(text, middle, end, limit, measure)


def _packed(pieces: list[Piece], bounds: set[int], limit: int) -> Iterator[tuple[int, int]]:
    begin = stop = -1
    size = 0
    for piece in pieces:
        opens = piece.start in bounds and size >= _SMALL * limit
        if begin >= 0 and size + piece.size <= limit and not opens:
            stop = piece.end
            size += piece.size
            continue
        if begin >= 0:
            yield begin, stop
        begin, stop, size = piece
    if begin >= 0:
        yield begin, stop
