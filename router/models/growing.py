"""Answers that grow token by token: what was asked, what came so far, when it is done, and the calls of tools in it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rag.tool_text import parted
from router.models.port import Completion, Delta, ModelError, ToolRequest, Usage


@dataclass(slots=True, eq=False)
class Asked:
    """One request on its way.

    Attributes:
        ids: Tokens of the prompt.
        adapter: Folder of the adapter, None for the base.
        out: What came so far: text, then the completion or an error.
        stopped: Whether nobody waits for it any more.
    """

    ids: list[int]
    adapter: Path | None
    most: int
    temperature: float
    stop: tuple[str, ...]
    name: str
    tools: bool = False
    out: queue.SimpleQueue[Delta | ModelError] = field(default_factory=queue.SimpleQueue)
    stopped: bool = False


class Row:
    """One answer as it grows."""

    def __init__(self, asked: Asked, decode: Callable[[Sequence[int]], str], ends: frozenset[int]) -> None:
        self._asked = asked
        self._decode = decode
        self._ends = ends
        self._ids: list[int] = []
        # Two places in the tokens: what lies between them is decoded again, because a token's text depends on the one before it.
        self._from, self._until = 0, 0
        self._text, self._shown = "", 0
        self._back = max((len(s) for s in asked.stop), default=1) - 1
        self.reason: str | None = None

    def feed(self, token: int) -> None:
        """Take the next token."""
        if self.reason is not None:
            return
        if token in self._ends:
            self.reason = "stop"
            return
        self._ids.append(token)
        before = self._decode(self._ids[self._from : self._until])
        after = self._decode(self._ids[self._from :])
        # Half a character is shown once it is whole.
        if not after.endswith("\ufffd"):
            self._text += after[len(before) :]
            self._from, self._until = self._until, len(self._ids)
            self._cut()
        if self.reason is None and len(self._ids) >= self._asked.most:
            self.reason = "length"
        if self._asked.stopped:
            self.reason = self.reason or "stop"

    def end(self) -> None:
        """Say what is left, and the whole."""
        self._show(len(self._text))
        text, found = parted(self._text) if self._asked.tools else (self._text, [])
        calls = tuple(ToolRequest(**c) for c in found)
        self._asked.out.put(
            Delta(
                completion=Completion(
                    text=text, tool_calls=calls, usage=Usage(input_tokens=len(self._asked.ids), output_tokens=len(self._ids)),
                    finish_reason="tool_calls" if calls else self.reason or "length", model=self._asked.name,
                )
            )
        )  # fmt: skip

    def _cut(self) -> None:
        places = [p for s in self._asked.stop if (p := self._text.find(s)) >= 0]
        if places:
            self._text, self.reason = self._text[: min(places)], "stop"
        else:
            self._show(len(self._text) - self._back)

    def _show(self, until: int) -> None:
        # A call of a tool is no text; which of the two it becomes is known at the end.
        if until > self._shown and not self._asked.tools:
            self._asked.out.put(Delta(text=self._text[self._shown : until]))
            self._shown = until
