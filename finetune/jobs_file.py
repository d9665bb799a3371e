"""The file of jobs (SQLite, WAL): its tables, and how it is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_MIGRATIONS = (
    """
    CREATE TABLE jobs (
        key TEXT PRIMARY KEY, backend TEXT NOT NULL, recipe TEXT NOT NULL, dataset TEXT NOT NULL, cap_usd REAL NOT NULL,
        estimate TEXT NOT NULL, state TEXT NOT NULL, provider_id TEXT, raw TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '',
        model TEXT, trained_tokens INTEGER, cost_usd REAL, steps TEXT NOT NULL DEFAULT '{}', metrics TEXT NOT NULL DEFAULT '{}',
        checkpoints TEXT NOT NULL DEFAULT '[]', files TEXT NOT NULL DEFAULT '{}', created REAL NOT NULL, updated REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE events (
        key TEXT NOT NULL, time REAL NOT NULL, message TEXT NOT NULL, level TEXT NOT NULL, data TEXT NOT NULL,
        PRIMARY KEY (key, time, message)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE hooks (id TEXT PRIMARY KEY, kind TEXT NOT NULL, provider_id TEXT NOT NULL, received REAL NOT NULL) WITHOUT ROWID
    """,
)


@contextmanager
def opened(file: Path, *, wait_s: float) -> Iterator[sqlite3.Connection]:
    """Give the file, closed at the end; others that write are waited for so long, seconds."""
    with closing(sqlite3.connect(file, timeout=wait_s, isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode = WAL")
        # A job that is paid for must survive the machine, not only the process.
        db.execute("PRAGMA synchronous = FULL")
        yield db


def migrate(file: Path, *, wait_s: float) -> None:
    """Make the tables that are not there yet."""
    with opened(file, wait_s=wait_s) as db, db:
        db.execute("BEGIN IMMEDIATE")
        at = db.execute("PRAGMA user_version").fetchone()[0]
        for script in _MIGRATIONS[at:]:
            for statement in filter(str.strip, script.split(";")):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {max(at, len(_MIGRATIONS))}")
