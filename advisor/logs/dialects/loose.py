"""Inputs and outputs of chains, agents and functions: whatever their author logged, read as question and answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from advisor.exchange import Message
from advisor.logs.dialects.messages import as_text, to_calls, to_message, to_messages, unwrap

_SPOKEN = ("messages", "chat_history", "conversation", "new_message")
_QUESTION = (
    "question",
    "query",
    "q",
    "input",
    "user_input",
    "user_message",
    "prompt",
    "text",
    "message",
    "user_query",
    "content",
    "task",
    "inputs",
    "request",
    "kwargs",
    "args",
)
_ANSWER = (
    "answer",
    "output",
    "response",
    "result",
    "reply",
    "text",
    "completion",
    "content",
    "output_text",
    "final_output",
    "generated_text",
    "message",
    "outputs",
    "data",
)
_DEPTH = 4


def asked(value: Any, *, depth: int = _DEPTH) -> tuple[Message, ...]:
    """Return the messages in the input of a step, () if nothing in it reads as something said."""
    value = unwrap(value)
    if isinstance(value, str):
        return (Message(role="user", content=value),) if value.strip() else ()
    if isinstance(value, list):
        if value and all(isinstance(v, str) for v in value):
            return asked(value[0], depth=depth - 1) if len(value) == 1 else ()
        spoken = to_messages(value)
        return spoken if spoken or not depth or len(value) != 1 else asked(value[0], depth=depth - 1)
    if not isinstance(value, Mapping) or depth <= 0:
        return ()
    if "role" in value or value.get("lc") == 1:
        return to_messages(value)
    for key in _SPOKEN:
        if value.get(key):
            spoken = to_messages(value[key])
            if spoken:
                return spoken
    return next(
        (
            found
            for k in _QUESTION
            if value.get(k) not in (None, "", {}, []) and (found := asked(value[k], depth=depth - 1))
        ),
        (),
    )


def answered(value: Any, *, depth: int = _DEPTH) -> Message | None:
    """Return the reply in the output of a step, None if nothing in it reads as one."""
    value = unwrap(value)
    if isinstance(value, str):
        return Message(role="assistant", content=value) if value.strip() else None
    if isinstance(value, list):
        if value and all(
            isinstance(v, Mapping) and ("toolName" in v or v.get("type") in ("function", "function_call"))
            for v in value
        ):
            return Message(role="assistant", tool_calls=to_calls(value))
        spoken = [m for m in to_messages(value) if m.role == "assistant"]
        if spoken:
            return spoken[-1]
        return answered(value[-1], depth=depth - 1) if value and depth else None
    if not isinstance(value, Mapping) or depth <= 0:
        return None
    found = _message_in(value)
    if found is not None:
        return found
    return next(
        (
            m
            for k in _ANSWER
            if value.get(k) not in (None, "", {}, [])
            and (m := answered(value[k], depth=depth - 1)) is not None
        ),
        None,
    )


def _message_in(value: Mapping[str, Any]) -> Message | None:
    """A message, a completion with choices, LangChain generations, or a list of messages that ends in the reply."""
    if "role" in value or value.get("lc") == 1 or ("type" in value and "content" in value):
        return to_message(value, role="assistant")
    choices = value.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        return to_message(
            choices[0].get("message") or {"role": "assistant", "content": as_text(choices[0].get("text"))},
            role="assistant",
        )
    generations = value.get("generations")
    if isinstance(generations, list) and generations:
        first = generations[0][0] if isinstance(generations[0], list) and generations[0] else generations[0]
        if isinstance(first, Mapping):
            return (
                to_message(first["message"], role="assistant")
                if first.get("message")
                else answered(first.get("text"), depth=1)
            )
    if isinstance(value.get("messages"), list):
        spoken = [m for m in to_messages(value["messages"]) if m.role == "assistant"]
        return spoken[-1] if spoken else None
    if isinstance(value.get("tool_calls"), list) and value["tool_calls"]:
        return to_message({"role": "assistant", **value})
    return None
