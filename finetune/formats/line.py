"""What all formats share: a line, what it teaches, and the parts of chat messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune.examples import text_of

Line = dict[str, Any]


class Unfit(ValueError):
    """A format cannot say what an example teaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """What a line teaches, in OpenAI chat form: the learnt part of an `Example`."""

    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    rejected: Mapping[str, Any] | None = None


def plain_text(message: Mapping[str, Any]) -> str:
    """Return the text of a message that is nothing but text.

    Raises:
        Unfit: It holds more, such as a tool call or an image.
    """
    content = message.get("content")
    parts = content if isinstance(content, list | tuple) else ()
    if any(not isinstance(p, Mapping) or p.get("type") != "text" for p in parts):
        raise Unfit("a message holds more than text, which this format cannot say")
    if message.get("tool_calls") or message.get("role") == "tool":
        raise Unfit("tool calls cannot be said in this format")
    return text_of(message)


def parted(messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[tuple[str, str]]]:
    """Return the system prompt, and roles with texts, of a conversation in text alone.

    Raises:
        Unfit: A system message stands elsewhere than at the beginning, an assistant message is not to be learnt, or there is
            more than text.
    """
    head = 0
    while head < len(messages) and messages[head].get("role") in ("system", "developer"):
        head += 1
    turns = [(str(m.get("role")), plain_text(m)) for m in messages[head:]]
    if any(role not in ("user", "assistant") for role, _ in turns):
        raise Unfit(
            "only one system prompt at the beginning, then user and assistant, can be said in this format"
        )
    if any(m.get("weight") == 0 for m in messages):
        raise Unfit("this format learns every assistant message; one with weight 0 cannot be left out")
    return "\n\n".join(plain_text(m) for m in messages[:head]), turns
