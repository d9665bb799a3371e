"""Does a request fit a tool? Lexical: what the tool is called and described as, against the words of the request."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from advisor.exchange import Tool
from rag.lexical import terms

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_A-Za-z]+")
_COMMON = frozenset(
    [
        "get",
        "find",
        "calculate",
        "compute",
        "retrieve",
        "fetch",
        "return",
        "function",
        "tool",
        "given",
        "specific",
        "based",
        "use",
        "user",
        "provide",
        "detail",
        "information",
        "value",
        "number",
        "list",
        "name",
        "string",
        "type",
        "option",
        "default",
        "data",
        "result",
        "specified",
        "particular",
        "certain",
        "perform",
        "determine",
        "search",
        "find_",
        "check",
        "make",
        "set",
        "id",
    ]
)
_CAP = 2000

IS_FREE_TEXT = re.compile(
    r"quer|text|prompt|message|question|input|content|search|expression|phrase|description", re.IGNORECASE
)
"""Names of parameters that take words as they are."""

IDENTIFIES = re.compile(
    r"id\b|_id|number|code|email|mail|phone|account|order|sku|reference|user|customer|tracking"
)
"""Names, in small letters, of parameters that say which one it is to be."""


def fit(request: str, tool: Tool) -> float:
    """Return how well a request fits a tool, 0 (no word in common) to 1."""
    asked = _asked(request[:_CAP])
    name, description = _words(tool.name, tool.description[:_CAP], tuple(sorted(properties(tool)))[:60])
    if not asked or not name:
        return 0.0
    by_name = len(name & asked) / len(name)
    by_text = (
        len(description & asked) / math.sqrt(max(1, len(description)) * max(4, len(asked)))
        if description
        else 0.0
    )
    return min(1.0, 0.6 * by_name + 0.9 * by_text)


def best_fit(request: str, tools: Sequence[Tool]) -> tuple[float, str]:
    """Return the best fit among tools and the name of that tool; (0, "") without tools."""
    return max(((fit(request, tool), tool.name) for tool in tools[:200]), default=(0.0, ""))


def plain(name: str) -> str:
    """Return what a tool is called, as words: `cancelOrder` and `cancel_order` are "cancel order"."""
    return " ".join(_WORD.findall(name)).lower() or name


@lru_cache(maxsize=1024)
def _asked(request: str) -> frozenset[str]:
    return _stems(request)


@lru_cache(maxsize=4096)
def _words(name: str, description: str, properties: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    named = _stems(" ".join(_WORD.findall(name))) - _COMMON_STEMS
    said = (
        _stems(description) | _stems(" ".join(" ".join(_WORD.findall(p)) for p in properties))
    ) - _COMMON_STEMS
    return named or _stems(name), said


def _stems(text: str) -> frozenset[str]:
    return frozenset(t[:6] for t in terms(text) if len(t) > 2)


_COMMON_STEMS = frozenset(t[:6] for word in _COMMON for t in terms(word))


def properties(tool: Tool) -> Iterable[str]:
    """Return the names of a tool's parameters."""
    found = (tool.parameters or {}).get("properties")
    return [str(k) for k in found] if isinstance(found, Mapping) else []


_QUOTED = re.compile(r"'([^'\n]{2,60})'|\"([^\"\n]{2,60})\"|“([^”\n]{2,60})”")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:[.,]\d+)*")
_PROPER = re.compile(r"(?<=[a-z,;:] )[A-Z][\w’'-]+(?: [A-Z][\w’'-]+)*")


def given_values(request: str) -> list[str]:
    """Return the values a request states: numbers, quoted words, proper names, in normal form, in order, each once."""
    found = [m.replace(",", "") for m in _NUMBER.findall(request[:_CAP])]
    found += [next(g for g in groups if g) for groups in _QUOTED.findall(request[:_CAP])]
    found += _PROPER.findall(request[:_CAP])
    return list(dict.fromkeys(v.strip().lower() for v in found))
