"""LangChain: messages as its dumps, `messages_to_dict` and `model_dump` write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from advisor.logs.dialects.beside import fields
from advisor.logs.dialects.messages import to_messages, unwrap
from advisor.logs.records import Call, Note, Skip

_TYPES = {"human", "ai", "system", "tool", "function", "AIMessageChunk", "HumanMessageChunk"}
_LISTS = ("messages", "chat_history", "history", "message")


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a LangChain message, or holds a list of them."""
    return (
        _is_message(record)
        or any(_are_messages(record.get(k)) for k in _LISTS)
        or _are_messages(record.get("items"))
    )


def _is_message(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    if value.get("lc") == 1 and isinstance(value.get("kwargs"), Mapping):
        return "content" in value["kwargs"] or "messages" in value["kwargs"]
    if not isinstance(value.get("type"), str) or value["type"] not in _TYPES or "role" in value:
        return False
    return isinstance(value.get("data"), Mapping) or (
        "content" in value and ("additional_kwargs" in value or "response_metadata" in value)
    )


def _are_messages(value: Any) -> bool:
    value = unwrap(value)
    return (
        _is_message(value)
        if isinstance(value, Mapping)
        else isinstance(value, list) and bool(value) and _is_message(unwrap(value[0]))
    )


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the conversation, or the one message, of a record."""
    listed = next((record[k] for k in (*_LISTS, "items") if _are_messages(record.get(k))), None)
    messages = to_messages(listed if listed is not None else [record])
    shared = fields(record) if listed is not None else {}
    if not messages:
        yield Skip(file="", line=line, reason="messages without words")
    elif len(messages) == 1 and messages[0].role == "assistant":
        yield Call(line=line, reply=messages[0], **shared)
    else:
        yield Call(line=line, messages=messages, **shared)
