"""Hits: what a search found, and why."""

from __future__ import annotations

from dataclasses import dataclass

from rag.table import Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A chunk that was found.

    Attributes:
        id: Of the chunk; the same in every version that holds it unchanged.
        document: Id of its document.
        text: `document.text[start:end]`.
        uri: Where the document stands.
        place: URL fragment that opens the chunk, such as `#returns` or `#page=3`.
        score: Weighted mean of how near the chunk comes to the best of the candidates by words and by meaning, 0-1;
            with a reranker, its score. Comparable within one query only.
        similarity: Cosine of its vector with the query's, -1 to 1; None if meaning did not find it.
        bm25: BM25 score of its words, 0 if it shares none with the query.
        rank_words: Its rank among the candidates by words, from 1; None if words did not find it.
        rank_meaning: Its rank among the candidates by meaning, from 1; None if meaning did not find it.
    """

    id: str
    document: str
    title: str
    heading: tuple[str, ...]
    text: str
    start: int
    end: int
    uri: str | None
    place: str | None
    code: str | None
    score: float
    similarity: float | None
    bm25: float
    rank_words: int | None
    rank_meaning: int | None

    @property
    def link(self) -> str | None:
        """Address that opens the chunk."""
        return None if self.uri is None else f"{self.uri}{self.place or ''}"

    @property
    def why(self) -> str:
        """Which half found it, in words."""
        halves = []
        if self.rank_words is not None:
            halves.append(f"words: {_ordinal(self.rank_words)} (BM25 {self.bm25:.1f})")
        if self.rank_meaning is not None:
            halves.append(f"meaning: {_ordinal(self.rank_meaning)} (cosine {self.similarity:.2f})")
        return ", ".join(halves)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A chunk that one or both halves propose; see `Hit` for the fields."""

    id: str
    score: float
    similarity: float | None
    bm25: float
    rank_words: int | None
    rank_meaning: int | None


def fuse(
    words: list[tuple[str, float]], meaning: list[tuple[str, float]], *, dense: float
) -> list[Candidate]:
    """Join two rankings (best first), best first, ties by id.

    Each half's scores are stretched to 0-1 over its candidates and averaged with weights `1 - dense` and `dense`; a
    chunk that one half did not find has 0 there (convex combination, Bruch et al. 2023).
    """
    by_words, by_meaning = _stretched(words), _stretched(meaning)
    near, bm25 = dict(meaning), dict(words)
    rank_words = {id: n for n, (id, _) in enumerate(words, 1)}
    rank_meaning = {id: n for n, (id, _) in enumerate(meaning, 1)}
    found = [
        Candidate(
            id=id, score=(1 - dense) * by_words.get(id, 0.0) + dense * by_meaning.get(id, 0.0), similarity=near.get(id),
            bm25=bm25.get(id, 0.0), rank_words=rank_words.get(id), rank_meaning=rank_meaning.get(id),
        )
        for id in by_words.keys() | by_meaning.keys()
    ]  # fmt: skip
    return sorted(found, key=lambda c: (-c.score, c.id))


def hit(candidate: Candidate, found: Found) -> Hit:
    """Return the hit of a candidate and what is stored of it."""
    d = found.document
    return Hit(
        id=found.id, document=d.id, title=d.title, heading=found.heading, text=found.text, start=found.start, end=found.end, uri=d.uri,
        place=found.place, code=d.code, score=candidate.score, similarity=candidate.similarity, bm25=candidate.bm25,
        rank_words=candidate.rank_words, rank_meaning=candidate.rank_meaning,
    )  # fmt: skip


def _stretched(ranking: list[tuple[str, float]]) -> dict[str, float]:
    if not ranking:
        return {}
    high, low = ranking[0][1], ranking[-1][1]
    # A single candidate, or all alike, are each as good as the best.
    return {id: (score - low) / (high - low) if high > low else 1.0 for id, score in ranking}


def _ordinal(rank: int) -> str:
    ending = "th" if 10 <= rank % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"
