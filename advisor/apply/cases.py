"""Cases: what the exchanges of the last run give to try a knowledge remedy on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

from advisor.checks.knowledge import content_of
from advisor.diagnosis import Diagnosis, likely_cause
from advisor.exchange import Exchange, content_hash
from advisor.weights import Weights, load
from rag.lexical import terms
from router.abstention import abstains

_LONGEST = 600
_LEAST_TERMS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A question that was asked, and what is known of its answer.

    Attributes:
        id: Of the exchange.
        group: Same for all turns of one conversation; no group is on both sides of a split.
        question: The person's words, at most 600 characters.
        answer: The right answer: a correction or reference, or the reply itself if it was good. None if not known.
        tenant: The customer who asked.
        cause: Of the failure, as far as knowledge goes; None for a good reply, or a failure of another kind.
        failed: Whether the reply failed.
        times: How often it was asked so.
    """

    id: str
    group: str
    question: str
    answer: str | None
    tenant: str | None
    cause: str | None
    failed: bool
    times: int = 1

    @property
    def held_out(self) -> bool:
        """Whether it judges fixes instead of suggesting them: every second conversation."""
        return held_out(self.group)


def cases(seen: Iterable[tuple[Exchange, Diagnosis]]) -> tuple[Case, ...]:
    """Return the cases of exchanges that ask for something a page may hold; repeated questions once."""
    found: dict[tuple[str, str | None, bool], Case] = {}
    for exchange, diagnosis in seen:
        question = exchange.question.strip()[:_LONGEST]
        if len(terms(question)) < _LEAST_TERMS:
            continue
        case = Case(
            id=exchange.id, group=group_of(exchange), question=question, answer=_answer(exchange, diagnosis), tenant=exchange.tenant,
            cause=_cause(diagnosis), failed=diagnosis.is_failure, times=exchange.copies,
        )  # fmt: skip
        key = (" ".join(question.lower().split()), case.tenant, case.failed)
        known = found.get(key)
        found[key] = (
            case
            if known is None
            else replace(min(known, case, key=lambda c: c.id), times=known.times + exchange.copies)
        )
    return tuple(sorted(found.values(), key=lambda c: c.id))


def _cause(diagnosis: Diagnosis) -> str | None:
    """The cause under knowledge, also of a failure that has another gap more surely: its page is missing all the same."""
    if "knowledge" not in diagnosis.named:
        return None
    first = diagnosis.named[0] == "knowledge"
    return diagnosis.cause if first else likely_cause(diagnosis.evidence, "knowledge", _weights())


@cache
def _weights() -> Weights:
    return load()


def held_out(group: str) -> bool:
    """Return whether a conversation judges instead of suggesting: every second one, by its hash."""
    return int(group[:8], 16) % 2 == 1


def group_of(exchange: Exchange) -> str:
    """Return the group of an exchange: the same for all turns of a conversation, and for conversations that begin alike."""
    first = next((m.content for m in exchange.conversation if m.role == "user"), exchange.id)
    return content_hash(first)


def _answer(exchange: Exchange, diagnosis: Diagnosis) -> str | None:
    if exchange.expected:
        return exchange.expected
    reply = exchange.reply.content
    if (
        diagnosis.is_failure
        or not reply.strip()
        or exchange.reply.tool_calls
        or abstains(reply, None) != "no"
    ):
        return None
    return content_of(reply)
