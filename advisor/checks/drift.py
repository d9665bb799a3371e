"""Form that was held early in a conversation and is lost later."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from advisor.checks.context import Context
from advisor.checks.instructions import rules_for
from advisor.evidence import Evidence, Quote, quote
from advisor.exchange import Exchange, Message
from advisor.rules import abstention_phrase
from router.abstention import abstains
from router.contract.checkers.language import prose, scripts, spoken
from router.contract.checkers.table import CHECKERS
from router.contract.checkers.verdict import Verdict
from router.contract.json_text import parse
from router.contract.rules import Rule

_LEAST_HELD, _LEAST_HABIT, _MOST = 2, 3, 8
_CUT = frozenset({"length", "max_tokens", "max_output_tokens"})
_OF_LANGUAGE = frozenset({"language", "same_language"})
_CODE = re.compile(
    r"[\[【](?:[A-Z][\w.]{0,15}[-_ ]?\d+|\d{1,3}|(?:source|doc|quelle|fuente)\b[^\]】\n]{0,40})[\]】](?!\()",
    re.IGNORECASE,
)
_END = re.compile(r"(?<=[.!?。！？\]】])\s+|\n+")
_EDGE = 1200


@dataclass(frozen=True, slots=True)
class _Earlier:
    """An earlier reply, its place in the conversation, and what the person had said before."""

    at: int
    text: str
    question: str


def check_drift(exchange: Exchange, context: Context) -> Iterator[Evidence]:
    """Hold the reply against the earlier replies of its conversation."""
    reply = exchange.reply
    if (
        len(exchange.conversation) < 2 * _LEAST_HELD
        or not reply.content.strip()
        or reply.tool_calls
        or exchange.error
    ):
        return
    if (exchange.finish_reason or "").lower() in _CUT:
        return  # what stands at the end may just not have come
    earlier = _earlier(exchange.conversation)
    if len(earlier) < _LEAST_HELD:
        return
    lost = list(_lost_rules(exchange, context, earlier))
    yield from lost
    if not lost and len(earlier) >= _LEAST_HABIT and abstains(reply.content) != "fully":
        yield from _lost_habits(exchange, earlier)


def _earlier(conversation: Sequence[Message]) -> list[_Earlier]:
    """The latest replies that a person saw; a call of a tool is none."""
    found, question = [], ""
    for at, message in enumerate(conversation):
        if message.role == "user":
            question = message.content
        elif message.role == "assistant" and message.content.strip() and not message.tool_calls:
            found.append(_Earlier(at, message.content, question))
    return found[-_MOST:]


def _lost_rules(exchange: Exchange, context: Context, earlier: Sequence[_Earlier]) -> Iterator[Evidence]:
    reply = exchange.reply.content
    if abstains(reply, abstention_phrase(exchange)) == "fully":
        return
    fresh: bool | None = None
    for rule in rules_for(exchange, context):
        since = _since(rule, exchange)
        known = [e for e in earlier if e.at > since]
        if since < 0 or len(known) < _LEAST_HELD:
            continue
        if rule.kind in _OF_LANGUAGE:
            # Telling languages apart is dear, and one that did not change was not lost.
            fresh = _strange([e.text for e in known], reply) if fresh is None else fresh
            if not fresh:
                continue
        yield from _lost(exchange, rule, known)


def _lost(exchange: Exchange, rule: Rule, earlier: Sequence[_Earlier]) -> Iterator[Evidence]:
    breach = _verdict(rule, exchange.reply.content, exchange.question)
    if breach is None or breach.held or breach.near:
        return
    verdicts = [v for e in earlier if (v := _verdict(rule, e.text, e.question)) is not None and not v.near]
    held = [v.held for v in verdicts]
    times = sum(held)
    # Once lost, lost for good is drift; held and broken in turn is another fault, for it never was kept in mind.
    misses = held[: len(held) - held[::-1].index(True)].count(False) if times else 0
    if times < _LEAST_HELD or times < misses:
        return
    strength = min(1.0, 0.8 + 0.05 * times) * times / (times + misses)
    note = f"{times} earlier replies of the conversation kept this rule. {breach.note}"
    asked = (quote(rule.quote, "system" if rule.origin == "system" else "request"),) if rule.quote else ()
    yield _gives(
        "rule",
        strength,
        note,
        *asked,
        quote(breach.span or exchange.reply.content[-160:], "reply"),
        rule=rule.id,
    )


def _since(rule: Rule, exchange: Exchange) -> int:
    """Place in the conversation from which the rule holds; -1 if it is of this one request only."""
    if rule.origin != "request":
        return 0
    if not rule.quote or rule.quote in exchange.question:
        return -1
    return next(
        (i for i, m in enumerate(exchange.conversation) if m.role == "user" and rule.quote in m.content), -1
    )


def _verdict(rule: Rule, text: str, question: str) -> Verdict | None:
    if rule.kind == "json":
        return Verdict(parse(text).fault is None, "This reply is not the JSON that was asked for.")
    checker = CHECKERS.get(rule.kind)
    if checker is None or rule.params.get("about"):
        return None
    return checker(text, {**rule.params, "like": question} if rule.kind == "same_language" else rule.params)


def _gives(name: str, strength: float, note: str, *quotes: Quote, rule: str | None = None) -> Evidence:
    return Evidence(
        check=f"drift.{name}", gap="style", cause="drift", strength=round(strength, 3), note=note, quotes=quotes, rule=rule
    )  # fmt: skip


def _lost_habits(exchange: Exchange, earlier: Sequence[_Earlier]) -> Iterator[Evidence]:
    texts, reply = [e.text.strip() for e in earlier], exchange.reply.content.strip()
    firm = min(0.6, 0.3 + 0.05 * (len(texts) - _LEAST_HABIT + 1))
    habits = (_json_shape(texts, reply), _closing(texts, reply), _source(texts, reply))
    found = next((h for h in habits if h), "") or _language(exchange, texts, reply)
    if found:
        yield _gives("habit", firm, found, quote(reply[-160:], "reply"))


def _closing(texts: Sequence[str], reply: str) -> str:
    """All earlier replies end in the same line, behind different words."""
    ends = {_END.split(t[-_EDGE:])[-1].strip() for t in texts}
    end = next(iter(ends)) if len(ends) == 1 else ""
    if not 6 <= len(end) <= 160 or end in texts or len(set(texts)) < 2 or end.lower() in reply.lower():
        return ""
    return f'Every one of {len(texts)} earlier replies ended with "{end[:80]}"; this one does not.'


def _source(texts: Sequence[str], reply: str) -> str:
    if _CODE.search(reply) or not all(_CODE.search(t) for t in texts):
        return ""
    return f"Every one of {len(texts)} earlier replies named a source in brackets; this one names none."


def _json_shape(texts: Sequence[str], reply: str) -> str:
    if not all(t.startswith(("{", "[")) for t in texts):
        return ""
    shapes = {_keys(parse(t).value) for t in texts if parse(t).fault is None}
    if len(shapes) != 1 or None in shapes:
        return ""
    given = _keys(parse(reply).value) if reply.startswith(("{", "[", "```")) else None
    if given == next(iter(shapes)) and parse(reply).fault is None:
        return ""
    return f"Every one of {len(texts)} earlier replies was JSON of one shape; this one is not."


def _keys(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, dict):
        return tuple(sorted(map(str, value)))
    return ("[]",) if isinstance(value, list) else None


def _language(exchange: Exchange, texts: Sequence[str], reply: str) -> str:
    """Another language than before, though the person's own did not change."""
    ours, main = scripts(prose(reply)), _main(texts[-1])
    if not ours or main is None or any(_main(t) != main for t in texts):
        return ""
    asked = _main(exchange.question)
    if ours.get(main, 0.0) < 0.2 and {main, *ours} != {"kana", "han"}:
        return f"Earlier replies are written in {main} script; this one is not." if asked == main else ""
    if main != "latin" or not _strange(texts, reply):
        return ""
    before, now = spoken(prose(" ".join(texts[-3:]))), spoken(prose(reply))
    if before is None or now is None or min(before[1], now[1]) < 0.97 or before[0] == now[0]:
        return ""
    wanted = spoken(prose(exchange.question))
    if wanted is None or wanted[0] != before[0]:
        return ""
    return f"Earlier replies are in '{before[0]}'; this one is in '{now[0]}'."


def _main(text: str) -> str | None:
    shares = scripts(prose(text[:400]))
    return max(shares, key=lambda s: shares[s]) if shares else None


def _strange(texts: Sequence[str], reply: str) -> bool:
    """Whether the small words of a reply are none of those before: a sign of another language, and cheap to see."""
    known = {w for t in texts for w in t[:_EDGE].lower().split() if len(w) <= 4}
    small = [w for w in reply[:_EDGE].lower().split() if len(w) <= 4 and w.isalpha()]
    if len(small) < 4:
        return _main(reply) != _main(texts[-1])
    return sum(w in known for w in small) < 0.25 * len(small)
