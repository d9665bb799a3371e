"""Tool calls against the JSON Schemas of their tools, also where those name types as programming languages do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

_TYPES = {
    "dict": "object",
    "float": "number",
    "tuple": "array",
    "integer": "integer",
    "any": None,
    "int": "integer",
    "str": "string",
    "bool": "boolean",
    "list": "array",
    "double": "number",
    "long": "integer",
    "hashmap": "object",
    "arraylist": "array",
}
_PLAIN = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})


def violation(parameters: Mapping[str, Any], arguments: Any) -> str | None:
    """Return the first breach of a tool's parameters by a call's arguments, as words; None if there is none.

    Parameters that are no usable schema allow everything. Arguments that the schema does not name are a breach unless it
    says otherwise, since no function takes them.
    """
    validator = _validator(json.dumps(parameters, sort_keys=True, default=str))
    if validator is None:
        return None
    errors = sorted(validator.iter_errors(arguments), key=lambda e: (len(e.path), str(e.path), e.message))
    return _said(errors[0]) if errors else None


def _said(error: ValidationError) -> str:
    where = ".".join(map(str, error.path))
    return f"{where + ': ' if where else ''}{error.message[:160]}"


@lru_cache(maxsize=512)
def _validator(schema: str) -> Draft202012Validator | None:
    plain = _plain(json.loads(schema))
    if isinstance(plain, dict) and "properties" in plain and "additionalProperties" not in plain:
        plain["additionalProperties"] = False
    try:
        Draft202012Validator.check_schema(plain)
    except (SchemaError, RecursionError):
        return None
    return Draft202012Validator(plain)


def _plain(node: Any) -> Any:
    """A schema with the type names of programming languages written as JSON Schema's; what is unknown is left open."""
    if isinstance(node, list):
        return [_plain(n) for n in node]
    if not isinstance(node, dict):
        return node
    found = {k: _plain(v) for k, v in node.items() if k not in ("default", "format", "optional", "examples")}
    kind = node.get("type")
    if isinstance(kind, str) and kind not in _PLAIN:
        mapped = _TYPES.get(kind.lower())
        if mapped is None:
            found.pop("type", None)
        else:
            found["type"] = mapped
    if isinstance(found.get("enum"), list) and not found["enum"]:
        del found["enum"]
    if not isinstance(found.get("required", []), list):
        found.pop("required")
    return found
