"""The knowledge ladder: does any document hold the answer, was it served, does the reply agree with it?

Graded, not decided: each rung gives a strength, and the fitted weights say how much it counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from advisor.checks.answer_type import focus, lacks_answer
from advisor.checks.context import Context, DocumentHit
from advisor.checks.instructions import rules_for
from advisor.evidence import Evidence, Quote, quote
from advisor.exchange import Exchange, Passage
from advisor.logs.dialects.messages import unwrap
from advisor.rules import abstention_phrase
from rag.grounding.contradiction import contradiction
from rag.grounding.cover import Weigh, best_window, plain, share, vocabulary
from rag.grounding.facts import facts, missing
from rag.lexical import terms
from router.abstention import abstains
from router.contract.rules import Rule

_PASSAGE_CAP, _REPLY_CAP, _QUESTION_CAP = 8_000, 3_000, 1_500
_SHORT = 3
_LEAST_TERMS = 2
_COPY = 40
_MARKER = re.compile(r"^[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+", re.MULTILINE)
_LEANS = re.compile(
    r"\b(?:it|its|this|that|these|those|they|them|their|he|she|his|her|there|one|ones|same|also|else|other|another)\b|^\W*(?:and|but|so|or|then|und|aber|et|mais|y|pero|e|ma)\b",
    re.IGNORECASE,
)
_CHANCE = 0.12
_CITATION = re.compile(r"[\[【][^\]】\n]{1,40}[\]】](?!\()")


@dataclass(frozen=True, slots=True)
class _View:
    """What the rungs share: the texts cut to size, and what was found.

    Attributes:
        asked: Terms of the question, with those of the question before if it is short.
        said: Terms of the reply that are not the question's.
        held: Terms the reply may rest on: of what was served or, if the log does not say, of the best documents.
        sure: 1 if `held` was served, less if it is a guess.
        clear: 1 if the question stands alone, less if it leans on what was said before ("and outside the USA?").
        others: The best documents that were not served.
        cover: Share of `asked` in the best served passage.
        window: Share of `asked` in the best two sentences of what was served.
        elsewhere: Share of `asked` in the best two sentences of another document.
        support: Share of `said` that is in `held`.
        copied: Whether the reply is a served passage word for word, so that being supported says nothing good of it.
        focus_served: Share of what is asked of the things the question names in the best two sentences of what was served.
        focus_elsewhere: The same of another document.
    """

    question: str
    reply: str
    asked: frozenset[str]
    said: frozenset[str]
    held: frozenset[str]
    sure: float
    clear: float
    passages: tuple[Passage, ...]
    texts: tuple[str, ...]
    hits: tuple[DocumentHit, ...]
    others: tuple[DocumentHit, ...]
    declined: str
    cover: float
    window: float
    elsewhere: float
    support: float
    copied: bool
    focus_served: float
    focus_elsewhere: float


def check_knowledge(exchange: Exchange, context: Context) -> Iterable[Evidence]:
    """Climb the ladder on an exchange that has passages or documents to compare with; else only weak hints."""
    query = _query(exchange)[0]
    if not exchange.reply.content.strip() or len(terms(query)) < _LEAST_TERMS:
        return
    rules = rules_for(exchange, context)
    if exchange.passages is None and _not_about_content(exchange, rules):
        return
    declined = abstains(exchange.reply.content, abstention_phrase(exchange))
    if exchange.passages is None and context.documents is None:
        if declined != "no":
            yield _said(exchange, "knowledge.abstained", 0.6 if declined == "fully" else 0.3, None)
        return
    view = _look(exchange, context, declined, rules)
    note = "The reply answers a question about content."
    yield Evidence(check="knowledge.task", gap="knowledge", strength=0.5 * view.sure, note=note)
    if declined == "no":
        yield from _support(view)
        yield from _invented(exchange, view)
        yield from _contradicted(view)
    else:
        yield from _abstention(exchange, view)
    yield from _covered(view, exchange)
    yield from _elsewhere(view, context)


def _not_about_content(exchange: Exchange, rules: Sequence[Rule]) -> bool:
    """Without retrieval in the log, a tool bot, a classifier or a form filler is not asked for what pages hold."""
    asked_for_form = exchange.response_format is not None or any(r.kind in ("label", "json") for r in rules)
    return bool(exchange.tools) or bool(exchange.reply.tool_calls) or asked_for_form


def _query(exchange: Exchange) -> tuple[str, bool]:
    """Return what to search for, and whether the question leans on what was said before."""
    question = exchange.question[:_QUESTION_CAP]
    users = [m.content for m in exchange.conversation if m.role == "user"]
    leans = len(users) > 1 and _LEANS.search(question) is not None
    # More words of the turn before would draw the search away from what is asked now.
    short = leans and 1 <= len(set(terms(question))) <= _SHORT
    return (f"{question} {users[-2][:400]}" if short else question), leans


def _look(exchange: Exchange, context: Context, declined: str, rules: Sequence[Rule]) -> _View:
    question, (query, leans) = exchange.question[:_QUESTION_CAP], _query(exchange)
    asked = frozenset(terms(query))
    passages = exchange.passages or ()
    cap = max(800, 3 * _PASSAGE_CAP // max(1, len(passages)))
    texts = tuple(f"{p.title or ''} {p.text[:cap]}" for p in passages)
    hits = tuple(context.documents.search(query, 10)) if context.documents else ()
    others = _not_served(hits, passages)
    rivals = [f"{h.title}. {h.text}" for h in others[:5]]
    of_named = focus(query, asked)
    weigh: Weigh = context.documents.idf if context.documents else plain
    rest = texts if exchange.passages is not None else tuple(f"{h.title} {h.text}" for h in hits[:3])
    held = frozenset[str]().union(*map(vocabulary, rest))
    reply = content_of(exchange.reply.content, rules)[:_REPLY_CAP]
    said = frozenset(terms(reply)) - asked
    return _View(
        question=question, reply=reply, asked=asked, said=said, held=held, sure=1.0 if exchange.passages is not None else 0.5,
        clear=0.5 if leans else 1.0,
        passages=passages, texts=texts, hits=hits, others=others, declined=declined,
        cover=max((share(asked, vocabulary(t), weigh) for t in texts), default=0.0),
        window=best_window(asked, texts, weigh),
        elsewhere=best_window(asked, rivals, weigh),
        support=share(said, held, weigh) if said else 1.0,
        copied=_copied(reply, texts), focus_served=best_window(of_named, texts, weigh), focus_elsewhere=best_window(of_named, rivals, weigh),
    )  # fmt: skip


def _copied(reply: str, texts: Sequence[str]) -> bool:
    words = " ".join(reply.split())
    return len(words) > _COPY and any(words in " ".join(text.split()) for text in texts)


def _not_served(hits: Sequence[DocumentHit], passages: Sequence[Passage]) -> tuple[DocumentHit, ...]:
    ids = {p.id for p in passages if p.id}
    texts = [" ".join(p.text.split()) for p in passages]
    heads = [" ".join(h.text[:80].split())[:60] for h in hits]
    return tuple(
        h
        for h, head in zip(hits, heads, strict=True)
        if h.id not in ids and not any(head in t for t in texts)
    )


def content_of(reply: str, rules: Sequence[Rule] = ()) -> str:
    """Return what a reply says: of JSON its values, without citations and without what the rules made it say."""
    value = unwrap(reply.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip())
    text = value if isinstance(value, str) else " ".join(_values(value))
    for rule in rules:
        demanded = rule.params.get("text") if rule.kind in ("ends_with", "starts_with") else None
        if isinstance(demanded, str):
            text = text.replace(demanded, " ")
    return _CITATION.sub(" ", text)


def _values(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner)
    elif isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield str(value)


def _graded(value: float) -> float:
    return max(-1.0, min(1.0, value))


def _knows(check: str, strength: float, note: str, *quotes: Quote, cause: str | None = None) -> Evidence:
    return Evidence(
        check=f"knowledge.{check}", gap="knowledge", cause=cause, strength=_graded(strength), note=note, quotes=quotes if strength > 0 else ()
    )  # fmt: skip


def _support(view: _View) -> Iterator[Evidence]:
    """Is what the reply says in what was served?"""
    if not view.held or not view.said:
        return
    words = ", ".join(sorted(view.said - view.held)[:6])
    note = f"The passages hold {view.support:.0%} of what the reply says" + (
        f"; not: {words}." if words else "."
    )
    told = quote(view.reply, "reply")
    if not view.copied:
        yield _knows("reply_unsupported", view.sure * (0.55 - view.support) * 3, note, told)
    # A reply that mixes what was served with something else had the material and strayed; one with next to nothing
    # of it was made up, most often because the material had no answer.
    partly = 1 - abs(view.support - 0.38) / 0.25
    yield _knows("partly_supported", view.sure * partly, note, told, cause="context_unused")
    faithful = (view.support - 0.8) * 5 * (0.7 - view.window) * 2 if view.support > 0.8 else 0.0
    if faithful > 0 and view.sure == 1.0:
        note = "The reply keeps to passages that hold little of the question."
        yield _knows("faithful_to_misfit", faithful, note, told, cause="missing_content")
    if not view.copied:
        yield _knows(
            "from_memory", view.sure * (0.25 - view.support) * 4, note, told, cause="missing_content"
        )
    taken = share(view.asked, vocabulary(view.reply), plain)
    yield _knows(
        "off_question",
        max(-0.3, view.clear * view.sure * (0.35 - taken) * 2),
        f"The reply takes up {taken:.0%} of the question's words.",
        told,
    )


def _invented(exchange: Exchange, view: _View) -> Iterator[Evidence]:
    """Numbers, identifiers and addresses that stand nowhere in what the bot was given."""
    stated = facts(_MARKER.sub(" ", view.reply))
    if not len(stated) or not view.passages or view.copied:
        return
    given = [f"{p.id} {p.title} {p.text[:_PASSAGE_CAP]}" for p in view.passages] + [
        m.content[:4000] for m in exchange.conversation
    ]
    lacking = missing(stated, given)
    hard, soft = sorted(lacking.numbers | lacking.codes | lacking.urls), sorted(lacking.names)
    if not hard and not soft:
        note = "Every number and name in the reply stands in what the bot was given."
        yield _knows("facts_held", -0.5, note, cause="context_unused")
        return
    shown = ", ".join((hard + soft)[:5])
    quotes = tuple(quote(f, "reply") for f in (hard + soft)[:3])
    note = f"The reply states {shown}, which no passage holds."
    yield _knows("facts_invented", min(1.0, 0.6 * len(hard) + 0.25 * len(soft)), note, *quotes)


def _contradicted(view: _View) -> Iterator[Evidence]:
    """A number given where the passages give another for the same thing."""
    found = contradiction(view.reply, view.texts)
    if found is not None:
        note = f"The reply says {found.said}; the passages say otherwise."
        quotes = (quote(found.sentence, "reply"), quote(found.held, "passage"))
        yield Evidence(
            check="contradiction.number",
            gap="knowledge",
            cause="context_unused",
            strength=0.9,
            note=note,
            quotes=quotes,
        )


def _covered(view: _View, exchange: Exchange) -> Iterator[Evidence]:
    """Do the served passages speak of what was asked?"""
    if exchange.passages == ():
        yield _knows("nothing_served", 0.8, "Retrieval served nothing for this question.")
        return
    if not view.passages:
        return
    first = quote(view.passages[0].text, "passage", id=view.passages[0].id)
    note = f"The best served passage holds {view.cover:.0%} of the question."
    yield _knows("served_off", view.clear * (0.5 - view.cover) * 2.5, note, first)
    yield _knows("served_fits", (view.focus_served - 0.5) * 2, note, first, cause="context_unused")
    lacking = lacks_answer(view.question, view.texts, view.asked)
    if lacking is not None:
        strength, what = lacking
        held = "lacks" if strength > 0 else "holds"
        yield _knows(
            "answer_type",
            strength,
            f"The question asks for {what}; what was served {held} one.",
            first,
            cause="missing_content",
        )


def _elsewhere(view: _View, context: Context) -> Iterator[Evidence]:
    """Does another document of the operator's answer better, or does none?"""
    if context.documents is None:
        return
    if view.sure == 1.0:
        yield _better(view)
        clear = view.elsewhere - view.window - 0.3
        note = "Whether another document is clearly better than what was served."
        yield _knows("clearly_better_document", clear * 4, note, cause="retrieval_miss")
        note = "Where the served passages stand in a fresh search of the documents."
        yield _knows("rank", _rank(view), note, cause="retrieval_miss")
    most = max(view.elsewhere, view.window)
    note = f"No two sentences of any document hold more than {most:.0%} of the question."
    yield _knows("nowhere", view.clear * view.sure * (0.6 - most) * 3, note, cause="missing_content")
    most = max(view.focus_elsewhere, view.focus_served)
    note = f"No two sentences of any document hold more than {most:.0%} of what is asked of the things named."
    yield _knows("focus_nowhere", view.clear * view.sure * (0.5 - most) * 2, note, cause="missing_content")


