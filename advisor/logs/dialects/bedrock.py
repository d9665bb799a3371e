"""Amazon Bedrock model-invocation logs: Converse and InvokeModel, whole and streamed, of every vendor's body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from advisor.logs.dialects.bodies import said_in
from advisor.logs.dialects.messages import to_int, to_time, to_tools, unwrap
from advisor.logs.records import Call, Note, Skip

_TENANT = ("tenant", "tenant_id", "team", "customer", "org")
_THREAD = ("session_id", "conversation_id", "thread_id", "sessionId", "conversationId")
_USER = ("user", "user_id", "userId")


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is an invocation log, bare or as CloudWatch wraps it."""
    return record.get("schemaType") == "ModelInvocationLog" or _wrapped(record) is not None


def _wrapped(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for key in ("@message", "message"):
        inner = record.get(key)
        if isinstance(inner, str) and "ModelInvocationLog" in inner:
            opened = unwrap(inner)
            return opened if isinstance(opened, Mapping) else None
    return None


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the call of one record."""
    record = _wrapped(record) or record
    given, made = _object(record.get("input")), _object(record.get("output"))
    request, response = unwrap(given.get("inputBodyJson")), unwrap(made.get("outputBodyJson"))
    if request is None and response is None and not record.get("errorCode"):
        away = given.get("inputBodyS3Path") or made.get("outputBodyS3Path")
        reason = (
            f"its body was put aside to {away}; give that file's record too"
            if away
            else "no body was logged; switch text logging on"
        )
        yield Skip(file="", line=line, reason=reason)
        return
    said = said_in(request, response)
    meta = _object(record.get("requestMetadata"))
    error = str(record.get("errorMessage") or record["errorCode"]) if record.get("errorCode") else None
    tools = _object(request).get("toolConfig") or _object(request).get("tools")
    found: dict[str, Any] = {
        "tenant": _named(meta, _TENANT),
        "conversation_id": _named(meta, _THREAD),
        "user": _named(meta, _USER) or _object(record.get("identity")).get("arn"),
    }
    who: dict[str, Any] = {k: str(v) for k, v in found.items() if v}
    yield Call(
        line=line, messages=said.messages, reply=said.reply, tools=to_tools(tools or ()), error=error if said.reply is None else None,
        ids=tuple(str(record[k]) for k in ("requestId",) if record.get(k)), time=to_time(record.get("timestamp")), model=_model(record),
        finish_reason=said.finish_reason, input_tokens=to_int(given.get("inputTokenCount")), output_tokens=to_int(made.get("outputTokenCount")),
        latency=said.latency, **who,
    )  # fmt: skip


def _object(value: Any) -> Mapping[str, Any]:
    value = unwrap(value)
    return value if isinstance(value, Mapping) else {}


def _named(meta: Mapping[str, Any], names: Iterable[str]) -> str | None:
    return next((str(meta[n]) for n in names if meta.get(n)), None)


def _model(record: Mapping[str, Any]) -> str | None:
    value = record.get("modelId")
    return str(value).rpartition("/")[2] if value else None
