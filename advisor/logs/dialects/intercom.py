"""Intercom conversations: what the bot said is judged, what people on the staff said is context."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from advisor.exchange import Feedback, Message, Passage
from advisor.logs.dialects.conversation import HUMAN, Said, calls, is_reply, nothing, plain_text, verdict
from advisor.logs.dialects.messages import as_text, to_time
from advisor.logs.feedback import feedback
from advisor.logs.records import Call, Note, Skip

_PEOPLE = ("user", "lead", "contact", "visitor")
# A note is written for colleagues; the person never sees it.
_UNSEEN = ("note", "note_and_reopen")
_OUTCOMES = {
    "escalated": -1, "negative_feedback": -1, "procedure_handoff": -1, "routed_to_team": -1, "abandoned": -1,
    "assumed_resolution": 0, "confirmed_resolution": 1,
}  # fmt: skip
_STARS = (1.0, 5.0)


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is an Intercom conversation."""
    if record.get("type") != "conversation" and "conversation_parts" not in record:
        return False
    return isinstance(record.get("conversation_parts"), Mapping | list) or isinstance(
        record.get("source"), Mapping
    )


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield a call for each reply of the bot."""
    said = list(_said(record))
    spoken = [s.message for s in said if s.message is not None]
    if any(is_reply(m) for m in spoken):
        yield from calls(said, line=line, shared=_shared(record))
    elif "conversation_parts" not in record:
        yield nothing(record, line, "a list entry without its messages; export each conversation by its id")
    elif any(m.name == HUMAN for m in spoken):
        yield nothing(record, line, "only people answered in it, no bot")
    else:
        yield nothing(record, line, "a conversation without a reply in it")


def _said(record: Mapping[str, Any]) -> Iterable[Said]:
    opening = record.get("source")
    if isinstance(opening, Mapping):
        yield from _part(opening, when=record.get("created_at"), sources=())
    inner = record.get("conversation_parts")
    parts = inner.get("conversation_parts") if isinstance(inner, Mapping) else inner
    parts = [p for p in parts if isinstance(p, Mapping)] if isinstance(parts, list) else []
    sources = _sources(record.get("ai_agent"))
    answers = [i for i, p in enumerate(parts) if _is_answer(p.get("author"))]
    for index, part in enumerate(parts):
        # The conversation names the sources of its last answer only.
        last = bool(answers) and index == answers[-1]
        yield from _part(part, when=part.get("created_at"), sources=sources if last else ())


def _part(part: Mapping[str, Any], *, when: Any, sources: tuple[Passage, ...]) -> Iterable[Said]:
    body = part.get("body")
    author = part.get("author") if isinstance(part.get("author"), Mapping) else {}
    if not isinstance(body, str) or part.get("part_type") in _UNSEEN:
        return
    text = plain_text(body)
    if not text:
        return
    kind = str(author.get("type") or "").lower() if isinstance(author, Mapping) else ""
    if kind in _PEOPLE:
        yield Said(message=Message(role="user", content=text))
    elif kind == "bot" or _is_answer(author):
        told: dict[str, Any] = {"time": to_time(when)}
        if part.get("id") not in (None, ""):
            told["ids"] = (as_text(part["id"]),)
        if sources:
            told["passages"] = sources
        yield Said(message=Message(role="assistant", content=text), parts=told)
    else:
        yield Said(message=Message(role="assistant", content=text, name=HUMAN))


def _is_answer(author: Any) -> bool:
    return isinstance(author, Mapping) and bool(author.get("from_ai_agent") or author.get("is_ai_answer"))


def _sources(agent: Any) -> tuple[Passage, ...]:
    """The pages an answer drew on; the export names them without their text."""
    listed = agent.get("content_sources") if isinstance(agent, Mapping) else None
    listed = listed.get("content_sources") if isinstance(listed, Mapping) else listed
    found = []
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, Mapping) and as_text(item.get("text")):
            found.append(
                Passage(
                    text=plain_text(as_text(item.get("text"))), title=as_text(item.get("title")) or None,
                    uri=as_text(item.get("url")) or None,
                )
            )  # fmt: skip
    return tuple(found)


def _shared(record: Mapping[str, Any]) -> dict[str, Any]:
    contacts = record.get("contacts")
    listed = contacts.get("contacts") if isinstance(contacts, Mapping) else contacts
    person = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], Mapping) else {}
    return {
        "conversation_id": as_text(record.get("id")) or None,
        "user": as_text(person.get("external_id") or person.get("id")) or None,
        "time": to_time(record.get("created_at")),
        "feedback": tuple(replace(f, target="conversation") for f in _scores(record)),
    }


def _scores(record: Mapping[str, Any]) -> Iterable[Feedback]:
    agent, given = record.get("ai_agent"), record.get("conversation_rating")
    if isinstance(given, Mapping) and given.get("rating") is not None and _rates_bot(given):
        comment = as_text(given.get("remark"))
        yield feedback("conversation_rating", given["rating"], comment=comment, scale=_STARS)
    if not isinstance(agent, Mapping):
        return
    if agent.get("rating") is not None:
        yield feedback(
            "ai_agent_rating", agent["rating"], comment=as_text(agent.get("rating_remark")), scale=_STARS
        )
    outcome = agent.get("resolution_state")
    if isinstance(outcome, str) and outcome in _OUTCOMES:
        yield verdict("resolution_state", outcome, polarity=_OUTCOMES[outcome])


def _rates_bot(given: Mapping[str, Any]) -> bool:
    """Whether the rating is the bot's: Intercom names the colleague it was given to, if it was one."""
    teammate = given.get("teammate")
    return not isinstance(teammate, Mapping) or teammate.get("type") in (None, "bot")
