"""Langfuse: trace downloads, batch and blob exports of traces, observations and scores, and pages of the API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from advisor.exchange import Feedback, FeedbackSource
from advisor.logs.dialects.loose import answered, asked
from advisor.logs.dialects.messages import as_text, to_float, to_int, to_passages, to_time, to_tools, unwrap
from advisor.logs.feedback import feedback
from advisor.logs.records import Call, Note, Skip

_GENERATION = frozenset({"GENERATION", "LLM"})
_SILENT = frozenset({"TOOL", "EVENT", "EMBEDDING", "EVALUATOR", "GUARDRAIL", "RETRIEVER"})
_SOURCES: dict[str, FeedbackSource] = {"ANNOTATION": "annotator", "EVAL": "llm_judge", "API": "user"}


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a trace with its observations, or a row of one of the exported tables."""
    if isinstance(record.get("trace"), Mapping) and "observations" in record:
        return True
    if (
        _get(record, "traceId", "trace_id")
        and ("dataType" in record or "data_type" in record)
        and "value" in record
    ):
        return True
    if (
        _get(record, "traceId", "trace_id")
        and "type" in record
        and ("startTime" in record or "start_time" in record)
        and "level" in record
    ):
        return True
    return "bookmarked" in record and ("projectId" in record or "project_id" in record) and "input" in record


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the calls and notes of one record."""
    trace = record.get("trace")
    if isinstance(trace, Mapping):
        observations = unwrap(record.get("observations")) or trace.get("observations")
        yield from _trace(trace, observations if isinstance(observations, list) else [], line)
    elif "value" in record and ("dataType" in record or "data_type" in record):
        yield from _score_row(record, line)
    elif "level" in record:
        found: list[Call | Note | Skip] = list(_observation(record, line))
        yield from found or [Skip(file="", line=line, reason=f"a step without words ({record.get('type')})")]
    else:
        yield from _trace(record, [], line)


def _get(record: Mapping[str, Any], *names: str) -> Any:
    return next((record[n] for n in names if record.get(n) not in (None, "")), None)


def _trace(trace: Mapping[str, Any], observations: list[Any], line: int) -> Iterator[Call | Note]:
    key = str(trace.get("id") or "")
    steps = [o for o in map(unwrap, observations) if isinstance(o, Mapping)]
    for step in steps:
        yield from _observation({"traceId": key, **step}, line)
    messages, reply = asked(trace.get("input")), answered(trace.get("output"))
    shared = _session(trace)
    expected = _corrected(trace)
    given = tuple(f for f in (_score(s) for s in _listed(trace.get("scores"))) if f is not None)
    if reply is not None or messages:
        yield Call(
            line=line,
            messages=messages,
            reply=reply,
            trace_id=key,
            ids=(key,),
            wrapper=True,
            time=to_time(trace.get("timestamp")),
            **shared,
        )
    parts: dict[str, Any] = {
        **shared,
        **({"feedback": given} if given else {}),
        **({"expected": expected} if expected else {}),
    }
    if parts:
        yield Note(line=line, ids=(key,), parts=parts)


def _session(record: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "conversation_id": _get(record, "sessionId", "session_id"),
        "user": _get(record, "userId", "user_id"),
    }
    return {k: str(v) for k, v in found.items() if v is not None}


def _observation(step: Mapping[str, Any], line: int) -> Iterator[Call | Note]:
    kind = str(step.get("type") or "SPAN").upper()
    key, trace = str(_get(step, "id") or ""), _get(step, "traceId", "trace_id")
    if kind == "RETRIEVER":
        passages = to_passages(unwrap(step.get("output")))
        yield Note(
            line=line, ids=tuple(str(i) for i in (key, trace) if i), parts={"passages": passages or ()}
        )
        return
    error = (
        as_text(_get(step, "statusMessage", "status_message")) or "error"
        if step.get("level") == "ERROR"
        else None
    )
    if kind in _SILENT:
        return
    messages, reply = asked(step.get("input")), answered(step.get("output"))
    if reply is None and not messages and not (error and kind in _GENERATION):
        return
    yield Call(
        line=line, messages=messages, reply=reply, trace_id=str(trace) if trace else None, span_id=key or None,
        parent_id=_get(step, "parentObservationId", "parent_observation_id"), error=error if reply is None else None,
        wrapper=kind not in _GENERATION, **_measured(step), **_session(step),
    )  # fmt: skip


def _measured(step: Mapping[str, Any]) -> dict[str, Any]:
    usage = unwrap(_get(step, "usageDetails", "usage_details", "usage"))
    usage = usage if isinstance(usage, Mapping) else {}
    content = unwrap(step.get("input"))
    offered = _get(step, "toolDefinitions", "tool_definitions") or (
        content.get("tools") if isinstance(content, Mapping) else None
    )
    found: dict[str, Any] = {
        "model": _get(step, "model", "providedModelName", "provided_model_name"), "time": to_time(_get(step, "startTime", "start_time")),
        "input_tokens": to_int(_get(usage, "input", "promptTokens", "prompt_tokens")), "output_tokens": to_int(_get(usage, "output", "completionTokens", "completion_tokens")),
        "latency": to_float(step.get("latency")), "cost": to_float(_get(step, "totalCost", "total_cost", "calculatedTotalCost")), "tools": _tools(offered),
    }  # fmt: skip
    return {k: v for k, v in found.items() if v not in (None, ())}


def _tools(value: Any) -> Any:
    """A list of tools, or an object from name to definition."""
    value = unwrap(value)
    if isinstance(value, Mapping):
        value = [
            {"name": k, **inner} if isinstance(inner := unwrap(v), Mapping) else {"name": k}
            for k, v in value.items()
        ]
    return to_tools(value)


def _listed(value: Any) -> list[Mapping[str, Any]]:
    value = unwrap(value)
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []


def _score(row: Mapping[str, Any]) -> Feedback | None:
    kind = str(_get(row, "dataType", "data_type") or "")
    if kind == "CORRECTION":
        return None
    label = _get(row, "stringValue", "string_value")
    value: Any = row.get("value")
    if kind == "BOOLEAN":
        value, label = str(value) in ("1", "1.0", "True", "true"), None
    return feedback(
        str(row.get("name") or "score"), value, label=str(label) if label is not None else None, comment=row.get("comment"),
        source=_SOURCES.get(str(row.get("source") or "API"), "user"),
    )  # fmt: skip


def _corrected(trace: Mapping[str, Any]) -> str | None:
    for row in (*_listed(trace.get("corrections")), *_listed(trace.get("scores"))):
        if str(_get(row, "dataType", "data_type") or "CORRECTION") == "CORRECTION":
            text = as_text(
                _get(row, "stringValue", "string_value", "longStringValue", "value", "correction", "output")
            )
            if text and text != "0":
                return text
    return None


def _score_row(record: Mapping[str, Any], line: int) -> Iterator[Note | Skip]:
    ids = tuple(
        str(i)
        for i in (
            _get(record, "observationId", "observation_id"),
            _get(record, "traceId", "trace_id"),
            _get(record, "sessionId", "session_id"),
        )
        if i
    )
    given = _score(record)
    corrected = None if given is not None else _corrected({"corrections": [record]})
    if given is not None:
        yield Note(line=line, ids=ids, parts={"feedback": (given,)})
    elif corrected:
        yield Note(line=line, ids=ids, parts={"expected": corrected})
    else:
        yield Skip(file="", line=line, reason="a correction without words")
