"""Dialogflow CX: conversations with their interactions, BigQuery rows of one turn each, single intent answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from advisor.exchange import Feedback, Message, Passage, ToolCall
from advisor.logs.dialects.conversation import Said, calls, nothing, verdict
from advisor.logs.dialects.messages import as_text, dumps, to_time, unwrap
from advisor.logs.feedback import feedback
from advisor.logs.records import Call, Note, Skip

_RATINGS = {"THUMBS_UP": 1, "THUMBS_DOWN": -1, "1": 1, "2": -1}
_MISSES = ("NO_MATCH", "NO_INPUT", "5", "6")


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a conversation, a row of one turn, or an answer to a detected intent."""
    if isinstance(record.get("interactions"), list):
        return any(
            isinstance(i, Mapping) and bool(_keys(i) & _TURN_KEYS) for i in record["interactions"][:3]
        ) or ("metrics" in record and not record["interactions"])
    if isinstance(unwrap(_get(record, "queryResult")), Mapping):
        return True
    return "conversation_name" in record and (
        "turn_position" in record or {"request", "response"} <= set(record)
    )


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield a call a turn."""
    found = False
    for call in _calls(record, line):
        found = True
        yield call
    if not found:
        yield nothing(record, line, "a conversation without a turn in it")


def _calls(record: Mapping[str, Any], line: int) -> Iterator[Call]:
    if isinstance(record.get("interactions"), list):
        turns = [t for t in record["interactions"] if isinstance(t, Mapping)]
        # Their order is not promised; a turn without a time keeps its place behind those with one.
        turns.sort(key=lambda turn: to_time(_get(turn, "createTime")) or float("inf"))
        said = [part for turn in turns for part in _said(turn)]
        yield from calls(said, line=line, shared=_shared(record))
        return
    turn = record if "conversation_name" in record else {"response": record}
    shared = {"conversation_id": as_text(record.get("conversation_name")) or _session(turn)}
    yield from calls(_said(turn), line=line, shared=shared)


def _said(turn: Mapping[str, Any]) -> Iterator[Said]:
    """The messages of one turn."""
    request, response = (_mapping(turn.get(k)) for k in ("request", "response"))
    result = _mapping(_get(response, "queryResult"))
    asked = as_text(_get(turn, "requestUtterances")) or _asked(request, result)
    if asked.strip():
        yield Said(message=Message(role="user", content=asked))
    yield from _steps(result)
    text = as_text(_get(turn, "responseUtterances")) or "\n".join(_texts(result))
    parts: dict[str, Any] = {
        "time": to_time(_get(turn, "createTime") or _get(turn, "requestTime")),
        "ids": tuple(i for i in (as_text(_get(response, "responseId")),) if i),
        "feedback": tuple(_scores(turn, result)),
        "passages": _passages(result),
    }
    if asked.strip() or text.strip():
        told = {k: v for k, v in parts.items() if v is not None and (v != () or k == "passages")}
        yield Said(message=Message(role="assistant", content=text), parts=told)


def _asked(request: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    for key in ("text", "transcript", "queryText"):
        if isinstance(_get(result, key), str) and _get(result, key):
            return str(_get(result, key))
    given = _mapping(_get(request, "queryInput"))
    return as_text(_mapping(given.get("text")).get("text"))


def _texts(result: Mapping[str, Any]) -> Iterator[str]:
    listed = _get(result, "responseMessages") or _get(result, "fulfillmentMessages")
    found = False
    for item in listed if isinstance(listed, list) else ():
        inner = item.get("text") if isinstance(item, Mapping) else None
        lines = inner.get("text") if isinstance(inner, Mapping) else None
        for text in lines if isinstance(lines, list) else [lines]:
            if isinstance(text, str) and text:
                found = True
                yield text
    if not found and isinstance(_get(result, "fulfillmentText"), str):
        yield _get(result, "fulfillmentText")


def _steps(result: Mapping[str, Any]) -> Iterator[Said]:
    """The tools a playbook used, and the webhooks that failed."""
    tracing = _mapping(_get(_mapping(_get(result, "generativeInfo")), "actionTracingInfo"))
    actions = tracing.get("actions")
    for number, action in enumerate(actions if isinstance(actions, list) else ()):
        used = _mapping(_get(action, "toolUse")) if isinstance(action, Mapping) else {}
        if used:
            name = as_text(used.get("action")) or as_text(used.get("tool")).rsplit("/", 1)[-1]
            yield from _step(
                ToolCall(
                    name=name, arguments=dumps(_get(used, "inputActionParameters") or {}), id=f"tool-{number}"
                ),
                as_text(_get(used, "outputActionParameters")),
            )
    names, statuses = _get(result, "webhookDisplayNames"), _get(result, "webhookStatuses")
    for number, status in enumerate(statuses if isinstance(statuses, list) else ()):
        if isinstance(status, Mapping) and status.get("code") not in (None, 0, "0", "OK"):
            name = names[number] if isinstance(names, list) and number < len(names) else "webhook"
            call = ToolCall(name=as_text(name), arguments="{}", id=f"webhook-{number}")
            yield from _step(call, as_text(status.get("message")) or dumps(status), error=True)


def _step(call: ToolCall, answer: str, *, error: bool = False) -> Iterator[Said]:
    yield Said(message=Message(role="assistant", tool_calls=(call,)))
    yield Said(
        message=Message(role="tool", content=answer, tool_call_id=call.id, name=call.name, error=error)
    )


def _scores(turn: Mapping[str, Any], result: Mapping[str, Any]) -> Iterator[Feedback]:
    given = _mapping(_get(turn, "answerFeedback") or _get(turn, "botAnswerFeedback"))
    rating = as_text(given.get("rating"))
    reason = _mapping(_get(given, "ratingReason"))
    labels = _get(reason, "reasonLabels")
    comment = "; ".join(
        t
        for t in (
            *(map(as_text, labels) if isinstance(labels, list) else ()),
            as_text(reason.get("feedback")),
        )
        if t
    )
    if rating in _RATINGS:
        yield replace(feedback("answer_feedback", rating, comment=comment), polarity=_RATINGS[rating])
    elif comment:
        yield feedback("answer_feedback", None, comment=comment)
    custom = as_text(_get(given, "customRating"))
    if custom:
        yield feedback("custom_rating", custom)
    kind = as_text(_get(_mapping(result.get("match")), "matchType"))
    if kind in _MISSES:
        yield verdict("match", "NO_INPUT" if kind in ("NO_INPUT", "6") else "NO_MATCH", polarity=-1)
    yield from _withheld(_mapping(_get(result, "dataStoreConnectionSignals")))


def _withheld(signals: Mapping[str, Any]) -> Iterator[Feedback]:
    for name in ("groundingSignals", "safetySignals"):
        decision = as_text(_get(_mapping(_get(signals, name)), "decision"))
        if decision.startswith("REJECTED"):
            yield verdict(name, decision, polarity=-1)


def _passages(result: Mapping[str, Any]) -> tuple[Passage, ...] | None:
    """The snippets a data store was searched for; None if none was asked."""
    signals = _mapping(_get(result, "dataStoreConnectionSignals"))
    snippets = _get(signals, "searchSnippets")
    if not isinstance(snippets, list):
        return None
    return tuple(
        Passage(
            text=as_text(s.get("text")), title=as_text(_get(s, "documentTitle")) or None,
            uri=as_text(_get(s, "documentUri")) or None,
        )
        for s in snippets if isinstance(s, Mapping) and as_text(s.get("text"))
    )  # fmt: skip


def _shared(record: Mapping[str, Any]) -> dict[str, Any]:
    metrics = _mapping(record.get("metrics"))
    handed = _get(metrics, "hasLiveAgentHandoff") is True
    given = replace(verdict("handoff", "live agent", polarity=-1), target="conversation")
    return {
        "conversation_id": as_text(record.get("name")) or as_text(record.get("conversation_name")) or None,
        "time": to_time(_get(record, "startTime")),
        "feedback": (given,) if handed else (),
    }


def _session(turn: Mapping[str, Any]) -> str | None:
    return as_text(_mapping(turn.get("request")).get("session")) or None


def _mapping(value: Any) -> Mapping[str, Any]:
    value = unwrap(value)
    return value if isinstance(value, Mapping) else {}


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def _get(record: Mapping[str, Any], name: str) -> Any:
    """A field under its JSON name or its proto name."""
    return record[name] if name in record else record.get(_snake(name))


def _keys(turn: Mapping[str, Any]) -> set[str]:
    return set(map(str, turn))


_TURN_KEYS = {
    n
    for name in ("requestUtterances", "responseUtterances", "createTime", "request", "response")
    for n in (name, _snake(name))
}
