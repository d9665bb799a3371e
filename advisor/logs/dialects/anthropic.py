"""Anthropic: Messages requests and responses, together or apart, and results of message batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from advisor.exchange import Passage
from advisor.logs.dialects.beside import fields
from advisor.logs.dialects.bodies import said_in, streamed
from advisor.logs.dialects.messages import as_text, to_int, to_tools, unwrap
from advisor.logs.records import Call, Note, Skip

_REQUESTS = ("request", "request_body", "params", "input", "body")
_RESPONSES = ("response", "response_body", "message", "output", "result")


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a response, a batch result, or a request with a response of this API."""
    if _is_response(record) or _is_error(record):
        return True
    result = record.get("result")
    if (
        "custom_id" in record
        and isinstance(result, Mapping)
        and result.get("type") in ("succeeded", "errored", "canceled", "expired")
    ):
        return True
    if "custom_id" in record and isinstance(record.get("params"), Mapping) and "messages" in record["params"]:
        return True
    return _response(record) is not None and any(
        isinstance(unwrap(record.get(k)), Mapping) for k in _REQUESTS
    )


def _is_response(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and value.get("type") == "message"
        and value.get("role") == "assistant"
        and isinstance(value.get("content"), list)
    )


def _is_error(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and value.get("type") == "error"
        and isinstance(value.get("error"), Mapping)
    )


def _response(record: Mapping[str, Any]) -> Any:
    return next(
        (found for k in _RESPONSES if _is_response(found := streamed(record.get(k))) or _is_error(found)),
        None,
    )


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the call of one record; a batch's request is a note that its result is joined with."""
    result = record.get("result")
    if "custom_id" in record and isinstance(result, Mapping):
        yield _result(record, result, line)
    elif "custom_id" in record and isinstance(record.get("params"), Mapping):
        params = record["params"]
        yield Note(
            line=line,
            ids=(str(record["custom_id"]),),
            parts={"messages": said_in(params, None).messages, "tools": to_tools(params.get("tools") or ())},
        )
    elif _is_response(record) or _is_error(record):
        yield _call({}, record, {}, line)
    else:
        request = next((v for k in _REQUESTS if isinstance(v := unwrap(record.get(k)), Mapping)), {})
        yield _call(request, _response(record), record, line)


def _result(record: Mapping[str, Any], result: Mapping[str, Any], line: int) -> Call:
    key = str(record["custom_id"])
    if result.get("type") == "succeeded":
        call = _call({}, unwrap(result.get("message")), {}, line)
        return Call(**{**{name: getattr(call, name) for name in call.__slots__}, "ids": (key, *call.ids)})
    return Call(line=line, ids=(key,), error=_error(result.get("error")) or str(result.get("type")))


def _error(value: Any) -> str | None:
    while isinstance(value, Mapping) and isinstance(value.get("error"), Mapping):
        value = value["error"]
    return as_text(value.get("message") or value.get("type")) if isinstance(value, Mapping) else None


def _call(request: Mapping[str, Any], response: Any, record: Mapping[str, Any], line: int) -> Call:
    response = response if isinstance(response, Mapping) else {}
    said = said_in(request, response if _is_response(response) else None)
    beside = fields(record)
    meta = request.get("metadata")
    usage = response.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    known = dict.fromkeys((*beside.pop("ids", ()), *([str(response["id"])] if response.get("id") else [])))
    if isinstance(meta, Mapping) and meta.get("user_id"):
        beside.setdefault("user", str(meta["user_id"]))
    served = beside.pop("passages", None)
    return Call(
        line=line, messages=said.messages, reply=said.reply, tools=to_tools(request.get("tools") or ()), error=_error(response) if _is_error(response) else None,
        ids=tuple(known), model=str(response.get("model") or request.get("model") or "") or None, finish_reason=said.finish_reason,
        passages=served if served is not None else _documents(request), input_tokens=to_int(usage.get("input_tokens")), output_tokens=to_int(usage.get("output_tokens")), **beside,
    )  # fmt: skip


def _documents(request: Mapping[str, Any]) -> tuple[Passage, ...] | None:
    """Documents and search results that were sent along as content blocks."""
    found = []
    for message in request.get("messages") or ():
        content = message.get("content") if isinstance(message, Mapping) else None
        for block in content if isinstance(content, list) else ():
            if isinstance(block, Mapping) and block.get("type") in ("document", "search_result"):
                source = block.get("source")
                text = as_text(block.get("content")) or (
                    as_text(source.get("data") or source.get("content"))
                    if isinstance(source, Mapping)
                    else ""
                )
                if text:
                    found.append(
                        Passage(
                            text=text,
                            title=block.get("title") if isinstance(block.get("title"), str) else None,
                        )
                    )
    return tuple(found) or None
