"""Open WebUI: chat exports with their branches, and feedback exports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from advisor.exchange import Feedback, Message, Passage
from advisor.logs.dialects.conversation import Said, calls, nothing
from advisor.logs.dialects.messages import as_text, to_message, to_time, unwrap
from advisor.logs.records import Call, Note, Skip


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a chat or a rating."""
    if (
        record.get("type") == "rating"
        and isinstance(record.get("data"), Mapping)
        and isinstance(record.get("meta"), Mapping)
    ):
        return True
    return _history(record) is not None


def _history(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    chat = record.get("chat")
    chat = chat if isinstance(chat, Mapping) else record
    history = chat.get("history")
    return (
        history
        if isinstance(history, Mapping)
        and isinstance(history.get("messages"), Mapping)
        and "currentId" in history
        else None
    )


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the replies of a chat, or what a rating says of one."""
    if record.get("type") == "rating":
        yield from _rating(record, line)
        return
    history = _history(record) or {}
    chat = record.get("chat")
    chat = chat if isinstance(chat, Mapping) else record
    known = {str(k): v for k, v in history["messages"].items() if isinstance(v, Mapping)}
    said = [_said(m, known) for m in _active(known, str(history.get("currentId")))]
    params = chat.get("params")
    system = params.get("system") if isinstance(params, Mapping) else None
    head = [Said(message=Message(role="system", content=str(system)))] if system else []
    shared = {"conversation_id": record.get("id") or chat.get("id"), "user": record.get("user_id")}
    found: list[Call | Note | Skip] = list(
        calls([*head, *said], line=line, shared={k: str(v) for k, v in shared.items() if v})
    )
    yield from found or [nothing(record, line, "a chat without a reply")]


def _active(known: Mapping[str, Mapping[str, Any]], current: str) -> list[Mapping[str, Any]]:
    """The branch the person saw last: from the current message up to the root."""
    path: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    while current in known and current not in seen:
        seen.add(current)
        path.append(known[current])
        current = str(known[current].get("parentId"))
    return path[::-1]


def _said(message: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> Said:
    content, original = as_text(message.get("content")), message.get("originalContent")
    role = str(message.get("role") or "user")
    parts: dict[str, Any] = {"time": to_time(message.get("timestamp"))}
    if role == "assistant":
        ids = tuple(str(message[k]) for k in ("id", "feedbackId") if message.get(k))
        parts |= {
            "ids": ids,
            "model": message.get("model"),
            "passages": _sources(message),
            "alternatives": _siblings(message, known),
        }
        given = message.get("annotation")
        if isinstance(given, Mapping) and given.get("rating") is not None:
            parts["feedback"] = (_feedback(given),)
        if message.get("error"):
            parts["error"] = as_text(message["error"])[:500]
        if isinstance(original, str) and original and original != content:
            # Somebody edited the answer: what stands there now is the right one.
            parts["expected"], content = content, original
    spoken = to_message({"role": role, "content": content})
    return Said(
        message=spoken,
        parts={k: v for k, v in parts.items() if v is not None and (v != () or k == "passages")},
    )


def _siblings(message: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    above = known.get(str(message.get("parentId")), {})
    children = above.get("childrenIds")
    others = (
        [known[str(c)] for c in children if str(c) in known and c != message.get("id")]
        if isinstance(children, list)
        else []
    )
    return tuple(
        as_text(o.get("content")) for o in others if o.get("role") == "assistant" and o.get("content")
    )


def _sources(message: Mapping[str, Any]) -> tuple[Passage, ...] | None:
    found: list[Passage] = []
    sources = unwrap(message.get("sources"))
    for source in sources if isinstance(sources, list) else ():
        if not isinstance(source, Mapping):
            continue
        about, texts, scores = source.get("source"), source.get("document"), source.get("distances")
        title = about.get("name") if isinstance(about, Mapping) else None
        for i, text in enumerate(texts if isinstance(texts, list) else ()):
            score = scores[i] if isinstance(scores, list) and i < len(scores) else None
            found.append(
                Passage(
                    text=as_text(text),
                    title=str(title) if title else None,
                    score=score if isinstance(score, int | float) else None,
                )
            )
    # An empty list also stands where retrieval is off, so it says nothing.
    return tuple(found) or None


def _feedback(given: Mapping[str, Any]) -> Feedback:
    rating = given.get("rating")
    sign = 1 if rating in (1, "1") else -1 if rating in (-1, "-1") else None
    words = [as_text(given.get(k)) for k in ("reason", "comment") if given.get(k)]
    return Feedback(name="rating", value=str(rating), polarity=sign, comment="; ".join(words)[:2000])


def _rating(record: Mapping[str, Any], line: int) -> Iterator[Call | Note | Skip]:
    data, meta = record["data"], record["meta"]
    snapshot = record.get("snapshot")
    chat = snapshot.get("chat") if isinstance(snapshot, Mapping) else None
    ids = tuple(str(meta[k]) for k in ("message_id",) if meta.get(k))
    if isinstance(chat, Mapping) and _history(chat) is not None:
        yield from (part for part in read(chat, line) if isinstance(part, Call))
    if not ids or data.get("rating") is None:
        yield nothing(record, line, "a rating that names no message")
        return
    yield Note(line=line, ids=ids, parts={"feedback": (_feedback(data),)})
