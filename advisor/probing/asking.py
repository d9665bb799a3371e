"""Asking: every call is kept by what was asked, so that asking the same again is free; money and calls are capped."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import sqlite3
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from advisor.exchange import Exchange
from advisor.probing.subject import Setup
from router.bot import Bot
from router.models.port import (
    ChatModel,
    Completion,
    Delta,
    Messages,
    ModelError,
    ModelRefused,
    ToolRequest,
    Usage,
)
from router.portal import PORTAL
from router.releases import Price
from router.replies import Reply, Request

_SIZE = 600.0, 100.0
_CHARACTERS = 4


class CapReached(Exception):
    """No more may be asked in this run."""


@dataclass(slots=True)
class Budget:
    """What may be spent.

    Attributes:
        calls: Calls left; None for no limit.
        usd: US dollars left; counted only where a price is known, so that calls are all that is capped where it is not.
        price: Of the model, None if not known.
        spent_calls: Calls made.
        spent_usd: Dollars spent.
        free: Answers that were known already.
        size: Tokens that a call reads and writes, about; see `size_of`.
    """

    calls: int | None = None
    usd: float | None = None
    price: Price | None = None
    size: tuple[float, float] = _SIZE
    spent_calls: int = 0
    spent_usd: float = 0.0
    free: int = 0

    def cost(self, calls: int) -> float:
        """Return what calls cost in US dollars, about; infinite where the price is not known."""
        if self.price is None:
            return math.inf
        read, written = self.size
        return calls * (read * self.price.input + written * self.price.output) / 1e6

    def take(self) -> None:
        """Take one call.

        Raises:
            CapReached: None is left.
        """
        if (self.calls is not None and self.spent_calls >= self.calls) or (
            self.usd is not None and self.price is not None and self.spent_usd >= self.usd
        ):
            raise CapReached(f"the cap is reached after {self.spent_calls} calls and ${self.spent_usd:.2f}")
        self.spent_calls += 1

    def pay(self, usage: Usage) -> None:
        """Count what a call cost."""
        if self.price is not None:
            self.spent_usd += (
                (usage.input_tokens or 0) * self.price.input + (usage.output_tokens or 0) * self.price.output
            ) / 1e6


def size_of(seen: Iterable[Exchange]) -> tuple[float, float]:
    """Return how many tokens the calls of exchanges read and wrote, on average: as the log counts them, else a token for four characters."""
    found = [
        (
            float(e.input_tokens or _length(e) / _CHARACTERS),
            float(e.output_tokens or len(e.reply.content) / _CHARACTERS),
        )
        for e in seen
    ]
    return (fmean(r for r, _ in found), fmean(w for _, w in found)) if found else _SIZE


def _length(exchange: Exchange) -> int:
    texts = [*(m.content for m in exchange.conversation), *(p.text for p in exchange.passages or ())]
    return sum(map(len, texts)) + sum(len(t.name + t.description + str(t.parameters or "")) for t in exchange.tools)  # fmt: skip


class Remembered:
    """A model whose answers are kept in a file by what was asked; it is asked only for what is not there.

    Args:
        reference: `provider:name`; answers of another model are other answers.
        model: The model.
        file: SQLite file; made if it is not there.
        budget: What may be spent.
        again: Number of this repetition, so that a bot with temperature can be asked several times.
        since: Answers kept before are asked for anew, seconds since the epoch.
    """

    def __init__(
        self,
        reference: str,
        model: ChatModel,
        file: Path,
        budget: Budget,
        *,
        again: int = 0,
        since: float = 0.0,
    ) -> None:
        self._reference = reference
        self._model = model
        self._budget = budget
        self._again = again
        self._since = since
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._open()) as db:
            _make(db)

    def repeated(self, again: int) -> Remembered:
        """Return it for another repetition."""
        return Remembered(
            self._reference, self._model, self._file, self._budget, again=again, since=self._since
        )

    def complete(self, messages: Messages, **options: Any) -> Completion:
        """Return the known answer, or ask; see `ChatModel`.

        Raises:
            CapReached: It is not known, and no more may be asked.
            ModelError: No answer came; that is not kept.
        """
        key = self._key(messages, options)
        known = self._known(key)
        if known is not None:
            self._budget.free += 1
            return known
        self._budget.take()
        try:
            answer = self._model.complete(messages, **options)
        except StopIteration as error:
            # Raised in a thread that a coroutine waits for, it would leave that waiting for ever.
            raise ModelRefused(f"{self._reference} raised {error!r}") from error
        self._budget.pay(answer.usage)
        # Written before anything is done with it: an answer that was paid for is never asked for twice.
        with closing(self._open()) as db:
            db.execute(
                "INSERT OR REPLACE INTO answers (key, body, at) VALUES (?, ?, ?)",
                (key, json.dumps(asdict(answer), ensure_ascii=False), time.time()),
            )
        return answer

    async def astream(self, messages: Messages, **options: Any) -> AsyncGenerator[Delta, None]:
        """Give the answer in one piece; see `ChatModel`."""
        answer = await asyncio.to_thread(self.complete, messages, **options)
        yield Delta(text=answer.text)
        yield Delta(completion=answer)

    def _key(self, messages: Messages, options: Mapping[str, Any]) -> str:
        asked = [
            self._reference,
            [dict(m) for m in messages],
            {k: v for k, v in options.items() if v is not None},
            self._again,
        ]
        return hashlib.sha256(
            json.dumps(asked, sort_keys=True, ensure_ascii=False, default=str).encode()
        ).hexdigest()[:32]

    def _known(self, key: str) -> Completion | None:
        with closing(self._open()) as db:
            row = db.execute(
                "SELECT body FROM answers WHERE key = ? AND at >= ?", (key, self._since)
            ).fetchone()
        if row is None:
            return None
        data = json.loads(row[0])
        return Completion(
            **{
                **data,
                "tool_calls": tuple(ToolRequest(**c) for c in data["tool_calls"]),
                "usage": Usage(**data["usage"]),
            }
        )

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._file, timeout=30, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        return db


def _make(db: sqlite3.Connection) -> None:
    """Make the table; files of earlier versions do not say when an answer came."""
    if "at" in _columns(db):
        return
    db.execute("BEGIN IMMEDIATE")
    db.execute(
        "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, body TEXT NOT NULL, at REAL NOT NULL DEFAULT 0) WITHOUT ROWID"
    )
    if "at" not in _columns(db):
        db.execute("ALTER TABLE answers ADD COLUMN at REAL NOT NULL DEFAULT 0")
    db.execute("COMMIT")


def _columns(db: sqlite3.Connection) -> set[str]:
    return {name for _, name, *_ in db.execute("PRAGMA table_info(answers)")}


def ask(setup: Setup, model: ChatModel, request: Request) -> Reply | None:
    """Return the reply of a bot, None if none came: an error is no evidence.

    Tools are never called; what the bot would call is in the reply.

    Raises:
        CapReached: No more may be asked in this run.
    """
    bot = Bot(setup.release, setup.prompt, model, setup.searched)
    try:
        return PORTAL.call(bot.areply(request))
    except ModelError:
        return None
