"""Snapshot: one version opened for search. It never changes; the live version may move on beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from rag import manifest
from rag.documents import Document
from rag.embedded import Embedded
from rag.embedders.port import Embedder, Vectors, unit
from rag.hits import Candidate, Hit, fuse, hit
from rag.lexical import Lexicon, terms
from rag.locks import Lease
from rag.settings import Retrieval
from rag.stores.port import VectorStore
from rag.table import Found, Table
from rag.visibility import Filter

_WEIGHTS = {"static": 0.3}
_WEIGHT = 0.6
_RERANKED = 20
_FEEDBACK = 3
_WORDS_ADDED = 8
_FILTERS = 1000


class Reranker(Protocol):
    """Reads query and text together."""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the query; higher is better, comparable within one query."""
        ...


class _Asked(NamedTuple):
    """What both halves must know of a search."""

    allowed: frozenset[str] | None
    most: int
    dense: float


class UnknownFilter(ValueError):
    """A filter by metadata that the index does not keep."""


class Snapshot:
    """One version of an index.

    Attributes:
        manifest: What it is made of.
        embedder: What turns queries into vectors.

    Args:
        folder: Of the version.
        asked: Gives the vector of a query, shape (1, dimension).
        reranker: Gives the cross-encoder of a name, when first needed.
        known: Vectors by the hash of their text, for stores that need them.

    Raises:
        ValueError: The folder is damaged or of another format.
        OSError: It cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        *,
        embedder: Embedder,
        asked: Callable[[str], Vectors],
        store: VectorStore,
        known: Embedded,
        reranker: Callable[[str], Reranker],
    ) -> None:
        self._closed = True
        self._lease = Lease(folder / "lease")
        self.manifest = manifest.read(folder / "manifest.json")
        self._id = self.manifest.id
        self.embedder = embedder
        self._asked = asked
        self._reranker = reranker
        self._table = Table(folder / "chunks.db")
        self._ids, classes = self._table.chunks()
        self._rows = {id: row for row, id in enumerate(self._ids)}
        self._visibility = self._table.classes()
        names = sorted(self._visibility)
        number = {name: n for n, name in enumerate(names)}
        self._names = names
        self._classes = np.array([number[c] for c in classes], dtype=np.int32)
        self._lexicon = Lexicon.open(folder / "words")
        # No reference to self in it: a snapshot that nobody holds any more must close at once.
        table = self._table
        self._known = known
        self._store = store.open(folder / "vectors", lambda ids: known.get(table.texts_of(ids)))
        self._adapter: Vectors | None = (
            np.load(folder / "adapter.npy") if self.manifest.recipe.adapter else None
        )
        self._filters: dict[tuple[Filter, date], frozenset[str] | None] = {}
        self._closed = False

    @property
    def id(self) -> str:
        """Id of the version."""
        return self._id

    def __len__(self) -> int:
        return len(self._ids)

    def documents(self) -> Iterator[Document]:
        """Yield every document, by id."""
        return self._table.documents()

    def document(self, id: str) -> Document | None:
        """Return a document; None if there is none of that id. Whether an asker may see it is not looked at."""
        return self._table.document(id)

    def search(
        self,
        query: str,
        *,
        k: int | None = None,
        filter: Filter | None = None,
        retrieval: Retrieval | None = None,
    ) -> tuple[Hit, ...]:
        """Return the best chunks for a query, best first, ties by id; none for a query without words.

        Args:
            query: Question or words.
            k: How many; the version's own setting unless given.
            filter: Who asks, and for what; without one, only what everybody may see.
            retrieval: How to search, in place of the version's own settings.

        Raises:
            UnknownFilter: It filters by metadata that is not among the index's `filterable`.
            EmbedderFailed: The query could not be embedded.
            StoreFailed: The vector store could not search.
        """
        filter = filter or Filter()
        unknown = filter.where.keys() - set(self.manifest.recipe.chunking.filterable)
        if unknown:
            raise UnknownFilter(
                f"no filter by {', '.join(sorted(unknown))}: name it under `filterable` and build the index again"
            )
        how = retrieval or self.manifest.recipe.retrieval
        k = how.k if k is None else k
        if not query.strip() or k < 1 or not self._ids:
            return ()
        allowed = self._admitted(filter, date.today())
        words, vector = terms(query), self._vector(query)
        count = max(how.candidates, 2 * k)
        asked = _Asked(allowed=allowed, most=count, dense=self._weight(how))
        candidates = self._candidates(words, vector, asked)
        if how.expand and candidates:
            words, vector = self._expanded(words, vector, candidates)
            candidates = self._candidates(words, vector, asked)
        if how.reranker:
            candidates = self._reranked(query, candidates, how.reranker)
        return tuple(self._hits(candidates, k, how.per_document))

    def weigh(self, term: str) -> float:
        """Return the weight of a search term: its inverse document frequency among the chunks."""
        return self._lexicon.idf(term)

    def close(self) -> None:
        """Close files and connections."""
        if not self._closed:
            self._closed = True
            self._store.close()
            self._table.close()
            self._known.close()
            self._lease.release()

    def __del__(self) -> None:
        # An index that moves on to the next version lets go of this one while another thread may still search it.
        self.close()

    def _vector(self, query: str) -> Vectors:
        found = self._asked(query)
        vector: Vectors = (found if self._adapter is None else unit(found @ self._adapter))[0]
        return vector

    def _candidates(self, words: Iterable[str], vector: Vectors, asked: _Asked) -> list[Candidate]:
        found = fuse(self._by_words(words, asked), self._by_meaning(vector, asked), dense=asked.dense)
        # Each half has filtered already; a store that did not do as told must not show one customer another's text.
        allowed = asked.allowed
        return [
            c for c in found if allowed is None or self._names[self._classes[self._rows[c.id]]] in allowed
        ]

    def _weight(self, how: Retrieval) -> float:
        return _WEIGHTS.get(self.embedder.identity.model, _WEIGHT) if how.dense is None else how.dense

    def _by_words(self, words: Iterable[str], asked: _Asked) -> list[tuple[str, float]]:
        if asked.dense >= 1:
            return []
        scores = self._lexicon.scores(words)
        if asked.allowed is not None:
            admitted = np.array([name in asked.allowed for name in self._names], dtype=bool)
            scores = np.where(admitted[self._classes], scores, 0)
        best = np.argpartition(-scores, min(asked.most, len(scores)) - 1)[: asked.most]
        # Those that tie with the last one compete by id, so that the order of rows does not matter.
        low = float(scores[best].min())
        tied = best if low <= 0 else np.flatnonzero(scores >= low)
        found = [(self._ids[i], float(scores[i])) for i in tied if scores[i] > 0]
        return sorted(found, key=lambda f: (-f[1], f[0]))[: asked.most]

    def _by_meaning(self, vector: Vectors, asked: _Asked) -> list[tuple[str, float]]:
        if asked.dense <= 0 or not vector.any():
            return []
        best: dict[str, float] = {}
        for row, similarity in self._store.search(vector, asked.most, allowed=asked.allowed):
            # An alias has a row of its own; the nearest row speaks for the chunk.
            best.setdefault(row.partition("~")[0], similarity)
        return [(id, similarity) for id, similarity in best.items() if id in self._rows]

    def _expanded(
        self, words: list[str], vector: Vectors, candidates: list[Candidate]
    ) -> tuple[list[str], Vectors]:
        """Return the query with the commonest words of its best chunks, and moved towards them (Rocchio 1971)."""
        best = [c.id for c in candidates[:_FEEDBACK]]
        found = self._table.found(best)
        common = Counter(t for id in best for t in dict.fromkeys(found[id].terms) if t not in words)
        added = [t for t, n in sorted(common.items(), key=lambda x: (-x[1], x[0])) if n > 1][:_WORDS_ADDED]
        texts = [found[id].text for id in best]
        centre = self.embedder.embed(texts, kind="passage").mean(axis=0, keepdims=True)
        moved = unit(vector[None, :] + 0.3 * centre)
        return [*words, *added], moved[0]

    def _hits(self, candidates: list[Candidate], k: int, per_document: int) -> list[Hit]:
        """Return the best `k`, of each document only so many, but rather more of one than fewer than `k`."""
        taken: Counter[str] = Counter()
        chosen: list[tuple[int, Hit]] = []
        spare: list[tuple[int, Hit]] = []
        for at in range(0, len(candidates), 4 * k):
            part = candidates[at : at + 4 * k]
            stored = self._table.found([c.id for c in part])
            for place, candidate in enumerate(part, at):
                found = stored[candidate.id]
                taken[found.document.id] += 1
                wanted = chosen if taken[found.document.id] <= per_document else spare
                wanted.append((place, hit(candidate, found)))
            if len(chosen) >= k:
                break
        filled = [*chosen[:k], *spare[: max(0, k - len(chosen))]]
        return [h for _, h in sorted(filled, key=lambda c: c[0])]

    def _reranked(self, query: str, candidates: list[Candidate], name: str) -> list[Candidate]:
        top = candidates[:_RERANKED]
        stored = self._table.found([c.id for c in top])
        scores = self._reranker(name).score(query, [_read(stored[c.id]) for c in top])
        order = sorted(zip(scores, top, strict=True), key=lambda x: (-x[0], x[1].id))
        return [replace(c, score=score) for score, c in order]

    def _admitted(self, filter: Filter, today: date) -> frozenset[str] | None:
        """Return the classes a filter admits; None if that is all of them."""
        key = (filter, today)
        if key not in self._filters:
            if len(self._filters) > _FILTERS:
                self._filters.clear()
            found = frozenset(name for name, seen in self._visibility.items() if filter.admits(seen, today))
            self._filters[key] = None if len(found) == len(self._visibility) else found
        return self._filters[key]


def _read(found: Found) -> str:
    heading = " > ".join(dict.fromkeys(filter(None, (found.document.title, *found.heading))))
    return f"{heading}\n{found.text}" if heading else found.text
