"""Tool calls written as text in the reply: a list of Python calls, JSON objects, or tags."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from advisor.exchange import ToolCall

_FENCE = re.compile(r"^\s*```[a-z_]*\s*\n?|\n?\s*```\s*$", re.IGNORECASE)
_TAG = re.compile(
    r"<(?:tool_call|function_call|tools?|function)>(.*?)</(?:tool_call|function_call|tools?|function)>",
    re.DOTALL,
)
_ASKED = re.compile(
    r"\[\s*\w+\s*\(\s*\w+\s*=|\breturn (?:only )?the function calls?\b|\bfunction calls? (?:in|as) (?:the )?(?:format|text)|<tool_call>|\boutput (?:only )?(?:the )?(?:function|tool) calls?\b",
    re.IGNORECASE,
)
_CAP = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a reply's text holds of calls.

    Attributes:
        calls: The calls that can be read, if the whole text is calls.
        fault: Why they cannot be read, None if they can or if there are none.
        span: The text that looks like a call.
    """

    calls: tuple[ToolCall, ...] = ()
    fault: str | None = None
    span: str = ""


def asked_as_text(system: str) -> bool:
    """Whether the prompt wants calls as text."""
    return _ASKED.search(system[:_CAP]) is not None


def written_calls(text: str, names: Sequence[str]) -> Written:
    """Return the calls of a reply that is written as calls, or what keeps them from being read."""
    text = text.strip()[:_CAP]
    if not text:
        return Written()
    spot = _mention(text, names)
    if spot is None:
        return Written()
    bare = _FENCE.sub("", text).strip()
    tags = _TAG.findall(bare)
    for candidate in (bare, *(["[" + ",".join(tags) + "]"] if tags else [])):
        calls = tuple(_of_json(candidate)) or tuple(_of_python(candidate))
        if calls:
            fault = "it stands in a code fence" if bare != text and not tags else None
            return Written(calls=calls, fault=fault, span=candidate[:200])
    return Written(fault="it is not a list of calls alone", span=text[spot : spot + 200])


def _mention(text: str, names: Sequence[str]) -> int | None:
    """Where an offered tool is named as if it were called."""
    for name in names[:300]:
        at = text.find(name)
        if at < 0:
            continue
        behind = text[at + len(name) : at + len(name) + 3].lstrip("`\"' ")
        if behind[:1] in ("(", ",", ":", "{") or text[max(0, at - 12) : at].rstrip("`\"' ").endswith(
            (":", "[", "=")
        ):
            return at
    return None


def _of_json(text: str) -> Iterator[ToolCall]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    items = value if isinstance(value, list) else [value]
    found = [call for item in items if (call := _json_call(item)) is not None]
    if found and len(found) == len(items):
        yield from found


def _json_call(item: Any) -> ToolCall | None:
    if not isinstance(item, dict):
        return None
    function = item.get("function")
    inner = function if isinstance(function, dict) else item
    name = inner.get("name") or inner.get("function")
    arguments = next((inner[k] for k in ("arguments", "parameters", "args", "input") if k in inner), None)
    if not isinstance(name, str) or not isinstance(arguments, dict | str):
        return None
    return ToolCall(name=name, arguments=arguments if isinstance(arguments, str) else json.dumps(arguments))


def _of_python(text: str) -> Iterator[ToolCall]:
    try:
        tree = ast.parse(text.strip().rstrip(";"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    nodes = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
    found = [call for node in nodes if (call := _python_call(node)) is not None]
    if found and len(found) == len(nodes):
        yield from found


def _python_call(node: ast.expr) -> ToolCall | None:
    if not isinstance(node, ast.Call) or node.args:
        return None
    name = _dotted(node.func)
    try:
        arguments = {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg is not None}
        return ToolCall(name=name, arguments=json.dumps(arguments)) if name else None
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        outer = _dotted(node.value)
        return f"{outer}.{node.attr}" if outer else ""
    return ""
