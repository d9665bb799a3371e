"""Messages, tools and times of any provider, brought to one form."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from advisor.exchange import Message, Passage, Role, Tool, ToolCall

ROLES: dict[str, Role] = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "customer": "user", "assistant": "assistant",
    "ai": "assistant", "bot": "assistant", "model": "assistant", "gpt": "assistant", "chatbot": "assistant", "tool": "tool",
    "function": "tool", "ipython": "tool", "humanmessage": "user", "aimessage": "assistant", "aimessagechunk": "assistant",
    "systemmessage": "system", "toolmessage": "tool", "functionmessage": "tool", "observation": "tool",
}  # fmt: skip
# What nearly every message is: nothing but a role and its words.
_PLAIN_KEYS = {"role", "content"}
_PLAIN_ROLES = ("system", "user", "assistant")
_JSON_START = ("{", "[", '"')


def unwrap(value: Any, *, depth: int = 3) -> Any:
    """Parse a string that holds JSON, at most `depth` times over; anything else comes back as it is."""
    for _ in range(depth):
        if not isinstance(value, str) or not value.lstrip()[:1] or value.lstrip()[0] not in _JSON_START:
            return value
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def as_text(value: Any) -> str:
    """Return any content as text: joined text parts, else JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(t for t in map(_part_text, value) if t)
    if isinstance(value, Mapping):
        return _part_text(value) or dumps(value)
    return str(value)


