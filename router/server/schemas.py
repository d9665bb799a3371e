"""Schemas that strangers send: refused where working with them would not end, or would fetch something."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from router.server.faults import wrong

_DEEPEST = 30
_MOST = 5000
_LONGEST_PATTERN = 500


def checked(schema: Any, at: str) -> None:
    """Do nothing if a JSON Schema is harmless; None is.

    Args:
        schema: As it was sent.
        at: Where it stood, for the fault.

    Raises:
        Fault: It is no object, is too deep or too large, points outside itself, or holds a pattern that takes exponential time.
    """
    if schema is None:
        return
    if not isinstance(schema, dict):
        raise wrong("a schema is an object", param=at)
    for count, (depth, node) in enumerate(_nodes(schema, 0)):
        if depth > _DEEPEST or count > _MOST:
            raise wrong(f"a schema has at most {_MOST} parts, {_DEEPEST} deep", param=at)
        if not isinstance(node, dict):
            continue
        for key in ("$ref", "$dynamicRef", "$id", "$schema"):
            _inside(key, node.get(key), at)
        named = node.get("patternProperties")
        for pattern in (node.get("pattern"), *(named if isinstance(named, dict) else ())):
            if isinstance(pattern, str) and not is_quick(pattern):
                raise wrong(f"the pattern {pattern[:60]!r} may take for ever; repeat nothing that repeats", param=at)  # fmt: skip


def is_quick(pattern: str) -> bool:
    """Return whether a regular expression is short and repeats nothing that itself repeats or refers back."""
    if len(pattern) > _LONGEST_PATTERN:
        return False
    try:
        parsed = re._parser.parse(pattern)  # type: ignore[attr-defined]
    except (re.error, RecursionError, OverflowError):
        return True  # it is no pattern, which the validator says better
    return _repeats(parsed, inside=False)


def _repeats(parsed: Any, *, inside: bool) -> bool:
    for operator, argument in parsed:
        name = str(operator)
        if name in ("GROUPREF", "GROUPREF_EXISTS"):
            return False
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            _, most, body = argument
            many = most > 1
            if (many and inside) or not _repeats(body, inside=inside or many):
                return False
        elif not all(_repeats(p, inside=inside) for p in _parts(argument)):
            return False
    return True


def _parts(argument: Any) -> Iterator[Any]:
    if isinstance(argument, re._parser.SubPattern):  # type: ignore[attr-defined]
        yield argument
    elif isinstance(argument, list | tuple):
        for part in argument:
            yield from _parts(part)


def _inside(key: str, target: Any, at: str) -> None:
    # A validator would fetch it.
    outside = isinstance(target, str) and not target.startswith("#") and "json-schema.org" not in target
    if outside and key != "$id":
        raise wrong(f"a schema may not point outside itself ({target[:80]!r})", param=at)


def _nodes(node: Any, depth: int) -> Iterator[tuple[int, Any]]:
    waiting = [(depth, node)]
    while waiting:
        depth, node = waiting.pop()
        yield depth, node
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        waiting.extend((depth + 1, child) for child in children)
