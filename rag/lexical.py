"""Lexical search: BM25 over chunks, for any script.

BM25 as in Robertson and Zaragoza 2009, by `bm25s`. Scripts without spaces are cut into pairs of characters.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import bm25s
import numpy as np
from numpy.typing import NDArray

from rag.chunks import Chunk, split
from rag.documents import Document

_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f\uac00-\ud7af]+|[^\W_]+", re.UNICODE)
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]")
STOP = frozenset(
    """
    a an the of to in on at by for from with and or but not no is are was were be been being am do does did have has had
    having can could will would shall should may might must i you he she it we they me him her us them my your his its
    our their this that these those there here what which who whom whose when where why how if then than so as about
    into over under out up down off again any some such only own same too very just also get got im ive dont der die das
    und oder ist sind war ein eine einen dem den des zu mit von auf für nicht wie le la les un une et ou est sont de du
    au aux en dans pour pas que qui el los las una y o es son del por para se lo il gli e è di da per con non che
    """.split()
)
TITLE_WEIGHT = 2
"""How often the words of the title count in a chunk."""

_REMEMBERED = 200_000

_SUFFIX = re.compile(r"(?:ations?|ingly|ments?|ings?|edly|ies|ness|able|ied|ers?|ed|es|ly|s)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicalHit:
    """A chunk that was found.

    Attributes:
        id: Id of its document.
        score: BM25 score, 0 or more; comparable within one query only.
        coverage: Share of the query's idf mass that the chunk holds, 0-1; comparable between queries.
        start: First character of the chunk in its document.
        end: One past the last.
    """

    id: str
    title: str
    text: str
    score: float
    coverage: float
    start: int
    end: int


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Cut a common English ending off a word of five letters or more; other words come back as they are."""
    if len(word) < 5 or not word.isascii() or not word.isalpha():
        return word
    cut = _SUFFIX.sub("", word)
    return cut if len(cut) >= 3 else word


def terms(text: str, *, keep_stop: bool = False) -> list[str]:
    """Return the search terms of a text, in order, repeated as they occur."""
    found: list[str] = []
    for token in _TOKEN.findall(text.lower()):
        if _DENSE.match(token):
            found.extend(token[i : i + 2] for i in range(max(1, len(token) - 1)))
        elif keep_stop or token not in STOP:
            found.append(stem(token))
    return found


class Lexicon:
    """BM25 over lists of terms, one list a row."""

    def __init__(self, rows: Sequence[Sequence[str]]) -> None:
        self.count = len(rows)
        self._idf: dict[str, float] = {}
        self._bm25 = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
        # bm25s refuses a corpus without any term.
        if any(rows):
            self._bm25.index([list(row) or [""] for row in rows], show_progress=False)

    def scores(self, query: Iterable[str]) -> NDArray[np.float32]:
        """Return the score of every row, 0 or more, shape (rows,); comparable within one query only."""
        known = getattr(self._bm25, "vocab_dict", {})
        wanted = [t for t in dict.fromkeys(query) if t in known]
        if not wanted:
            return np.zeros(self.count, dtype=np.float32)
        found: NDArray[np.float32] = self._bm25.get_scores(wanted)
        return found

    def idf(self, term: str) -> float:
        """Return the inverse document frequency of a term; one that no row holds counts as the rarest (1 if there are no rows)."""
        known = self._idf.get(term)
        if known is None:
            known = self._idf[term] = self._inverse_frequency(term)
            if len(self._idf) > _REMEMBERED:
                self._idf.clear()
        return known

    def _inverse_frequency(self, term: str) -> float:
        row = getattr(self._bm25, "vocab_dict", {}).get(term)
        starts = self._bm25.scores["indptr"] if row is not None else ()
        count = int(starts[row + 1] - starts[row]) if row is not None else 0
        return math.log(1 + (self.count - count + 0.5) / (count + 0.5)) if self.count else 1.0

    def knows(self, term: str) -> bool:
        """Return whether any row holds the term."""
        return term in getattr(self._bm25, "vocab_dict", {})

    def save(self, folder: Path) -> None:
        """Write it into a new folder."""
        folder.mkdir(parents=True)
        (folder / "rows.json").write_text(json.dumps(self.count), encoding="utf-8")
        if hasattr(self._bm25, "vocab_dict"):
            self._bm25.save(folder)

    @classmethod
    def open(cls, folder: Path) -> Lexicon:
        """Return the one that was saved there; its numbers stay on disk until they are needed."""
        found = cls([])
        found.count = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
        if (folder / "params.index.json").exists():
            found._bm25 = bm25s.BM25.load(folder, mmap=True)
        return found


class LexicalIndex:
    """BM25 over the chunks of some documents, in memory."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = tuple(chunks)
        titles = {c.document.title: terms(c.document.title) for c in self.chunks}
        bodies = [terms(c.text) for c in self.chunks]
        self._lexicon = Lexicon(
            [
                titles[c.document.title] * TITLE_WEIGHT + body
                for c, body in zip(self.chunks, bodies, strict=True)
            ]
        )

    @classmethod
    def from_documents(cls, documents: Iterable[Document], *, max_words: int = 200) -> LexicalIndex:
        """Return an index over the documents' chunks."""
        return cls([chunk for document in documents for chunk in split(document, limit=max_words)])

    def search(self, query: str, k: int = 5) -> tuple[LexicalHit, ...]:
        """Return the `k` best chunks, at most one a document, best first; ties go by id; no term in common, no hit."""
        if not self.chunks:
            return ()
        scores = self._lexicon.scores(terms(query))
        count = min(len(scores), 4 * k)
        best = np.argpartition(-scores, count - 1)[:count]
        ranked = sorted(
            (i for i in best if scores[i] > 0),
            key=lambda i: (-float(scores[i]), self.chunks[i].document.id, self.chunks[i].start),
        )
        hits: dict[str, LexicalHit] = {}
        for i in ranked:
            chunk = self.chunks[i]
            if chunk.document.id not in hits and len(hits) < k:
                hits[chunk.document.id] = LexicalHit(
                    id=chunk.document.id, title=chunk.document.title, text=chunk.text, score=float(scores[i]),
                    coverage=self.coverage(query, f"{chunk.document.title} {chunk.text}"), start=chunk.start, end=chunk.end,
                )  # fmt: skip
        return tuple(hits.values())

    def coverage(self, query: str, text: str) -> float:
        """Return the share of the query's idf mass found in a text, 0-1; terms no document has count as the rarest."""
        wanted = set(terms(query))
        if not wanted:
            return 0.0
        have = set(terms(text))
        total = sum(map(self._lexicon.idf, wanted))
        return sum(map(self._lexicon.idf, wanted & have)) / total if total else 0.0

    def idf(self, term: str) -> float:
        """Return the inverse document frequency of a stemmed term; an unknown term counts as the rarest."""
        return self._lexicon.idf(term)
