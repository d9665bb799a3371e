"""LiteLLM: StandardLoggingPayload, one object per call, and SpendLogs rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from advisor.logs.dialects.loose import answered
from advisor.logs.dialects.messages import (
    as_text,
    to_float,
    to_int,
    to_messages,
    to_passages,
    to_time,
    to_tools,
    unwrap,
)
from advisor.logs.records import Call, Note, Skip


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a logging payload or a row of spend."""
    if "call_type" in record and (
        "response_cost" in record or "hidden_params" in record or "standard_logging_object" in record
    ):
        return True
    return "call_type" in record and "spend" in record and "request_id" in record


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the call of one record."""
    inner = unwrap(record.get("standard_logging_object"))
    record = inner if isinstance(inner, Mapping) else record
    request = unwrap(record.get("proxy_server_request"))
    request = request if isinstance(request, Mapping) else {}
    messages = to_messages(record.get("messages") or request.get("messages") or ())
    response = unwrap(record.get("response"))
    reply = answered(response) if response else None
    error = _error(record)
    if not messages and reply is None and error is None:
        yield Skip(
            file="",
            line=line,
            reason="no prompt and no reply in it; switch on store_prompts_in_spend_logs, or log the full payload",
        )
        return
    settings = _object(record.get("model_parameters") or record.get("optional_params"))
    start, end = to_time(record.get("startTime")), to_time(record.get("endTime"))
    choices = response.get("choices") if isinstance(response, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
    yield Call(
        line=line, messages=messages, reply=reply, tools=to_tools(settings.get("tools") or request.get("tools") or ()), error=error if reply is None else None,
        passages=_passages(record), ids=_ids(record, response), conversation_id=_text(record.get("session_id")), time=start,
        latency=end - start if start is not None and end is not None else None, model=_text(record.get("model")), finish_reason=_text(first.get("finish_reason")),
        input_tokens=to_int(record.get("prompt_tokens")), output_tokens=to_int(record.get("completion_tokens")),
        cost=to_float(record.get("response_cost", record.get("spend"))), **_who(record),
    )  # fmt: skip


def _object(value: Any) -> Mapping[str, Any]:
    value = unwrap(value)
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return (
        str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None
    )


def _error(record: Mapping[str, Any]) -> str | None:
    if record.get("status") not in ("failure", "error"):
        return None
    told = _object(record.get("error_information"))
    return (
        as_text(told.get("error_message") or record.get("error_str") or told.get("error_class")) or "failed"
    )


def _ids(record: Mapping[str, Any], response: Any) -> tuple[str, ...]:
    found = [record.get(k) for k in ("id", "request_id", "litellm_call_id")] + [
        response.get("id") if isinstance(response, Mapping) else None
    ]
    return tuple(dict.fromkeys(str(i) for i in found if i))


def _who(record: Mapping[str, Any]) -> dict[str, Any]:
    meta = _object(record.get("metadata"))
    user = record.get("end_user") or meta.get("user_api_key_end_user_id") or record.get("user")
    tenant = (
        meta.get("user_api_key_team_alias")
        or meta.get("user_api_key_team_id")
        or record.get("team_id")
        or meta.get("user_api_key_org_id")
    )
    return {k: str(v) for k, v in (("user", user), ("tenant", tenant)) if v}


def _passages(record: Mapping[str, Any]) -> Any:
    found = unwrap(_object(record.get("metadata")).get("vector_store_request_metadata"))
    items = found if isinstance(found, list) else [found] if isinstance(found, Mapping) else []
    served = [p for item in items if isinstance(item, Mapping) for p in _results(item)]
    return (to_passages(served) or ()) if items else None


def _results(item: Mapping[str, Any]) -> list[Any]:
    answer = _object(item.get("vector_store_search_response"))
    data = answer.get("data")
    return data if isinstance(data, list) else []
