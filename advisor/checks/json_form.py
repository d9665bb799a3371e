"""Checks replies that must be JSON: can they be parsed, would a repair do, and do they fit the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema.exceptions import ValidationError

from advisor.checks.context import Context
from advisor.checks.instructions import rules_for
from advisor.evidence import Evidence, Quote, quote
from advisor.exchange import Exchange
from router.contract.json_text import FAULTS, Fault, Parsed, parse, validation_errors
from router.contract.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """That the reply be JSON.

    Attributes:
        schema: JSON Schema it must fit, None if only JSON was asked for.
        declared: Whether the operator or the request's own parameters demand it, so that a program reads it.
        by_person: Whether the person asked in the chat; people do not mind a code fence.
        fences: `forbidden` or `allowed` if the prompt says so.
    """

    schema: Mapping[str, Any] | None
    declared: bool = False
    by_person: bool = False
    fences: str | None = None
    rule: Rule | None = None


def demand_for(exchange: Exchange, context: Context) -> Demand | None:
    """Return the demand for JSON on this reply, None if there is none."""
    rules = [r for r in rules_for(exchange, context) if r.kind == "json"]
    rule = rules[0] if rules else None
    fences = next((r.params.get("fences") for r in rules if r.params.get("fences")), None)
    if exchange.response_format is not None:
        schema = exchange.response_format or (rule.params.get("schema") if rule else None)
        return Demand(schema=schema or None, declared=True, fences=fences, rule=rule)
    if rule is None:
        return None
    shape = rule.params.get("schema")
    return Demand(
        schema=shape if isinstance(shape, Mapping) else None,
        declared=rule.origin == "declared",
        by_person=rule.origin == "request",
        fences=fences,
        rule=rule,
    )


def check_json(exchange: Exchange, context: Context) -> Iterator[Evidence]:
    """Say whether a reply that must be JSON is, and whether it fits the schema that was shown or declared."""
    reply = exchange.reply.content
    if not reply.strip() or exchange.error:
        return
    demand = demand_for(exchange, context)
    if demand is None:
        return
    parsed = parse(reply, exchange.finish_reason)
    fault = parsed.fault
    tolerated = fault == "fenced" and (
        demand.fences == "allowed" or (demand.by_person and demand.fences is None)
    )
    if fault is not None and not tolerated:
        yield _parse_evidence(demand, parsed, fault, reply)
        if parsed.value is not None:
            yield _said("json.repairable", 0.5, "A tolerant parser could still read it.", demand)
    errors = (
        list(_schema_errors(parsed.value, demand))
        if parsed.value is not None and fault != "truncated"
        else []
    )
    yield from errors
    if not errors and (fault is None or tolerated):
        yield _said(
            "json.ok", -0.6 if demand.schema else -0.4, "The reply is the JSON that was asked for.", demand
        )


def _parse_evidence(demand: Demand, parsed: Parsed, fault: Fault, reply: str) -> Evidence:
    strength = {"fenced": 0.7, "prose": 0.9, "truncated": 0.6, "broken": 0.95, "none": 0.95}[fault]
    if fault == "fenced" and (demand.fences == "forbidden" or demand.declared):
        strength = 0.9
    shown = reply if fault in {"none", "fenced"} else reply[-300:]
    return _said("json.parse", strength, FAULTS[fault], demand, quote(shown, "reply"))


def _said(check: str, strength: float, note: str, demand: Demand, *spans: Quote) -> Evidence:
    rule = demand.rule
    asked = (
        (quote(rule.quote, "system" if rule.origin == "system" else "request"),)
        if rule is not None and rule.quote
        else ()
    )
    return Evidence(
        check=check,
        gap="style",
        cause="format",
        strength=strength,
        note=note,
        quotes=(*asked, *spans),
        rule=rule.id if rule else "json(response_format)",
    )


def _schema_errors(value: Any, demand: Demand) -> Iterator[Evidence]:
    if demand.schema is None:
        return
    shown = demand.declared or (demand.rule is not None and demand.rule.origin == "system")
    for error in validation_errors(value, demand.schema)[:3]:
        path = error.json_path
        # A shape shown in a prompt may be looser than it looks; types and missing keys are not.
        # "4" for 4 in a field beside others is a slip that a lenient reader would not notice.
        slip = not demand.declared and len(error.absolute_path) and _is_slip(error)
        hard = error.validator in {"type", "required", "enum", "const"} or demand.declared
        yield _said(
            "json.schema",
            0.5 if slip else (0.95 if shown else 0.8) if hard else 0.6,
            f"At {path}: {error.message[:160]}.",
            demand,
            quote(json.dumps(error.instance, ensure_ascii=False, default=str), "reply"),
        )


def _is_slip(error: ValidationError) -> bool:
    beside_others = error.parent is None and isinstance(error.instance, str) and error.validator == "type"
    return beside_others and re.fullmatch(r"\s*-?\d+(?:\.\d+)?\s*", str(error.instance)) is not None
