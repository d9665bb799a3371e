"""OpenAI batch files: input lines and output lines, joined by their custom id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from advisor.logs.dialects.bodies import said_in, sent
from advisor.logs.dialects.messages import to_int, to_time, to_tools, unwrap
from advisor.logs.dialects.openai import error_text, response_format
from advisor.logs.records import Call, Note, Skip


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a line of a batch's input or output."""
    if "custom_id" not in record:
        return False
    return ("body" in record and "url" in record) or ("response" in record and "error" in record)


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield what was asked as a note, what came back as a call; both name the custom id."""
    key = str(record["custom_id"])
    if "body" in record:
        body = unwrap(record["body"])
        if not isinstance(body, Mapping):
            yield Skip(file="", line=line, reason="a batch line without a body")
            return
        parts: dict[str, Any] = {
            "messages": sent(_with_text(body)),
            "tools": to_tools(body.get("tools") or ()),
            "response_format": response_format(body),
        }
        yield Note(line=line, ids=(key,), parts={k: v for k, v in parts.items() if v not in (None, ())})
        return
    answer = unwrap(record.get("response"))
    answer = answer if isinstance(answer, Mapping) else {}
    body = unwrap(answer.get("body"))
    body = body if isinstance(body, Mapping) else {}
    said = said_in(None, body)
    usage = body.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    error = error_text(record.get("error") or body.get("error")) or (
        f"status {answer['status_code']}" if answer.get("status_code", 200) != 200 else None
    )
    ids = (key, *(str(v) for v in (record.get("id"), answer.get("request_id"), body.get("id")) if v))
    yield Call(
        line=line, reply=said.reply if error is None else None, error=error, ids=ids, model=str(body["model"]) if body.get("model") else None,
        time=to_time(body.get("created", body.get("created_at"))), finish_reason=said.finish_reason,
        input_tokens=to_int(usage.get("prompt_tokens", usage.get("input_tokens"))), output_tokens=to_int(usage.get("completion_tokens", usage.get("output_tokens"))),
    )  # fmt: skip


def _with_text(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The Responses API takes its input as a text that may itself look like JSON; it is what the user says."""
    given = body.get("input")
    return {**body, "input": [{"role": "user", "content": given}]} if isinstance(given, str) else body
