"""What a dialect reader gives back: calls, and notes about calls. The assembler makes Exchanges of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from advisor.exchange import Feedback, Message, Passage, Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One model call, or one already assembled turn, as the log has it.

    Attributes:
        messages: Everything sent, in order, system prompt included. History may repeat; that is normal.
        reply: The assistant message that came back; None if only the request was logged.
        trace_id: Groups spans of one request; notes with the same trace are merged before grouping.
        span_id: Own span.
        parent_id: Parent span.
        ids: Further ids feedback may name (response, message, run, request, custom id).
        conversation_id: The log's own thread or session id.
        wrapper: True if this span merely wraps another model call (a chain, an agent, an SDK's outer span).
        alternatives: Replies to the same turn that were regenerated away.
    """

    line: int
    messages: tuple[Message, ...] = ()
    reply: Message | None = None
    tools: tuple[Tool, ...] = ()
    passages: tuple[Passage, ...] | None = None
    feedback: tuple[Feedback, ...] = ()
    alternatives: tuple[str, ...] = ()
    expected: str | None = None
    response_format: Mapping[str, Any] | None = None
    trace_id: str | None = None
    span_id: str | None = None
    parent_id: str | None = None
    conversation_id: str | None = None
    ids: tuple[str, ...] = ()
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
    wrapper: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something said about calls elsewhere: a score row, a retriever span, a parent span, a batch input.

    Attributes:
        ids: The ids it may be joined by, most specific first. A trace id joins all calls of the trace.
        parts: Fields of `Call` that it supplies (only those that it knows), for instance
            `{"passages": (...), "conversation_id": "s-1"}` or `{"feedback": (...)}` or `{"messages": (...)}`.
        time: When it was said, seconds; sets the order of messages that come as one note each.
    """

    line: int
    ids: tuple[str, ...]
    parts: Mapping[str, Any]
    time: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A record or file that was not read, with the reason.

    Attributes:
        reason: One sentence that names the mend where there is one.
        keys: Top-level keys of the record, so that the operator can write a field map.
    """

    file: str
    line: int
    reason: str
    keys: tuple[str, ...] = ()


Record = Call | Note | Skip
