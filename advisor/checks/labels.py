"""Checks classification replies: is the label allowed, is it the expected one, do like texts have it, does it fit."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from advisor.checks.context import Context
from advisor.checks.instructions import rules_for
from advisor.checks.json_form import Demand, demand_for
from advisor.evidence import Evidence, quote
from advisor.exchange import Exchange
from advisor.rulebook.choices import is_other
from router.contract.json_text import parse, validation_errors

_TAG_KEYS = re.compile(
    r"categor|label|class|intent|tag|sentiment|route|topic|department|queue|type|priority|severity|language|answerable|relevan|is_|has_|flag|verdict|decision|toxic|spam",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """That a reply is to name one label.

    Attributes:
        labels: The allowed labels, in the prompt's order.
        notes: A description of each, or none at all.
        field: Key of the JSON object that holds the label, None if the whole reply is the label.
        sure: How sure it is that the reply's content is a label and nothing else, 0-1.
        asked: The words it was read from.
    """

    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()
    field: str | None = None
    sure: float
    asked: str = ""


def task_for(exchange: Exchange, context: Context, demand: Demand | None) -> Task | None:
    """Return the classification task of this exchange, None if it has none."""
    rule = next((r for r in rules_for(exchange, context) if r.kind == "label"), None)
    listed = context.contract.labels or (tuple(map(str, rule.params.get("labels", ()))) if rule else ())
    if not listed:
        return _from_schema(demand)
    notes = () if context.contract.labels or rule is None else tuple(map(str, rule.params.get("notes", ())))
    field = None
    if demand is not None:
        value = parse(exchange.reply.content, exchange.finish_reason).value
        field = _field_with_label(value, listed)
        if field is None and _open_answer(demand.schema):
            return None
    sure = 0.95 if rule is None or context.contract.labels else 0.9
    return Task(labels=listed, notes=notes, field=field, sure=sure, asked=rule.quote if rule else "")


def _field_with_label(value: Any, labels: tuple[str, ...]) -> str | None:
    if not isinstance(value, dict):
        return None
    known = {plain(x) for x in labels}
    hits = [k for k, v in value.items() if isinstance(v, str) and plain(v) in known]
    tags = [k for k in value if _TAG_KEYS.search(str(k)) and isinstance(value[k], str)]
    return str((hits or tags or [None])[0]) if hits or tags else None


def _from_schema(demand: Demand | None) -> Task | None:
    """A JSON object whose main property is an enumeration or a yes/no tag."""
    if demand is None or demand.schema is None:
        return None
    properties = demand.schema.get("properties")
    if not isinstance(properties, Mapping):
        return None
    tags = {
        str(k): found for k, v in properties.items() if isinstance(v, Mapping) and (found := _enumerated(v))
    }
    if not tags:
        return None
    field = next((k for k in tags if _TAG_KEYS.search(k)), next(iter(tags)))
    share = len(tags) / len(properties)
    sure = 0.85 if share >= 0.5 else 0.5 if not _open_answer(demand.schema) else 0.25
    return Task(labels=tags[field], field=field, sure=sure, asked=demand.rule.quote if demand.rule else "")


def _enumerated(schema: Mapping[str, Any]) -> tuple[str, ...]:
    values = schema.get("enum")
    if isinstance(values, list) and 2 <= len(values) <= 2000:
        return tuple(dict.fromkeys(plain(v) if isinstance(v, bool) else str(v) for v in values))
    return ("true", "false") if schema.get("type") == "boolean" else ()


def _open_answer(schema: Mapping[str, Any] | None) -> bool:
    """Whether the JSON holds a property for an answer in free words."""
    properties = schema.get("properties") if schema else None
    if not isinstance(properties, Mapping):
        return schema is not None and schema.get("type") == "array"
    return any(
        isinstance(v, Mapping)
        and v.get("type") == "string"
        and "enum" not in v
        and not _TAG_KEYS.search(str(k))
        and not re.search(r"reason|explan|rationale|why|comment", str(k), re.IGNORECASE)
        for k, v in properties.items()
    )


def plain(value: object) -> str:
    """A label without case, quotes, marks and the difference of `_`, `-` and space."""
    text = str(value).strip().strip("\"'`*.<>[](){}#").casefold()
    return re.sub(r"[\s_\-–/]+", " ", text).strip(" .:;,!?")


def given_label(exchange: Exchange, task: Task) -> tuple[str | None, bool]:
    """Return the label the reply names, and whether it says more than that label; None if it names none of them."""
    text = exchange.reply.content.strip()
    value = parse(text, exchange.finish_reason).value if task.field or text.startswith(("{", "```")) else None
    if isinstance(value, dict):
        field = task.field or _field_with_label(value, task.labels)
        text = str(value.get(field, "")) if field else text
    known = {plain(x): x for x in task.labels}
    bare = plain(
        re.sub(
            r"^\W*(?:the )?(?:label|category|class|intent|answer|kategorie|route)\b\W*(?:is\b)?\W*",
            "",
            text,
            flags=re.IGNORECASE,
        )
    )
    for candidate in (plain(text), bare):
        if candidate in known:
            return known[candidate], candidate != plain(text)
    if len(text) > 2000:
        return None, True
    spoken = " " + re.sub(r"[^\w?]+", " ", plain(text)) + " "
    hits = [name for key, name in known.items() if key and f" {key} " in spoken]
    hits = [h for h in hits if not any(h != o and plain(h) in plain(o) for o in hits)]
    return (hits[0], True) if len(hits) == 1 else (None, True)


def check_labels(exchange: Exchange, context: Context) -> Iterator[Evidence]:
    """Say what a classification reply shows; nothing for replies that are not one."""
    if (
        not exchange.reply.content.strip()
        or exchange.error
        or (exchange.reply.tool_calls and not context.contract.labels)
    ):
        return
    demand = demand_for(exchange, context)
    task = task_for(exchange, context, demand)
    if task is None:
        if demand is not None and _open_answer(demand.schema):
            yield _said("label.task", -0.5, "The reply is an open answer, not a label.", None)
        return
    label, extra = given_label(exchange, task)
    malformed = demand is not None and _malformed(exchange, demand)
    sure = task.sure * (0.3 if malformed else 1.0)
    yield _said(
        "label.task", sure, f"The reply is to name one of {len(task.labels)} labels.", None, asked=task.asked
    )
    yield from _against_expected(exchange, task, label)
    if label is None:
        if not malformed:
            yield from _not_allowed(exchange, task)
        return
    if extra and task.field is None and demand is None:
        yield Evidence(
            check="label.extra_words",
            gap="style",
            cause="format",
            strength=0.5,
            note="The reply says more than the label.",
            quotes=(quote(exchange.reply.content, "reply"),),
        )
    if context.labelled and _same_labels(task, context.labelled):
        yield from _against_neighbours(exchange, context, label)
    if task.field is None or len(task.labels) > 3:
        yield from _by_name(exchange.question, task, label)


def _malformed(exchange: Exchange, demand: Demand) -> bool:
    parsed = parse(exchange.reply.content, exchange.finish_reason)
    return parsed.fault is not None or bool(demand.schema and validation_errors(parsed.value, demand.schema))


def _said(
    check: str, strength: float, note: str, cause: str | None, *, asked: str = "", reply: str = ""
) -> Evidence:
    quotes = (*((quote(asked, "system"),) if asked else ()), *((quote(reply, "reply"),) if reply else ()))
    return Evidence(
        check=check, gap="classification", cause=cause, strength=strength, note=note, quotes=quotes
    )


def _cause(given: str | None, right: str) -> str:
    if is_other(right):
        return "out_of_scope_accepted"
    return "in_scope_rejected" if given is not None and is_other(given) else "misrouted"


def _not_allowed(exchange: Exchange, task: Task) -> Iterator[Evidence]:
    reply = exchange.reply.content
    prose = len(reply) > 4 * max(map(len, task.labels)) + 40
    yield _said(
        "label.not_allowed",
        0.5 if prose else 0.85,
        "The reply names none of the allowed labels.",
        "misrouted",
        asked=task.asked,
        reply=reply,
    )
    if prose:
        yield Evidence(
            check="label.extra_words",
            gap="style",
            cause="format",
            strength=0.8,
            note="The reply is prose where a label was asked for.",
            quotes=(quote(reply, "reply"),),
        )


def _against_expected(exchange: Exchange, task: Task, label: str | None) -> Iterator[Evidence]:
    if exchange.expected is None:
        return
    value = parse(exchange.expected).value if task.field else None
    right = (
        plain(value.get(task.field, ""))
        if isinstance(value, dict) and task.field
        else plain(exchange.expected)
    )
    if right not in {plain(x) for x in task.labels}:
        return
    if label is not None and plain(label) == right:
        yield _said("label.differs", -0.95, f"The label '{label}' is the expected one.", None)
    elif label is not None:
        yield _said(
            "label.differs",
            0.95,
            f"The label is '{label}', expected was '{right}'.",
            _cause(label, right),
            reply=exchange.reply.content,
        )


def _same_labels(task: Task, labelled: Mapping[str, str]) -> bool:
    """Whether the labelled examples are of this task and not of another bot that shares the log."""
    theirs = {plain(label) for label in set(labelled.values())}
    return len(theirs & {plain(label) for label in task.labels}) * 2 >= min(len(theirs), len(task.labels))


def _against_neighbours(exchange: Exchange, context: Context, label: str) -> Iterator[Evidence]:
    # numpy is loaded only where an operator gives labelled examples.
    near = import_module("advisor.checks.label_index").index_of(context.labelled).nearest(exchange.question)
    if not near or near[0].likeness < 0.15:
        return
    votes: Counter[str] = Counter()
    for n in near:
        votes[plain(n.label)] += n.likeness**2
    total, ours = sum(votes.values()), votes[plain(label)]
    best, weight = votes.most_common(1)[0]
    share = (weight - ours) / total if best != plain(label) else -ours / total
    strength = max(-0.8, min(0.9, share * min(1.0, 0.4 + near[0].likeness)))
    shown = next(n for n in near if plain(n.label) == best)
    verb = "have the same label" if strength < 0 else f"have the label '{shown.label}'"
    yield Evidence(
        check="label.neighbours",
        gap="classification",
        cause=_cause(label, shown.label) if strength > 0 else None,
        strength=strength,
        note=f"The examples most like this text {verb}.",
        quotes=(quote(shown.text, "document", id=shown.label), quote(exchange.reply.content, "reply")),
    )


def _stems(text: str) -> set[str]:
    words = re.findall(r"[^\W_]+", text.casefold())
    return {w[:5] for w in words if len(w) > 2} | {
        w[i : i + 2] for w in words if not w.isascii() for i in range(len(w) - 1)
    }


@lru_cache(maxsize=128)
def _vocabulary(
    labels: tuple[str, ...], notes: tuple[str, ...]
) -> tuple[tuple[frozenset[str], ...], Mapping[str, float]]:
    texts = tuple(f"{name} {note}" for name, note in zip(labels, notes or ("",) * len(labels), strict=False))
    bags = tuple(frozenset(_stems(t)) for t in texts)
    counts = Counter(s for bag in bags for s in bag)
    return bags, {s: math.log((1 + len(bags)) / n) for s, n in counts.items()}


def _by_name(question: str, task: Task, label: str) -> Iterator[Evidence]:
    """Does the text speak the words of the given label, or rather those of another? Weak either way."""
    asked = _stems(question[:2000])
    if not asked or len(task.labels) < 3:
        return
    bags, idf = _vocabulary(task.labels, task.notes)
    scores = {name: _fit(asked, bag, idf) for name, bag in zip(task.labels, bags, strict=False)}
    ours = scores.get(label, 0.0)
    best = max((n for n in scores if n != label), key=lambda n: scores[n])
    margin = scores[best] - ours
    if max(ours, scores[best]) <= 0:
        return
    strength = max(-0.4, min(0.4, 0.5 * margin))
    if abs(strength) >= 0.02:
        note = (
            f"The words of the text fit the label '{best}' better than '{label}'."
            if margin > 0
            else f"The words of the text fit the label '{label}'."
        )
        yield Evidence(
            check="label.name_fit",
            gap="classification",
            cause=_cause(label, best) if margin > 0 else None,
            strength=strength,
            note=note,
            quotes=(quote(question, "request"),),
        )


def _fit(asked: set[str], bag: frozenset[str], idf: Mapping[str, float]) -> float:
    weight = sum(idf[s] ** 2 for s in bag)
    return sum(idf[s] ** 2 for s in bag & asked) / math.sqrt(weight * max(weight, 1.0)) if weight > 0 else 0.0
