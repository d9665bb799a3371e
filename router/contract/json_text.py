"""JSON in replies: parsed strictly, else with the reason why not and what a tolerant parser reads; held against schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import orjson
from json_repair import repair_json
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing.exceptions import Unresolvable

Fault = Literal["fenced", "prose", "truncated", "broken", "none"]
FAULTS: dict[Fault, str] = {
    "fenced": "The JSON stands inside a code fence.",
    "prose": "There is other text around the JSON.",
    "truncated": "The JSON breaks off before its end.",
    "broken": "The reply looks like JSON but cannot be parsed.",
    "none": "The reply is not JSON at all.",
}
"""What each fault means, as a sentence."""

CUT = frozenset({"length", "max_tokens", "max_output_tokens"})
"""Finish reasons of replies that were cut off."""

_FENCE = re.compile(r"\A\s*```[a-zA-Z]*[ \t]*\n?(.*?)\n?```\s*\Z", re.DOTALL)
_REPAIR_LIMIT = 20_000
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Parsed:
    """What could be read out of a reply.

    Attributes:
        value: The JSON value, None if none could be read even loosely.
        fault: Why a strict parser refuses, None if it does not.
    """

    value: Any
    fault: Fault | None = None


@lru_cache(maxsize=64)
def parse(reply: str, finish_reason: str | None = None) -> Parsed:
    """Parse strictly; failing that, say why and read what can be read."""
    text = reply.strip()
    if (value := _loads(text)) is not _NOTHING:
        return Parsed(value)
    fenced = _FENCE.match(text)
    if fenced is not None and (value := _loads(fenced[1])) is not _NOTHING:
        return Parsed(value, "fenced")
    opening = re.search(r"[{\[]", text)
    if opening is None:
        return Parsed(None, "none")
    if (value := _first_value(text[opening.start() :])) is not _NOTHING:
        return Parsed(value, "prose")
    open_at_end = text.count("{") > text.count("}") or text.count("[") > text.count("]")
    cut = finish_reason in CUT or (open_at_end and not text.endswith(("}", "]", "```")))
    value = _repaired(text[opening.start() :])
    if value is None and not cut:
        return Parsed(None, "none" if opening.start() > 0 else "broken")
    return Parsed(value, "truncated" if cut else "broken")


def validation_errors(value: Any, schema: Mapping[str, Any]) -> list[ValidationError]:
    """Errors of a value against a schema in order of their path; none if the schema itself cannot be used."""
    try:
        validator = _validator(json.dumps(schema, sort_keys=True, default=str))
        return (
            sorted(validator.iter_errors(value), key=lambda e: e.json_path) if validator is not None else []
        )
    except (SchemaError, Unresolvable, RecursionError, re.error, TypeError):
        return []


@lru_cache(maxsize=256)
def _validator(schema: str) -> Validator | None:
    value = json.loads(schema)
    found = validator_for(value, default=Draft202012Validator)
    try:
        found.check_schema(value)
    except (SchemaError, RecursionError):
        return None
    return found(value)


def _loads(text: str) -> Any:
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
        return _NOTHING


def _first_value(text: str) -> Any:
    """The value a text opens with, whatever follows; only objects and arrays that hold something count."""
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return _NOTHING
    return (
        value
        if isinstance(value, dict)
        or (isinstance(value, list) and any(isinstance(v, dict | list) for v in value))
        else _NOTHING
    )


def _repaired(text: str) -> Any:
    if len(text) > _REPAIR_LIMIT:
        return None
    try:
        value = repair_json(text, return_objects=True)
    except (ValueError, RecursionError, TypeError, IndexError, AttributeError):
        return None
    return value if isinstance(value, dict | list) and value else None