def _better(view: _View) -> Evidence:
    # The best of many sentences elsewhere beats the few served ones by chance alone; hence the margin.
    gain = view.elsewhere - view.window - _CHANCE
    best = view.others[0] if view.others else None
    if best is None or gain <= 0:
        note = "No other document fits the question better than what was served."
        # That nothing fits better says little of the reply; it depends on how many documents there are.
        return _knows("better_document", max(-0.1, gain), note, cause="retrieval_miss")
    note = f"Another document holds {view.elsewhere:.0%} of the question in two sentences; what was served holds {view.window:.0%}."
    found = quote(f"{best.title}: {best.text}" if best.title else best.text, "document", id=best.id)
    return _knows("better_document", view.clear * gain * 2.5, note, found, cause="retrieval_miss")


def _rank(view: _View) -> float:
    """-1 if the best document of a fresh search was served, up to 1 if none of its first ten was."""
    others = {h.id for h in view.others}
    at = next((i for i, h in enumerate(view.hits) if h.id not in others), 10)
    return -1.0 if at == 0 else min(1.0, 0.2 * at)


def _abstention(exchange: Exchange, view: _View) -> Iterator[Evidence]:
    weight = 1.0 if view.declined == "fully" else 0.5
    if view.cover >= 0.6:
        yield _said(
            exchange, "knowledge.declined_though_served", weight * (view.cover - 0.5) * 2, "context_unused"
        )
    elif view.elsewhere > max(0.5, view.window + _CHANCE):
        yield _said(
            exchange, "knowledge.declined_though_held", weight * (view.elsewhere - 0.3) * 2, "retrieval_miss"
        )
    else:
        yield _said(exchange, "knowledge.declined_rightly", -weight * (0.7 - view.cover) * 2, None)
    yield _said(exchange, "knowledge.partly_supported", -0.7, "context_unused")
    if view.hits and view.elsewhere < 0.5 and view.cover < 0.5:
        yield _said(exchange, "knowledge.declined_nothing_there", weight * 0.7, "missing_content")


