"""Whether each example is a conversation that the format takes: roles, order, texts, tools and their calls."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator, SchemaError

from finetune.catalog import Row
from finetune.examples import Example, text_of
from finetune.formats.openai import KEYS
from finetune.vetting.faults import Fault, error

_ROLES = ("system", "developer", "user", "assistant", "tool")
_NAME = 64
_STRICT = ("bedrock_conversation", "bedrock_prompt", "bedrock_claude")
"""Formats in which user and assistant alternate, the user begins, and every assistant message is learnt."""


def faults(example: Example, row: Row, *, paired: bool) -> Iterator[Fault]:
    """Yield what is wrong with the messages of one example.

    Args:
        example: The example.
        row: Where it is trained.
        paired: Whether it is learnt as a pair, the target against the rejected reply.
    """
    if not example.messages:
        yield error("no_messages", "an example has no messages", places=[example.source])
        return
    for find in (_roles, _texts, _learnt, _order, *([_pair] if paired else []), _offered, _called):
        for code, message, hint in find(example, row):
            yield error(code, message, hint=hint, places=[example.source])


Found = Iterator[tuple[str, str, str]]


def _roles(example: Example, row: Row) -> Found:
    for message in example.messages:
        role = message.get("role")
        if role not in _ROLES:
            yield "role", f"a message has the role {role!r}; known are {', '.join(_ROLES)}", ""
        strange = set(message) - set(KEYS)
        if strange:
            yield (
                "unknown_key",
                f"a message holds `{sorted(strange)[0]}`, which providers refuse",
                "remove it",
            )
    if example.target.get("role") != "assistant":
        yield "no_target", "the last message is not the assistant's, so nothing would be learnt from it", ""


def _texts(example: Example, row: Row) -> Found:
    for message in example.messages:
        content = message.get("content")
        calls = bool(message.get("tool_calls"))
        if content is None:
            if not (calls and message.get("role") == "assistant"):
                yield "no_content", "a message has no content", ""
            continue
        if not isinstance(content, str | list | tuple):
            yield "no_content", "the content of a message is neither text nor a list of parts", ""
            continue
        if not text_of(message).strip() and not calls:
            yield "empty_message", "a message is empty", ""
        parts = content if isinstance(content, list | tuple) else ()
        if any(not isinstance(p, Mapping) or p.get("type") != "text" for p in parts):
            yield "not_text", "a message holds an image or a sound; only text is taken here", ""


def _learnt(example: Example, row: Row) -> Found:
    for message in example.messages:
        weight = message.get("weight")
        if weight is None:
            continue
        if message.get("role") != "assistant" or weight not in (0, 1) or isinstance(weight, bool):
            yield "weight", f"`weight` is {weight!r}; only assistant messages have one, 0 or 1", ""
        elif weight == 0 and row.format in _STRICT:
            yield "weight", "this model learns every assistant message; weight 0 is not taken", "shorten the conversation to what is to be learnt"  # fmt: skip
    if example.target.get("weight") == 0:
        yield "nothing_learnt", "the last assistant message has weight 0, so nothing is learnt from it", ""


def _order(example: Example, row: Row) -> Found:
    roles = [str(m.get("role")) for m in example.messages]
    if row.method == "reinforcement" and len(roles) < 2:
        yield "no_question", "there is nothing before the answer", ""
    if row.format not in _STRICT:
        if "user" not in roles:
            yield "no_question", "nobody asks anything", "begin with what the person said"
        return
    turns = [r for r in roles if r not in ("system", "developer")]
    if any(r in ("system", "developer") for r in roles[roles.index(turns[0]) if turns else 0 :]):
        yield "system_place", "a system message stands behind other messages; this model takes it first only", ""  # fmt: skip
    if roles.count("system") + roles.count("developer") > 1:
        yield "system_twice", "there is more than one system message; this model takes one", "join them"
    if turns and turns[0] != "user":
        yield "first_not_user", "the conversation does not begin with the user", ""
    if any(a == b for a, b in itertools.pairwise(turns) if a in ("user", "assistant")):
        yield "not_alternating", "user and assistant do not take turns", "join messages of the same side"
    if row.format == "bedrock_prompt" and len(turns) > 2:
        yield "too_many_turns", "this model takes one question and one answer", "cut the conversation, or choose another model"  # fmt: skip


def _pair(example: Example, row: Row) -> Found:
    rejected = example.rejected
    if rejected is None:
        yield "no_pair", "preference tuning needs a rejected reply in every example", ""
        return
    if rejected.get("role") != "assistant" or not (text_of(rejected).strip() or rejected.get("tool_calls")):
        yield "pair_shape", "the rejected reply is not an assistant message with content", ""
    if (text_of(rejected), rejected.get("tool_calls")) == (text_of(example.target), example.target.get("tool_calls")):  # fmt: skip
        yield "same_pair", "the rejected reply is the preferred one", ""


def _offered(example: Example, row: Row) -> Found:
    if not example.tools:
        return
    if not row.tools:
        yield "no_tools", f"{row.model} cannot be tuned on tools", "leave these examples out, or choose another model"  # fmt: skip
    names = [_function(t).get("name") for t in example.tools]
    if len(set(map(str, names))) < len(names):
        yield "tool_twice", "two tools have the same name", ""
    for tool in example.tools:
        name, schema = _function(tool).get("name"), _function(tool).get("parameters", {})
        plain = isinstance(name, str) and name.replace("_", "a").replace("-", "a").isalnum() and name.isascii()  # fmt: skip
        if tool.get("type") != "function" or not plain or len(str(name)) > _NAME:
            yield "tool_name", f"the tool {name!r} is not a function with a name of letters, digits, _ and -, {_NAME} at most", ""  # fmt: skip
        fault = _schema_fault(schema)
        if fault:
            yield "tool_schema", f"the parameters of {name!r} are no JSON Schema: {fault[:80]}", ""


def _called(example: Example, row: Row) -> Found:
    offered = {str(_function(t).get("name")): _function(t).get("parameters", {}) for t in example.tools}
    open_calls: set[str] = set()
    for message in example.messages:
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in open_calls:
                yield "answer_to_nothing", "a tool message answers no call before it", ""
            open_calls.discard(str(message.get("tool_call_id")))
        elif open_calls:
            yield "unanswered_call", "a tool call has no answer before the next message", ""
            open_calls = set()
        if message.get("tool_calls") and not row.tools:
            yield "no_tools", f"{row.model} cannot be tuned on tool calls", ""
        for call in message.get("tool_calls") or ():
            open_calls.add(str(call.get("id")))
            yield from _call(call, offered)
    if example.rejected is not None:
        for call in example.rejected.get("tool_calls") or ():
            yield from (f for f in _call(call, offered) if f[0] == "unknown_tool")


def _call(call: Mapping[str, Any], offered: Mapping[str, Any]) -> Found:
    function = call.get("function") or {}
    name = str(function.get("name"))
    if not call.get("id") or call.get("type") != "function":
        yield "call_shape", f"the call of {name!r} has no id, or is not of type `function`", ""
    if name not in offered:
        yield "unknown_tool", f"{name!r} is called, and no such tool is offered in the example", ""
        return
    try:
        arguments = json.loads(str(function.get("arguments")))
    except ValueError:
        yield "call_arguments", f"the arguments of {name!r} are not JSON", ""
        return
    if _schema_fault(offered[name]):
        # It is told of where it is offered.
        return
    wrong = next(iter(Draft202012Validator(offered[name]).iter_errors(arguments)), None)
    if wrong is not None:
        yield "call_arguments", f"the arguments of {name!r} do not fit its parameters: {wrong.message[:80]}", ""  # fmt: skip


def _schema_fault(schema: Any) -> str:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as fault:
        return fault.message
    return ""


def _function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    found = tool.get("function")
    return found if isinstance(found, Mapping) else {}


def texts(example: Example) -> Sequence[str]:
    """Return all texts of an example, arguments of calls included."""
    messages = [*example.messages, *([example.rejected] if example.rejected else [])]
    calls = [str((c.get("function") or {}).get("arguments", "")) for m in messages for c in m.get("tool_calls") or ()]  # fmt: skip
    return [*(text_of(m) for m in messages), *calls]
