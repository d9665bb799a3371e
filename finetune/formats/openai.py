"""OpenAI's formats: chat for supervised tuning, pairs for preference tuning, prompts with references for reinforcement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune.examples import Example, text_of
from finetune.formats.line import Line, Taught, Unfit

KEYS = ("role", "content", "name", "tool_calls", "tool_call_id", "refusal", "weight")
"""What a message may hold; anything else fails a job."""


def chat_line(example: Example) -> Line:
    """Return the line of an example; `weight` says which assistant messages are learnt."""
    found: Line = {"messages": [_message(m, weights=True) for m in example.messages]}
    return {**found, **_tools(example.tools)}


def chat_taught(line: Mapping[str, Any]) -> Taught:
    """Return what a line teaches."""
    return Taught(messages=tuple(line["messages"]), tools=tuple(line.get("tools", ())))


def preference_line(example: Example) -> Line:
    """Return the line of a pair.

    Raises:
        Unfit: There is no rejected reply.
    """
    if example.rejected is None:
        raise Unfit("preference tuning needs a rejected reply beside the preferred one")
    asked = {"messages": [_message(m, weights=False) for m in example.prompt], **_tools(example.tools)}
    return {
        "input": asked,
        "preferred_output": [_message(example.target, weights=False)],
        "non_preferred_output": [_message(example.rejected, weights=False)],
    }


def preference_taught(line: Mapping[str, Any]) -> Taught:
    """Return what a line teaches."""
    asked = line["input"]
    return Taught(
        messages=(*asked["messages"], line["preferred_output"][0]),
        tools=tuple(asked.get("tools", ())),
        rejected=line["non_preferred_output"][0],
    )


def reinforcement_line(example: Example) -> Line:
    """Return a prompt with what a grader may compare the model's answers to."""
    return {
        "messages": [_message(m, weights=False) for m in example.prompt],
        "reference_answer": example.label or text_of(example.target),
        **_tools(example.tools),
    }


def reinforcement_taught(line: Mapping[str, Any]) -> Taught:
    """Return what a line teaches."""
    answer = {"role": "assistant", "content": line["reference_answer"]}
    return Taught(messages=(*line["messages"], answer), tools=tuple(line.get("tools", ())))


def _message(message: Mapping[str, Any], *, weights: bool) -> Line:
    kept = {k: message[k] for k in KEYS if k in message and (weights or k != "weight")}
    lost = set(message) - set(KEYS)
    if lost:
        raise Unfit(f"a message holds `{sorted(lost)[0]}`, which this format does not know")
    return kept


def _tools(tools: Sequence[Mapping[str, Any]]) -> Line:
    return {"tools": [dict(t) for t in tools]} if tools else {}
