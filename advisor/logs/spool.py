"""The spool: calls and notes on disk, so that joining them needs no memory however large the log.

A private temporary SQLite database (the empty file name) that vanishes with the process.
"""

from __future__ import annotations

import copyreg
import pickle
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import groupby
from operator import attrgetter
from typing import Any

from advisor.exchange import Feedback, Message, Passage, Source, Tool, ToolCall
from advisor.logs.records import Call, Note

_BATCH = 2000
_SCHEMA = """
CREATE TABLE pending (trace TEXT, place INTEGER, body BLOB);
CREATE TABLE turns (key BLOB, body BLOB);
CREATE TABLE notes (number INTEGER, id TEXT);
CREATE TABLE note_bodies (number INTEGER PRIMARY KEY, body BLOB, joined INTEGER DEFAULT 0);
"""


class Spool:
    """Where calls wait for their traces, notes and conversations."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536; BEGIN;" + _SCHEMA
        )
        self._pending: list[tuple[str | None, int, bytes]] = []
        self._turns: list[tuple[bytes, bytes]] = []
        self._notes: list[tuple[int, str]] = []
        self._bodies: list[tuple[int, bytes]] = []
        self.notes = 0

    def add_pending(self, call: Call, source: Source) -> None:
        """Keep a call that must wait for its trace or its notes."""
        self._pending.append((call.trace_id, len(self._pending), _dump((call, source))))
        if len(self._pending) >= _BATCH:
            self._flush()

    def add_turn(self, key: bytes, call: Call, source: Source) -> None:
        """Keep a call that is ready to be put into its conversation."""
        self._turns.append((key, _dump((call, source))))
        if len(self._turns) >= _BATCH:
            self._flush()

    def add_note(self, note: Note) -> None:
        """Keep a note under every id it may be joined by."""
        self.notes += 1
        self._bodies.append((self.notes, _dump(note)))
        self._notes.extend((self.notes, i) for i in note.ids)
        if len(self._bodies) >= _BATCH:
            self._flush()

    def seal(self) -> None:
        """Make everything kept findable; nothing but turns is added afterwards."""
        self._flush()
        self._db.execute("CREATE INDEX notes_by_id ON notes (id)")

    def traces(self) -> Iterator[list[tuple[Call, Source]]]:
        """Yield the pending calls, those of one trace together; a call without trace comes alone."""
        rows = self._db.execute("SELECT trace, body FROM pending ORDER BY trace")
        for trace, group in groupby(rows, key=lambda row: row[0]):
            if trace is None:
                for row in group:
                    yield [pickle.loads(row[1])]
            else:
                yield [pickle.loads(row[1]) for row in group]

    def conversations(self) -> Iterator[list[tuple[Call, Source]]]:
        """Yield the turns, those of one key together, in the order of the keys."""
        self._flush()
        self._db.execute("CREATE INDEX turns_by_key ON turns (key)")
        rows = self._db.execute("SELECT key, body FROM turns ORDER BY key")
        for _, group in groupby(rows, key=lambda row: row[0]):
            yield [pickle.loads(row[1]) for row in group]

    def notes_for(self, ids: Iterable[str]) -> list[tuple[int, Note]]:
        """Return (number, note) of every note that names one of the ids, in the order they were read."""
        if not self.notes:
            return []
        numbers: set[int] = set()
        wanted = sorted(set(ids))
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            marks = ",".join("?" * len(part))
            numbers.update(
                n for (n,) in self._db.execute(f"SELECT number FROM notes WHERE id IN ({marks})", part)
            )
        return [(n, pickle.loads(self._body(n))) for n in sorted(numbers)]

    def mark_joined(self, numbers: Sequence[int]) -> None:
        """Remember that these notes found their call."""
        self._db.executemany("UPDATE note_bodies SET joined = 1 WHERE number = ?", [(n,) for n in numbers])

    def joined(self) -> int:
        """Return how many notes found a call."""
        (count,) = self._db.execute("SELECT count(*) FROM note_bodies WHERE joined").fetchone()
        return int(count)

    def close(self) -> None:
        """Give the disk space back."""
        self._db.close()

    def _body(self, number: int) -> bytes:
        (body,) = self._db.execute("SELECT body FROM note_bodies WHERE number = ?", (number,)).fetchone()
        return bytes(body)

    def _flush(self) -> None:
        self._db.executemany("INSERT INTO pending VALUES (?, ?, ?)", self._pending)
        self._db.executemany("INSERT INTO turns VALUES (?, ?)", self._turns)
        self._db.executemany("INSERT INTO notes VALUES (?, ?)", self._notes)
        self._db.executemany("INSERT INTO note_bodies (number, body) VALUES (?, ?)", self._bodies)
        for kept in (self._pending, self._turns, self._notes, self._bodies):
            kept.clear()


# Pickle writes these as one tuple each, behind their number here; what dataclasses do by themselves takes five
# times as long, and the spool sees every record of the log.
_KINDS: tuple[type[Any], ...] = (Call, Note, Message, ToolCall, Tool, Passage, Feedback, Source)
_NAMES = tuple(tuple(f.name for f in fields(kind)) for kind in _KINDS)
_PUT = tuple(
    tuple(getattr(kind, name).__set__ for name in names) for kind, names in zip(_KINDS, _NAMES, strict=True)
)


def _restored(number: int, state: tuple[Any, ...]) -> Any:
    made = object.__new__(_KINDS[number])
    for put, value in zip(_PUT[number], state, strict=True):
        put(made, value)
    return made


def _register(number: int) -> None:
    state = attrgetter(*_NAMES[number])
    copyreg.pickle(_KINDS[number], lambda value: (_restored, (number, state(value))))


for _number in range(len(_KINDS)):
    _register(_number)


def _dump(value: object) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
