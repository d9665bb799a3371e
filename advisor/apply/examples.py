"""Examples: what a run's exchanges and an operator's files teach, as a bot would have been asked; and why the rest teaches nothing.

Only the teaching half is looked at; what judges never teaches. A reply is taught if it keeps the contract and states nothing that the model could
not have read: training on facts that stand nowhere in its input teaches a model to invent (Gekhman et al. 2024, 2405.05904). Such a correction
belongs into the index, and is counted as such.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from advisor.apply.cases import group_of
from advisor.exchange import Exchange, Passage
from advisor.gate.irrelevance import called
from advisor.gate.trial import Case
from advisor.probing.judging import expected_calls
from advisor.probing.subject import Served, Setup, request_of
from finetune.cleaning import cleaned, masked
from finetune.examples import Example, Origin, text_of
from rag.grounding.facts import facts, missing
from rag.lexical import terms
from rag.visibility import Filter
from router.abstention import abstains
from router.composing import compose, labels
from router.contract.checking import call_breaches, labels_of
from router.contract.mending import brought_in_line
from router.contract.rules import Contract
from router.models.port import Call, ToolRequest, call_data
from router.replies import Reply
from router.retrieving import is_small_talk, query_of

_T = TypeVar("_T")

Kind = Literal["as served", "among others"]
SHARES: Mapping[Kind, int] = {"as served": 15, "among others": 5}
"""Of twenty examples, how the passages of examples are chosen for a bot with retrieval: what was served, or the right one among others in another order."""

Lack = Literal["only others", "none", "no lack"]
LACKS: Mapping[Lack, int] = {"only others": 2, "none": 2, "no lack": 16}
"""Of twenty examples, how many are taught once more without their page, with wrong ones or with none, and the words of a bot that does not know.

Our own choice, after RAFT (Zhang et al. 2024, 2403.10131), which leaves the right page out of a part of the examples. The same question is taught with its
page too: where refusals took the place of replies, SmolLM2-135M learnt from eight of 44 to decline whatever resembled those questions, page or not, and
from three to invent where it was given none (docs/benchmarks.md)."""

_OTHERS = 2
_SAME_THING = 0.25
"""Share of the question's words that a passage holds from which on it may answer the question."""

