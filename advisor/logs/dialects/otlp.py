"""OpenTelemetry JSON: exports, one per line or whole, and dumps of single spans, in any GenAI convention."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from advisor.logs.dialects.span_calls import read_event, read_span
from advisor.logs.dialects.spans import exported, logged, span_of
from advisor.logs.records import Call, Note, Skip

_EXPORTS = ("resourceSpans", "resourceLogs", "resource_spans", "resource_logs", "resourceMetrics")
_ARM = "rightfix.arm"
_BARE = ("gen_ai.", "openinference.span.kind", "llm.input_messages", "traceloop.", "ai.operationId")


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is an export, a span, or the bare attributes of one."""
    if any(k in record for k in _EXPORTS) or _bundle(record):
        return True
    ids = ("traceId" in record and "spanId" in record) or ("trace_id" in record and "span_id" in record)
    if ids and ("attributes" in record or "body" in record):
        return True
    return any(isinstance(k, str) and k.startswith(_BARE) for k in record)


def _bundle(record: Mapping[str, Any]) -> bool:
    """A dump of several spans under one key."""
    inner = record.get("spans")
    return (
        isinstance(inner, list)
        and bool(inner)
        and isinstance(inner[0], Mapping)
        and "attributes" in inner[0]
        and ("span_id" in inner[0] or "spanId" in inner[0])
    )


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the calls and notes of an export or a span."""
    found = False
    for part in _parts(record, line):
        found = True
        yield part
    if not found:
        yield Skip(file="", line=line, reason=_why(record), keys=tuple(map(str, list(record)[:20])))


def _parts(record: Mapping[str, Any], line: int) -> Iterable[Call | Note]:
    if any(k in record for k in _EXPORTS):
        yield from _exported(record, line)
    elif _bundle(record):
        for raw in record["spans"]:
            if isinstance(raw, Mapping):
                yield from read_span(span_of(raw), line)
    elif "attributes" not in record and not ("trace_id" in record or "traceId" in record):
        yield from read_span(span_of({"attributes": dict(record)}), line)
    elif "body" in record and "name" not in record:
        for trace, span_id, event in logged({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}):
            yield from read_event(trace, span_id, event, line)
    else:
        yield from read_span(span_of(record), line)


def _exported(record: Mapping[str, Any], line: int) -> Iterable[Call | Note]:
    for span in exported(record):
        if span.attributes.get(_ARM) != "shadow":
            yield from read_span(span, line)
    for trace, span_id, event in logged(record):
        yield from read_event(trace, span_id, event, line)


def _why(record: Mapping[str, Any]) -> str:
    if "resourceMetrics" in record:
        return "metrics hold no words"
    if any(span.attributes.get(_ARM) == "shadow" for span in exported(record)):
        return "a reply of a shadow release, which nobody was shown"
    return "no words of a chat in its spans or logs; switch on capturing message content where they are made"
