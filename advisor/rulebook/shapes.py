"""Readers of demands for JSON, and of the shape a prompt shows for it, as a JSON Schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from advisor.rulebook.directive import Directive, Reader, negated
from router.contract.rules import Rule

_JSON = re.compile(r"\bJSON\b", re.IGNORECASE)
_DEMAND = re.compile(
    r"\b(?:return|respond|reply|answer|output|outputs|produce|generate|give|provide|write|wrap|format(?:ted)?|use|create|emit|respuesta|"
    r"must be|should be|in|as|only|valid|strict|antworte\w*|gib|ausgabe|réponds|répondez|renvoie\w*|responde|devuelve|rispondi|restituisci|"
    r"responda|retorne|antwoord|geef|следующ\w*|ответ\w*|返回|输出|出力)\b[^.\n]{0,80}?\bJSON\b|\bJSON (?:format|object|array|only|output|schema|string|response|block)\b",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"\b(?:given|input|following|provided|this|the user['’]s|parse|read|from|convert|what is|explain|how (?:do|to|can)|function|script|code|file|"
    r"api|tool call|arguments?|inside|tags?)\b[^.\n]{0,25}\bJSON\b|\bJSON (?:file|parser|library|web token|data below|input|api|ld)\b|\.json\b",
    re.IGNORECASE,
)
_SHOWN = re.compile(
    r"\b(?:following|this|below|like|schema|format|structure|shape|fields?|keys?|example|exactly|matching)\b|:\s*$",
    re.IGNORECASE,
)
_FENCED_OK = re.compile(
    r"\b(?:can use|may use|allowed|acceptable|ok|wrap\w* in|inside|within|in) [^.\n]{0,30}(?:markdown|```|code block|ticks|fence)|ticks[^.\n]{0,12}(?:acceptable|allowed|ok)|```json\s*\n",
    re.IGNORECASE,
)


def _json(directive: Directive) -> Iterator[Rule]:
    text = directive.text
    match = _DEMAND.search(text)
    if (
        match is None
        or negated(text, match.end() - 4, reach=40)
        or (_OTHER.search(text) and not _SHOWN.search(text))
    ):
        return
    shape = None
    if _SHOWN.search(text) or "{" in text:
        at = directive.whole.find(text)
        shape = read_shape(directive.whole, max(0, at))
    yield directive.rule("json", schema=shape, fences=_fences(directive))


def _fences(directive: Directive) -> str | None:
    for m in re.finditer(r"```|code (?:fence|block)|backticks|markdown", directive.whole, re.IGNORECASE):
        if negated(directive.whole, m.start(), reach=50):
            return "forbidden"
    return "allowed" if _FENCED_OK.search(directive.whole) else None


def read_shape(text: str, start: int, *, reach: int = 400) -> dict[str, Any] | None:
    """Return the JSON Schema of the JSON shape that opens within `reach` characters after `start`, None if there is none."""
    opening = re.compile(r"[{\[]\s*(?:[\"'{}]|\w+\"?\s*:)").search(text, start, min(len(text), start + reach))
    if opening is None:
        return None
    block = _balanced(text, opening.start())
    value = _loads(block) if block is not None else None
    if not isinstance(value, dict | list) or not value:
        return None
    if isinstance(value, dict) and _is_schema(value):
        return value
    return describe(value)


def _balanced(text: str, start: int) -> str | None:
    """The bracketed block that opens at `start`, at most 8,000 characters."""
    depth, inside = 0, False
    for i in range(start, min(len(text), start + 8000)):
        c = text[i]
        if c == '"' and text[i - 1] != "\\":
            inside = not inside
        elif not inside and c in "{[":
            depth += 1
        elif not inside and c in "}]":
            depth -= 1
            if depth == 0:
                return text[start : i + 1]
    return None


def _loads(block: str) -> Any:
    """Parse the shape as people write it: with dots, comments, bare type names and single quotes."""
    text = re.sub(r",?\s*(?:\.\.\.|…)\s*(?=[\]}])", "", block)
    for attempt in (text, _tidy(text), _tidy(text.replace("'", '"')) if '"' not in text else None):
        if attempt is not None:
            try:
                return json.loads(attempt)
            except (ValueError, RecursionError):
                continue
    return None


def _tidy(text: str) -> str:
    text = re.sub(r"(?m)(?<!:)//[^\n]*$|(?<=[,{\[\s])#[^\n]*$", "", text)
    text = re.sub(r":\s*([A-Za-z<][^\",{}\[\]\n]{0,80}?)\s*(?=[,}\]\n])", lambda m: ": " + _bare(m[1]), text)
    text = re.sub(r"\[\s*([A-Za-z<][^\",{}\[\]\n:]{0,60}?)\s*\]", lambda m: "[" + _bare(m[1]) + "]", text)
    text = re.sub(r"([{,]\s*)([A-Za-z_]\w*)\s*:", r'\1"\2":', text)
    return re.sub(r",\s*(?=[}\]])", "", text)


def _bare(word: str) -> str:
    word = word.strip()
    return word if word in {"true", "false", "null"} else json.dumps(word)


def _is_schema(value: Mapping[str, Any]) -> bool:
    return (
        "$schema" in value
        or ("properties" in value and isinstance(value["properties"], dict))
        or (value.get("type") in {"object", "array"} and ("items" in value or "required" in value))
    )


_INTEGER = re.compile(r"\bint(?:eger)?\b|\bganzzahl\b|\bentero\b|\bentier\b", re.IGNORECASE)
_FLOAT = re.compile(
    r"\bfloat\b|\bnumber\b|\bdouble\b|\bdecimal\b|\bnumeric\b|\bnombre\b|\bnúmero\b|\bZahl\b", re.IGNORECASE
)
_BOOLEAN = re.compile(r"\bbool(?:ean)?\b", re.IGNORECASE)
_STRING = re.compile(r"\bstr(?:ing)?\b|\btext\b", re.IGNORECASE)
_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\s*(?:-|–|to|and|\.\.)\s*(-?\d+(?:\.\d+)?)")
_OPTIONAL = re.compile(
    r"\boptional\b|\bif (?:any|present|known|available)\b|\bnull(?:able)?\b|\bnone\b", re.IGNORECASE
)


def describe(value: Any) -> dict[str, Any]:
    """Return the JSON Schema of a shown value: type words are read as types, other values as examples of a type."""
    if isinstance(value, dict):
        known = {str(k): describe(v) for k, v in value.items()}
        required = [str(k) for k, v in value.items() if not (isinstance(v, str) and _OPTIONAL.search(v))]
        return {"type": "object", "properties": known, "required": required}
    if isinstance(value, list):
        return {"type": "array", "items": describe(value[0])} if value else {"type": "array"}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int | float):
        return {"type": "number"}
    return _describe_text(value) if isinstance(value, str) else {}


def _describe_text(text: str) -> dict[str, Any]:
    options = _options(text)
    if _OPTIONAL.search(text):
        return {}
    if options is not None:
        return options
    if len(text) > 60:
        return {}
    for kind, pattern in (("boolean", _BOOLEAN), ("integer", _INTEGER), ("number", _FLOAT)):
        if pattern.search(text) and not _STRING.search(text):
            return {"type": kind, **(_limits(text) if kind != "boolean" else {})}
    return {"type": "string"}


def _limits(text: str) -> dict[str, float]:
    match = _RANGE.search(text)
    if match is None:
        return {}
    low, high = float(match[1]), float(match[2])
    return {"minimum": low, "maximum": high} if low < high else {}


def _options(text: str) -> dict[str, Any] | None:
    parts = [p.strip(" '\"`<>") for p in re.split(r"\s*\|\s*", text)] if "|" in text else []
    low = {p.lower() for p in parts}
    if re.fullmatch(r"<?\s*true\s*(?:/|\||or)\s*false\s*>?", text.strip(), re.IGNORECASE):
        return {"enum": [True, False, "true", "false", "True", "False"]}
    if len(parts) < 2 or not all(0 < len(p) <= 40 for p in parts):
        return None
    return (
        {}
        if low & {"string", "null", "number", "int", "integer", "bool", "boolean", "array", "object"}
        else {"enum": parts}
    )


READERS = (Reader(needs=("json",), read=_json),)
