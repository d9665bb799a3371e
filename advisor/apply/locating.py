"""Locating: which document holds the answer to a question, as far as words can tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from advisor.apply.cases import Case
from advisor.checks.answer_type import lacks_answer
from rag.documents import Document
from rag.grounding.cover import best_window
from rag.lexical import LexicalHit, LexicalIndex, terms
from rag.measure import holds

_LOOKED_AT = 10
_CLOSE = 0.7
"""Share of the question's weight that two neighbouring sentences must hold where the answer is not known."""

_NEAR = 0.3
"""Share from which on a person should have a look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A document that holds an answer.

    Attributes:
        by: `answer`: it holds the right answer, figures and all. `words`: the answer is not known; two of its
            sentences hold what the question asks about, and the kind of thing it asks for.
        text: The part that holds it.
    """

    document: str
    by: Literal["answer", "words"]
    text: str


class Locator:
    """Looks through some documents; a customer's documents only for that customer."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._tenants = {}
        held = []
        for d in documents:
            self._tenants[d.id] = d.tenant
            held.append(d)
        self._index = LexicalIndex.from_documents(held)

    def places(self, case: Case) -> tuple[Place, ...]:
        """Return the documents that hold the answer, the likeliest first."""
        return tuple(self._places(case))

    def _places(self, case: Case) -> Iterator[Place]:
        query = f"{case.question} {case.answer}" if case.answer else case.question
        hits = [
            h for h in self._index.search(query, _LOOKED_AT) if self._tenants[h.id] in (None, case.tenant)
        ]
        for hit in hits:
            text = f"{hit.title}\n{hit.text}"
            if case.answer:
                if holds([text], case.answer):
                    yield Place(document=hit.id, by="answer", text=hit.text)
            elif self._close(case.question, hit):
                yield Place(document=hit.id, by="words", text=hit.text)

    def nearest(self, case: Case) -> str | None:
        """Return the document that comes nearest to the question without surely answering it; None if none comes near."""
        asked = frozenset(terms(case.question))
        for hit in self._index.search(case.question, _LOOKED_AT):
            if (
                self._tenants[hit.id] in (None, case.tenant)
                and best_window(asked, [f"{hit.title}. {hit.text}"], self._index.idf) >= _NEAR
            ):
                return hit.id
        return None

    def _close(self, question: str, hit: LexicalHit) -> bool:
        asked = frozenset(terms(question))
        text = f"{hit.title}. {hit.text}"
        if best_window(asked, [text], self._index.idf) < _CLOSE:
            return False
        lacking = lacks_answer(question, [text], asked)
        return lacking is None or lacking[0] < 0
