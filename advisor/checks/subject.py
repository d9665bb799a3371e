"""Another subject: the reply says of what was asked what a passage says of something else.

"Wash the Slieve trousers at 35 degrees", where the passage says it of the Brandon trousers. The words and the figure are
all there, so nothing else sees it. It is told from a page on the whole kind ("delivery in Europe" for a question about
Spain) by other pages: where several say the same sentence of several names, the name is what matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from advisor.checks.context import Context
from advisor.evidence import Evidence, quote
from advisor.exchange import Exchange, Passage
from rag.grounding.cover import vocabulary
from rag.grounding.facts import facts
from rag.lexical import terms
from router.abstention import abstains

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][\w'’-]{2,}|\b[A-Z]{2,}[-_]?\d+\b", re.MULTILINE)
_CAP = 4_000
_LEAST_NAMES = 3
"""Names of which pages must say the same sentence for the name to be what matters."""

_SAME = 0.8
"""Share of the words of two sentences, names left out, that both hold if they say the same of another name."""

_TAKEN = 0.5
"""Share of a sentence's words that the reply must take over to be said to have it from there."""

_LEAST_WORDS = 2


@dataclass(frozen=True, slots=True)
class _Slot:
    """A sentence with a name in it: the words that stay, and the names."""

    text: str
    words: frozenset[str]
    names: frozenset[str]


def check_subject(exchange: Exchange, context: Context) -> Iterable[Evidence]:
    """See whether a figure is taken over from another subject than the one that was asked about."""
    passages, reply = exchange.passages or (), exchange.reply.content[:_CAP]
    if not passages or context.documents is None or abstains(reply) != "no":
        return
    held = frozenset[str]().union(*(vocabulary(f"{p.title or ''} {p.text[:_CAP]}") for p in passages))
    asked = frozenset(terms(exchange.question)) - held
    # Written as a name, or taken up by the reply; a name may also be the question's first word.
    asked &= _names(f"- {exchange.question}") | frozenset(terms(reply))
    stated = facts(reply).numbers
    if not asked or not stated:
        return
    for passage, slot in _slots(passages, frozenset(terms(exchange.question)), stated):
        if len(slot.words & frozenset(terms(reply))) < _TAKEN * len(slot.words):
            continue
        others = {names for names in _said_of_others(slot, context) if not names & asked} | {slot.names}
        if len(others) < _LEAST_NAMES:
            continue
        there = any(_about(asked, slot, h.title, h.text) for h in context.documents.search(exchange.question))
        yield Evidence(
            check="knowledge.other_subject", gap="knowledge", cause="retrieval_miss" if there else "missing_content", strength=0.9,
            note=f"The reply says of {', '.join(sorted(asked))} what a passage says of {', '.join(sorted(slot.names))}.",
            quotes=(quote(reply, "reply", limit=160), quote(slot.text, "passage", id=passage.id)),
        )  # fmt: skip
        return


def _slots(
    passages: Iterable[Passage], known: frozenset[str], stated: frozenset[str]
) -> Iterator[tuple[Passage, _Slot]]:
    """Yield the sentences that hold a stated number and name something that neither question nor reply does."""
    for passage in passages:
        for sentence in _SENTENCE.split(passage.text[:_CAP]):
            names = (_names(passage.title or "") | _names(sentence)) - known
            words = frozenset(t for t in terms(sentence) if not t.isdigit()) - names
            if names and len(words) >= _LEAST_WORDS and (facts(sentence).numbers & stated) - names:
                yield passage, _Slot(sentence.strip(), words, names)


def _said_of_others(slot: _Slot, context: Context) -> Iterator[frozenset[str]]:
    """Yield the names of which other pages say the same sentence."""
    if context.documents is None:
        return
    for hit in context.documents.search(" ".join(sorted(slot.words)), 10):
        for sentence in _SENTENCE.split(hit.text[:_CAP]):
            names = (_names(hit.title) | _names(sentence)) - slot.words
            words = frozenset(t for t in terms(sentence) if not t.isdigit()) - names
            if (
                names
                and facts(sentence).numbers
                and len(slot.words & words) >= _SAME * len(slot.words | words)
            ):
                yield names
                break


def _about(asked: frozenset[str], slot: _Slot, title: str, text: str) -> bool:
    """Whether a page says the sentence of what was asked about."""
    words = vocabulary(f"{title} {text[:_CAP]}")
    return bool(asked & words) and len(slot.words & words) >= _SAME * len(slot.words)


def _names(text: str) -> frozenset[str]:
    """Return the terms of words written as names: with a capital letter within a sentence, or as a code."""
    return frozenset(t for match in _NAME.finditer(text) for t in terms(match[0]))
