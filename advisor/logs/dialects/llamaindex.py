"""LlamaIndex: persisted chat stores and memories, query responses with their source nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from advisor.exchange import Message, ToolCall
from advisor.logs.dialects.beside import fields
from advisor.logs.dialects.conversation import nothing
from advisor.logs.dialects.messages import as_text, dumps, to_message, to_messages, to_passages, unwrap
from advisor.logs.records import Call, Note, Skip

_QUESTION = ("query", "question", "query_str", "input", "message", "user_message")


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a chat store, a memory that holds one, or a response with its nodes."""
    if isinstance(record.get("source_nodes"), list) and ("response" in record or "message" in record):
        return True
    return _store(record) is not None


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the call of a response, or one for each conversation of a store."""
    if isinstance(record.get("source_nodes"), list) and ("response" in record or "message" in record):
        yield _response(record, line)
        return
    found = False
    for key, listed in (_store(record) or {}).items():
        messages = tuple(_messages(unwrap(listed)))
        if any(m.role == "assistant" for m in messages):
            found = True
            yield Call(line=line, messages=messages, conversation_id=str(key))
    if not found:
        yield nothing(record, line, "a chat store without a reply in it")


def _store(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The conversations of a store by their keys, None if the record is none."""
    inner = unwrap(record.get("chat_store"))
    holder = inner if isinstance(inner, Mapping) else record
    store = unwrap(holder.get("store"))
    if not isinstance(store, Mapping) or not all(isinstance(unwrap(v), list) for v in store.values()):
        return None
    named = "ChatStore" in str(holder.get("class_name")) or holder is not record
    return store if named or any(_is_message(m) for v in store.values() for m in unwrap(v)[:1]) else None


def _is_message(value: Any) -> bool:
    value = unwrap(value)
    return isinstance(value, Mapping) and "role" in value and ("blocks" in value or "content" in value)


def _messages(listed: Any) -> Iterator[Message]:
    for item in listed if isinstance(listed, list) else ():
        item = unwrap(item)
        if isinstance(item, Mapping):
            yield from to_messages([_lifted(item)])


def _lifted(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message with its tool calls and ids where other formats keep them, and text blocks only."""
    more = item.get("additional_kwargs")
    more = more if isinstance(more, Mapping) else {}
    found = {k: v for k, v in item.items() if k not in ("additional_kwargs", "blocks")}
    for key in ("tool_calls", "tool_call_id", "name"):
        if more.get(key) and not found.get(key):
            found[key] = more[key]
    blocks = item.get("blocks")
    if isinstance(blocks, list):
        blocks = [b for b in blocks if isinstance(b, Mapping)]
        asked = [_called(b) for b in blocks if b.get("block_type") == "tool_call"]
        found["content"] = [
            {"type": "text", "text": as_text(b.get("text"))} for b in blocks if isinstance(b.get("text"), str)
        ]
        if asked and not found.get("tool_calls"):
            found["tool_calls"] = asked
    return found


def _called(block: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": block.get("tool_call_id"),
        "name": block.get("tool_name"),
        "arguments": block.get("tool_kwargs"),
    }


def _response(record: Mapping[str, Any], line: int) -> Call:
    told = fields(record)
    told["passages"] = to_passages([_node(n) for n in record["source_nodes"]]) or ()
    question = next(
        (record[k] for k in _QUESTION if record.get(k) and not (k == "message" and "response" not in record)),
        None,
    )
    messages = to_messages(question) if isinstance(question, list) else _asked(question)
    answer = record["response"] if "response" in record else record.get("message")
    reply = to_message(answer, role="assistant") if isinstance(answer, Mapping) and "role" in answer else None
    return Call(
        line=line,
        messages=(*messages, *_steps(record)),
        reply=reply or Message(role="assistant", content=as_text(answer)),
        **told,
    )


def _node(item: Any) -> Any:
    """A node with its id and its file's name where other formats keep them."""
    if not isinstance(item, Mapping) or not isinstance(item.get("node"), Mapping):
        return item
    node = item["node"]
    meta = node.get("metadata") if isinstance(node.get("metadata"), Mapping) else {}
    named = {"id": node.get("id_"), "title": meta.get("title") or meta.get("file_name")}
    return {**item, "node": {**named, **{k: v for k, v in node.items() if v is not None}}}


def _asked(question: Any) -> tuple[Message, ...]:
    text = as_text(question)
    return (Message(role="user", content=text),) if text.strip() else ()


def _steps(record: Mapping[str, Any]) -> Iterator[Message]:
    """The tools an agent ran for its answer."""
    sources = record.get("sources")
    for number, item in enumerate(sources if isinstance(sources, list) else ()):
        if not isinstance(item, Mapping) or not isinstance(item.get("tool_name"), str):
            continue
        given = item.get("raw_input")
        given = given.get("kwargs", given) if isinstance(given, Mapping) else given
        call = ToolCall(name=item["tool_name"], arguments=dumps(given or {}), id=f"source-{number}")
        yield Message(role="assistant", tool_calls=(call,))
        yield Message(
            role="tool",
            content=as_text(item.get("content")),
            tool_call_id=call.id,
            name=call.name,
            error=item.get("is_error") is True,
        )