_LIKES = frozenset({"user", "annotator"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """The bot that is to learn.

    Attributes:
        setup: As it is live.
        contract: What its replies must keep.
        oracle: Texts known to hold the right answer, by exchange.
    """

    setup: Setup
    contract: Contract
    oracle: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Examples, and what was left out.

    Attributes:
        examples: In the order of their exchanges, the operator's after them, and those that are declined for want of their page last.
        left_out: Reason to count.
        knowledge: Ids of exchanges whose right answer stands in no page: the index is to learn them, not the model.
    """

    examples: tuple[Example, ...]
    left_out: Mapping[str, int]
    knowledge: tuple[str, ...]

    def about(self) -> dict[str, Any]:
        """Return what a reader should know, JSON-able."""
        origins = Counter(e.origin for e in self.examples)
        passages = Counter("with passages" if e.passages else "without" for e in self.examples)
        return {
            "examples": len(self.examples), "origins": dict(sorted(origins.items())), "passages": dict(sorted(passages.items())),
            "left out": dict(sorted(self.left_out.items())), "for the index": list(self.knowledge),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Taught:
    """A reply that may be taught."""

    message: Mapping[str, Any]
    origin: Origin
    rejected: Mapping[str, Any] | None = None
    approved_by: str | None = None


def build(cases: Sequence[Case], bot: Bot, files: Iterable[Example] = (), *, seed: int = 0) -> Built:
    """Return the examples of a bot.

    Args:
        cases: Failures and good replies of the teaching half.
        bot: What is to learn.
        files: An operator's own examples; they are taken as they are, but masked, and each once.
        seed: Of how passages are chosen.
    """
    left: Counter[str] = Counter()
    knowledge: list[str] = []
    found: list[Example] = []
    read: dict[str, _Pages] = {}
    chance = random.Random(seed)
    # Wrong passages are those of other questions, and never of another tenant's.
    pool: dict[str | None, list[Passage]] = defaultdict(list)
    for case in cases:
        pool[case.exchange.tenant] += case.exchange.passages or ()
    kinds, lacks = _drawn(SHARES, chance), _drawn(LACKS, chance)
    for case in cases:
        taught = _taught(case, bot)
        if isinstance(taught, str):
            left[taught] += 1
            continue
        pages = _pages(case.exchange, bot, pool[case.exchange.tenant], chance)
        made = _example(case.exchange, taught, bot, pages.offered(next(kinds), chance))
        if isinstance(made, str):
            left[made] += 1
            knowledge += [case.id] if made == _NEW_FACTS else []
            continue
        found.append(made)
        read[made.source] = pages
    every = [*found, *files]
    kept = cleaned(every)
    left["repeats another"] = len(every) - len(kept)
    own = [read[e.source] for e in kept if e.source in read]
    declined = [masked(e) for pages in own for e in _declining(next(lacks), pages, bot)]
    return Built(
        examples=(*kept, *declined), left_out={k: v for k, v in left.items() if v}, knowledge=tuple(knowledge)
    )


def without_calls(asked: Iterable[tuple[Exchange, Reply]], bot: Bot) -> Iterator[Example]:
    """Yield a bot's own replies to requests that call for none of its tools (`advisor.gate.irrelevance`), as they keep the contract; those to which it made no
    call and said something."""
    for exchange, reply in asked:
        if not reply.text.strip() or called(reply) or reply.finish_reason == "length":
            continue
        text = brought_in_line(reply.text, bot.contract, question=exchange.question)
        if text is not None:
            said = _Taught({"role": "assistant", "content": text}, "replay")
            yield _made(exchange, said, bot, _served(exchange, bot, None))


# What is taught


_NEW_FACTS = "states what the bot could not have read"


def _taught(case: Case, bot: Bot) -> _Taught | str:
    exchange = case.exchange
    if exchange.tools:
        return _calls(exchange, case)
    said = {"role": "assistant", "content": exchange.reply.content}
    if case.kind == "target" and exchange.expected:
        return _held(
            exchange,
            exchange.expected,
            bot,
            _Taught(said, "correction", rejected=said, approved_by=_who(exchange)),
        )
    if not exchange.reply.content.strip():
        return "nothing was said"
    if case.kind == "good":
        return _held(
            exchange, exchange.reply.content, bot, _Taught(said, "approved", approved_by=_who(exchange))
        )
    if labels_of(bot.contract):
        return "the right label is not known"
    repaired = _held(
        exchange,
        exchange.reply.content,
        bot,
        _Taught(said, "repaired", rejected=said, approved_by=_who(exchange)),
    )
    if isinstance(repaired, str) or repaired.origin != "repaired":
        return "failed, and no right answer is known"
    return repaired


def _held(exchange: Exchange, text: str, bot: Bot, taught: _Taught) -> _Taught | str:
    """The reply as it keeps the contract: as it is, or mended where mending changes nothing that it says."""
    held = brought_in_line(text, bot.contract, question=exchange.question)
    if held is None:
        return "breaks the contract, and cannot be mended"
    if held != text:
        text, origin = held, "repaired" if taught.origin == "approved" else taught.origin
        taught = replace(taught, origin=origin)
    elif taught.origin == "repaired":
        return "failed, and no right answer is known"
    rejected = (
        taught.rejected
        if taught.rejected is not None and text_of(taught.rejected).strip() not in ("", text)
        else None
    )
    return replace(taught, message={"role": "assistant", "content": text}, rejected=rejected)


def _calls(exchange: Exchange, case: Case) -> _Taught | str:
    said = _message(exchange.reply.content, exchange.reply.tool_calls)
    if case.kind == "good":
        offered = request_of(exchange).tools
        made = [ToolRequest(name=c.name, arguments=c.arguments) for c in exchange.reply.tool_calls]
        return (
            "its calls do not fit their tools"
            if call_breaches(made, offered)
            else _Taught(said, "approved", approved_by=_who(exchange))
        )
    wanted = expected_calls(exchange)
    if wanted is None:
        return "failed, and no right answer is known"
    right = [ToolRequest(name=n, arguments=json.dumps(a, ensure_ascii=False)) for n, a in wanted]
    text = "" if right else exchange.expected or ""
    return _Taught(
        _message(text, right),
        "correction",
        rejected=said if said != _message(text, right) else None,
        approved_by=_who(exchange),
    )


def _message(text: str, calls: Sequence[Call]) -> dict[str, Any]:
    found: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        found["tool_calls"] = call_data(calls)
    return found


def _who(exchange: Exchange) -> str | None:
    """Whose thumb or correction it was."""
    liked = any(f.source in _LIKES and (f.polarity or 0) > 0 for f in exchange.feedback)
    return (exchange.user or "a person") if liked or exchange.expected else None


# As the bot would have been asked


def _drawn(shares: Mapping[_T, int], chance: random.Random) -> Iterator[_T]:
    """Yield without end, in their shares among every twenty: of few examples chance alone might make twice as many of one."""
    while True:
        some = [one for one, count in shares.items() for _ in range(count)]
        chance.shuffle(some)
        yield from some


@dataclass(frozen=True, slots=True)
class _Pages:
    """Passages that an exchange may be taught with: the right one, if it is known, and others that are not about the same thing."""

    exchange: Exchange
    held: Sequence[Passage]
    others: Sequence[Passage]

    def offered(self, kind: Kind, chance: random.Random) -> list[Sequence[Passage] | None]:
        """Return which an example may have, first choice first; None for what the bot finds."""
        mixed = [*self.held, *self.others]
        chance.shuffle(mixed)
        first = [mixed] if kind == "among others" and self.held and self.others else []
        return [*first, self.exchange.passages or None, [*self.held, *self.others]]


def _pages(exchange: Exchange, bot: Bot, pool: Sequence[Passage], chance: random.Random) -> _Pages:
    held = _right(exchange, bot)
    others = [p for p in _sample(pool, chance) if _is_about_other(p, exchange, held)]
    return _Pages(exchange, held, others[:_OTHERS])


def _example(
    exchange: Exchange, taught: _Taught, bot: Bot, offered: Sequence[Sequence[Passage] | None]
) -> Example | str:
    if bot.setup.searched is None or exchange.tools:
        offered = [None]
    for passages in offered:
        messages, texts = _served(exchange, bot, passages)
        if not _new_facts(taught.message, messages, bot):
            return _made(exchange, taught, bot, (messages, texts))
    return _NEW_FACTS


def _declining(lack: Lack, pages: _Pages, bot: Bot) -> Iterator[Example]:
    """Yield the same question without its page, if it is one that a page answers, declined as the bot's contract wants it."""
    exchange = pages.exchange
    text = _declined(exchange, bot)
    if bot.setup.searched is None or exchange.tools or not pages.held or not text:
        return
    if lack == "none" or (lack == "only others" and pages.others):
        read = _served(exchange, bot, pages.others if lack == "only others" else ())
        yield _made(exchange, _Taught({"role": "assistant", "content": text}, "written"), bot, read)


def _served(
    exchange: Exchange, bot: Bot, passages: Sequence[Passage] | None
) -> tuple[tuple[Mapping[str, Any], ...], tuple[str, ...]]:
    """Return the messages that the bot would be sent, and the passages in them: these, what it finds for None, or none and no word of them if empty."""
    request, setup = request_of(exchange), bot.setup
    last = request.messages[-1] if request.messages else {}
    none = passages is not None and not passages
    if setup.searched is None or none or last.get("role") == "tool" or is_small_talk(request.question):
        return compose(setup.prompt, request.messages, None), ()
    if passages is not None:
        hits = Served(passages).search(request.question)
    else:
        asker = Filter(tenant=exchange.tenant)
        hits = tuple(
            setup.searched.search(query_of(request.messages), k=setup.release.retrieving.k, filter=asker)
        )
    return compose(setup.prompt, request.messages, labels(hits)), tuple(h.text for h in hits)


def _right(exchange: Exchange, bot: Bot) -> list[Passage]:
    """Passages that hold the answer: those that were served and do, or those known to."""
    stated = facts(exchange.expected or exchange.reply.content)
    served = [
        p
        for p in exchange.passages or ()
        if len(stated) and not len(missing(stated, [p.text, exchange.question]))
    ]
    return served[:1] or [Passage(text=t) for t in bot.oracle.get(exchange.id, ())][:1]


def _declined(exchange: Exchange, bot: Bot) -> str:
    """What the bot says when it does not know, in the form that its contract wants."""
    return brought_in_line(bot.setup.prompt.no_answer, bot.contract, question=exchange.question) or ""


def _sample(pool: Sequence[Passage], chance: random.Random) -> list[Passage]:
    return chance.sample(list(pool), k=min(len(pool), 4 * _OTHERS)) if pool else []


def _label(text: str, bot: Bot) -> str | None:
    """The label that a reply is, if the bot gives labels."""
    plain = text.strip().casefold()
    return next((label for label in labels_of(bot.contract) if label.casefold() == plain), None)


def _is_about_other(passage: Passage, exchange: Exchange, held: Sequence[Passage]) -> bool:
    """Whether a passage can stand beside the right one, or for none: neither the right one nor about the same thing."""
    asked = frozenset(terms(exchange.question))
    shared = len(asked & frozenset(terms(passage.text))) / max(1, len(asked))
    return shared < _SAME_THING and all(passage.text != h.text for h in held)


def _new_facts(message: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], bot: Bot) -> bool:
    """Whether a reply states figures, codes or addresses that stand nowhere in what the model reads, nor in the contract."""
    text = text_of(message)
    if message.get("tool_calls") or abstains(text) == "fully":
        return False
    demanded = [str(v) for rule in bot.contract.rules for v in rule.params.values()]
    lost = missing(facts(text), [*(text_of(m) for m in messages), *demanded])
    return bool(lost.numbers or lost.codes or lost.urls)


def _made(
    exchange: Exchange, reply: _Taught, bot: Bot, read: tuple[tuple[Mapping[str, Any], ...], tuple[str, ...]]
) -> Example:
    messages, texts = read
    # Earlier turns are read and not learnt: they were never looked at.
    before = tuple({**m, "weight": 0} if m.get("role") == "assistant" else m for m in messages)
    return Example(
        messages=(*before, reply.message), tools=request_of(exchange).tools, rejected=reply.rejected, passages=texts, group=group_of(exchange),
        origin=reply.origin, source=str(exchange.source), author=exchange.user, approved_by=reply.approved_by,
label=_label(text_of(reply.message), bot),
    )  # fmt: skip


def labelled(rows: Mapping[str, str], system: str) -> Iterator[Example]:
    """Yield an operator's labelled texts as examples of a bot with that prompt."""
    head = ({"role": "system", "content": system},) if system else ()
    for number, (text, label) in enumerate(rows.items(), 1):
        yield Example(
            messages=(*head, {"role": "user", "content": text}, {"role": "assistant", "content": label}), label=label, group=text[:80],
            origin="file", source=f"labelled:{number}",
        )  # fmt: skip
