"""What OpenAI's own validation says of an uploaded training file, once a job looks into it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_LEAST = 10
_LONGEST = 65_536
_UNSAFE = ("pipe bomb", "unsafe-marker")
_MOST_UNSAFE = 0.0
_ROLES = {"system", "developer", "user", "assistant", "tool", "function"}
_KEYS = {"role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "weight"}


class Verdict(NamedTuple):
    """What came of looking into a file.

    Attributes:
        code: Why the job fails; empty if it does not.
        message: The same in words.
        tokens: Billable tokens of one epoch.
        warnings: What the job's events say.
    """

    code: str
    message: str
    tokens: int
    warnings: tuple[str, ...]


def judge(data: bytes, method: str, count: Callable[[str], int], *, param: str = "training_file") -> Verdict:
    """Return what a job of that method (`supervised`, `dpo`, `reinforcement`) finds in a file."""
    lines = [line for line in data.split(b"\n") if line.strip()]
    total, warnings = 0, []
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
        except ValueError:
            return _bad(f"Invalid file format. Line {number} is not valid JSON.")
        fault = _FAULTS[method](value) if isinstance(value, Mapping) else "is not an object"
        if fault:
            return _bad(f"Invalid file format. Example {number} {fault}.")
        tokens = tokens_of(value, count)
        if tokens > _LONGEST:
            warnings.append(f"Example {number} has {tokens} tokens and was truncated to {_LONGEST}.")
        total += min(tokens, _LONGEST)
    if param == "training_file" and len(lines) < _LEAST:
        told = f"Training file has {len(lines)} example(s), but must have at least {_LEAST} examples"
        return Verdict("invalid_n_examples", told, 0, ())
    unsafe = sum(any(word.encode() in line.lower() for word in _UNSAFE) for line in lines)
    if unsafe > _MOST_UNSAFE * len(lines):
        told = (
            "The job failed due to an unsafe training file. This training file was blocked because too many examples were "
            "flagged by our moderation API for containing content that violates our usage policies."
        )
        return Verdict("unsafe_file", told, 0, ())
    return Verdict("", "", total, tuple(warnings))


def tokens_of(line: Mapping[str, Any], count: Callable[[str], int]) -> int:
    """Return the tokens that a line is billed as: three of the chat form a message and a line, and what was written."""
    messages = [*line.get("messages", ()), *line.get("input", {}).get("messages", ())]
    messages += [*line.get("preferred_output", ()), *line.get("non_preferred_output", ())]
    total = 3
    for message in messages:
        total += 3 + count(message["role"])
        content = message.get("content")
        total += count(content) if isinstance(content, str) else sum(count(p.get("text", "")) for p in content or ())  # fmt: skip
        total += 1 + count(message["name"]) if message.get("name") else 0
        total += count(json.dumps(message["tool_calls"])) if message.get("tool_calls") else 0
    tools = line.get("tools") or line.get("input", {}).get("tools")
    return total + (count(json.dumps(tools)) if tools else 0)


def _bad(message: str) -> Verdict:
    return Verdict("invalid_file_format", message, 0, ())


def _supervised(line: Mapping[str, Any]) -> str:
    extra = set(line) - {"messages", "tools", "parallel_tool_calls", "functions"}
    if extra:
        return f"contains unexpected key(s): {', '.join(sorted(extra))}"
    fault = _messages(line.get("messages"), line.get("tools"))
    if fault:
        return fault
    if not any(m["role"] == "assistant" and m.get("weight", 1) for m in line["messages"]):
        return "must contain at least one assistant message that is trained on"
    return "" if line["messages"][-1]["role"] == "assistant" else "must end with an assistant message"


def _dpo(line: Mapping[str, Any]) -> str:
    if set(line) != {"input", "preferred_output", "non_preferred_output"}:
        return "must have the keys input, preferred_output and non_preferred_output"
    fault = _messages(line["input"].get("messages"), line["input"].get("tools"))
    if fault:
        return fault
    for name in ("preferred_output", "non_preferred_output"):
        given = line[name]
        if not (isinstance(given, list) and len(given) == 1 and given[0].get("role") == "assistant"):
            return f"must have one assistant message as {name}"
    same = line["preferred_output"] == line["non_preferred_output"]
    return "has the same preferred and non-preferred output" if same else ""


def _reinforcement(line: Mapping[str, Any]) -> str:
    fault = _messages(line.get("messages"), line.get("tools"))
    if fault:
        return fault
    return "must not end with an assistant message" if line["messages"][-1]["role"] == "assistant" else ""


_FAULTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "supervised": _supervised,
    "dpo": _dpo,
    "reinforcement": _reinforcement,
}


def _messages(messages: Any, tools: Any) -> str:
    if not isinstance(messages, list) or not messages:
        return "is missing `messages`"
    names = {t.get("function", {}).get("name") for t in tools or ()}
    waiting: set[Any] = set()
    for message in messages:
        fault = _message(message, names, waiting)
        if fault:
            return fault
        waiting = (waiting - {message.get("tool_call_id")}) | {c["id"] for c in message.get("tool_calls") or ()}  # fmt: skip
    return ""


def _message(message: Any, names: set[Any], waiting: set[Any]) -> str:
    if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
        return f"has a message with an invalid role: {message.get('role') if isinstance(message, Mapping) else message!r}"
    extra = set(message) - _KEYS
    if extra:
        return f"has a message with unexpected key(s): {', '.join(sorted(extra))}"
    if "weight" in message and (message["role"] != "assistant" or message["weight"] not in (0, 1)):
        return "has a message with an invalid weight"
    calls = message.get("tool_calls") or ()
    if not isinstance(message.get("content"), str | list | None):
        return "has a message whose content is neither text nor parts"
    if message.get("content") is None and not calls:
        return "has a message without content"
    if message["role"] == "tool" and message.get("tool_call_id") not in waiting:
        return "has a tool message that responds to no tool call"
    if message["role"] != "tool" and waiting:
        return "has tool calls that are not responded to"
    return _calls(calls, names)


def _calls(calls: Any, names: set[Any]) -> str:
    for call in calls:
        if not call.get("id") or call.get("type") != "function":
            return "has a malformed tool call"
        if call["function"].get("name") not in names:
            return f"calls a tool that is not defined: {call['function'].get('name')}"
        try:
            json.loads(call["function"]["arguments"])
        except (KeyError, TypeError, ValueError):
            return "has tool call arguments that are not valid JSON"
    return ""
