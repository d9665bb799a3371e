"""Means: what the rungs of an issue may use, found in the log, the contract and the operator's documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from advisor import config as settings
from advisor.apply.cases import Case, cases, group_of, held_out
from advisor.apply.locating import Locator
from advisor.apply.releasing import contract_for
from advisor.diagnosis import Diagnosis
from advisor.evidence import Gap
from advisor.exchange import Exchange, Passage
from advisor.issues import Issue
from advisor.probing.rungs import Means, Shown
from advisor.probing.sentences import sentence_for
from advisor.probing.subject import Served
from advisor.probing.witnesses import witnesses
from advisor.remedies.knowledge import KEEP_TO_CONTEXT
from rag.documents import Document
from rag.hits import Hit
from rag.settings import Retrieval
from rag.snapshot import Snapshot
from rag.visibility import Filter
from router.abstention import abstains
from router.composing import labels, passages_text
from router.contract.rules import Contract
from router.prompts import Prompt

_POOL = 200
_ENOUGH = 8
"""Failures that can settle an issue; where fewer of them teach, those that judge later are asked as well."""

_MOST_RULES = 3
_SHORT = "Answer in at most three sentences."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the right answers may stand.

    Attributes:
        documents: The operator's documents, indexed or not.
        snapshot: The live version of the index; None if there is none.
    """

    documents: tuple[Document, ...] = ()
    snapshot: Snapshot | None = None


class Workshop:
    """Makes the means of issues out of one run's exchanges."""

    def __init__(
        self, seen: Sequence[tuple[Exchange, Diagnosis]], config: settings.Config, sources: Sources
    ) -> None:
        self._seen = seen
        self._config = config
        self._sources = sources
        self._locator = Locator(sources.documents)
        self._good = witnesses(seen)

    def means(self, issue: Issue, failures: Sequence[Exchange]) -> Means:
        """Return what may be used on failures of an issue."""
        system = failures[0].system if failures else ""
        return Means(
            contract=self.contract(system), rules=tuple(self._rules(issue))[:_MOST_RULES], exemplars=tuple(self._exemplars(system, issue.gaps)),
            searched=_Otherwise(self._sources.snapshot) if self._sources.snapshot is not None else None,
            oracle={e.id: held for e in failures if (held := self._oracle(e))},
        )  # fmt: skip

    def contract(self, system: str) -> Contract:
        """Return the contract of a bot with that system prompt."""
        return contract_for(Prompt.of(system), self._config)

    def good(self, issue: Issue, failures: Sequence[Exchange], count: int) -> tuple[Exchange, ...]:
        """Return good exchanges of the same bot, those with other questions than the failures', those that teach first, by id."""
        system = {e.system for e in failures}
        asked = {" ".join(e.question.lower().split()) for e in failures}
        found = (
            e
            for e, _ in self._seen
            if e.id in self._good and e.system in system and " ".join(e.question.lower().split()) not in asked
        )
        return tuple(sorted(found, key=lambda e: (_judges(e), e.id))[:count])

    def sources(self, exchange: Exchange) -> tuple[str, ...]:
        """Return texts that hold the right answer of an exchange; none where no page is known to."""
        return tuple(p.text for p in self._oracle(exchange))

    def _rules(self, issue: Issue) -> Iterator[str]:
        contract_rules = {r.id: r for e in self._examples(issue) for r in self.contract(e.system).rules}
        for broken in issue.broken:
            known = contract_rules.get(broken.rule)
            yield sentence_for(known) if known is not None else broken.words
        if "knowledge" in issue.gaps:
            yield KEEP_TO_CONTEXT
        if issue.cause == "length" and not issue.broken:
            yield _SHORT

    def _examples(self, issue: Issue) -> list[Exchange]:
        members = set(issue.exchange_ids)
        return [e for e, _ in self._seen if e.id in members][:3]

    def _exemplars(self, system: str, gaps: Iterable[Gap]) -> Iterator[Shown]:
        """Corrections first, then good replies; of the same bot only."""
        own = [(e, d) for e, d in self._seen if e.system == system and not e.reply.tool_calls]
        corrected = [(e, e.expected) for e, d in own if d.is_failure and e.expected]
        good = [
            (e, e.reply.content)
            for e, _ in own
            if e.id in self._good and e.reply.content.strip() and abstains(e.reply.content) == "no"
        ]
        for exchange, reply in [*corrected, *good][:_POOL]:
            yield Shown(id=exchange.id, request=_as_read(exchange), reply=reply or "")

    def _oracle(self, exchange: Exchange) -> tuple[Passage, ...]:
        case = _case(exchange)
        if case is not None:
            places = self._locator.places(case)
            titles = {d.id: d for d in self._sources.documents}
            found = tuple(
                Passage(
                    text=p.text, id=p.document, title=titles[p.document].title, uri=titles[p.document].uri
                )
                for p in places[:1]
            )
            if found:
                return found
        # The correction itself, where no page holds it: what a page that were written would say.
        held = exchange.expected
        return (Passage(text=held, id="correction"),) if held and abstains(held) != "fully" else ()


class _Otherwise:
    """The index with twice as many passages, words and meaning weighed as its embedder wants it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        held = snapshot.manifest.recipe.retrieval
        self._how = Retrieval(k=2 * held.k, per_document=2)

    @property
    def id(self) -> str:
        """Of the version."""
        return self._snapshot.id

    def search(self, query: str, *, k: int | None = None, filter: Filter | None = None) -> tuple[Hit, ...]:
        """Return twice as many hits as are asked for."""
        return self._snapshot.search(query, k=2 * k if k else None, filter=filter, retrieval=self._how)

    def weigh(self, term: str) -> float:
        """Return the weight of a term."""
        return self._snapshot.weigh(term)


def _case(exchange: Exchange) -> Case | None:
    found = cases([(exchange, _FAILED)])
    return found[0] if found else None


def _as_read(exchange: Exchange) -> str:
    """The request as a bot with retrieval reads it: with the passage it was answered from."""
    if not exchange.passages:
        return exchange.question
    hits = Served(exchange.passages[:1]).search(exchange.question)
    return f"{passages_text(labels(hits))}\n\nQuestion: {exchange.question}"


_FAILED = Diagnosis(
    exchange_id="", failed=1.0, gaps={"knowledge": 1.0, "style": 0.0, "tool_call": 0.0, "classification": 0.0}, named=("knowledge",), cause="missing_content",
    standing="inferred", calibrated=False, evidence=(),
)  # fmt: skip


def by_issue(issue: Issue, seen: Mapping[str, Exchange], count: int) -> tuple[Exchange, ...]:
    """Return up to `count` stored failures of an issue: those with a known right answer first, then by id.

    Where there are enough that do not judge remedies later, they are of these only: what names a remedy is not to judge it too.
    """
    own = [seen[id] for id in issue.exchange_ids if id in seen]
    teaching = [e for e in own if not _judges(e)]
    chosen = teaching if len(teaching) >= _ENOUGH else own
    return tuple(sorted(chosen, key=lambda e: (e.expected is None, e.id))[:count])


def _judges(exchange: Exchange) -> bool:
    return held_out(group_of(exchange))
