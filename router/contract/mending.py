"""Mending: what can be put right in a reply without asking the model again, and without changing what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from json_repair import repair_json

from router.contract.checkers.verdict import words_of
from router.contract.checking import Breach, breaches, call_breaches, labels_of
from router.contract.json_text import parse
from router.contract.rules import Contract, Rule
from router.models.port import ToolRequest

Mender = Callable[[str, Rule], str | None]
"""From the reply and the broken rule to the mended reply; None if it cannot be mended so."""


def mend(text: str, contract: Contract, broken: Sequence[Breach]) -> tuple[str, tuple[Breach, ...]]:
    """Mend what can be mended; return the text and the breaches that were dealt with.

    Whether a mended text holds the contract must be checked again; a mend that breaks another rule is no mend.
    """
    rules = {rule.id: rule for rule in contract.rules}
    mended: list[Breach] = []
    for breach in broken:
        rule = rules.get(breach.rule) or Rule(kind=breach.kind, params={"labels": list(labels_of(contract))})
        mender = MENDERS.get(breach.kind)
        better = mender(text, rule) if mender is not None else None
        if better is not None and better != text:
            text = better
            mended.append(breach)
    return text, tuple(mended)


def brought_in_line(text: str, contract: Contract, *, question: str = "") -> str | None:
    """Return a text that keeps the contract: as it is, or mended where mending is enough; None where it is not."""
    broken = breaches(text, contract, question=question)
    mended = mend(text, contract, broken)[0] if broken else text
    return None if broken and breaches(mended, contract, question=question) else mended


def mend_calls(
    calls: Sequence[ToolRequest], tools: Sequence[Mapping[str, Any]]
) -> tuple[tuple[ToolRequest, ...], tuple[Breach, ...]]:
    """Repair arguments that a tolerant parser can read and that then keep their schema; return the calls and what was mended."""
    found: list[ToolRequest] = []
    mended: list[Breach] = []
    for call in calls:
        faults = call_breaches([call], tools)
        repaired = _repaired_call(call) if faults else None
        if repaired is not None and not call_breaches([repaired], tools):
            mended += faults
            found.append(repaired)
        else:
            found.append(call)
    return tuple(found), tuple(mended)


def mends_at_end(rule: Rule) -> bool:
    """Whether a breach of the rule is mended by adding to the end, so that a reply may be shown before it is complete."""
    return rule.kind in ("ends_with", "cites")


def _repaired_call(call: ToolRequest) -> ToolRequest | None:
    try:
        value = repair_json(call.arguments, return_objects=True)
    except (ValueError, RecursionError, TypeError, IndexError, AttributeError):
        return None
    return replace(call, arguments=json.dumps(value, ensure_ascii=False)) if isinstance(value, dict) else None


def _ending(text: str, rule: Rule) -> str | None:
    wanted = words_of(rule.params, "text")
    return f"{text.rstrip()} {wanted[0]}".lstrip() if wanted else None


def _opening(text: str, rule: Rule) -> str | None:
    wanted = words_of(rule.params, "text")
    return f"{wanted[0]} {text.lstrip()}" if wanted else None


def _json(text: str, rule: Rule) -> str | None:
    """Take the JSON out of what stands around it, or read it tolerantly; a reply that was cut off stays as it is."""
    parsed = parse(text)
    if parsed.value is None or parsed.fault in (None, "truncated", "none"):
        return None
    return json.dumps(parsed.value, ensure_ascii=False)


def _label(text: str, rule: Rule) -> str | None:
    """The one label that the reply names, if it names just one."""
    low = text.casefold()
    labels = [str(label) for label in rule.params.get("labels", ())]
    named = [label for label in labels if re.search(rf"(?<!\w){re.escape(label.casefold())}(?!\w)", low)]
    # "refund" stands inside "partial refund"; the longer name is the one that is meant.
    outer = [n for n in named if not any(n != o and n.casefold() in o.casefold() for o in named)]
    return outer[0] if len(outer) == 1 else None


MENDERS: dict[str, Mender] = {"ends_with": _ending, "starts_with": _opening, "json": _json, "label": _label}
"""Kind of rule to what mends its breach. `cites` is mended where the passages are known, in `router.citing`."""
