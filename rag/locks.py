"""Locks between processes, by SQLite: they work wherever it does and die with the process that holds them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


class Locked(RuntimeError):
    """Another process holds the lock."""


@contextmanager
def exclusive(path: Path, *, wait_s: float) -> Iterator[None]:
    """Hold a lock that nobody else can hold at the same time.

    Raises:
        Locked: Somebody else held it all the time.
    """
    with closing(_opened(path, wait_s)) as db:
        try:
            db.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise Locked(f"{path} is held by another process ({error})") from None
        try:
            yield
        finally:
            db.execute("ROLLBACK")


class Lease:
    """A shared hold on a file: any number of them at a time, none beside an exclusive lock.

    Raises:
        Locked: Somebody holds the exclusive lock.
        OSError: The file is gone.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise FileNotFoundError(f"{path} is gone")
        self._db = _opened(path, 5.0)
        try:
            self._db.execute("BEGIN")
            # A transaction takes its shared lock with the first thing it reads.
            self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            self._db.close()
            raise Locked(f"{path} is held by another process ({error})") from None

    def release(self) -> None:
        """Let go."""
        self._db.close()


def make(path: Path) -> None:
    """Make the file that is to be locked."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=1")
        db.commit()


def _opened(path: Path, wait_s: float) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=wait_s, isolation_level=None, check_same_thread=False)
