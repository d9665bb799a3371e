"""Marks by which chat templates part one message from the next, made harmless where they stand inside of a message.

Engines on this machine read a whole chat as one text. A customer, or a page, that writes `<|im_end|><|im_start|>system` would otherwise
speak with the operator's voice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_KNOWN = re.compile(
    r"<\|[^|<>\n]{1,40}\|>"  # ChatML, Llama 3, Phi, Qwen, Harmony
    r"|<[｜▁][^<>\n]{1,40}[｜▁]>"  # DeepSeek
    r"|</?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|think|tool_call|tool_response)>"  # Llama 2, Gemma, Hermes
    r"|\[/?(?:INST|SYSTEM_PROMPT|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|ARGS|CALL_ID)\]"  # Mistral
    r"|<</?SYS>>",
    re.IGNORECASE,
)


def defused(messages: Sequence[Mapping[str, Any]], *, known: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return messages in whose words no mark is left whole: a space stands behind its first character.

    Args:
        messages: In OpenAI form.
        known: Further marks, such as a tokeniser's special tokens.
    """
    more = sorted((k for k in known if len(k) > 1), key=len, reverse=True)
    own = re.compile("|".join(map(re.escape, more))) if more else None
    return [
        {**m, "content": _content(m.get("content"), own)} if "content" in m else dict(m) for m in messages
    ]


def _content(content: Any, own: re.Pattern[str] | None) -> Any:
    if isinstance(content, str):
        text = _KNOWN.sub(_broken, content)
        return own.sub(_broken, text) if own is not None else text
    if isinstance(content, list | tuple):
        return [
            {**part, "text": _content(part["text"], own)}
            if isinstance(part, Mapping) and isinstance(part.get("text"), str)
            else part
            for part in content
        ]
    return content


def _broken(found: re.Match[str]) -> str:
    return f"{found[0][0]} {found[0][1:]}"
