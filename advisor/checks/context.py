"""What a check may look at beside the exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from router.contract.rules import Contract


class DocumentHit(Protocol):
    """One document that a search found."""

    @property
    def id(self) -> str:
        """Id of the document."""

    @property
    def title(self) -> str:
        """Its title, empty if it has none."""

    @property
    def text(self) -> str:
        """The part that was found."""


class Search(Protocol):
    """The operator's documents, searchable. `rag.lexical.LexicalIndex` is the one we ship."""

    def search(self, query: str, k: int = 5) -> Sequence[DocumentHit]:
        """Return the `k` best documents, best first; scores are comparable within one call only."""
        ...

    def idf(self, term: str) -> float:
        """Return the inverse document frequency of a term; one that no document has counts as the rarest."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the checks of one run share.

    Attributes:
        documents: The operator's documents, None if none were given.
        labelled: The operator's labelled examples for a classifying bot: text to label.
    """

    contract: Contract = field(default_factory=Contract)
    documents: Search | None = None
    labelled: Mapping[str, str] = field(default_factory=dict)