def _said(exchange: Exchange, check: str, strength: float, cause: str | None) -> Evidence:
    quotes = (quote(exchange.reply.content, "reply", limit=160),)
    note = "The reply declines to answer."
    return Evidence(
        check=check, gap="knowledge", cause=cause, strength=_graded(strength), note=note, quotes=quotes
    )


_FILLER = re.compile(
    r"^\W*(?:sure|certainly|of course|absolutely|great question|i['’]d be happy|happy to help|gerne|natürlich|bien sûr|avec plaisir|claro|por supuesto|certo|natuurlijk)\b[^.!\n]{0,80}[.!:,]"
    r"|\b(?:i hope (?:this|that) helps|hope (?:this|that) helps|let me know if|if you have any (?:other|further|more)|feel free to (?:ask|reach)|don['’]t hesitate|zögern sie nicht|n['’]hésitez pas|no dudes? en)\b",
    re.IGNORECASE,
)


def check_length(exchange: Exchange, context: Context) -> Iterable[Evidence]:
    """Is the reply much longer than the question and its support call for?"""
    if not exchange.passages or exchange.reply.tool_calls:
        return
    filler = _FILLER.search(content_of(exchange.reply.content, rules_for(exchange, context))[:_REPLY_CAP])
    if filler is not None:
        note = "The reply has words that only fill."
        yield Evidence(
            check="length.filler", gap="style", cause="length", strength=0.6, note=note, quotes=(quote(filler[0], "reply"),)
        )  # fmt: skip
    words = len(exchange.reply.content.split())
    if " ".join(exchange.reply.content[:200].split()) in " ".join(
        exchange.passages[0].text[:_PASSAGE_CAP].split()
    ):
        return  # a bot that shows the page as it is does not choose its length
    if words < 25:
        yield _long(-0.5, f"The reply has {words} words.")
        return
    share_of = words / max(1, sum(len(p.text.split()) for p in exchange.passages))
    strength = _graded((words - 55) / 80) * (1.0 if share_of > 0.4 else 0.6)
    note = f"The reply has {words} words, {share_of:.0%} of the length of what was served."
    yield _long(strength, note, quote(exchange.reply.content, "reply"))


def _long(strength: float, note: str, *quotes: Quote) -> Evidence:
    return Evidence(
        check="length.verbose", gap="style", cause="length", strength=strength, note=note, quotes=quotes if strength > 0 else ()
    )  # fmt: skip
