"""Vercel AI SDK: lists of UIMessages, with their parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from advisor.exchange import Message, Passage, ToolCall
from advisor.logs.dialects.beside import fields
from advisor.logs.dialects.conversation import Said, calls, nothing
from advisor.logs.dialects.messages import as_text, dumps, to_message, to_time, unwrap
from advisor.logs.records import Call, Note, Skip

_DONE = ("output-available", "result", "output-error", "output-denied")


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is such a message, or holds a list of them."""
    return _is_message(record) or _listed(record) is not None


def _is_message(value: Any) -> bool:
    if not isinstance(value, Mapping) or "role" not in value:
        return False
    parts = value.get("parts")
    return (
        isinstance(parts, list) and (not parts or (isinstance(parts[0], Mapping) and "type" in parts[0]))
    ) or "toolInvocations" in value


def _listed(record: Mapping[str, Any]) -> list[Any] | None:
    for key in ("messages", "uiMessages", "items"):
        value = unwrap(record.get(key))
        if isinstance(value, list) and value and _is_message(value[0]):
            return value
    return None


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the replies of one chat."""
    listed = _listed(record)
    said = [
        part
        for item in (listed if listed is not None else [record])
        if isinstance(item, Mapping)
        for part in _said(item)
    ]
    shared: dict[str, Any] = fields(record) if listed is not None else {}
    own = shared.pop("ids", ())
    thread = shared.get("conversation_id") or record.get("chatId") or (own[0] if own else None)
    if thread:
        shared["conversation_id"] = str(thread)
    found: list[Call | Note | Skip] = list(calls(said, line=line, shared=shared))
    yield from found or [nothing(record, line, "messages without a reply")]


def _said(item: Mapping[str, Any]) -> Iterator[Said]:
    """A message of the assistant may hold steps with tools in between; each is a message here."""
    parts = item.get("parts")
    if not isinstance(parts, list) or item.get("role") != "assistant":
        message = to_message(item)
        if message is not None:
            yield Said(message=message)
        return
    words: list[str] = []
    served: list[Passage] = []
    for part in (p for p in parts if isinstance(p, Mapping)):
        kind = str(part.get("type"))
        if kind == "text":
            words.append(as_text(part.get("text")))
        elif kind.startswith("tool-") or kind == "dynamic-tool":
            yield from _step(part, "\n".join(words))
            words = []
        elif kind in ("source-url", "source-document"):
            served.append(
                Passage(
                    text=as_text(part.get("title") or part.get("url")),
                    uri=part.get("url"),
                    title=part.get("title"),
                )
            )
    yield Said(
        message=Message(role="assistant", content="\n".join(w for w in words if w)), parts=_about(item)
    )


def _step(part: Mapping[str, Any], words: str) -> Iterator[Said]:
    name = str(part.get("toolName") or str(part.get("type")).removeprefix("tool-"))
    key = str(part["toolCallId"]) if part.get("toolCallId") else None
    call = ToolCall(name=name, arguments=dumps(part.get("input", part.get("args", {}))), id=key)
    yield Said(message=Message(role="assistant", content=words, tool_calls=(call,)))
    state = part.get("state")
    if state in _DONE:
        failed = state in ("output-error", "output-denied")
        content = as_text(part.get("errorText") if failed else part.get("output", part.get("result")))
        yield Said(
            message=Message(
                role="tool", content=content or str(state), tool_call_id=key, name=name, error=failed
            )
        )


def _about(item: Mapping[str, Any]) -> dict[str, Any]:
    meta = item.get("metadata")
    meta = meta if isinstance(meta, Mapping) else {}
    found = fields({**meta, **{k: item[k] for k in ("id", "createdAt") if k in item}})
    found["model"] = meta.get("model") or meta.get("modelId")
    found["time"] = to_time(item.get("createdAt") or meta.get("createdAt")) or found.get("time")
    return {k: v for k, v in found.items() if v is not None}
