"""Tools as text, for a model whose chat template knows none: told of in the system message, calls written into the reply.

The form is that of the open models that were trained on tools (Hermes, Qwen). The trainer and the engines both write it by this module, so
that what was learnt is what is served.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_INTRO = (
    "You may call functions to help the user. The functions:\n{tools}\n"
    'To call one, answer only with <tool_call>{{"name": ..., "arguments": {{...}}}}</tool_call>. Call none if none is needed.'
)


def told(tools: Iterable[Mapping[str, Any]]) -> str:
    """Return tools in OpenAI form as text for a system message, one a line."""
    lines = (json.dumps(t.get("function", t), ensure_ascii=False, sort_keys=True) for t in tools)
    return _INTRO.format(tools="\n".join(lines))


def written(calls: Iterable[Mapping[str, Any]]) -> str:
    """Return calls in OpenAI form as the text a model writes.

    Raises:
        ValueError: The arguments of one are no JSON.
    """
    lines = []
    for call in calls:
        function = call.get("function", call)
        arguments = function.get("arguments") or {}
        given = json.loads(arguments) if isinstance(arguments, str) else arguments
        said = json.dumps({"name": function.get("name"), "arguments": given}, ensure_ascii=False)
        lines.append(f"<tool_call>{said}</tool_call>")
    return "\n".join(lines)


def with_tools(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return messages in which tools and calls stand as text.

    Args:
        messages: In OpenAI form, contents as text.
        tools: In OpenAI form; none leaves the system message as it is.

    Raises:
        ValueError: The arguments of a call are no JSON.
    """
    found = [_plain(m) for m in messages]
    if tools and found and found[0]["role"] == "system":
        found[0]["content"] = f"{found[0]['content']}\n\n{told(tools)}".strip()
    elif tools:
        found.insert(0, {"role": "system", "content": told(tools)})
    return found


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    text = message.get("content") or ""
    calls = message.get("tool_calls") or ()
    return {
        "role": str(message.get("role", "user")),
        "content": "\n".join(filter(None, (text, written(calls)))) if calls else text,
    }
