"""Outcomes: how the replies of each release fared, for canaries to be held against what is live."""

from __future__ import annotations

import queue
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from router.replies import Reply

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outcomes (
    reply TEXT PRIMARY KEY, time REAL NOT NULL, route TEXT NOT NULL, release TEXT NOT NULL, arm TEXT NOT NULL,
    conversation TEXT NOT NULL, held INTEGER NOT NULL, thumb INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_release ON outcomes (route, release, time);
"""
_EVERY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How a release fared on a route.

    Attributes:
        replies: Replies.
        held: Those that kept their contract and needed no fallback.
        rated: Those that somebody rated.
        good: Those rated good.
        conversations: Conversations they belong to.
    """

    replies: int = 0
    held: int = 0
    rated: int = 0
    good: int = 0
    conversations: int = 0


class Outcomes:
    """The outcomes of a state folder, `outcomes.db` (SQLite, WAL). Written in the background, a few times a second."""

    def __init__(self, state: Path) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self._file = state / "outcomes.db"
        with closing(self._open()) as db:
            db.executescript(_SCHEMA)
        self._waiting: queue.SimpleQueue[tuple[str, tuple[object, ...]] | threading.Event | None] = (
            queue.SimpleQueue()
        )
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._work, name="rightfix-outcomes", daemon=True)
        self._thread.start()

    def add(self, reply: Reply, *, conversation: str, failed: bool = False) -> None:
        """Note how a reply fared; `failed` if there was none."""
        broken = failed or any(i.kind in ("fallback", "call_dropped") for i in reply.interventions)
        held = not reply.breaches and not broken
        row = (reply.id, reply.time, reply.route, reply.release, reply.arm, conversation, int(held))
        self._waiting.put(
            (
                "INSERT OR IGNORE INTO outcomes (reply, time, route, release, arm, conversation, held) VALUES (?,?,?,?,?,?,?)",
                row,
            )
        )

    def rate(self, reply_id: str, thumb: int) -> None:
        """Note that somebody rated a reply, 1 good or -1 bad; the last rating counts."""
        self._waiting.put(("UPDATE outcomes SET thumb = ? WHERE reply = ?", (thumb, reply_id)))

    def tally(self, *, route: str, release: str, since: float = 0.0) -> Tally:
        """Return how a release fared on a route since a time; replies in the shadow or by a release that the asker chose do not count."""
        with closing(self._open()) as db:
            row = db.execute(
                "SELECT count(*), total(held), count(thumb), total(thumb > 0), count(DISTINCT conversation) FROM outcomes "
                "WHERE route = ? AND release = ? AND time >= ? AND arm IN ('live', 'canary')",
                (route, release, since),
            ).fetchone()
        return Tally(replies=row[0], held=int(row[1]), rated=row[2], good=int(row[3]), conversations=row[4])

    def flush(self) -> None:
        """Return when all that was noted is in the file."""
        done = threading.Event()
        self._waiting.put(done)
        self._hurry.set()
        done.wait()

    def close(self) -> None:
        """Write what waits."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._hurry.set()
            self._thread.join()

    def _work(self) -> None:
        with closing(self._open()) as db:
            going = True
            while going:
                batch = [self._waiting.get()]
                self._hurry.clear()
                while not self._waiting.empty():
                    batch.append(self._waiting.get())
                statements = [b for b in batch if isinstance(b, tuple)]
                if statements:
                    self._written(db, statements)
                for done in batch:
                    if isinstance(done, threading.Event):
                        done.set()
                going = None not in batch
                if going and len(batch) < 100:
                    self._hurry.wait(_EVERY_S)

    @staticmethod
    def _written(db: sqlite3.Connection, statements: list[tuple[str, tuple[object, ...]]]) -> None:
        try:
            with db:
                db.execute("BEGIN IMMEDIATE")
                for statement, values in statements:
                    db.execute(statement, values)
        except sqlite3.OperationalError:
            # A disk that is full costs outcomes, not replies.
            return

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._file, timeout=30, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        return db
