"""HTTP recordings of model calls: nock, VCR and HAR, Helicone rows, and bare responses with their body as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from advisor.logs.dialects.beside import fields
from advisor.logs.dialects.bodies import said_in, streamed
from advisor.logs.dialects.conversation import nothing
from advisor.logs.dialects.messages import to_float, to_int, to_tools, unwrap
from advisor.logs.dialects.openai import error_text, response_format
from advisor.logs.records import Call, Note, Skip


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is one exchange over HTTP."""
    if "scope" in record and "path" in record and "response" in record:
        return True
    if "request_body" in record and ("response_body" in record or "response_status" in record):
        return True
    if (
        isinstance(record.get("request"), Mapping)
        and isinstance(record.get("response"), Mapping)
        and ("uri" in record["request"] or "url" in record["request"])
    ):
        return True
    return "status" in record and "headers" in record and isinstance(record.get("body"), str)


def _bodies(record: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Request body, response body, status."""
    if "request_body" in record:
        return record["request_body"], record.get("response_body"), record.get("response_status")
    request, response = record.get("request"), record.get("response")
    if isinstance(request, Mapping) and isinstance(response, Mapping):
        status = response.get("status")
        code = status.get("code") if isinstance(status, Mapping) else status
        sent = request.get("postData") or request.get("body")
        made = response.get("content") or response.get("body")
        return _text_of(sent), _text_of(made), code
    if "scope" in record:
        return record.get("body"), response, record.get("status")
    return None, record.get("body"), record.get("status")


def _text_of(body: Any) -> Any:
    """VCR keeps `{"string": ...}`, HAR `{"text": ...}`."""
    return (
        next((body[k] for k in ("string", "text") if k in body), body) if isinstance(body, Mapping) else body
    )


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the call of one recording."""
    request, response, status = _bodies(record)
    request = unwrap(request)
    response = streamed(response)
    asked = request if isinstance(request, Mapping) else {}
    made = response if isinstance(response, Mapping) else {}
    said = said_in(request, response)
    code = to_int(status)
    error = error_text(made.get("error")) or (f"status {code}" if code is not None and code >= 400 else None)
    if said.reply is None and error is None:
        yield nothing(record, line, "no model call in this recording")
        return
    usage = made.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    beside = {
        k: v
        for k, v in fields(
            {k: v for k, v in record.items() if k not in ("response", "request", "body")}
        ).items()
        if k != "ids"
    }
    ids = tuple(dict.fromkeys(str(i) for i in (record.get("request_id"), made.get("id")) if i))
    config = asked.get("toolConfig")
    yield Call(
        line=line, messages=said.messages, reply=said.reply if error is None else None, error=error, ids=ids, finish_reason=said.finish_reason,
        tools=to_tools(asked.get("tools") or (config.get("tools") if isinstance(config, Mapping) else None) or ()), response_format=response_format(asked),
        model=str(made.get("model") or asked.get("model") or record.get("model") or "") or None,
        input_tokens=to_int(usage.get("prompt_tokens", usage.get("input_tokens", usage.get("inputTokens")))),
        output_tokens=to_int(usage.get("completion_tokens", usage.get("output_tokens", usage.get("outputTokens")))),
        **{"latency": said.latency if said.latency is not None else _seconds(record.get("delay_ms")), **beside},
    )  # fmt: skip


def _seconds(value: Any) -> float | None:
    took = to_float(value)
    return took / 1000 if took is not None else None
