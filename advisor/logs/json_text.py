"""JSON as programs write it: NaN, halves of surrogate pairs, several values on a line, lines cut off."""

from __future__ import annotations

import json
from typing import Any

import orjson

_LOOKED_AT = 50
_DECODER = json.JSONDecoder()


def are_lines(start: str) -> bool:
    """Whether a text is lines of JSON, some of them broken perhaps: a rotated log begins in the middle of one."""
    rows = [row for row in start.split("\n")[:_LOOKED_AT] if row.strip()]
    # The last row may go on after the head; a single one is an object or a list as well.
    rows = rows[:-1] if len(rows) > 2 else rows
    whole = sum(
        row.lstrip()[:1] in ("{", "[") and row.rstrip()[-1:] in ("}", "]") and holds(row) for row in rows
    )
    return len(rows) > 1 and whole > 0 and 2 * whole >= len(rows)


def holds(row: str) -> bool:
    """Whether a row is a JSON value with something in it."""
    try:
        return bool(parsed(row.encode(errors="replace")))
    except ValueError:
        return False


def parsed(raw: bytes) -> Any:
    """Return the JSON value; half a surrogate pair and NaN, which many programs write, pass.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        try:
            value = json.loads(raw.decode("utf-8", errors="replace"))
            return _mended(value) if b"\\u" in raw else value
        except (ValueError, RecursionError):
            raise error from None


def _mended(value: Any) -> Any:
    """The value with halves of surrogate pairs replaced, which no UTF-8 can hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mended(v) for v in value]
    return {_mended(k): _mended(v) for k, v in value.items()} if isinstance(value, dict) else value


def several(raw: bytes) -> list[Any]:
    """Return the values that stand one after another on a line.

    Raises:
        ValueError: Something among them is no JSON.
    """
    text, at, found = raw.decode("utf-8", errors="replace").strip(), 0, []
    while at < len(text):
        try:
            value, at = _DECODER.raw_decode(text, at)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        found.append(_mended(value))
        while at < len(text) and text[at] in " \t\r":
            at += 1
    return found
