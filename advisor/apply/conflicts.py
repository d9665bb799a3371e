"""Conflicts: chunks of different pages that state different figures for the same thing. A person says which holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

from advisor.apply.cases import Case
from rag.grounding.contradiction import contradiction
from rag.grounding.facts import facts
from rag.hits import Hit
from rag.measure import Search
from rag.visibility import Filter

_LOOKED_AT = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """What one page says."""

    document: str
    link: str | None
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two pages that cannot both hold.

    Attributes:
        question: One that brings both up.
    """

    question: str
    first: Stand
    second: Stand


def conflicts(search: Search, cases: Iterable[Case]) -> tuple[Conflict, ...]:
    """Return the conflicts among what the questions bring up, each pair of sentences once."""
    found: dict[frozenset[str], Conflict] = {}
    for case in cases:
        hits = search(case.question, k=_LOOKED_AT, filter=Filter(tenant=case.tenant))
        for conflict in _between(case.question, hits):
            found.setdefault(frozenset((conflict.first.sentence, conflict.second.sentence)), conflict)
    return tuple(found.values())


def _between(question: str, hits: Iterable[Hit]) -> Iterator[Conflict]:
    for a, b in combinations(hits, 2):
        if a.document == b.document:
            continue
        against = contradiction(a.text, [b.text])
        if against is not None and _of_one_thing(against.sentence, against.held):
            yield Conflict(
                question=question, first=_stand(a, against.sentence), second=_stand(b, against.held)
            )


def _of_one_thing(first: str, second: str) -> bool:
    """Return whether neither names somebody or something of its own: prices of two countries may differ."""
    a, b = facts(first), facts(second)
    ours, theirs = a.names | a.codes, b.names | b.codes
    return not (ours - theirs and theirs - ours)


def _stand(hit: Hit, sentence: str) -> Stand:
    return Stand(document=hit.document, link=hit.link, sentence=" ".join(sentence.split())[:300])
