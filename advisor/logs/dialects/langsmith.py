"""LangSmith: runs, flat or nested, halves of an ingest batch, and feedback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from advisor.exchange import Feedback
from advisor.logs.dialects.loose import answered, asked
from advisor.logs.dialects.messages import as_text, to_float, to_int, to_passages, to_time, to_tools, unwrap
from advisor.logs.feedback import feedback
from advisor.logs.records import Call, Note, Skip

_THREADS = ("session_id", "thread_id", "conversation_id")
_SILENT = frozenset({"tool", "embedding", "parser", "prompt"})


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a run, a batch of them, or feedback on one."""
    if "run_type" in record and ("inputs" in record or "outputs" in record):
        return True
    if isinstance(record.get("post"), list) or isinstance(record.get("patch"), list):
        return any(
            "dotted_order" in r or "run_type" in r for r in (*_runs(record, "post"), *_runs(record, "patch"))
        )
    return (
        "run_id" in record
        and "key" in record
        and ("score" in record or "value" in record or "correction" in record)
    )


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the calls and notes of one record."""
    found: list[Call | Note | Skip]
    if "run_type" in record:
        found = list(_run(record, line))
    elif "run_id" in record and "key" in record:
        found = list(_feedback_row(record, line))
    else:
        found = [part for run in _whole(record) for part in _run(run, line)]
    yield from found or [Skip(file="", line=line, reason=f"a step without words ({record.get('run_type')})")]


def _runs(record: Mapping[str, Any], half: str) -> list[dict[str, Any]]:
    value = record.get(half)
    return [dict(v) for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []


def _whole(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A run is posted when it starts and patched when it ends; both halves have its id."""
    runs: dict[str, dict[str, Any]] = {}
    for half in (*_runs(record, "post"), *_runs(record, "patch")):
        known = runs.setdefault(str(half.get("id")), {})
        known.update({k: v for k, v in half.items() if v not in (None, {}, [], "")})
    return list(runs.values())


def _run(run: Mapping[str, Any], line: int) -> Iterator[Call | Note]:
    for child in run.get("child_runs") or ():
        if isinstance(child, Mapping):
            yield from _run({"trace_id": run.get("trace_id"), **child}, line)
    kind, key, trace = (
        str(run.get("run_type") or "chain").lower(),
        str(run.get("id") or ""),
        run.get("trace_id"),
    )
    trace = str(trace) if trace else None
    inputs, outputs = unwrap(run.get("inputs")), unwrap(run.get("outputs"))
    if kind == "retriever":
        yield Note(
            line=line, ids=tuple(i for i in (key, trace) if i), parts={"passages": to_passages(outputs) or ()}
        )
        return
    stats, expected = _stats(run), _reference(run)
    about = {
        **_thread(run),
        **({"feedback": stats} if stats else {}),
        **({"expected": expected} if expected else {}),
    }
    if about:
        yield Note(line=line, ids=tuple(i for i in (key, trace) if i), parts=about)
    messages, reply = asked(inputs), answered(outputs)
    if kind in _SILENT or (reply is None and not messages):
        return
    yield Call(
        line=line, messages=messages, reply=reply, trace_id=trace, span_id=key or None, parent_id=run.get("parent_run_id"), ids=(key,) if key else (),
        error=str(run["error"])[:500] if run.get("error") and reply is None else None, wrapper=kind != "llm", **_measured(run, inputs, outputs),
    )  # fmt: skip


def _metadata(run: Mapping[str, Any]) -> Mapping[str, Any]:
    extra = unwrap(run.get("extra"))
    meta = extra.get("metadata") if isinstance(extra, Mapping) else None
    return meta if isinstance(meta, Mapping) else {}


def _thread(run: Mapping[str, Any]) -> dict[str, Any]:
    """The thread is in the metadata; a run's own `session_id` is the project."""
    meta = _metadata(run)
    thread = next((meta[k] for k in _THREADS if meta.get(k)), None)
    found = {
        "conversation_id": thread,
        "user": meta.get("user_id"),
        "tenant": meta.get("tenant_id") or meta.get("tenant"),
    }
    return {k: str(v) for k, v in found.items() if v}


def _measured(run: Mapping[str, Any], inputs: Any, outputs: Any) -> dict[str, Any]:
    extra = unwrap(run.get("extra"))
    settings = extra.get("invocation_params") if isinstance(extra, Mapping) else None
    settings = settings if isinstance(settings, Mapping) else {}
    given = inputs if isinstance(inputs, Mapping) else {}
    start, end = to_time(run.get("start_time")), to_time(run.get("end_time"))
    usage = outputs.get("usage_metadata") if isinstance(outputs, Mapping) else None
    usage = usage if isinstance(usage, Mapping) else {}
    found: dict[str, Any] = {
        "model": settings.get("model") or settings.get("model_name") or given.get("model") or _metadata(run).get("ls_model_name"), "time": start,
        "latency": end - start if start is not None and end is not None else None, "tools": to_tools(settings.get("tools") or given.get("tools")),
        "input_tokens": to_int(run.get("prompt_tokens") or usage.get("input_tokens")), "output_tokens": to_int(run.get("completion_tokens") or usage.get("output_tokens")),
        "cost": to_float(run.get("total_cost")),
    }  # fmt: skip
    return {k: v for k, v in found.items() if v not in (None, ())}


def _stats(run: Mapping[str, Any]) -> tuple[Feedback, ...]:
    given = unwrap(run.get("feedback_stats"))
    found = []
    for key, stat in given.items() if isinstance(given, Mapping) else ():
        if isinstance(stat, Mapping) and stat.get("n"):
            comments = stat.get("comments")
            comment = next((c for c in comments if c), "") if isinstance(comments, list) else ""
            found.append(feedback(str(key), stat.get("avg"), comment=comment))
    return tuple(found)


def _reference(run: Mapping[str, Any]) -> str | None:
    reference = unwrap(run.get("reference_outputs") or run.get("reference_output"))
    said = answered(reference) if reference else None
    return said.content if said is not None and said.content else None


def _feedback_row(record: Mapping[str, Any], line: int) -> Iterator[Note]:
    ids = tuple(str(record[k]) for k in ("run_id", "trace_id") if record.get(k))
    parts: dict[str, Any] = {}
    if record.get("score") is not None or record.get("value") is not None or record.get("comment"):
        source = record.get("feedback_source")
        kind = source.get("type") if isinstance(source, Mapping) else None
        label = record.get("value")
        parts["feedback"] = (
            feedback(
                str(record["key"]), record.get("score"), label=label if isinstance(label, str) else None, comment=record.get("comment"),
                source="llm_judge" if kind == "model" else "user",
            ),
        )  # fmt: skip
    if record.get("correction"):
        said = answered(record["correction"])
        parts["expected"] = said.content if said is not None else as_text(record["correction"])
    if ids and parts:
        yield Note(line=line, ids=ids, parts=parts)