def dumps(value: Any) -> str:
    """Return JSON text; what JSON cannot say is written as its string."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, orjson.JSONEncodeError):
        return str(value)


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        return ""
    for key in ("text", "content", "refusal", "value"):
        inner = part.get(key)
        if isinstance(inner, str) and part.get("type") not in _NOT_TEXT:
            return inner
        if isinstance(inner, Mapping) and isinstance(inner.get("value"), str):
            return str(inner["value"])
    return ""


_NOT_TEXT = {
    "thinking", "reasoning", "redacted_thinking", "tool_use", "tool_call", "tool-call", "tool_result", "tool_call_response", "tool-result",
    "image_url", "image", "input_image", "input_audio", "file", "blob", "uri", "server_tool_use", "function_call",
}  # fmt: skip


def to_messages(value: Any) -> tuple[Message, ...]:
    """Return the messages of a list, of one message, or of a wrapper such as `{"messages": [...]}`."""
    value = unwrap(value)
    if isinstance(value, Mapping):
        inner = value.get("messages") if "role" not in value else None
        value = inner if inner is not None else [value]
    if isinstance(value, str):
        return (Message(role="user", content=value),) if value.strip() else ()
    if not isinstance(value, list):
        return ()
    # LangChain logs a batch of conversations as a list of lists; the first is the one.
    if len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    found: list[Message] = []
    for item in value:
        found.extend(_spoken(item))
    return tuple(found)


def to_message(value: Any, *, role: Role | None = None) -> Message | None:
    """Return one message, None if it is none; `role` is taken where the value names none."""
    found = list(_spoken(unwrap(value), role=role))
    if not found:
        return None
    own = [m for m in found if m.role != "tool"]
    return own[-1] if own else found[-1]


def _spoken(item: Any, *, role: Role | None = None) -> Iterable[Message]:
    if (
        type(item) is dict
        and item.keys() <= _PLAIN_KEYS
        and type(item.get("content")) is str
        and item.get("role") in _PLAIN_ROLES
    ):
        return (Message(role=item["role"], content=item["content"]),)
    return _expand(item, role=role)


def _expand(item: Any, *, role: Role | None = None) -> Iterable[Message]:
    """One provider message may hold tool results beside text; each result is a message of its own."""
    item = unwrap(item)
    if isinstance(item, str):
        yield Message(role=role or "user", content=item)
        return
    if isinstance(item, list):
        yield Message(role=role or "assistant", content=as_text(item), tool_calls=_calls_in(item))
        return
    if not isinstance(item, Mapping):
        return
    item = _unpack_langchain(item)
    if isinstance(item.get("message"), Mapping) and "role" not in item:
        item = item["message"]
    kind = item.get("type")
    if kind in ("function_call", "function_call_output"):
        yield _responses_item(item)
        return
    named = ROLES.get(
        str(item.get("role") or (kind if kind != "message" else "") or item.get("from") or "").lower(), role
    )
    if named is None:
        return
    content = _content_of(item)
    if isinstance(content, list):
        yield from _results_in(content)
    if named == "tool":
        yield from _tool_result(item, content)
        return
    calls = to_calls(item.get("tool_calls") or item.get("function_call")) + (
        _calls_in(content) if isinstance(content, list) else ()
    )
    text = _text_without_calls(content)
    if text or calls or not isinstance(content, list) or not any(_is_result(p) for p in content):
        yield Message(
            role=named,
            content=text or _str(item.get("refusal")) or "",
            tool_calls=calls,
            name=_str(item.get("name")),
        )


def _tool_result(item: Mapping[str, Any], content: Any) -> Iterable[Message]:
    if isinstance(content, list) and any(map(_is_result, content)):
        return  # told already, one message a result
    yield Message(
        role="tool", content=as_text(content), tool_call_id=_str(item.get("tool_call_id")), name=_str(item.get("name")),
        error=item.get("status") == "error",
    )  # fmt: skip


def _content_of(item: Mapping[str, Any]) -> Any:
    for key in ("content", "parts", "contents", "value", "text", "blocks"):
        if item.get(key) is not None:
            return item[key]
    return ""


def _text_without_calls(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(t for t in (_part_text(p) for p in content) if t)
    if isinstance(content, Mapping):
        return _part_text(content) or dumps(content)
    return as_text(content)


def _unpack_langchain(item: Mapping[str, Any]) -> Mapping[str, Any]:
    if item.get("lc") == 1 and isinstance(item.get("kwargs"), Mapping):
        kind = item["id"][-1] if isinstance(item.get("id"), list) and item["id"] else ""
        return {"type": str(kind).lower(), **{k: v for k, v in item["kwargs"].items() if k != "type"}}
    if isinstance(item.get("data"), Mapping) and "content" in item["data"] and "role" not in item:
        return {**item["data"], "type": item.get("type")}
    if (
        "additional_kwargs" in item
        and not item.get("tool_calls")
        and isinstance(item["additional_kwargs"], Mapping)
    ):
        return {**item, "tool_calls": item["additional_kwargs"].get("tool_calls")}
    return item


_RESULTS = ("toolResult", "functionResponse", "function_response")


def _is_result(part: Any) -> bool:
    return isinstance(part, Mapping) and (
        part.get("type") in ("tool_result", "tool_call_response", "tool-result")
        or any(k in part for k in _RESULTS)
    )


def _results_in(parts: Iterable[Any]) -> Iterable[Message]:
    for part in parts:
        if not _is_result(part):
            continue
        inner = next((part[k] for k in _RESULTS if isinstance(part.get(k), Mapping)), part)
        content = next(
            (inner[k] for k in ("content", "response", "result", "output") if inner.get(k) is not None), ""
        )
        yield Message(
            role="tool", content=as_text(content), tool_call_id=_str(inner.get("tool_use_id") or inner.get("id") or inner.get("toolUseId") or inner.get("toolCallId")),
            name=_str(inner.get("name") or inner.get("toolName")), error=bool(inner.get("is_error")) or inner.get("status") == "error",
        )  # fmt: skip


def _calls_in(parts: Iterable[Any]) -> tuple[ToolCall, ...]:
    found: list[ToolCall] = []
    for part in parts:
        if not isinstance(part, Mapping):
            continue
        used = part.get("toolUse")
        inner = used if isinstance(used, Mapping) else part
        if (
            part.get("type") in ("tool_use", "tool_call", "tool-call", "function_call", "server_tool_use")
            or "toolUse" in part
        ):
            found.extend(to_calls([inner]))
        elif isinstance(part.get("functionCall") or part.get("function_call"), Mapping):
            found.extend(to_calls([part.get("functionCall") or part.get("function_call")]))
    return tuple(found)


def to_calls(value: Any) -> tuple[ToolCall, ...]:
    """Return the tool calls of a list, or of one call, in any provider's form."""
    value = unwrap(value)
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        return ()
    found = []
    for item in value:
        if not isinstance(item, Mapping):
            continue
        inner = next(
            (v for v in (item.get("function"), item.get("tool_call")) if isinstance(v, Mapping)), item
        )
        if isinstance(inner.get("function"), Mapping):
            inner = inner["function"]
        name = inner.get("name") or inner.get("toolName") or inner.get("tool_name")
        arguments = next(
            (inner[k] for k in ("arguments", "input", "args", "parameters") if inner.get(k) is not None), ""
        )
        if name or arguments:
            text = arguments if isinstance(arguments, str) else dumps(arguments)
            found.append(
                ToolCall(
                    name=str(name or ""),
                    arguments=text or "{}",
                    id=_str(
                        item.get("id")
                        or item.get("call_id")
                        or item.get("toolUseId")
                        or item.get("toolCallId")
                    ),
                )
            )
    return tuple(found)


