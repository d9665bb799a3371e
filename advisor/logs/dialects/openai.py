"""OpenAI: request and response logged together or apart, message lists, Responses API, fine-tune and DPO files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from advisor.exchange import Feedback, Message, Passage
from advisor.logs.dialects.beside import fields, ids
from advisor.logs.dialects.messages import (
    as_text,
    to_int,
    to_message,
    to_messages,
    to_passages,
    to_time,
    to_tools,
    unwrap,
)
from advisor.logs.records import Call, Note, Skip

_REQUEST = ("request", "request_body", "input_body", "body", "prompt_body", "inputs")
_RESPONSE = ("response", "response_body", "output_body", "completion", "result", "output")
_PAGE_ID = re.compile(r"chatcmpl-[\w]+-\d+")
_OBJECTS = ("chat.completion", "chat.completion.chunk", "response", "text_completion")


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a message list, a completion, a request/response pair or a preference pair."""
    if (
        "preferred_output" in record
        or record.get("object") in _OBJECTS
        or _PAGE_ID.fullmatch(str(record.get("id")))
        or _is_page(record)
    ):
        return True
    if _messages(record.get("messages")) or (
        _messages(record.get("input")) and ("model" in record or "instructions" in record)
    ):
        return True
    request, response = _pair(record)
    if isinstance(response, Mapping) and (
        _is_response(response) or response.get("object") in _OBJECTS or "error" in response
    ):
        return isinstance(request, Mapping) or "choices" in response or response.get("object") in _OBJECTS
    return isinstance(request, Mapping) and _messages(request.get("messages"))


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the calls of one record."""
    if _is_page(record):
        for item in record["data"]:
            if isinstance(item, Mapping):
                yield from read(item, line)
    elif _PAGE_ID.fullmatch(str(record.get("id"))) and "role" in record:
        yield from _stored_message(record, line)
    elif "preferred_output" in record:
        yield _preference(record, line)
    elif record.get("object") == "chat.completion.chunk":
        yield from _chunk(record, line)
    elif record.get("object") in _OBJECTS:
        yield _call({}, record, record, line)
    elif _messages(record.get("messages")) and not _is_response(_pair(record)[1]):
        yield from _bare(record, line)
    else:
        request, response = _pair(record)
        source = request if isinstance(request, Mapping) else record
        yield _call(source, response if isinstance(response, Mapping) else {}, record, line)


def _is_page(record: Mapping[str, Any]) -> bool:
    """A page of stored completions, or of the messages of one."""
    data = record.get("data")
    if (
        record.get("object") != "list"
        or not isinstance(data, list)
        or not data
        or not isinstance(data[0], Mapping)
    ):
        return False
    return data[0].get("object") in _OBJECTS or _PAGE_ID.fullmatch(str(data[0].get("id"))) is not None


def _stored_message(record: Mapping[str, Any], line: int) -> Iterable[Note | Skip]:
    """The messages of a stored completion come on a page of their own, with ids `<completion id>-<number>`."""
    key, _, number = str(record["id"]).rpartition("-")
    found = to_messages([{**record, "content": record.get("content") or record.get("content_parts")}])
    if found:
        yield Note(line=line, ids=(key,), parts={"messages": found}, time=1.0 + int(number))
    else:
        yield Skip(file="", line=line, reason="a stored message without words")


def _messages(value: Any) -> bool:
    value = unwrap(value)
    return (
        isinstance(value, list)
        and bool(value)
        and isinstance(value[0], Mapping)
        and ("role" in value[0] or value[0].get("type") in ("message", "function_call"))
    )


def _pair(record: Mapping[str, Any]) -> tuple[Any, Any]:
    request = next((unwrap(record[k]) for k in _REQUEST if k in record), None)
    response = next((unwrap(record[k]) for k in _RESPONSE if k in record), None)
    if isinstance(response, Mapping) and isinstance(response.get("body"), Mapping):
        response = response["body"]
    return request, response


def _is_response(value: Any) -> bool:
    return isinstance(value, Mapping) and (
        isinstance(value.get("choices"), list)
        or (isinstance(value.get("output"), list) and "status" in value)
    )


def _bare(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """A list of messages; whole conversations stand in these, so every reply is judged unless one came apart."""
    stored = [
        m for m in record["messages"] if isinstance(m, Mapping) and _PAGE_ID.fullmatch(str(m.get("id")))
    ]
    if stored:
        for item in stored:
            yield from _stored_message(item, line)
        return
    said = fields(record)
    messages = to_messages(record["messages"])
    reply = next(
        (
            to_message(record[k], role="assistant")
            for k in ("response", "completion", "output", "answer", "reply")
            if record.get(k) not in (None, "")
        ),
        None,
    )
    if reply is None and not any(m.role == "assistant" for m in messages):
        yield Skip(file="", line=line, reason="messages without a reply", keys=tuple(map(str, record))[:20])
        return
    # Feedback on a conversation that ends in a reply speaks of that reply.
    if (
        reply is None
        and messages[-1].role == "assistant"
        and (said.get("feedback") or said.get("expected") or said.get("passages") is not None)
    ):
        messages, reply = messages[:-1], messages[-1]
    yield Call(
        line=line,
        messages=messages,
        reply=reply,
        tools=to_tools(record.get("tools") or record.get("functions")),
        model=_text(record.get("model")),
        response_format=response_format(record),
        **said,
    )


def _call(
    request: Mapping[str, Any], response: Mapping[str, Any], record: Mapping[str, Any], line: int
) -> Call:
    said = fields(record)
    said["ids"] = tuple(dict.fromkeys((*said.get("ids", ()), *ids(response))))
    asked = fields(request)
    said.setdefault(
        "conversation_id", asked.get("conversation_id") or _text(response.get("conversation") or None)
    )
    said.setdefault("user", asked.get("user"))
    said.setdefault("tenant", asked.get("tenant"))
    said.setdefault("time", to_time(response.get("created", response.get("created_at"))))
    error = response.get("error") or record.get("error")
    reply, finish, retrieved = _reply(response)
    if retrieved and "passages" not in said:
        said["passages"] = retrieved
    usage = response.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    return Call(
        line=line, messages=_sent(request, response), reply=reply if not (error and reply is None) else None, finish_reason=finish,
        tools=to_tools(request.get("tools") or request.get("functions") or response.get("tools")), response_format=response_format(request) or response_format(response),
        model=_text(response.get("model") or request.get("model")), error=error_text(error),
        input_tokens=to_int(usage.get("prompt_tokens", usage.get("input_tokens"))), output_tokens=to_int(usage.get("completion_tokens", usage.get("output_tokens"))), **said,
    )  # fmt: skip


def _sent(request: Mapping[str, Any], response: Mapping[str, Any]) -> tuple[Message, ...]:
    given = request.get("messages", request.get("input", request.get("prompt")))
    messages = to_messages(given) if given is not None else ()
    instructions = request.get("instructions") or response.get("instructions") or request.get("system")
    text = as_text(instructions)
    return (Message(role="system", content=text), *messages) if text else messages


def _reply(response: Mapping[str, Any]) -> tuple[Message | None, str | None, tuple[Passage, ...]]:
    choices = response.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        choice = choices[0]
        message = choice.get("message") or (
            {"role": "assistant", "content": choice["text"]} if "text" in choice else None
        )
        return to_message(message, role="assistant"), _text(choice.get("finish_reason")), ()
    if isinstance(response.get("output"), list):
        return _from_items(response)
    return None, None, ()


def _from_items(response: Mapping[str, Any]) -> tuple[Message | None, str | None, tuple[Passage, ...]]:
    """The Responses API gives a list of items: text, calls, searches."""
    found = [m for item in response["output"] for m in to_messages([item]) if m.role == "assistant"]
    retrieved: list[Passage] = []
    for item in response["output"]:
        if isinstance(item, Mapping) and item.get("type") == "file_search_call":
            retrieved.extend(to_passages(item.get("results") or item.get("search_results")) or ())
    text = "\n".join(m.content for m in found if m.content)
    calls = tuple(c for m in found for c in m.tool_calls)
    details = response.get("incomplete_details")
    finish = (
        "length"
        if isinstance(details, Mapping) and details.get("reason") == "max_output_tokens"
        else _text(response.get("status"))
    )
    return Message(role="assistant", content=text, tool_calls=calls), finish, tuple(retrieved)


def response_format(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the JSON Schema the request demands, `{}` for any JSON, None for no demand."""
    wanted = request.get("response_format")
    if wanted is None and isinstance(request.get("text"), Mapping):
        wanted = request["text"].get("format")
    if not isinstance(wanted, Mapping):
        return None
    if wanted.get("type") == "json_object":
        return {}
    named = wanted.get("json_schema")
    inner = named if isinstance(named, Mapping) else wanted
    schema = inner.get("schema")
    return schema if wanted.get("type") == "json_schema" and isinstance(schema, Mapping) else None


