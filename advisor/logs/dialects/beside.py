"""What operators log beside a call: passages, feedback, the right answer, ids. Shared by the request/response dialects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from advisor.exchange import Feedback, Passage
from advisor.logs.dialects.messages import as_text, to_float, to_passages, to_time, unwrap
from advisor.logs.feedback import feedback

_PASSAGES = (
    "retrieved_contexts",
    "contexts",
    "context",
    "retrieved_documents",
    "documents",
    "sources",
    "passages",
    "chunks",
    "retrieved",
    "search_results",
)
_EXPECTED = (
    "expected",
    "expected_output",
    "expected_answer",
    "reference",
    "ground_truth",
    "correction",
    "corrected",
    "correct_answer",
    "ideal",
    "truth",
    "gold",
)
_SCORES = (
    "feedback",
    "rating",
    "score",
    "scores",
    "thumbs",
    "vote",
    "stars",
    "csat",
    "evaluation",
    "annotations",
)
_IDS = (
    "id",
    "request_id",
    "response_id",
    "message_id",
    "custom_id",
    "run_id",
    "trace_id",
    "uuid",
    "litellm_call_id",
    "completion_id",
)
_THREADS = (
    "conversation_id",
    "session_id",
    "thread_id",
    "chat_id",
    "conversationId",
    "sessionId",
    "threadId",
)
_TENANTS = (
    "tenant",
    "tenant_id",
    "org",
    "org_id",
    "organization",
    "customer",
    "account",
    "client_id",
    "workspace",
)
_USERS = ("user", "user_id", "userId", "end_user", "safety_identifier")
_TIMES = ("timestamp", "time", "created_at", "created", "start_time", "date", "ts")
_PLAIN = (str, int, float)
_FIELD = {
    key: name
    for name, keys in (
        ("ids", _IDS), ("conversation_id", _THREADS), ("tenant", _TENANTS), ("user", _USERS), ("time", _TIMES), ("expected", _EXPECTED),
        ("passages", _PASSAGES), ("feedback", (*_SCORES, "comment")), ("latency", ("latency",)), ("cost", ("cost", "cost_usd")),
    )
    for key in keys
}  # fmt: skip
_IN_METADATA = ("conversation_id", "tenant", "user")


def fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Call` that stand beside the call in its record."""
    # One walk over the few keys that are there spares a look for each of the many that might be.
    named = {_FIELD[key] for key in record if key in _FIELD}
    meta = unwrap(record["metadata"]) if "metadata" in record else None
    meta = meta if isinstance(meta, Mapping) else {}
    if meta:
        named.update(_IN_METADATA)
    found: dict[str, Any] = {}
    for name in named:
        value = _READ[name](record, meta)
        if value not in (None, (), "") or (name == "passages" and value == ()):
            found[name] = value
    return found


def first(record: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    """Return the first of the keys that holds a plain value, as text."""
    for key in keys:
        if key in record:
            value = record[key]
            if isinstance(value, _PLAIN) and not isinstance(value, bool) and value != "":
                return str(value)
    return None


def ids(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return every id of the record, each once."""
    return tuple(
        dict.fromkeys(
            str(record[k])
            for k in _IDS
            if k in record and isinstance(record[k], str | int) and record[k] not in ("", True, False)
        )
    )


def expected(record: Mapping[str, Any]) -> str | None:
    """Return the right answer that stands beside the call."""
    for key in _EXPECTED:
        if key in record and record[key] not in (None, "", [], {}):
            return as_text(record[key]) or None
    return None


def passages(record: Mapping[str, Any]) -> tuple[Passage, ...] | None:
    """Return the passages that stand beside the call; None if the log says nothing of them."""
    for key in _PASSAGES:
        if key in record and record[key] is not None:
            return to_passages(record[key])
    return None


def scores(record: Mapping[str, Any]) -> tuple[Feedback, ...]:
    """Return the feedback that stands beside the call, in any of the usual forms."""
    found: list[Feedback] = []
    for key in _SCORES:
        if key not in record:
            continue
        value = unwrap(record.get(key))
        if isinstance(value, Mapping):
            found.extend(_of_mapping(key, value))
        elif isinstance(value, list):
            for item in value:
                found.extend(_of_mapping(key, item) if isinstance(item, Mapping) else ())
        elif value not in (None, ""):
            found.append(feedback(key, value))
    comment = record.get("comment")
    if isinstance(comment, str) and comment and not any(f.comment for f in found):
        found.append(feedback("comment", None, comment=comment))
    return tuple(found)


def _of_mapping(key: str, value: Mapping[str, Any]) -> list[Feedback]:
    name = next(
        (str(value[k]) for k in ("name", "key", "metric", "type") if isinstance(value.get(k), str)), key
    )
    comment = as_text(
        next(
            (
                value[k]
                for k in ("comment", "text", "explanation", "reason", "rationale", "remark")
                if value.get(k)
            ),
            "",
        )
    )
    for score in ("rating", "score", "value", "thumb", "thumbs", "vote", "label"):
        if value.get(score) not in (None, ""):
            label = value.get("label") if isinstance(value.get("label"), str) else None
            return [
                feedback(
                    name
                    if name != key or score in ("value", "label")
                    else score
                    if score != "score"
                    else key,
                    value[score],
                    label=label,
                    comment=comment,
                )
            ]
    if comment:
        return [feedback(name, None, comment=comment)]
    return [feedback(str(k), v) for k, v in value.items() if isinstance(v, str | int | float | bool)]


def _time(record: Mapping[str, Any]) -> float | None:
    return next((t for t in (to_time(record[k]) for k in _TIMES if k in record) if t is not None), None)


_READ: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Any]] = {
    "ids": lambda record, meta: ids(record),
    "conversation_id": lambda record, meta: first(record, _THREADS) or first(meta, _THREADS),
    "tenant": lambda record, meta: first(record, _TENANTS) or first(meta, _TENANTS),
    "user": lambda record, meta: first(record, _USERS) or first(meta, _USERS),
    "time": lambda record, meta: _time(record),
    "expected": lambda record, meta: expected(record),
    "passages": lambda record, meta: passages(record),
    "feedback": lambda record, meta: scores(record),
    "latency": lambda record, meta: to_float(record.get("latency")),
    "cost": lambda record, meta: to_float(record.get("cost", record.get("cost_usd"))),
}
