"""Spans of any tracer in one form: ids, times, status, and attributes with dotted names and plain values."""

from __future__ import annotations

import ast
import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from advisor.logs.dialects.messages import as_text, to_time, unwrap

_VALUES = (
    "stringValue",
    "intValue",
    "doubleValue",
    "boolValue",
    "string_value",
    "int_value",
    "double_value",
    "bool_value",
)
_HEX = re.compile(r"[0-9a-fA-F]+")
_ERRORS = ("ERROR", "STATUS_CODE_ERROR", "2", "Error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of a span, or a log record that names one."""

    name: str
    attributes: Mapping[str, Any]
    body: Any = None
    time: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span.

    Attributes:
        start: Seconds since the epoch.
        end: The same.
        error: The message of its error, None if it ended well.
    """

    trace_id: str | None
    span_id: str | None
    parent_id: str | None
    name: str
    start: float | None
    end: float | None
    error: str | None
    attributes: Mapping[str, Any]
    events: Sequence[Event] = field(default=())


def exported(record: Mapping[str, Any]) -> Iterator[Span]:
    """Yield the spans of an OTLP export."""
    for resource in _list(record, "resourceSpans", "resource_spans"):
        for scope in _list(resource, "scopeSpans", "scope_spans", "instrumentationLibrarySpans"):
            for raw in _list(scope, "spans"):
                yield span_of(raw)


def logged(record: Mapping[str, Any]) -> Iterator[tuple[str | None, str | None, Event]]:
    """Yield (trace id, span id, event) of the log records of an OTLP export."""
    for resource in _list(record, "resourceLogs", "resource_logs"):
        for scope in _list(resource, "scopeLogs", "scope_logs"):
            for raw in _list(scope, "logRecords", "log_records"):
                event = _event(raw)
                yield _id(_first(raw, "traceId", "trace_id")), _id(_first(raw, "spanId", "span_id")), event


def span_of(raw: Mapping[str, Any]) -> Span:
    """Return a span of OTLP JSON, of an SDK's dump, of Phoenix or of a table of spans."""
    context = raw.get("context")
    context = context if isinstance(context, Mapping) else {}
    events = tuple(_event(e) for e in _list(raw, "events", "span_events"))
    return Span(
        trace_id=_id(
            _first(raw, "traceId", "trace_id", "context.trace_id") or _first(context, "trace_id", "traceId")
        ),
        span_id=_id(
            _first(raw, "spanId", "span_id", "context.span_id") or _first(context, "span_id", "spanId")
        ),
        parent_id=_id(_first(raw, "parentSpanId", "parent_span_id", "parent_id", "parentId")),
        name=str(raw.get("name") or ""),
        start=to_time(_first(raw, "startTimeUnixNano", "start_time_unix_nano", "start_time", "startTime")),
        end=to_time(_first(raw, "endTimeUnixNano", "end_time_unix_nano", "end_time", "endTime")),
        error=_error(raw, events),
        attributes=attributes_of(raw),
        events=events,
    )


def attributes_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes with dotted names: from OTLP's pairs, a flat or nested object, or columns `attributes.*`."""
    given = unwrap(raw.get("attributes"))
    if isinstance(given, list):
        return {str(a["key"]): plain(a.get("value")) for a in given if isinstance(a, Mapping) and "key" in a}
    found = dict(_flat(given)) if isinstance(given, Mapping) else {}
    columns = {
        k.removeprefix("attributes."): v
        for k, v in raw.items()
        if k.startswith("attributes.") and v not in (None, "")
    }
    return {**found, **columns}


def plain(value: Any) -> Any:
    """Return the value of an OTLP `AnyValue`."""
    if not isinstance(value, Mapping):
        return value
    for key in _VALUES:
        if value.get(key) is not None:
            return _number(value[key]) if key.startswith("int") else value[key]
    listed = value.get("arrayValue") or value.get("array_value")
    if isinstance(listed, Mapping):
        return [plain(v) for v in _list(listed, "values")]
    pairs = value.get("kvlistValue") or value.get("kvlist_value")
    if isinstance(pairs, Mapping):
        return {str(p.get("key")): plain(p.get("value")) for p in _list(pairs, "values")}
    return (
        None
        if any(k in value for k in ("arrayValue", "array_value", "kvlistValue", "bytesValue", *_VALUES))
        else dict(value)
    )


def nest(attributes: Mapping[str, Any], prefix: str) -> Any:
    """Return what is spread over `prefix.0.a`, `prefix.0.b.1.c` as lists and objects; a value at `prefix` itself first."""
    if attributes.get(prefix) not in (None, ""):
        return _undotted(_literal(unwrap(attributes[prefix])))
    tree: dict[str, Any] = {}
    for name, value in attributes.items():
        if name.startswith(prefix + "."):
            node = tree
            *path, last = name[len(prefix) + 1 :].split(".")
            for step in path:
                inner = node.get(step)
                node = node.setdefault(step, {}) if isinstance(inner, dict) or inner is None else {}
            if not isinstance(node.get(last), dict):
                node[last] = value
    return _listed(tree) if tree else None


def _undotted(value: Any) -> Any:
    """A table of spans keeps a list of objects whose keys are still dotted (`message.role`)."""
    if not isinstance(value, list):
        return value
    return [
        nest({f"_.{k}": v for k, v in item.items()}, "_")
        if isinstance(item, Mapping) and any("." in str(k) for k in item)
        else item
        for item in value
    ]


def _literal(value: Any) -> Any:
    """A table saved as CSV keeps such a list as Python wrote it."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[{", "{'")):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return value


def _listed(node: Any) -> Any:
    """Objects whose keys are all numbers are lists; an object that only wraps one message part is that part."""
    if not isinstance(node, dict):
        return _undotted(node)
    inner = {k: _listed(v) for k, v in node.items()}
    if inner and all(k.isdigit() for k in inner):
        return [inner[k] for k in sorted(inner, key=int)]
    return (
        next(iter(inner.values())) if list(inner) in (["message_content"], ["document"], ["tool"]) else inner
    )


def _flat(node: Mapping[str, Any], prefix: str = "", depth: int = 6) -> Iterator[tuple[str, Any]]:
    """Only objects are flattened: a list or a text is a value."""
    for key, value in node.items():
        name = f"{prefix}{key}"
        if (
            isinstance(value, Mapping)
            and depth
            and value
            and not name.endswith((".json_schema", ".metadata", ".arguments"))
        ):
            yield from _flat(value, f"{name}.", depth - 1)
        else:
            yield name, value


def _event(raw: Any) -> Event:
    raw = raw if isinstance(raw, Mapping) else {}
    attributes = attributes_of(raw)
    name = _first(raw, "eventName", "event_name", "name") or attributes.get("event.name") or ""
    time = to_time(
        _first(
            raw,
            "timeUnixNano",
            "time_unix_nano",
            "timestamp",
            "observedTimeUnixNano",
            "observed_time_unix_nano",
            "time",
        )
    )
    return Event(name=str(name), attributes=attributes, body=unwrap(plain(raw.get("body"))), time=time)


def _error(raw: Mapping[str, Any], events: Sequence[Event]) -> str | None:
    status = raw.get("status")
    status = status if isinstance(status, Mapping) else {"code": status}
    code = str(_first(status, "code", "status_code") or raw.get("status_code") or "")
    if code.rpartition(".")[2] not in _ERRORS:
        return None
    thrown = next((e.attributes.get("exception.message") for e in events if e.name == "exception"), None)
    return as_text(_first(status, "message", "description") or raw.get("status_message") or thrown) or "error"


def _list(node: Any, *keys: str) -> list[Any]:
    if not isinstance(node, Mapping):
        return []
    value = next((unwrap(node[k]) for k in keys if node.get(k) is not None), None)
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []


def _first(node: Mapping[str, Any], *keys: str) -> Any:
    return next((node[k] for k in keys if node.get(k) not in (None, "")), None)


def _number(value: Any) -> Any:
    try:
        return int(value)
    except (TypeError, ValueError):
        return value


def _id(value: Any) -> str | None:
    """Ids as lower-case hex; some exporters write the bytes as base64. An id of zeros is none."""
    if not isinstance(value, str) or not value.strip():
        return None
    text = value.strip().removeprefix("0x")
    if _HEX.fullmatch(text):
        return text.lower() if text.strip("0") else None
    if len(text) in (12, 24) and text.endswith("="):
        try:
            return base64.b64decode(text, validate=True).hex()
        except (ValueError, binascii.Error):
            return text
    return text
