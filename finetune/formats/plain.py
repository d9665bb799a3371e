"""The format that training on one's own machine reads: chat messages, tools, and the rejected reply of a pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune.examples import Example
from finetune.formats.line import Line, Taught


def line(example: Example) -> Line:
    """Return the line of an example."""
    found: Line = {"messages": [dict(m) for m in example.messages]}
    if example.tools:
        found["tools"] = [dict(t) for t in example.tools]
    if example.rejected is not None:
        found["rejected"] = dict(example.rejected)
    return found


def taught(line: Mapping[str, Any]) -> Taught:
    """Return what a line teaches."""
    return Taught(
        messages=tuple(line["messages"]), tools=tuple(line.get("tools", ())), rejected=line.get("rejected")
    )
