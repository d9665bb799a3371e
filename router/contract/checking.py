"""Checking: which rules of its contract a reply breaks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router.contract.checkers.table import CHECKERS
from router.contract.checkers.verdict import Verdict, words_of
from router.contract.json_text import CUT, FAULTS, parse, validation_errors
from router.contract.rules import Contract, Rule
from router.contract.tool_schema import violation
from router.models.port import ToolRequest

_COUNTED = frozenset({"sentences", "words", "characters", "paragraphs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A rule that a reply breaks.

    Attributes:
        rule: Id of the rule; `tool_call` for a call that must not leave.
        kind: Its kind.
        note: What was found, as a sentence the model could be told.
        span: The offending words; empty if the whole reply is meant.
    """

    rule: str
    kind: str
    note: str
    span: str = ""


def breaches(
    text: str, contract: Contract, *, question: str = "", finish_reason: str | None = None
) -> tuple[Breach, ...]:
    """Return the rules that a reply's text breaks, in the order of the contract; what cannot be judged breaks nothing.

    Args:
        text: The reply.
        contract: Its rules, and its labels if it must be one of them.
        question: The request, for rules such as "in the customer's language".
        finish_reason: Why the model stopped; a reply that was cut off is not JSON, for instance.
    """
    return tuple(_breaches(text, contract, question, finish_reason))


def call_breaches(calls: Sequence[ToolRequest], tools: Sequence[Mapping[str, Any]]) -> tuple[Breach, ...]:
    """Return what is wrong with tool calls: a tool nobody offered, arguments that are no JSON or break its schema.

    Args:
        calls: As the model made them.
        tools: Offered ones, in OpenAI form.
    """
    offered = {t.get("function", {}).get("name"): t.get("function", {}).get("parameters") for t in tools}
    return tuple(b for call in calls if (b := _call_breach(call, offered)) is not None)


def schema_of(contract: Contract) -> Mapping[str, Any] | None:
    """Return the JSON Schema that the reply must fit, None if no rule names one."""
    found = next((r.params.get("schema") for r in contract.rules if r.kind == "json"), None)
    return found if isinstance(found, Mapping) and found else None


def labels_of(contract: Contract) -> tuple[str, ...]:
    """Return the labels of which the reply must be one; empty if it need be none."""
    if contract.labels:
        return contract.labels
    return next(
        (tuple(map(str, r.params.get("labels", ()))) for r in contract.rules if r.kind == "label"), ()
    )


def _breaches(text: str, contract: Contract, question: str, finish_reason: str | None) -> Iterator[Breach]:
    if contract.labels and not any(r.kind == "label" for r in contract.rules):
        yield from _broken(Rule(kind="label", params={"labels": list(contract.labels)}), text, question)
    for rule in contract.rules:
        if rule.kind == "json":
            yield from _json_breaches(rule, text, finish_reason)
        else:
            yield from _broken(rule, text, question, contract.rules)


def judge(rule: Rule, text: str, *, question: str = "", beside: Sequence[Rule] = ()) -> Verdict | None:
    """Return the verdict on one rule, None if it cannot be judged.

    What the rules beside it make every reply say does not count against a limit: "two sentences" and "end with: Anything
    else?" are three.
    """
    checker = CHECKERS.get(rule.kind)
    params = {**rule.params, "like": question} if rule.kind == "same_language" else rule.params
    verdict = checker(text, params) if checker is not None else None
    if checker is None or verdict is None or verdict.held or rule.kind not in _COUNTED:
        return verdict
    bare = text
    for demanded in (
        w for r in beside if r.kind in ("ends_with", "starts_with") for w in words_of(r.params, "text")
    ):
        bare = bare.replace(demanded, " ")
    again = checker(bare.strip(), params) if bare != text else None
    return again if again is not None and again.held else verdict


def _broken(rule: Rule, text: str, question: str, beside: Sequence[Rule] = ()) -> Iterator[Breach]:
    verdict = judge(rule, text, question=question, beside=beside)
    # A miss that counting otherwise would undo is no reason to ask again.
    if verdict is not None and not verdict.held and not verdict.near:
        yield Breach(rule=rule.id, kind=rule.kind, note=verdict.note, span=verdict.span)


def _json_breaches(rule: Rule, text: str, finish_reason: str | None) -> Iterator[Breach]:
    parsed = parse(text, finish_reason)
    if parsed.fault is not None and not (parsed.fault == "fenced" and rule.params.get("fences") == "allowed"):
        yield Breach(rule=rule.id, kind="json", note=FAULTS[parsed.fault], span=text[-120:])
        return
    schema = rule.params.get("schema")
    if isinstance(schema, Mapping) and schema:
        for error in validation_errors(parsed.value, schema)[:3]:
            yield Breach(rule=rule.id, kind="json", note=f"At {error.json_path}: {error.message[:160]}.")


def _call_breach(call: ToolRequest, offered: Mapping[Any, Any]) -> Breach | None:
    if call.name not in offered:
        known = ", ".join(sorted(filter(None, offered))) or "none"
        return _wrong(f"{call.name or 'A tool without a name'} is not among the tools: {known}.", call.name)
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError) as error:
        return _wrong(f"The arguments of {call.name} are not JSON: {error}.", call.arguments)
    if not isinstance(arguments, Mapping):
        return _wrong(f"The arguments of {call.name} are no JSON object.", call.arguments)
    parameters = offered[call.name]
    broken = violation(parameters, arguments) if isinstance(parameters, Mapping) and parameters else None
    return (
        None
        if broken is None
        else _wrong(f"The arguments of {call.name} break its schema: {broken}.", call.arguments)
    )


def _wrong(note: str, span: str) -> Breach:
    return Breach(rule="tool_call", kind="tool_call", note=note, span=span[:200])


def was_cut(finish_reason: str | None) -> bool:
    """Whether a model stopped because it ran out of tokens."""
    return finish_reason in CUT
