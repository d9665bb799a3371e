"""Chainlit and Literal AI threads: messages, retrievals and tool runs as steps, with thumbs and scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from advisor.exchange import Feedback, FeedbackSource, Message, ToolCall
from advisor.logs.dialects.beside import first
from advisor.logs.dialects.conversation import Said, calls, nothing
from advisor.logs.dialects.messages import (
    as_text,
    dumps,
    to_float,
    to_int,
    to_messages,
    to_passages,
    to_time,
    to_tools,
    unwrap,
)
from advisor.logs.feedback import feedback
from advisor.logs.records import Call, Note, Skip

_TYPES = (
    "user_message", "assistant_message", "system_message", "retrieval", "rerank", "embedding", "tool", "llm", "run", "undefined",
)  # fmt: skip
_OWNERS = ("userIdentifier", "participant", "participantId", "userId", "threadId", "createdAt")
_TENANTS = ("tenant", "tenant_id", "org", "organization", "workspace")
_SOURCES: dict[str, FeedbackSource] = {"HUMAN": "user", "AI": "llm_judge", "CODE": "code"}


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a thread with steps."""
    steps = unwrap(record.get("steps"))
    if not isinstance(steps, list) or not any(key in record for key in _OWNERS):
        return False
    return not steps or any(isinstance(s, Mapping) and s.get("type") in _TYPES for s in steps[:50])


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield a call for each reply of one thread."""
    steps = [s for s in unwrap(record["steps"]) if isinstance(s, Mapping)]
    if all(_time(s) is not None for s in steps):
        steps.sort(key=lambda s: _time(s) or 0.0)
    found = False
    for call in calls(_said(steps), line=line, shared=_shared(record)):
        found = True
        yield call
    if not found:
        yield nothing(record, line, "a thread without a reply in it")


def _said(steps: list[Mapping[str, Any]]) -> Iterator[Said]:
    yield from _instructions(steps)
    asked = False
    for step in steps:
        kind = step.get("type")
        asked = asked or kind == "user_message"
        if kind in ("user_message", "assistant_message", "system_message"):
            yield from _spoken(step, str(kind))
        elif kind == "retrieval":
            yield Said(parts={"passages": to_passages(_value(step.get("output"))) or ()})
        elif kind == "tool" and asked:
            yield from _tool(step)
        elif kind == "llm":
            yield Said(parts=_generated(step))


def _spoken(step: Mapping[str, Any], kind: str) -> Iterator[Said]:
    # A person's words stand in `output` like the bot's; older versions kept them in `input`.
    text = _words(step.get("output")) or (_words(step.get("input")) if kind == "user_message" else "")
    if kind == "user_message":
        if text.strip():
            yield Said(message=Message(role="user", content=text))
        return
    failed = _true(step.get("isError"))
    if kind == "system_message" and not failed:
        # Chainlit's system messages are notices to the person, not instructions to the model.
        return
    parts = {**_generated(step), "time": _time(step), "ids": _ids(step), "feedback": tuple(_scores(step))}
    if failed:
        parts["error"] = text or "error"
    yield Said(
        message=Message(role="assistant", content=text),
        parts={k: v for k, v in parts.items() if v not in (None, ())},
    )


def _words(value: Any) -> str:
    inner = _value(value)
    return as_text(inner) if isinstance(inner, Mapping | list) else as_text(value)


def _value(value: Any) -> Any:
    """What a step holds: SQLite keeps objects as their JSON text."""
    inner = unwrap(value)
    return inner if isinstance(inner, Mapping | list) else value


def _tool(step: Mapping[str, Any]) -> Iterator[Said]:
    given = _value(step.get("input"))
    text = given if isinstance(given, str) else dumps(given if given is not None else {})
    name = as_text(step.get("name")) or "tool"
    call = ToolCall(name=name, arguments=text or "{}", id=as_text(step.get("id")) or None)
    failed = _true(step.get("isError")) or bool(step.get("error"))
    yield Said(message=Message(role="assistant", tool_calls=(call,)))
    answer = _words(step.get("output")) or as_text(step.get("error"))
    yield Said(message=Message(role="tool", content=answer, tool_call_id=call.id, name=name, error=failed))


def _generated(step: Mapping[str, Any]) -> dict[str, Any]:
    """What the log says of the model call behind a reply."""
    made = unwrap(step.get("generation"))
    if not isinstance(made, Mapping) or not made:
        return {}
    found = {
        "model": first(made, ("model",)),
        "input_tokens": to_int(made.get("inputTokenCount")),
        "output_tokens": to_int(made.get("outputTokenCount")),
        "latency": to_float(made.get("duration")),
        "tools": to_tools(made.get("tools")),
        "error": as_text(made.get("error")) or None,
    }
    return {k: v for k, v in found.items() if v not in (None, ())}


def _scores(step: Mapping[str, Any]) -> Iterator[Feedback]:
    thumb = unwrap(step.get("feedback"))
    if isinstance(thumb, Mapping) and thumb.get("value") is not None:
        yield _thumb(thumb)
    scored = unwrap(step.get("scores"))
    for score in scored if isinstance(scored, list) else ():
        if isinstance(score, Mapping) and score.get("value") is not None:
            name = first(score, ("name",)) or "score"
            label = score.get("label") if isinstance(score.get("label"), str) and score["label"] else None
            source = _SOURCES.get(str(score.get("type") or "HUMAN").upper(), "user")
            yield feedback(
                name, score["value"], label=label, comment=as_text(score.get("comment")), source=source
            )


def _thumb(thumb: Mapping[str, Any]) -> Feedback:
    """A thumb is 1 up and 0 down; versions before 1.0 wrote -1 for down and 0 for neither."""
    value = to_float(thumb["value"])
    given = feedback("thumbs", thumb["value"], comment=as_text(thumb.get("comment")))
    if value is None:
        return given
    return replace(given, polarity=1 if value > 0 else -1)


def _shared(record: Mapping[str, Any]) -> dict[str, Any]:
    meta = unwrap(record.get("metadata"))
    meta = meta if isinstance(meta, Mapping) else {}
    owner = record.get("participant")
    owner = owner if isinstance(owner, Mapping) else record
    return {
        "conversation_id": first(record, ("id", "threadId")),
        "tenant": first(record, _TENANTS) or first(meta, _TENANTS),
        "user": first(owner, ("userIdentifier", "identifier", "participantId", "userId")),
        "time": to_time(record.get("createdAt")),
    }


def _ids(step: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(i for i in (first(step, ("id",)),) if i)


def _time(step: Mapping[str, Any]) -> float | None:
    return next(
        (t for t in (to_time(step.get(k)) for k in ("start", "startTime", "createdAt")) if t is not None),
        None,
    )


def _true(value: Any) -> bool:
    return value in (True, 1, "1", "true", "True")


def _instructions(steps: list[Mapping[str, Any]]) -> Iterator[Said]:
    """What the first model call of the thread that was logged with its messages was told to be."""
    for step in steps:
        made = unwrap(step.get("generation"))
        given = to_messages(made.get("messages")) if isinstance(made, Mapping) else ()
        if given:
            yield from (Said(message=m) for m in given if m.role == "system")
            return
