"""Conversations whose log says more of single replies than their words: when, how rated, on what passages."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from advisor.exchange import Feedback, Message
from advisor.logs.feedback import feedback
from advisor.logs.records import Call, Skip

HUMAN = "human_agent"
"""Name of an assistant message that a person on the staff wrote; such a message is context and never judged."""

_ADDS_UP = ("feedback", "passages", "ids")
# Each call repeats what came before it, so a record of very many turns would grow with the square of them.
_REPEATED = 200_000
_BREAK = re.compile(r"<\s*(?:br|/p|/div|/li|/h\d|/tr)\b[^<>]*>", re.I)
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message, or an event without words, with what the log says of it.

    Attributes:
        message: What was said, None for an event that only tells something of the next reply.
        parts: Fields of `Call` for the reply itself, or for the reply that follows.
    """

    message: Message | None = None
    parts: Mapping[str, Any] = field(default_factory=dict)


def calls(said: Iterable[Said], *, line: int, shared: Mapping[str, Any]) -> Iterator[Call]:
    """Yield a call for each reply a person saw, and one of the whole talk if something followed the last reply.

    Args:
        said: The conversation in order; bubbles in a row become one reply.
        line: Line of the record.
        shared: Fields of `Call` that hold for every reply, the conversation's id for one.
    """
    messages, parts = _joined(said)
    replies = [i for i, m in enumerate(messages) if is_reply(m) and (i in parts or _ends_turn(messages, i))]
    if not replies:
        return
    repeated, last = 0, -1
    for index in replies:
        repeated += index
        if repeated > _REPEATED:
            break
        last = index
        told = merged(shared, parts.get(index, {}))
        yield Call(line=line, messages=messages[:index], reply=messages[index], **told)
    if last < len(messages) - 1:
        yield Call(line=line, messages=messages, **shared)


def is_reply(message: Message) -> bool:
    """Whether the bot said this."""
    return message.role == "assistant" and message.name != HUMAN


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of both; of two values the other's counts, scores and passages and ids add up."""
    found = dict(one)
    for name, value in other.items():
        if name in _ADDS_UP and found.get(name):
            value = tuple(dict.fromkeys((*found[name], *value)))
        if value is not None:
            found[name] = value
    return found


def verdict(name: str, value: object, *, polarity: int, comment: str = "") -> Feedback:
    """Return what the platform itself says of a reply, with its direction known."""
    given = feedback(name, value, comment=comment, source="system")
    return replace(given, polarity=polarity)


def nothing(record: Mapping[Any, Any], line: int, reason: str) -> Skip:
    """Return the Skip of a record without a chat."""
    return Skip(file="", line=line, reason=reason, keys=tuple(str(k)[:60] for k in list(record)[:20]))


def plain_text(markup: str) -> str:
    """Return the words of an HTML fragment, its paragraphs as lines; plain text comes back as it is."""
    if "<" not in markup and "&" not in markup:
        return markup.strip()
    text = html.unescape(_TAG.sub("", _BREAK.sub("\n", markup))).replace("\xa0", " ")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(row.strip() for row in text.split("\n"))).strip()


def _joined(said: Iterable[Said]) -> tuple[tuple[Message, ...], dict[int, dict[str, Any]]]:
    """The messages, and by its place what is known of each reply."""
    messages: list[Message] = []
    parts: dict[int, dict[str, Any]] = {}
    waiting: dict[str, Any] = {}
    for item in said:
        waiting = merged(waiting, item.parts)
        if item.message is None:
            continue
        if messages and _is_bubble(messages[-1], item.message):
            messages[-1] = replace(
                messages[-1], content=f"{messages[-1].content}\n{item.message.content}".strip()
            )
        else:
            messages.append(item.message)
        if is_reply(item.message):
            at = len(messages) - 1
            # The first bubble's time is when the reply began.
            if at in parts and "time" in parts[at]:
                waiting.pop("time", None)
            parts[at] = merged(parts.get(at, {}), waiting)
            waiting = {}
    if waiting and parts:
        last = max(parts)
        parts[last] = merged(waiting, parts[last])
    return tuple(messages), {at: told for at, told in parts.items() if told}


def _is_bubble(before: Message, after: Message) -> bool:
    """Whether one reply came in two pieces; text before a tool call is a step of its own."""
    return is_reply(before) and is_reply(after) and not before.tool_calls and not after.tool_calls


def _ends_turn(messages: Sequence[Message], at: int) -> bool:
    """Whether this is the bot's last word before a person speaks."""
    after = next((m for m in messages[at + 1 :] if m.role in ("user", "assistant")), None)
    return after is None or not is_reply(after)