def _responses_item(item: Mapping[str, Any]) -> Message:
    if item["type"] == "function_call":
        return Message(role="assistant", tool_calls=to_calls([item]))
    return Message(role="tool", content=as_text(item.get("output")), tool_call_id=_str(item.get("call_id")))


def to_tools(value: Any) -> tuple[Tool, ...]:
    """Return the offered tools, in OpenAI, Anthropic, Bedrock or bare form."""
    value = unwrap(value)
    if isinstance(value, Mapping):
        value = value.get("tools") or list(value.values())
    if not isinstance(value, list):
        return ()
    found = []
    for item in map(unwrap, value):
        if not isinstance(item, Mapping):
            continue
        inner = next((item[k] for k in ("function", "toolSpec") if isinstance(item.get(k), Mapping)), item)
        schema = next(
            (
                inner[k]
                for k in ("parameters", "input_schema", "inputSchema", "json_schema")
                if inner.get(k) is not None
            ),
            None,
        )
        schema = unwrap(schema)
        if isinstance(schema, Mapping) and isinstance(schema.get("json"), Mapping):
            schema = schema["json"]
        if isinstance(inner.get("name"), str):
            found.append(
                Tool(
                    name=inner["name"],
                    description=str(inner.get("description") or ""),
                    parameters=schema if isinstance(schema, Mapping) else None,
                )
            )
    return tuple(found)


_PASSAGE_TEXT = ("text", "content", "page_content", "document", "chunk", "snippet", "body", "passage")


def to_passages(value: Any) -> tuple[Passage, ...] | None:
    """Return retrieved passages from a list of strings or objects, or a text of several; None if there are none to read."""
    value = unwrap(value)
    if isinstance(value, str):
        return tuple(Passage(text=t) for t in re.split(r"\n\s*\n", value) if t.strip())
    if isinstance(value, Mapping):
        value = next(
            (
                value[k]
                for k in ("documents", "results", "passages", "contexts", "data")
                if isinstance(value.get(k), list)
            ),
            [value],
        )
    if not isinstance(value, list):
        return None
    return tuple(p for p in map(_passage, value) if p is not None)


def _passage(item: Any) -> Passage | None:
    item = unwrap(item)
    if isinstance(item, str):
        return Passage(text=item)
    if not isinstance(item, Mapping):
        return None
    if isinstance(item.get("node"), Mapping):
        item = {**item["node"], "score": item.get("score")}
    if isinstance(item.get("document"), Mapping):
        item = {**item["document"], **{k: v for k, v in item.items() if k != "document"}}
    meta = unwrap(item.get("metadata"))
    meta = meta if isinstance(meta, Mapping) else {}
    text = next((item[k] for k in _PASSAGE_TEXT if item.get(k) is not None), "")
    if isinstance(text, list):
        text = as_text(text)
    score = item.get("score", item.get("distance"))
    return Passage(
        text=str(text) if not isinstance(text, Mapping) else as_text(text), id=_str(item.get("id") or item.get("document_id") or meta.get("id")),
        title=_str(item.get("title") or meta.get("title") or item.get("document_name") or item.get("filename")),
        uri=_str(item.get("uri") or item.get("url") or meta.get("source") or meta.get("url") or meta.get("doc_uri")),
        score=float(score) if isinstance(score, int | float) and not isinstance(score, bool) and math.isfinite(score) else None,
    )  # fmt: skip


_ISO = re.compile(r"^\d{4}-\d\d-\d\d")
_LATEST = 4_102_444_800.0  # the year 2100


def to_time(value: Any) -> float | None:
    """Return seconds since the epoch from seconds, ms, µs or ns, or an ISO date; a time without zone is UTC."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        if _ISO.match(value):
            try:
                moment = datetime.fromisoformat(value.strip().replace("Z", "+00:00").replace(" UTC", ""))
            except ValueError:
                return None
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        return None
    seconds = float(value)
    while seconds > _LATEST:
        seconds /= 1000
    return seconds if seconds > 86_400 else None


def to_float(value: Any) -> float | None:
    """Return a finite number, None for anything else."""
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and not isinstance(value, bool) else None


def to_int(value: Any) -> int | None:
    """Return a whole number, None for anything else."""
    number = to_float(value)
    return int(number) if number is not None else None


def _str(value: Any) -> str | None:
    return str(value) if value not in (None, "") and not isinstance(value, Mapping | list) else None
