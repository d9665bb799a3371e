"""Tools as text, for a model whose chat template knows none: told of in the system message, calls written into the reply and read out of it.

The form is that of the open models that were trained on tools (Hermes, Qwen). The trainer and the engines both use this module, so that what
was learnt is what is served.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_INTRO = (
    "You may call functions to help the user. The functions:\n{tools}\n"
    'To call one, answer only with <tool_call>{{"name": ..., "arguments": {{...}}}}</tool_call>. Call none if none is needed.'
)

_CALL = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)


def knows_tools(template: object) -> bool:
    """Whether a chat template renders tools."""
    return "tools" in str(template)


def told(tools: Iterable[Mapping[str, Any]]) -> str:
    """Return tools in OpenAI form as text for a system message, one a line."""
    lines = (json.dumps(t.get("function", t), ensure_ascii=False, sort_keys=True) for t in tools)
    return _INTRO.format(tools="\n".join(lines))


def written(calls: Iterable[Mapping[str, Any]]) -> str:
    """Return calls in OpenAI form as the text a model writes; arguments that are no JSON stand in it as they are."""
    lines = []
    for call in calls:
        function = call.get("function", call)
        name = json.dumps(function.get("name"), ensure_ascii=False)
        lines.append(
            f'<tool_call>{{"name": {name}, "arguments": {_json(function.get("arguments"))}}}</tool_call>'
        )
    return "\n".join(lines)


def parted(text: str) -> tuple[str, list[dict[str, str]]]:
    """Part a reply from the calls in it: `name` and `arguments` of each, the latter as JSON text.

    What cannot be read is a call without a name, its arguments as they were written.
    """
    calls = []
    for inner in _CALL.findall(text):
        try:
            said = json.loads(inner)
            arguments = json.dumps(said.get("arguments", {}), ensure_ascii=False)
            calls.append({"name": str(said["name"]), "arguments": arguments})
        except (ValueError, KeyError, AttributeError, TypeError):
            calls.append({"name": "", "arguments": inner})
    return _CALL.sub("", text).strip() if calls else text, calls


def with_tools(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return messages in which tools and calls stand as text.

    Args:
        messages: In OpenAI form, contents as text.
        tools: In OpenAI form; none leaves the system message as it is.
    """
    found = [_plain(m) for m in messages]
    if tools and found and found[0]["role"] == "system":
        found[0]["content"] = f"{found[0]['content']}\n\n{told(tools)}".strip()
    elif tools:
        found.insert(0, {"role": "system", "content": told(tools)})
    return found


def _json(arguments: Any) -> str:
    try:
        given = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return str(arguments)
    return json.dumps(given or {}, ensure_ascii=False)


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    text = message.get("content") or ""
    calls = message.get("tool_calls") or ()
    return {
        "role": str(message.get("role", "user")),
        "content": "\n".join(filter(None, (text, written(calls)))) if calls else text,
    }
