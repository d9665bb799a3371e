"""MLflow traces with their assessments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from advisor.exchange import Feedback, FeedbackSource
from advisor.logs.dialects.loose import answered, asked
from advisor.logs.dialects.messages import as_text, to_float, to_passages, to_time, to_tools, unwrap
from advisor.logs.dialects.spans import Span, span_of
from advisor.logs.feedback import feedback
from advisor.logs.records import Call, Note, Skip

_MODEL_CALLS = frozenset({"CHAT_MODEL", "LLM"})
_SILENT = frozenset({"TOOL", "EMBEDDING", "PARSER", "RERANKER", "EVALUATOR", "GUARDRAIL"})
_SOURCES: dict[str, FeedbackSource] = {"HUMAN": "user", "LLM_JUDGE": "llm_judge", "CODE": "code"}


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a trace, or a row of the table that a search gives."""
    info = record.get("info")
    if isinstance(info, Mapping) and ("trace_id" in info or "request_id" in info):
        return True
    return "trace_id" in record and "spans" in record and ("assessments" in record or "request" in record)


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the calls of a trace and what was said of it."""
    info = unwrap(record.get("info"))
    info = info if isinstance(info, Mapping) else record
    data = unwrap(record.get("data"))
    raw = unwrap(data.get("spans")) if isinstance(data, Mapping) else unwrap(record.get("spans"))
    key = str(info.get("trace_id") or info.get("request_id") or "")
    found: list[Call | Note | Skip] = []
    for item in raw if isinstance(raw, list) else []:
        inner = unwrap(item)
        if isinstance(inner, Mapping):
            found.extend(_span(span_of(inner), key, line))
    found.extend(_whole(info, key, line))
    yield from found or [Skip(file="", line=line, reason="a trace without words")]


def _span(span: Span, key: str, line: int) -> Iterator[Call | Note]:
    said = {name.removeprefix("mlflow."): unwrap(value) for name, value in span.attributes.items()}
    kind = str(said.get("spanType") or "").upper()
    if kind == "RETRIEVER":
        yield Note(
            line=line,
            ids=tuple(i for i in (span.span_id, key) if i),
            parts={"passages": to_passages(said.get("spanOutputs")) or ()},
        )
        return
    if kind in _SILENT:
        return
    messages, reply = asked(said.get("spanInputs")), answered(said.get("spanOutputs"))
    if reply is None and not messages:
        return
    inputs = said.get("spanInputs")
    usage = said.get("chat.tokenUsage")
    usage = usage if isinstance(usage, Mapping) else {}
    yield Call(
        line=line, messages=messages, reply=reply, trace_id=key, span_id=span.span_id, parent_id=span.parent_id, time=span.start,
        error=span.error if reply is None else None, wrapper=kind not in _MODEL_CALLS,
        tools=to_tools(said.get("chat.tools") or (inputs.get("tools") if isinstance(inputs, Mapping) else None)),
        model=as_text(said.get("llm.model") or (inputs.get("model") if isinstance(inputs, Mapping) else None)) or None,
        input_tokens=usage.get("input_tokens"), output_tokens=usage.get("output_tokens"),
        latency=span.end - span.start if span.start is not None and span.end is not None else None,
    )  # fmt: skip


def _whole(info: Mapping[str, Any], key: str, line: int) -> Iterator[Call | Note]:
    meta = unwrap(info.get("trace_metadata") or info.get("request_metadata"))
    meta = meta if isinstance(meta, Mapping) else {}
    who = {"conversation_id": meta.get("mlflow.trace.session"), "user": meta.get("mlflow.trace.user")}
    shared: dict[str, Any] = {k: str(v) for k, v in who.items() if v}
    messages = asked(info.get("request") or meta.get("mlflow.traceInputs") or info.get("request_preview"))
    reply = answered(info.get("response") or meta.get("mlflow.traceOutputs") or info.get("response_preview"))
    failed = str(info.get("state") or info.get("status") or "").endswith("ERROR")
    if messages or reply is not None:
        took = to_float(info.get("execution_duration_ms") or info.get("execution_time_ms"))
        yield Call(
            line=line, messages=messages, reply=reply, trace_id=key, ids=(key,), wrapper=True, error="error" if failed and reply is None else None,
            time=to_time(info.get("request_time") or info.get("timestamp_ms")), latency=took / 1000 if took is not None else None, **shared,
        )  # fmt: skip
    given, expected = [], None
    assessments = unwrap(info.get("assessments"))
    for item in assessments if isinstance(assessments, list) else []:
        if isinstance(item, Mapping) and isinstance(item.get("expectation"), Mapping):
            expected = as_text(item["expectation"].get("value")) or expected
        elif isinstance(item, Mapping) and item.get("valid", True):
            given.append(_score(item))
    parts: dict[str, Any] = {
        **shared,
        **({"feedback": tuple(given)} if given else {}),
        **({"expected": expected} if expected else {}),
    }
    if parts:
        yield Note(line=line, ids=(key,), parts=parts)


def _score(item: Mapping[str, Any]) -> Feedback:
    inner, source = item.get("feedback"), item.get("source")
    value = inner.get("value") if isinstance(inner, Mapping) else None
    kind = str(source.get("source_type") or "HUMAN") if isinstance(source, Mapping) else "HUMAN"
    name = str(item.get("assessment_name") or item.get("name") or "assessment")
    return feedback(name, value, comment=item.get("rationale"), source=_SOURCES.get(kind, "user"))
