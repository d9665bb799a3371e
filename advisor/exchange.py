"""Exchange: one judged assistant reply with everything that led to it.

Field names follow the OpenTelemetry GenAI conventions where one exists; messages follow the OpenAI chat
format, because that is what every other tool reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

Role = Literal["system", "user", "assistant", "tool"]
FeedbackSource = Literal["user", "annotator", "llm_judge", "code", "system"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call the assistant made.

    Attributes:
        arguments: The argument text exactly as the model produced it (JSON if all is well).
    """

    name: str
    arguments: str
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One chat message in OpenAI form, its text parts joined.

    Attributes:
        tool_call_id: For role `tool`, the call this answers.
        error: For role `tool`, whether the tool reported an error.
    """

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function the assistant was offered.

    Attributes:
        parameters: JSON Schema of the arguments, None if the log does not hold it.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A retrieved passage as it was served.

    Attributes:
        score: The retriever's own score; its scale and direction are the retriever's.
    """

    text: str
    id: str | None = None
    title: str | None = None
    uri: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What somebody or something said of a reply.

    Attributes:
        name: The score's name in the log, for instance `thumbs`.
        value: The raw value, as text.
        polarity: +1 good, -1 bad, 0 neutral, None if the direction of the score is not known.
        target: What it was given to; a score on a whole conversation says little of one reply.
    """

    name: str
    value: str = ""
    polarity: int | None = None
    comment: str = ""
    source: FeedbackSource = "user"
    target: Literal["reply", "conversation"] = "reply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a record was read.

    Attributes:
        file: Path as given on the command line, or `-` for stdin.
        line: 1-based line, or 1-based index of the record in a JSON array, sheet or table.
        dialect: Name of the reader in `advisor.logs.dialects.DIALECTS`.
    """

    file: str
    line: int
    dialect: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One assistant reply as a person saw it, with all that led to it and followed it.

    Attributes:
        id: Hash of the content and the log's own ids; the same record read twice has the same id.
        conversation: All messages before the reply, the system prompt first, tool steps of this turn last.
        reply: The assistant message judged. Empty content and no tool calls means that nothing came back.
        passages: What retrieval served for this reply; None if the log does not say, () if it found nothing.
        later: Messages that followed in the same conversation, at most the next two user turns.
        alternatives: Other replies to the same user turn that were regenerated away.
        expected: The right answer as text, if a correction, an edit or a reference gave one.
        response_format: JSON Schema the request demanded, `{}` for "any JSON", None for no demand.
        turn: 0-based number of the user turn within its conversation.
        user: Hash of the user id, never the id itself.
        time: Start of the reply, seconds since the epoch, UTC.
        finish_reason: As the provider wrote it (`stop`, `length`, `tool_calls`, `content_filter`, ...).
        error: Message of the error that took the reply's place.
        latency: Seconds.
        cost: US dollars.
        ids: Every id the log had for this reply, for joining feedback.
        copies: How many identical records were collapsed into this one.
    """

    id: str
    conversation: tuple[Message, ...]
    reply: Message
    source: Source
    tools: tuple[Tool, ...] = ()
    passages: tuple[Passage, ...] | None = None
    feedback: tuple[Feedback, ...] = ()
    later: tuple[Message, ...] = ()
    alternatives: tuple[str, ...] = ()
    expected: str | None = None
    response_format: Mapping[str, Any] | None = None
    conversation_id: str | None = None
    turn: int = 0
    tenant: str | None = None
    user: str | None = None
    model: str | None = None
    time: float | None = None
    finish_reason: str | None = None
    error: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    latency: float | None = None
    cost: float | None = None
    ids: frozenset[str] = frozenset()
    copies: int = 1

    @property
    def system(self) -> str:
        """The system prompt, empty if there was none."""
        return "\n\n".join(m.content for m in self.conversation if m.role == "system")

    @property
    def question(self) -> str:
        """The last thing the person said before the reply, empty if the log does not hold it."""
        return next((m.content for m in reversed(self.conversation) if m.role == "user"), "")


def content_hash(value: Any, *, length: int = 16) -> str:
    """Return a hex digest of a JSON-like value that does not depend on the order of keys.

    Raises:
        TypeError: The value holds something JSON has no form for.
    """
    return hashlib.blake2b(
        orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=length // 2
    ).hexdigest()
