"""One logged turn of the shop's bots, with the truth about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bot import Page


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One reply, what led to it, and what is wrong with it.

    Attributes:
        bot: `answers`, `tickets`, `orders` or `cards`: which prompt.
        plant: What was done to it; `good` for nothing.
        cause: The planted cause, None for a good reply.
        gaps: The planted gaps.
        how: `generated`, `generated, then edited`, or `written` where nothing of the model is left.
        history: Messages of earlier turns in this conversation.
        calls: Tool calls of the reply, each (name, argument text).
        passages: What was served, None for a bot without retrieval.
        right: The right reply, for those customers who correct it.
    """

    bot: str
    question: str
    reply: str = ""
    plant: str = "good"
    cause: str | None = None
    gaps: tuple[str, ...] = ()
    how: str = "generated, then edited"
    history: tuple[dict[str, Any], ...] = ()
    calls: tuple[tuple[str, str], ...] = ()
    passages: tuple[Page, ...] | None = None
    finish: str = "stop"
    conversation: str | None = None
    order: int = 0
    right: str = ""


@dataclass(frozen=True, kw_only=True)
class Logged:
    """A turn as it stands in the log.

    Attributes:
        id: Response id: the key that truth and feedback are joined by.
        time: Seconds since the epoch.
        thumb: 1 up, -1 down, 0 none.
    """

    turn: Turn
    id: str
    time: int
    tenant: str
    customer: str
    conversation: str
    thumb: int = 0
    comment: str = ""
    correction: str = ""


def dumps(value: Any) -> str:
    """JSON on one line, with the letters as they are."""
    return json.dumps(value, ensure_ascii=False)
