"""Reply against the right answer, where a correction, an edit or a reference gave one: did facts move, or only form?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from advisor.checks.context import Context
from advisor.checks.expected_call import check_call
from advisor.checks.instructions import rules_for
from advisor.checks.json_form import demand_for
from advisor.checks.knowledge import content_of
from advisor.checks.labels import plain, task_for
from advisor.evidence import Evidence, Gap, quote
from advisor.exchange import Exchange
from advisor.rules import abstention_phrase
from rag.grounding.contradiction import contradiction
from rag.grounding.cover import plain as weightless
from rag.grounding.cover import share, vocabulary
from rag.grounding.facts import Facts, facts, missing
from router.abstention import abstains
from router.contract.checkers.language import scripts, spoken
from router.contract.json_text import parse

_CAP = 6_000
_LABEL = 40
_SAME, _LOW = 0.75, 0.55
_NEGATION = re.compile(
    r"\b(?:no|not|never|none|cannot|without|nicht|nie|kein\w*|pas|jamais|aucune?|nunca|sin|não|nem|non|mai|niet|geen|nooit|nie|bez|değil|yok|не|нет|никогда|нельзя)\b|n['’]t\b|不|没|沒|未|无|ない|ません|않|없|못|(?<!\w)(?:لا|ليس|لم|لن|غير)(?!\w)|नहीं|मत\b",
    re.IGNORECASE,
)
_CITATION = re.compile(r"[\[【][A-Za-z]*[-_ ]?\d+[\]】]")
_YES = re.compile(
    r"\W*(?:yes|yeah|ja|oui|sí|si|sim|sì|tak|evet|да|是的|可以|はい|네|نعم|हाँ)(?=[\s,.!，。、]|$)",
    re.IGNORECASE,
)
_NO = re.compile(
    r"\W*(?:no|nope|nein|non|não|nee|nie|hayır|нет|不是|不可以|不能|いいえ|아니요|아니오|لا|नहीं)(?=[\s,.!，。、]|$)",
    re.IGNORECASE,
)
_DENSE_NUMBER = re.compile(
    r"(?<=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f])(?=\d)|(?<=\d)(?=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f])"
)
_BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+\S", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+\S", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")


def check_correction(exchange: Exchange, context: Context) -> Iterator[Evidence]:
    """Compare the reply with the right answer; nothing if none is known."""
    right, reply = (exchange.expected or "").strip()[:_CAP], exchange.reply.content.strip()[:_CAP]
    if not right or exchange.error:
        return
    call = check_call(exchange, right)
    if call is not None:
        yield call
    elif exchange.reply.tool_calls or not reply:
        return  # a step on the way is not held against the answer at its end
    elif " ".join(right.split()) == " ".join(reply.split()):
        yield _shows("same", None, -1.0, "The reply is the right answer, word for word.", exchange)
    elif (told := _objects(exchange, context, right, reply)) is not None:
        yield told
    elif _are_labels(exchange, context, right, reply):
        yield _label(exchange, right, reply)
    else:
        yield from _content(exchange, context, right, reply)


def _shows(
    check: str, gap: Gap | None, strength: float, note: str, exchange: Exchange, *, cause: str | None = None
) -> Evidence:
    return Evidence(
        check=f"correction.{check}", gap=gap, cause=cause, strength=round(max(-1.0, min(1.0, strength)), 3), note=note,
        quotes=(quote(exchange.reply.content, "reply", limit=200), quote(exchange.expected or "", "expected", limit=200)),
    )  # fmt: skip


def _objects(exchange: Exchange, context: Context, right: str, reply: str) -> Evidence | None:
    """Compare two JSON objects of the same keys, value by value; None if they are not."""
    if not right.startswith(("{", "```")) or "{" not in reply[:400]:
        return None
    wanted, given = parse(right, None), parse(reply, exchange.finish_reason)
    theirs, ours = wanted.value, given.value
    if not isinstance(theirs, dict) or not isinstance(ours, dict) or set(theirs) != set(ours):
        return None
    differing = [k for k in theirs if not _alike(theirs[k], ours[k])]
    if differing:
        return _other_values(exchange, context, theirs, ours, differing)
    if given.fault is not None and wanted.fault is None:
        note = "The right answer is the same JSON, well formed and with nothing around it."
        return _shows("form", "style", 0.9, note, exchange, cause="format")
    if any(type(theirs[k]) is not type(ours[k]) for k in theirs):
        return _shows(
            "form", "style", 0.9, "The right answer has values of other types.", exchange, cause="format"
        )
    return _shows("same", None, -1.0, "The reply is the same JSON as the right answer.", exchange)


def _alike(wanted: object, given: object) -> bool:
    return plain(wanted) == plain(given) if not isinstance(wanted, dict | list) else wanted == given


def _other_values(
    exchange: Exchange, context: Context, theirs: dict[str, Any], ours: dict[str, Any], differing: list[str]
) -> Evidence:
    task = task_for(exchange, context, demand_for(exchange, context))
    named = ", ".join(f"{k} is {theirs[k]!r}, not {ours[k]!r}" for k in differing[:3])[:200]
    tags = [k for k in differing if isinstance(theirs[k], bool) or (task is not None and k == task.field)]
    if tags:
        note = f"The right label differs: {named}."
        return _shows("label", "classification", 1.0, note, exchange, cause="misrouted")
    wanted = content_of(str([theirs[k] for k in differing]))
    cause = _why(exchange, context, wanted, facts(wanted))
    strength = 0.5 + 0.4 * len(differing) / len(theirs)
    return _shows(
        "facts", "knowledge", strength, f"The right answer has other values: {named}.", exchange, cause=cause
    )


def _are_labels(exchange: Exchange, context: Context, right: str, reply: str) -> bool:
    """Whether the right answer is the name of a class, and not a short answer to a question of fact."""
    if len(right) > _LABEL or len(right.split()) > 4 or "\n" in right:
        return False
    allowed = {plain(label) for label in context.contract.labels}
    if plain(right) in allowed:
        return True
    if len(reply) > _LABEL or len(reply.split()) > 4 or exchange.passages:
        return False
    ruled = any(rule.kind in ("label", "one_of") for rule in rules_for(exchange, context))
    coded = re.fullmatch(r"[a-z]+(?:[_-][a-z]+)+|[A-Z]+(?:[_-][A-Z]+)+", right) is not None
    return ruled or coded or plain(right) in {plain(v) for v in context.labelled.values()}


def _label(exchange: Exchange, right: str, reply: str) -> Evidence:
    said = f" {plain(reply)} "
    if plain(right) == plain(reply):
        return _shows("same", None, -0.9, "The reply names the right label.", exchange)
    if f" {plain(right)} " in said and len(said) > 2 * len(right) + 10:
        return _shows(
            "form",
            "style",
            0.5,
            "The right label is in the reply, among other words.",
            exchange,
            cause="format",
        )
    note = f"The right label is {right!r}."
    return _shows("label", "classification", 1.0, note, exchange, cause="misrouted")


def _content(exchange: Exchange, context: Context, right: str, reply: str) -> Iterator[Evidence]:
    phrase = abstention_phrase(exchange)
    declined, should = abstains(reply, phrase), abstains(right, phrase)
    if "fully" in (declined, should) and "no" in (declined, should):
        yield _declines(exchange, context, right, should=should == "fully")
        return
    if declined == should == "fully":
        yield _shows("same", None, -0.8, "Both decline to answer.", exchange)
        return
    pair = _pair(exchange, context, right, reply)
    if pair.held < 0.4 and _other_language(pair.said, pair.wanted):
        note = "The right answer is in another language."
        yield _shows("form", "style", 0.85 * pair.sure, note, exchange, cause="language")
        return
    moved, what = _moved(pair, free=bool(exchange.tools))
    if moved >= 0.25:
        note = f"The right answer says otherwise. {what}".strip()
        cause = _why(exchange, context, pair.wanted, pair.lost)
        yield _shows("facts", "knowledge", moved, note, exchange, cause=cause)
    else:
        yield from _form(exchange, context, right, reply, pair)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """What the reply and the right answer say, and how they overlap.

    Attributes:
        lost: Facts of the right answer that the reply does not have.
        added: Facts of the reply that the right answer does not have.
        held: Share of the right answer's terms that the reply has, 0-1.
        within: Share of the reply's terms that the right answer has, 0-1.
        close: Share of all terms that both have, 0-1.
        sure: 1 if a person corrected this reply; less if the right answer may be a reference in words of its own.
    """

    said: str
    wanted: str
    lost: Facts
    added: Facts
    held: float
    within: float
    close: float
    sure: float


def _pair(exchange: Exchange, context: Context, right: str, reply: str) -> _Pair:
    rules = rules_for(exchange, context)
    said, wanted = _spaced(content_of(reply, rules)), _spaced(content_of(right, rules))
    ours, theirs = vocabulary(said), vocabulary(wanted)
    close = len(ours & theirs) / len(ours | theirs) if ours or theirs else float(said == wanted)
    flagged = any(
        f.polarity == -1 and f.source in ("user", "annotator") and f.target == "reply"
        for f in exchange.feedback
    )
    return _Pair(
        said=said, wanted=wanted, lost=missing(facts(wanted), [said]), added=missing(facts(said), [wanted]),
        held=share(theirs, ours, weightless) if theirs else close, within=share(ours, theirs, weightless) if ours else close,
        close=close, sure=1.0 if flagged else 0.6 + 0.4 * min(1.0, close / 0.5),
    )  # fmt: skip


def _spaced(text: str) -> str:
    """Set numbers apart in scripts without spaces, where they would not be seen."""
    return text if text.isascii() else _DENSE_NUMBER.sub(" ", text)


def _moved(pair: _Pair, *, free: bool) -> tuple[float, str]:
    """How firmly facts differ, 0-1, and in what; replaced weighs more than left out, and that more than added.

    With `free` other words say nothing: what a bot says beside its calls of tools is worded freely.
    """
    if _opposite(pair):
        return 0.85 * pair.sure, "Only one of the two says no."
    swapped = contradiction(pair.said, [pair.wanted])
    if swapped is not None:
        return (
            0.95 * pair.sure,
            f'The reply gives {swapped.said}; the right answer has: "{swapped.held[:80]}".',
        )
    wanted, short = facts(pair.wanted), len(pair.wanted.split()) <= 40
    hard = len(pair.lost.numbers | pair.lost.codes | pair.lost.urls)
    part = hard / max(1, len(wanted.numbers | wanted.codes | wanted.urls))
    replaced = bool(hard and (pair.added.numbers | pair.added.codes | pair.added.urls))
    by_facts = (
        (0.6 + 0.4 * part if short and replaced else (0.3 if short else 0.1) + 0.4 * part) if hard else 0.0
    )
    names = len(pair.lost.names) / max(1, len(wanted.names))
    by_facts = min(1.0, by_facts + (0.3 if pair.added.names else 0.15) * names)
    brief = pair.within >= 0.8 and not len(pair.added)
    low = 0.0 if brief or free or pair.held >= _LOW else min(0.8, 0.25 + (_LOW - pair.held) * 1.1)
    return max(pair.sure * by_facts * (0.5 if brief else 1.0), low), _named(pair.lost, pair.added)


def _opposite(pair: _Pair) -> bool:
    """Whether one says yes where the other says no, in else the same words."""
    yes, no = _YES.match(pair.said), _YES.match(pair.wanted)
    one, other = _NO.match(pair.said), _NO.match(pair.wanted)
    if (yes and other) or (one and no):
        return True
    if pair.close < 0.5 or len(pair.wanted.split()) > 40:
        return False
    return bool(_NEGATION.search(pair.said)) != bool(_NEGATION.search(pair.wanted))


def _named(lost: Facts, added: Facts) -> str:
    wanted, said = sorted(lost.all())[:4], sorted(added.all())[:4]
    parts = [
        f"it has {', '.join(wanted)}" if wanted else "",
        f"the reply has {', '.join(said)}" if said else "",
    ]
    return f"{'; '.join(p for p in parts if p)}.".capitalize() if wanted else ""


def _declines(exchange: Exchange, context: Context, right: str, *, should: bool) -> Evidence:
    if should:
        note = "The right answer declines; the reply answers."
        return _shows("abstention", "knowledge", 0.9, note, exchange, cause="unanswerable")
    cause = _why(exchange, context, content_of(right), facts(right))
    return _shows(
        "abstention", "knowledge", 0.9, "The reply declines; there is a right answer.", exchange, cause=cause
    )


def _why(exchange: Exchange, context: Context, wanted: str, lost: Facts) -> str | None:
    """Whether what was served held the right answer, or some document does."""
    if exchange.passages is None:
        return None
    terms = vocabulary(wanted) - vocabulary(exchange.question[:_CAP])
    texts = [f"{p.title or ''} {p.text[:_CAP]}" for p in exchange.passages[:10]]
    if _held(terms, lost, texts) >= 0.7:
        return "context_unused"
    if context.documents is not None:
        hits = context.documents.search(wanted[:300], 3)
        if _held(terms, lost, [f"{h.title} {h.text}" for h in hits]) >= 0.7:
            return "retrieval_miss"
    return "missing_content" if _held(terms, lost, texts) <= 0.4 else None


def _held(terms: frozenset[str], lost: Facts, texts: list[str]) -> float:
    """How well one text holds the right answer, 0-1: its own words, and the numbers that the reply lacks."""
    hard = Facts(numbers=lost.numbers, codes=lost.codes, urls=lost.urls)
    best = 0.0
    for text in texts:
        words = share(terms, vocabulary(text), weightless) if terms else 1.0
        numbers = 1 - len(missing(hard, [text])) / len(hard) if len(hard) else words
        best = max(best, min(words, numbers))
    return best


def _other_language(said: str, wanted: str) -> bool:
    ours, theirs = scripts(said[:400]), scripts(wanted[:400])
    if not ours or not theirs:
        return False
    main = max(theirs, key=lambda s: theirs[s])
    if ours.get(main, 0.0) < 0.3:
        return {main, *ours} != {"kana", "han"}
    if main != "latin":
        return False
    if _shares_small_words(said[:400], wanted[:400]):
        return False  # cheaper than telling which language each is in
    first, second = spoken(said[:400]), spoken(wanted[:400])
    if first is None or second is None or min(first[1], second[1]) < 0.95:
        return False
    return first[0] != second[0]


def _shares_small_words(said: str, wanted: str) -> bool:
    """Whether the short words of two texts, which are mostly grammar, are partly the same."""
    ours, theirs = ({w for w in t.lower().split() if len(w) <= 4 and w.isalpha()} for t in (said, wanted))
    return len(ours & theirs) >= max(1, 0.25 * min(len(ours), len(theirs)))


def _form(exchange: Exchange, context: Context, right: str, reply: str, pair: _Pair) -> Iterator[Evidence]:
    """The same is said; how?"""
    cause, strength, words = _differs(exchange, context, right, reply, pair)
    if cause:
        note = f"The right answer says the same in another form: {words}."
        yield _shows("form", "style", strength * pair.sure, note, exchange, cause=cause)
    elif pair.held >= _SAME:
        note = "The reply says the same as the right answer."
        yield _shows("same", None, -0.3 - 0.5 * pair.held, note, exchange)


def _differs(
    exchange: Exchange, context: Context, right: str, reply: str, pair: _Pair
) -> tuple[str, float, str]:
    """Cause, strength and words of the first thing that differs in form; a cause of "" if nothing does."""
    ending = _SENTENCE.split(right)[-1].strip()
    edited = pair.close >= 0.5 or pair.sure == 1.0
    found = (
        (_shape(right) != _shape(reply) and (_shape(right) is not None or not demand_for(exchange, context)), 0.9, "format", "one is JSON and the other is not, or has other keys"),
        (edited and bool(_CITATION.search(right)) and not _CITATION.search(reply), 0.8, "required_element", "the right answer names its source"),
        (edited and _added(ending, right, reply), 0.75, "required_element", f'the right answer ends with "{ending[:60]}"'),
        (edited and _layout(right) != _layout(reply), 0.7, "format", "lists, headings, code or capitals are set otherwise"),
        (len(reply) > 1.7 * len(right) and _comparable(right), 0.5, "length", "the right answer is much shorter"),
        (edited and len(right) > 1.7 * len(reply), 0.4, "length", "the right answer is much longer"),
    )  # fmt: skip
    return next(((c, strength, words) for differs, strength, c, words in found if differs), ("", 0.0, ""))


def _added(ending: str, right: str, reply: str) -> bool:
    """Whether the last sentence of the right answer is put on, and stands nowhere in the reply."""
    before = right[: len(right) - len(ending)]
    rest = vocabulary(ending) - vocabulary(before) - vocabulary(reply)
    return (
        len(before) > 10
        and ending.lower() not in reply.lower()
        and not facts(ending).all()
        and len(rest) >= 1
    )


def _comparable(right: str) -> bool:
    """A reference of a few words tells what to say, not at what length."""
    return len(right.split()) >= 12


def _shape(text: str) -> tuple[str, ...] | None:
    if not text.startswith(("{", "[", "```")):
        return None
    value = parse(text, None).value
    if isinstance(value, dict):
        return ("object", *sorted(map(str, value)))
    return ("array",) if isinstance(value, list) else None


def _layout(text: str) -> tuple[bool, ...]:
    letters = [c for c in text if c.isalpha()]
    upper = len(letters) > 8 and sum(map(str.isupper, letters)) > 0.9 * len(letters)
    lower = len(letters) > 8 and not any(map(str.isupper, letters)) and text.isascii()
    fenced, table = "```" in text, text.count("|") >= 6
    return (len(_BULLET.findall(text)) >= 2, _HEADING.search(text) is not None, fenced, table, upper, lower)
