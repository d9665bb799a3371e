"""Bedrock's formats: Converse lines (Nova, Llama 3.2 and later), prompt with completion (Llama 3.1), Claude's messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune.examples import Example
from finetune.formats.line import Line, Taught, Unfit, parted

SCHEMA = "bedrock-conversation-2024"
_BREAK = "\n\n"


def conversation_line(example: Example) -> Line:
    """Return a Converse line."""
    system, turns = parted(example.messages)
    found: Line = {
        "schemaVersion": SCHEMA,
        "messages": [{"role": role, "content": [{"text": said}]} for role, said in turns],
    }
    return {**found, "system": [{"text": system}]} if system else found


def conversation_taught(line: Mapping[str, Any]) -> Taught:
    """Return what a line teaches."""
    if line.get("schemaVersion") != SCHEMA:
        raise Unfit(f"schemaVersion is {line.get('schemaVersion')!r}, not {SCHEMA!r}")
    system = "".join(part["text"] for part in line.get("system", ()))
    return _joined(system, [(m["role"], "".join(p["text"] for p in m["content"])) for m in line["messages"]])


def prompt_line(example: Example) -> Line:
    """Return a prompt with its completion; the system prompt stands before the question.

    Raises:
        Unfit: There is more than one question and one answer.
    """
    system, turns = parted(example.messages)
    if [role for role, _ in turns] != ["user", "assistant"]:
        raise Unfit("this format holds one question and one answer, no longer conversation")
    return {"prompt": _BREAK.join(filter(None, (system, turns[0][1]))), "completion": turns[1][1]}


def prompt_taught(line: Mapping[str, Any]) -> Taught:
    """Return what a line teaches; system prompt and question are one text here."""
    return _joined("", [("user", line["prompt"]), ("assistant", line["completion"])])


def claude_line(example: Example) -> Line:
    """Return a line of Claude's messages."""
    system, turns = parted(example.messages)
    found: Line = {"messages": [{"role": role, "content": said} for role, said in turns]}
    return {**found, "system": system} if system else found


def claude_taught(line: Mapping[str, Any]) -> Taught:
    """Return what a line teaches."""
    return _joined(line.get("system", ""), [(m["role"], m["content"]) for m in line["messages"]])


def _joined(system: str, turns: Sequence[tuple[str, str]]) -> Taught:
    head = [{"role": "system", "content": system}] if system else []
    return Taught(messages=(*head, *({"role": role, "content": said} for role, said in turns)))
