"""How an index is cut and searched; part of every version, so that a change of it can be taken back."""

from __future__ import annotations

from dataclasses import dataclass

from rag.embedders.port import Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunking:
    """How documents are cut.

    Attributes:
        max_tokens: Longest chunk in the embedder's tokens, title and headings included.
        context: Whether title and headings are searched with each chunk.
        filterable: Metadata that searches may filter by.
    """

    max_tokens: int = 200
    context: bool = True
    filterable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """How a query is answered.

    Attributes:
        k: Chunks returned.
        dense: Weight of meaning against words, 0-1; None: 0.3 for the static embedding, 0.6 for any other.
        candidates: Chunks each half proposes.
        per_document: Chunks of one document among the `k`; more only where there would be fewer than `k` otherwise.
        expand: Whether the words of the best hits are added to the query (pseudo relevance feedback).
        reranker: Cross-encoder that puts the candidates in a new order, None for none.
    """

    k: int = 5
    dense: float | None = None
    candidates: int = 40
    per_document: int = 1
    expand: bool = False
    reranker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """Words by which a chunk shall be found though it does not hold them; searched, never shown.

    Attributes:
        document: Id of the document.
        anchor: Beginning of the chunk's text; the chunk that holds it gets the words, else the document's first.
        text: The words, such as a question that people asked.
    """

    document: str
    anchor: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settings:
    """What a new version does otherwise than the live one; None leaves a part as it is.

    Attributes:
        adapter: Matrix, shape (dimension, dimension), that queries' vectors are multiplied with.
    """

    chunking: Chunking | None = None
    retrieval: Retrieval | None = None
    aliases: tuple[Alias, ...] | None = None
    adapter: Vectors | None = None
