"""Finds quoted words in a text and cuts it into pieces: plain, marked, masked, left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from rag.masking import Masked

_AROUND = 160
_SCAN = 2_000
_WORD = 24


class Span(NamedTuple):
    """A quoted stretch of a text.

    Attributes:
        start: Offset of its first character.
        end: Offset behind its last.
        note: Number of the note that quotes it.
    """

    start: int
    end: int
    note: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of text that is shown in one way.

    Attributes:
        notes: Numbers of the notes that quote it; empty if it is plain.
        last: Those of them whose quote ends here.
        left_out: If not 0, the number of characters left out here; the text is empty then.
    """

    text: str
    notes: tuple[int, ...] = ()
    last: tuple[int, ...] = ()
    left_out: int = 0


def find(text: str, words: str) -> tuple[int, int] | None:
    """Return where words stand in a text: verbatim, else with other blanks or case. None if nowhere.

    A place where they stand as whole words is preferred, so that `30` is not marked inside `2030`.
    """
    words = words.strip()
    if not words:
        return None
    first: tuple[int, int] | None = None
    at = text.find(words)
    for _ in range(_SCAN):
        if at < 0:
            break
        place = (at, at + len(words))
        if _whole(text, *place):
            return place
        first = first or place
        at = text.find(words, at + 1)
    return first or _loosely(text, words)


def _whole(text: str, start: int, end: int) -> bool:
    before = start > 0 and text[start].isalnum() and text[start - 1].isalnum()
    behind = end < len(text) and text[end - 1].isalnum() and text[end].isalnum()
    return not (before or behind)


def _loosely(text: str, words: str) -> tuple[int, int] | None:
    parts = words.split()
    if len(parts) < 2 and len(words) < 4:
        return None
    found = re.search(r"\s+".join(map(re.escape, parts)), text, re.IGNORECASE)
    return found.span() if found else None


def pieces(text: str, spans: Iterable[Span], *, masked: Sequence[Masked] = (), limit: int = 0) -> list[Piece]:
    """Cut a text into pieces. Overlapping quotes share a piece; a masked stretch is never cut in two.

    Args:
        text: The text.
        spans: Where it is quoted.
        masked: Stretches whose label is shown in their place, in order.
        limit: Length above which the middle is left out, except around quotes; 0 for none.
    """
    marked = [Span(*_widened(s.start, s.end, masked), s.note) for s in spans if s.start < s.end]
    kept = [_widened(*k, masked) for k in _kept(text, marked, limit)]
    edges = {
        0,
        len(text),
        *(e for s in marked for e in s[:2]),
        *(e for k in kept for e in k),
        *(e for m in masked for e in m[:2]),
    }
    labels = {m.start: m.label for m in masked}
    order = sorted(edges)
    found: list[Piece] = []
    for start, end in pairwise(order):
        covering = [s for s in marked if s.start <= start and end <= s.end]
        if covering or any(a <= start and end <= b for a, b in kept):
            notes = tuple(sorted({s.note for s in covering}))
            last = tuple(sorted({s.note for s in covering if s.end == end}))
            found.append(Piece(text=labels.get(start, text[start:end]), notes=notes, last=last))
        else:
            found.append(Piece(text="", left_out=end - start))
    return _joined(found)


def _widened(start: int, end: int, masked: Sequence[Masked]) -> tuple[int, int]:
    """Return a stretch grown so that it does not end within a masked one."""
    for m in masked:
        if m.start < start < m.end:
            start = m.start
        if m.start < end < m.end:
            end = m.end
    return start, end


def _kept(text: str, spans: Sequence[Span], limit: int) -> list[tuple[int, int]]:
    """Return the stretches of a text that are shown, overlapping or not."""
    size = len(text)
    if not limit or size <= limit + _AROUND:
        return [(0, size)]
    head, tail = limit * 2 // 3, limit // 3
    around = [(max(0, s.start - _AROUND), min(size, s.end + _AROUND)) for s in spans]
    whole = _united([(0, head), (size - tail, size), *around])
    return [(_word_start(text, start), _word_end(text, end)) for start, end in whole]


def _word_start(text: str, at: int) -> int:
    """Move an offset back to the start of its word, if that is near."""
    near = max(0, at - _WORD)
    blank = max(text.rfind(" ", near, at), text.rfind("\n", near, at))
    return blank + 1 if blank >= 0 else at


def _word_end(text: str, at: int) -> int:
    """Move an offset forward to the end of its word, if that is near."""
    found = [n for n in (text.find(" ", at, at + _WORD), text.find("\n", at, at + _WORD)) if n >= 0]
    return min(found, default=at)


def _united(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    whole: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        # A gap too small to be worth a line of its own is shown.
        if whole and start <= whole[-1][1] + _AROUND // 2:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((start, end))
    return whole


def _joined(found: Iterable[Piece]) -> list[Piece]:
    """Join neighbours that are shown alike."""
    whole: list[Piece] = []
    for piece in found:
        before = whole[-1] if whole else None
        same = before is not None and before.notes == piece.notes and not before.last
        if before is not None and same and bool(before.left_out) == bool(piece.left_out):
            whole[-1] = Piece(
                text=before.text + piece.text,
                notes=piece.notes,
                last=piece.last,
                left_out=before.left_out + piece.left_out,
            )
        else:
            whole.append(piece)
    return whole