def _preference(record: Mapping[str, Any], line: int) -> Call:
    given = record.get("input")
    given = given if isinstance(given, Mapping) else {}
    better = to_message(record["preferred_output"], role="assistant")
    reply = to_message(record.get("non_preferred_output"), role="assistant")
    return Call(
        line=line, messages=to_messages(given.get("messages")), tools=to_tools(given.get("tools")), reply=reply, ids=fields(record).get("ids", ()),
        expected=(better.content or as_text([{"text": c.arguments} for c in better.tool_calls])) if better else None,
        feedback=(Feedback(name="non_preferred", value="non-preferred", polarity=-1, source="annotator"),),
    )  # fmt: skip


def _chunk(record: Mapping[str, Any], line: int) -> Iterable[Note | Skip]:
    yield Skip(
        file="",
        line=line,
        reason="a piece of a stream; log the whole response",
        keys=tuple(map(str, record))[:20],
    )


def error_text(value: Any) -> str | None:
    """Return an error of the API as one line, None if there was none."""
    if not value:
        return None
    if isinstance(value, Mapping):
        return " ".join(str(value[k]) for k in ("code", "type", "message") if value.get(k)) or as_text(value)
    return str(value)


def _text(value: Any) -> str | None:
    return str(value) if value not in (None, "") and not isinstance(value, Mapping | list) else None
