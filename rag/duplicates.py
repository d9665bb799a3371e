"""Near-duplicates: texts that differ by a name, a number or a typing slip, found in linear time.

MinHash of character shingles (Broder 1997) with banding: two texts meet only if a whole band of their sketches is the
same, and are duplicates if most of the rest is, too. Works on any script, since it looks at characters only.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

_SHINGLE = 5
_BANDS, _ROWS = 5, 3
_SAME = 0.7
"""Share of equal MinHash values, an estimate of the Jaccard similarity of the shingles, from which texts are duplicates."""
_LONGEST = 400
_AT_ONCE = 800_000
"""Characters whose shingles are in memory together."""
_SENTENCE = re.compile(r"[\n.:!?。！？]+")
_BLANK = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"\d+")


def _odd(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) | 1


_PLACES = np.array([_odd(f"place {i}") for i in range(_SHINGLE)], dtype=np.uint64)
_HASHES = [np.uint64(_odd(f"hash {i}")) for i in range(_BANDS * _ROWS)]
_NEVER = np.uint64(2**64 - 1)


def first_like(texts: Sequence[str], *, longest: int = _LONGEST) -> list[int]:
    """Return for each text the index of the first text that it nearly repeats; its own if it is the first of its kind.

    Args:
        texts: Texts.
        longest: Characters of a text that are looked at, from its beginning.
    """
    plain: dict[str, int] = {}
    exact = [plain.setdefault(_plain(text, longest), index) for index, text in enumerate(texts)]
    near = _near(list(plain), list(plain.values()))
    return [near[index] for index in exact]


def apart(texts: Sequence[str], *, most: int) -> list[str]:
    """Return texts without the sentences that more than `most` different ones of them hold: a page or an instruction, for instance, that
    many were asked with tells none of them from another. The last sentence stays."""
    said = {text: [s for part in _SENTENCE.split(text) if (s := part.strip())] for text in texts}
    held = Counter(s for sentences in said.values() for s in set(sentences))
    return ["\n".join([*(s for s in said[text][:-1] if held[s] <= most), *said[text][-1:]]) for text in texts]


def _plain(text: str, longest: int) -> str:
    """Case, marks, spacing and the value of numbers do not tell texts apart."""
    folded = unicodedata.normalize("NFKC", text[: 2 * longest]).casefold()
    return _NUMBER.sub("0", _BLANK.sub(" ", folded).strip())[:longest]


def _near(texts: Sequence[str], places: Sequence[int]) -> dict[int, int]:
    """From the place of each text to that of its first likeness."""
    seen: dict[tuple[int, bytes], int] = {}
    sketches: list[npt.NDArray[np.uint64]] = []
    found: dict[int, int] = {}
    for index, sketch in enumerate(_sketches(texts)):
        sketches.append(sketch)
        bands = [(band, sketch[band * _ROWS : (band + 1) * _ROWS].tobytes()) for band in range(_BANDS)]
        met = sorted({seen[key] for key in bands if key in seen})
        same = next((i for i in met if float(np.mean(sketches[i] == sketch)) >= _SAME), None)
        if same is None:
            for key in bands:
                seen.setdefault(key, index)
        found[places[index]] = places[index if same is None else same]
    return found


def _sketches(texts: Sequence[str]) -> Iterator[npt.NDArray[np.uint64]]:
    some: list[str] = []
    size = 0
    for text in texts:
        if some and size + len(text) > _AT_ONCE:
            yield from _sketch(some)
            some, size = [], 0
        some.append(text)
        size += len(text)
    if some:
        yield from _sketch(some)


def _sketch(texts: Sequence[str]) -> npt.NDArray[np.uint64]:
    """One row of MinHash values for each text; shingles do not reach into the next text."""
    gap = "\0" * (_SHINGLE - 1)
    whole = "".join((text or " ") + gap for text in texts) + gap
    codes = np.frombuffer(whole.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    windows = len(codes) - _SHINGLE + 1
    shingles = np.zeros(windows, dtype=np.uint64)
    for place in range(_SHINGLE):
        shingles += codes[place : place + windows] * _PLACES[place]
    shingles ^= shingles >> np.uint64(29)
    starts = np.cumsum([0, *(len(text or " ") + len(gap) for text in texts[:-1])])
    rows = np.empty((len(texts), len(_HASHES)), dtype=np.uint64)
    for column, factor in enumerate(_HASHES):
        values = shingles * factor
        values[codes[:windows] == 0] = _NEVER
        rows[:, column] = np.minimum.reduceat(values, starts)
    return rows
