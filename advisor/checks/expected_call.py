"""Tool calls against the call that would have been right."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from advisor.evidence import Evidence, quote
from advisor.exchange import Exchange, ToolCall

_CAP = 8_000
_SPOKEN = re.compile(r"\A\[?\s*[A-Za-z_][\w.]{1,80}\(.*\)\s*\]?\Z", re.DOTALL)
_FENCE = re.compile(r"\A```\w*\n?(.*?)\n?```\Z", re.DOTALL)
_ARGUMENTS = ("arguments", "parameters", "args", "input", "kwargs")


@dataclass(frozen=True, slots=True)
class _Call:
    """A call in plain form; `name` is None if only the arguments are known."""

    name: str | None
    arguments: Mapping[str, Any]


def check_call(exchange: Exchange, right: str) -> Evidence | None:
    """Compare the calls of this turn with an expected call; None if `right` is none.

    Args:
        right: The right answer as text.
    """
    try:
        return _checked(exchange, right)
    except RecursionError:
        return None  # nested deeper than any tool takes


def _checked(exchange: Exchange, right: str) -> Evidence | None:
    wanted = list(_read(right[:_CAP], exchange))
    if not wanted:
        return None
    made = [
        _Call(c.name, arguments) for c in _made(exchange) if (arguments := _object(c.arguments)) is not None
    ]
    if not made:
        made = list(_read(exchange.reply.content.strip()[:_CAP], exchange, any_name=True))
    if not made and _made(exchange):
        return None  # arguments that cannot be read are another check's matter
    return _compared(exchange, wanted, made)


def _made(exchange: Exchange) -> tuple[ToolCall, ...]:
    if exchange.reply.tool_calls:
        return exchange.reply.tool_calls
    steps: list[ToolCall] = []
    for message in reversed(exchange.conversation):
        if message.role == "user":
            break
        steps[:0] = message.tool_calls
    return tuple(steps)


def _compared(exchange: Exchange, wanted: list[_Call], made: list[_Call]) -> Evidence:
    names = [c.name for c in made]
    for call in wanted:
        same = [c for c in made if call.name is None or _name(call.name) == _name(c.name or call.name)]
        if (
            not made
            and call.name
            and f"{_name(call.name)}(" in _name(exchange.reply.content[:_CAP].replace("\\", ""))
        ):
            return _shows(
                exchange, 0.4, f"The reply writes {call.name} out in a text that cannot be read.", "malformed"
            )
        if not made:
            note = f"The right answer calls {call.name or 'a tool'}; the reply calls none."
            return _shows(exchange, 0.95, note, "missing_call")
        if not same:
            return _shows(
                exchange, 1.0, f"The right call is {call.name}; called was {names[0]}.", "wrong_tool"
            )
        if not any(_equal(call.arguments, c.arguments) for c in same):
            differs = differing(call.arguments, same[0].arguments)
            note = f"{same[0].name} was called with other arguments than is right: {', '.join(differs[:4])}."
            return _shows(
                exchange,
                0.95 if len(differs) > 1 or len(call.arguments) < 4 else 0.85,
                note,
                "wrong_arguments",
            )
    known = {_name(c.name) for c in wanted if c.name}
    extra = (
        [n for n in names if n and _name(n) not in known]
        if len(known) and all(c.name for c in wanted)
        else []
    )
    if extra and exchange.reply.tool_calls:
        return _shows(exchange, 0.5, f"The right answer does not call {extra[0]}.", "unneeded_call")
    note = "The reply makes the right call with the right arguments."
    strength = -1.0 if _made(exchange) else -0.4  # written out as text, a program may not find it
    return Evidence(check="correction.same", gap=None, strength=strength, note=note, quotes=_quotes(exchange))


def _shows(exchange: Exchange, strength: float, note: str, cause: str) -> Evidence:
    return Evidence(
        check="correction.tool", gap="tool_call", cause=cause, strength=strength, note=note, quotes=_quotes(exchange)
    )  # fmt: skip


def _quotes(exchange: Exchange) -> tuple[Any, ...]:
    said = next((c.arguments for c in exchange.reply.tool_calls), "") or exchange.reply.content
    shown = (quote(said, "reply", limit=200),) if said else ()
    return (*shown, quote(exchange.expected or "", "expected", limit=200))


def _read(text: str, exchange: Exchange, *, any_name: bool = False) -> Iterator[_Call]:
    """The calls a text writes down, as JSON or as `name(argument=value)`."""
    fenced = _FENCE.match(text)
    text = fenced[1].strip() if fenced else text
    if text.startswith(("{", "[")):
        value = _loads(text)
        if value is not None:
            yield from _of_value(value, exchange)
            return
    if _SPOKEN.match(text):
        known = {_name(t.name) for t in exchange.tools} | {_name(c.name) for c in exchange.reply.tool_calls}
        yield from (c for c in _of_python(text) if any_name or _name(c.name or "") in known)


def _name(raw: str) -> str:
    """A name without the difference of `.`, `-` and `_`, which not every provider lets through."""
    return re.sub(r"[.\-/]", "_", raw).casefold()


def _of_value(value: Any, exchange: Exchange) -> Iterator[_Call]:
    if isinstance(value, list):
        for item in value[:20]:
            yield from _of_value(item, exchange)
        return
    if not isinstance(value, Mapping):
        return
    if isinstance(value.get("tool_calls"), list):
        yield from _of_value(value["tool_calls"], exchange)
        return
    inner = value.get("function") if isinstance(value.get("function"), Mapping) else value
    assert inner is not None
    name = inner.get("name") or inner.get("tool") or inner.get("function")
    key = next((k for k in _ARGUMENTS if k in inner), None)
    if isinstance(name, str) and key is not None:
        arguments = inner[key] if isinstance(inner[key], Mapping) else _object(str(inner[key]))
        yield _Call(name, arguments or {})
    elif _are_arguments(value, exchange):
        yield _Call(None, value)
    elif exchange.tools and {_name(str(k)) for k in value} <= {_name(t.name) for t in exchange.tools}:
        yield from (_Call(str(k), v) for k, v in value.items() if isinstance(v, Mapping))


def _are_arguments(value: Mapping[str, Any], exchange: Exchange) -> bool:
    """Whether an object is the arguments of the one call that was made."""
    if len(exchange.reply.tool_calls) != 1 or not value:
        return False
    call = exchange.reply.tool_calls[0]
    tool = next((t for t in exchange.tools if t.name == call.name), None)
    declared = tool.parameters.get("properties") if tool and tool.parameters else None
    keys = {*(declared if isinstance(declared, Mapping) else ()), *(_object(call.arguments) or {})}
    return bool(keys) and set(map(str, value)) <= keys


def _of_python(text: str) -> Iterator[_Call]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in strings
            tree = ast.parse(text, mode="eval").body
        for node in tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]:
            if isinstance(node, ast.Call):
                yield _Call(
                    ast.unparse(node.func), {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg}
                )
    except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError):
        return


def _loads(text: str) -> Any:
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
        return None


def _object(text: str) -> Mapping[str, Any] | None:
    value = _loads(text) if text.strip() else {}
    return value if isinstance(value, Mapping) else None


def _equal(wanted: Any, given: Any) -> bool:
    """The same but for case, space and the difference of 4 and "4"; what is null need not be there.

    Where a list stands for one value, it lists the values that are accepted.
    """
    if isinstance(wanted, Mapping) and isinstance(given, Mapping):
        return not differing(wanted, given)
    if isinstance(wanted, list | tuple):
        if isinstance(given, list | tuple):
            same = len(wanted) == len(given) and all(_equal(a, b) for a, b in zip(wanted, given, strict=True))
            return same or any(isinstance(w, list | tuple) and _equal(w, given) for w in wanted)
        return any(_equal(w, given) for w in wanted)
    return _plain(wanted) == _plain(given)


def differing(wanted: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return the names of arguments that are not the same; case, space, and the difference of 4 and "4" do not count, nor does what is null."""
    keys = sorted({*map(str, wanted), *map(str, given)})
    return [k for k in keys if not _equal(wanted.get(k), given.get(k))]


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else " ".join(str(value).casefold().split()).strip(" .")
