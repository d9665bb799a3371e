"""Rasa trackers, and tracker stores that keep one event a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from advisor.exchange import Message
from advisor.logs.dialects.beside import first
from advisor.logs.dialects.conversation import Said, calls, nothing, verdict
from advisor.logs.dialects.messages import as_text, to_time, unwrap
from advisor.logs.records import Call, Note, Skip

_EVENTS = (
    "user", "bot", "action", "slot", "session_started", "restart", "rewind", "undo", "pause", "resume", "followup", "export", "reminder",
    "cancel_reminder", "agent", "entities", "user_featurization", "active_loop", "loop_interrupted", "action_execution_rejected",
    "reset_slots", "form", "form_validation",
)  # fmt: skip
_FALLBACKS = ("action_default_fallback", "action_two_stage_fallback", "action_default_ask_rephrase")
_FALLBACK_INTENTS = ("nlu_fallback", "out_of_scope")
_BOUNDS = ("session_started", "restart")


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a tracker or a single event of one."""
    if "sender_id" not in record:
        return False
    return isinstance(unwrap(record.get("events")), list) or _event_of(record) is not None


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the calls of one tracker, or of one event."""
    events = unwrap(record.get("events"))
    if not isinstance(events, list):
        yield _single(record, line)
        return
    events = [e for e in events if isinstance(e, Mapping)]
    found = False
    for number, session in enumerate(_sessions(events)):
        for call in calls(_said(session), line=line, shared=_shared(record, session, number)):
            found = True
            yield call
    if not found:
        yield nothing(record, line, "a tracker without a reply in it")


def _event_of(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The event of a row: the row itself, or its `data` column."""
    inner = unwrap(record.get("data"))
    event = inner if isinstance(inner, Mapping) and "event" in inner else record
    kind = event.get("event", record.get("type_name"))
    return event if isinstance(kind, str) and kind in _EVENTS else None


def _single(record: Mapping[str, Any], line: int) -> Call | Skip:
    event = _event_of(record) or {}
    message = _message(event)
    if message is None:
        return nothing(record, line, f"a tracker event without words: {event.get('event')}")
    shared: dict[str, Any] = {
        "conversation_id": first(record, ("sender_id",)),
        "time": to_time(event.get("timestamp", record.get("timestamp"))),
        "ids": _ids(event),
    }
    # One event a row: the assembler strings the rows of a sender together in the order of their times.
    if message.role == "user":
        return Call(line=line, messages=(message,), **shared)
    return Call(line=line, reply=message, **shared)


def _sessions(events: list[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """A tracker holds all that one sender ever said; what follows a new session answers nothing before it."""
    session: list[Mapping[str, Any]] = []
    for event in events:
        if event.get("event") in _BOUNDS and any(e.get("event") == "user" for e in session):
            yield session
            session = []
        session.append(event)
    yield session


def _said(events: list[Mapping[str, Any]]) -> Iterator[Said]:
    named = not any(e.get("event") == "bot" for e in events)
    for event in events:
        kind = event.get("event")
        message = _message(event) or (_uttered(event) if named else None)
        parts: dict[str, Any] = {}
        trouble = _trouble(event)
        if trouble:
            parts["feedback"] = (verdict("fallback", trouble, polarity=-1),)
        if message is not None and kind in ("bot", "action"):
            parts["time"] = to_time(event.get("timestamp"))
            parts["ids"] = _ids(event)
        if message is not None or parts:
            yield Said(message=message, parts={k: v for k, v in parts.items() if v not in (None, ())})


def _message(event: Mapping[str, Any]) -> Message | None:
    if event.get("event") == "user":
        text = as_text(event.get("text"))
        return Message(role="user", content=text) if text.strip() else None
    if event.get("event") != "bot":
        return None
    text = as_text(event.get("text"))
    if not text.strip():
        text = _shown(unwrap(event.get("data")))
    return Message(role="assistant", content=text) if text.strip() else None


def _shown(data: Any) -> str:
    """What a bubble without text shows: the titles of its buttons, or its own payload."""
    if not isinstance(data, Mapping):
        return ""
    for key in ("buttons", "quick_replies"):
        shown = data.get(key)
        if isinstance(shown, list) and shown:
            return "\n".join(as_text(b.get("title")) for b in shown if isinstance(b, Mapping))
    return next((as_text(data[k]) for k in ("custom", "attachment", "image", "elements") if data.get(k)), "")


def _uttered(event: Mapping[str, Any]) -> Message | None:
    """Without bot events the name of the response is all that is left of the reply."""
    name = event.get("name")
    if event.get("event") != "action":
        return None
    if isinstance(event.get("action_text"), str) and event["action_text"].strip():
        return Message(role="assistant", content=event["action_text"])
    return (
        Message(role="assistant", content=name)
        if isinstance(name, str) and name.startswith("utter_")
        else None
    )


def _trouble(event: Mapping[str, Any]) -> str:
    """How the bot itself says that it did not understand, empty if it does not."""
    if event.get("event") == "action":
        name = event.get("name")
        return name if name in _FALLBACKS else ""
    parsed = event.get("parse_data")
    intent = parsed.get("intent") if event.get("event") == "user" and isinstance(parsed, Mapping) else None
    name = intent.get("name") if isinstance(intent, Mapping) else None
    return name if name in _FALLBACK_INTENTS else ""


def _ids(event: Mapping[str, Any]) -> tuple[str, ...]:
    meta = event.get("metadata") if isinstance(event.get("metadata"), Mapping) else {}
    found = (
        event.get("message_id"),
        *(meta.get(k) for k in ("message_id", "id") if isinstance(meta, Mapping)),
    )
    return tuple(
        dict.fromkeys(str(i) for i in found if isinstance(i, str | int) and i not in ("", True, False))
    )


def _shared(record: Mapping[str, Any], session: list[Mapping[str, Any]], number: int) -> dict[str, Any]:
    sender = first(record, ("sender_id",))
    shared: dict[str, Any] = {
        "conversation_id": f"{sender}#{number + 1}" if sender and number else sender,
        "user": sender,
        "time": next((t for t in (to_time(e.get("timestamp")) for e in session) if t is not None), None),
    }
    # Pausing a tracker is how a Rasa bot hands the person over to a colleague.
    if any(e.get("event") == "pause" for e in session):
        shared["feedback"] = (replace(verdict("handoff", "pause", polarity=-1), target="conversation"),)
    return shared
