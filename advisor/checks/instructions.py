"""Checks the verifiable rules: declared ones, and those read off the system prompt and the request."""

from __future__ import annotations

from collections.abc import Iterator

from advisor.checks.context import Context
from advisor.evidence import GAPS, Evidence, Quote, quote
from advisor.exchange import Exchange
from advisor.rules import abstention_phrase, read_rules
from router.contract.checkers import wording
from router.contract.checkers.verdict import Verdict
from router.contract.checking import judge
from router.contract.json_text import CUT
from router.contract.rules import Rule

_ELSEWHERE = frozenset({"json", "label"})
"""Kinds with a check of their own: `advisor.checks.json_form` and `advisor.checks.labels`."""

# How firmly a breach speaks, where the rule can be understood in more than one way; 0.9 for all others.
_STRENGTH = {
    "paragraphs": 0.75, "sections": 0.75, "sentences": 0.75, "one_of": 0.8, "repeats": 0.85, "no_markdown": 0.6, "table": 0.7, "numbered": 0.6,
    "characters": 0.8, "ends_with_question": 0.6, "address": 0.7, "same_language": 0.8, "no_ai_mention": 0.7, "cites": 0.8, "segments": 0.85,
}  # fmt: skip
_NEEDS_THE_END = frozenset({"ends_with", "ends_with_question", "postscript", "wrapped_in_quotes", "cites", "required", "one_of", "segments", "sections", "frequency", "letter"})  # fmt: skip
_SOFT = 0.45


def rules_for(exchange: Exchange, context: Context) -> tuple[Rule, ...]:
    """Declared rules first, then those read off the prompts, if the contract allows that."""
    read = read_rules(exchange) if context.contract.read_prompts else ()
    return (*context.contract.rules, *read)


def check_rules(exchange: Exchange, context: Context) -> Iterator[Evidence]:
    """Say of each rule that can be judged on this reply whether it was held."""
    reply = exchange.reply.content
    if not reply.strip() or exchange.error:
        return
    rules = rules_for(exchange, context)
    if not rules or _abstains(exchange, reply):
        return
    for rule in rules:
        if rule.kind in _ELSEWHERE or _unjudgeable(rule, exchange):
            continue
        verdict = judge(rule, reply, question=exchange.question, beside=rules)
        if verdict is not None:
            yield _evidence(rule, verdict)


def _abstains(exchange: Exchange, reply: str) -> bool:
    """A reply that is just the agreed "no answer" sentence need not look like an answer."""
    phrase = abstention_phrase(exchange) if len(reply) < 400 else None
    return phrase is not None and wording.normal(phrase).rstrip(".") in wording.normal(reply)


def _unjudgeable(rule: Rule, exchange: Exchange) -> bool:
    cut = exchange.finish_reason in CUT
    return cut and (rule.kind in _NEEDS_THE_END or rule.params.get("min") is not None)


def _evidence(rule: Rule, verdict: Verdict) -> Evidence:
    if verdict.held:
        check, strength = "rule.held", -0.3
    else:
        soft = verdict.near or bool(rule.params.get("about"))
        check = "rule.soft_broken" if soft else "rule.broken"
        strength = _SOFT if soft else _strength(rule)
    return Evidence(
        check=check,
        gap=next((g for g in GAPS if g == rule.gap), None),
        cause=rule.cause,
        strength=strength,
        note=verdict.note,
        quotes=_quotes(rule, verdict),
        rule=rule.id,
    )


def _strength(rule: Rule) -> float:
    return 0.95 if rule.origin == "declared" else _STRENGTH.get(rule.kind, 0.9)


def _quotes(rule: Rule, verdict: Verdict) -> tuple[Quote, ...]:
    found = []
    if rule.quote:
        found.append(quote(rule.quote, "system" if rule.origin == "system" else "request"))
    if verdict.span and not verdict.held:
        found.append(quote(verdict.span, "reply"))
    return tuple(found)
