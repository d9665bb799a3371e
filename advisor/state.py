"""State: the SQLite file that remembers the last run and every verdict a person gave.

One file, `<folder>/advisor.db`, in WAL mode, with numbered migrations. Runs replace each other in one transaction, so a run that is
killed leaves the one before it, and a scheduled one is made again until it is finished; labels are never deleted by a run.
"""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from advisor.diagnosis import Diagnosis
from advisor.evidence import GAPS, Gap
from advisor.exchange import Exchange
from advisor.issues import Issue
from advisor.logs.files import InputError
from advisor.plan import Facts
from advisor.result import Own
from advisor.serial import issue_of, loads

_PATIENCE = 30.0
"""Seconds to wait for another process."""

_MIGRATIONS = (
    """
    CREATE TABLE exchanges (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE known_ids (known TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (known, id)) WITHOUT ROWID;
    CREATE TABLE issues (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE labels (id TEXT PRIMARY KEY, gaps TEXT NOT NULL, body BLOB, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)
        WITHOUT ROWID;
    CREATE TABLE verdicts (key TEXT PRIMARY KEY, verdict TEXT NOT NULL) WITHOUT ROWID;
    """,
    """
    CREATE TABLE outcomes (number INTEGER PRIMARY KEY, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, kind TEXT NOT NULL, verdict TEXT NOT NULL,
        body TEXT NOT NULL);
    """,
    """
    CREATE TABLE runs (number INTEGER PRIMARY KEY, at REAL NOT NULL, exchanges INTEGER NOT NULL, failures INTEGER NOT NULL, facts TEXT NOT NULL);
    CREATE TABLE sightings (run INTEGER NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, total INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (run, name)) WITHOUT ROWID;
    CREATE TABLE steps (plan TEXT NOT NULL, remedy TEXT NOT NULL, step TEXT NOT NULL, body TEXT NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (plan, remedy, step)) WITHOUT ROWID;
    CREATE TABLE read_before (id TEXT PRIMARY KEY, told INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE unsent (number INTEGER PRIMARY KEY, body TEXT NOT NULL);
    """,
    """
    CREATE TABLE unfinished (id TEXT PRIMARY KEY, told INTEGER NOT NULL, run INTEGER NOT NULL) WITHOUT ROWID;
    """,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A person's verdict.

    Attributes:
        id: Of the exchange, or any id the log had for it.
        gaps: What was wrong; empty if the reply was good.
        exchange: The exchange as it was when labelled, None if only its id is known.
    """

    id: str
    gaps: frozenset[Gap]
    exchange: Exchange | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a remedy.

    Attributes:
        kind: Of the remedy, such as `UpdateIndex`.
        verdict: `applied`, or why not.
        body: What was done and measured, as plain data.
        at: ISO time, UTC; set when it is written down.
    """

    kind: str
    verdict: str
    body: Mapping[str, Any]
    at: str = ""

    @property
    def is_applied(self) -> bool:
        """Whether the remedy is live, or was."""
        return self.verdict.startswith("applied")

    @property
    def time(self) -> float:
        """When it was written down, whole seconds since the epoch."""
        return datetime.fromisoformat(f"{self.at}+00:00").timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run over logs.

    Attributes:
        at: When it ended, seconds since the epoch.
        facts: What its plan was made from.
    """

    number: int
    at: float
    exchanges: int
    failures: int
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one run saw of an issue.

    Attributes:
        name: Id under which the issue is known over all runs: that of its first sighting.
    """

    run: int
    name: str
    issue: Issue


class State:
    """The state file of one folder, made when first needed.

    Raises:
        InputError: The file is not ours, is damaged, or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "advisor.db"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
            self._write_ahead()
            self._migrate()
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                f"{self.path}: cannot be used as state ({error}); move it away or set `state`"
            ) from error

    def _write_ahead(self) -> None:
        """Switch to WAL; SQLite does not wait by itself when another process is switching at that moment."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def _migrate(self) -> None:
        with self.together():
            (done,) = self._db.execute("PRAGMA user_version").fetchone()
            if done > len(_MIGRATIONS):
                raise sqlite3.DatabaseError("it was written by a newer version")
            for script in _MIGRATIONS[done:]:
                for statement in script.split(";"):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version={len(_MIGRATIONS)}")

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written within is written at once, or not at all."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def replace_run(
        self, stored: Iterable[tuple[str, bytes, Iterable[str]]], issues: Iterable[Issue]
    ) -> None:
        """Put a run in place of the last one: (exchange id, packed body, ids in the log) and its issues."""
        with self.together():
            for table in ("exchanges", "known_ids", "issues"):
                self._db.execute(f"DELETE FROM {table}")
            for key, body, known in stored:
                self._db.execute("INSERT OR REPLACE INTO exchanges VALUES (?, ?)", (key, body))
                self._db.executemany(
                    "INSERT OR IGNORE INTO known_ids VALUES (?, ?)", [(k, key) for k in known]
                )
            self._db.executemany(
                "INSERT OR REPLACE INTO issues VALUES (?, ?)", ((i.id, orjson.dumps(i)) for i in issues)
            )

    def note_run(self, own: Own, sightings: Iterable[tuple[str, Issue]], *, plan: Facts) -> int:
        """Write down that a run was made and which issues it saw, by the name each is known under; return its number.

        Args:
            own: Of what this run read.
            sightings: Issues by name, with what this run saw of them.
            plan: Of what its plan was made from.
        """
        with self.together():
            done = self._db.execute(
                "INSERT INTO runs (at, exchanges, failures, facts) VALUES (?, ?, ?, ?)",
                (time.time(), own.exchanges, own.failures, orjson.dumps(plan).decode()),
            )
            number = int(done.lastrowid or 0)
            self._db.executemany(
                "INSERT OR REPLACE INTO sightings VALUES (?, ?, ?, ?, ?)",
                (
                    (number, name, i.rate.count, i.rate.total, orjson.dumps(i).decode())
                    for name, i in sightings
                ),
            )
        return number

    def runs(self) -> list[Run]:
        """Return all runs, the oldest first."""
        rows = self._db.execute("SELECT number, at, exchanges, failures, facts FROM runs ORDER BY number")
        return [
            Run(number=n, at=at, exchanges=e, failures=f, facts=_facts_of(orjson.loads(facts)))
            for n, at, e, f, facts in rows
        ]

    def sightings(self) -> list[Sighting]:
        """Return what all runs saw of all issues, by run and name."""
        rows = self._db.execute("SELECT run, name, body FROM sightings ORDER BY run, name")
        return [Sighting(run=run, name=name, issue=issue_of(orjson.loads(body))) for run, name, body in rows]

    def replace_issues(
        self, issues: Iterable[Issue], diagnoses: Iterable[tuple[str, bytes]], *, before: Sequence[Issue]
    ) -> bool:
        """Put the issues of the last run in place of those that are stored, and packed exchanges with their diagnoses.

        Nothing is changed, and False returned, if others than `before` are stored by now: a newer run came in.
        """
        with self.together():
            if self.issues() != list(before):
                return False
            self._db.execute("DELETE FROM issues")
            self._db.executemany(
                "INSERT OR REPLACE INTO issues VALUES (?, ?)", ((i.id, orjson.dumps(i)) for i in issues)
            )
            self._db.executemany(
                "UPDATE exchanges SET body = ? WHERE id = ?", ((body, key) for key, body in diagnoses)
            )
        return True

    def issues(self) -> list[Issue]:
        """Return the issues of the last run, the largest first."""
        found = [issue_of(orjson.loads(body)) for (body,) in self._db.execute("SELECT body FROM issues")]
        return sorted(found, key=lambda i: (-i.rate.count, i.id))

    def step(self, plan: str, remedy: str, step: str) -> Any:
        """Return what a step of carrying a plan out gave, None if it was not done."""
        row = self._db.execute(
            "SELECT body FROM steps WHERE plan = ? AND remedy = ? AND step = ?", (plan, remedy, step)
        ).fetchone()
        return None if row is None else orjson.loads(row[0])

    def note_step(self, plan: str, remedy: str, step: str, body: Any) -> None:
        """Write down that a step is done, and what it gave."""
        with self.together():
            self._db.execute(
                "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?)",
                (plan, remedy, step, orjson.dumps(body).decode(), time.time()),
            )

    def read_before(self) -> dict[str, int]:
        """Return the exchanges that scheduled runs have read, by id, with how much was said of each then."""
        return dict(self._db.execute("SELECT id, told FROM read_before"))

    def note_reading(self, run: int, told: Mapping[str, int]) -> None:
        """Write down which exchanges a scheduled run reads; they count as read before once it is finished."""
        with self.together():
            self._db.executemany(
                "INSERT OR REPLACE INTO unfinished VALUES (?, ?, ?)",
                ((key, said, run) for key, said in told.items()),
            )

    def unfinished(self) -> tuple[int, frozenset[str]] | None:
        """Return the scheduled run that ended before it was finished, and the exchanges it read; None if all were."""
        rows = self._db.execute("SELECT run, id FROM unfinished").fetchall()
        return (rows[0][0], frozenset(key for _, key in rows)) if rows else None

    def finish_run(self) -> None:
        """Count what the last scheduled run read as read before."""
        with self.together():
            self._db.execute("INSERT OR REPLACE INTO read_before SELECT id, told FROM unfinished")
            self._db.execute("DELETE FROM unfinished")

    def take_back(self, run: int) -> None:
        """Forget an unfinished run, which is made again."""
        with self.together():
            self._db.execute("DELETE FROM runs WHERE number = ?", (run,))
            self._db.execute("DELETE FROM sightings WHERE run = ?", (run,))
            self._db.execute("DELETE FROM unfinished")

    def unsent(self) -> list[tuple[int, Mapping[str, Any]]]:
        """Return the messages that could not be sent yet, the oldest first."""
        return [
            (n, orjson.loads(body))
            for n, body in self._db.execute("SELECT number, body FROM unsent ORDER BY number")
        ]

    def note_unsent(self, body: Mapping[str, Any]) -> None:
        """Write a message down before it is sent."""
        with self.together():
            self._db.execute("INSERT INTO unsent (body) VALUES (?)", (orjson.dumps(body).decode(),))

    def sent(self, number: int) -> None:
        """Forget a message that was sent."""
        with self.together():
            self._db.execute("DELETE FROM unsent WHERE number = ?", (number,))

    def exchange(self, wanted: str) -> tuple[Exchange, Diagnosis]:
        """Return the exchange whose id, beginning of id, or id in the log this is.

        Raises:
            InputError: None or several match.
        """
        found = self._ids("exchanges", wanted) or [
            row[0]
            for row in self._db.execute(
                "SELECT DISTINCT id FROM known_ids WHERE known = ? LIMIT 5", (wanted,)
            )
        ]
        (row,) = self._db.execute(
            "SELECT body FROM exchanges WHERE id = ?", (_only(found, wanted),)
        ).fetchall()
        return loads(zlib.decompress(row[0]))

    def exchanges(self) -> Iterator[tuple[Exchange, Diagnosis]]:
        """Yield all stored exchanges, by id: the failures of the last run, and a sample of what was good."""
        for (body,) in self._db.execute("SELECT body FROM exchanges ORDER BY id"):
            yield loads(zlib.decompress(body))

    def note_outcome(self, outcome: Outcome, *, once: tuple[str, str, str] | None = None) -> None:
        """Write down what came of a remedy; never changed or deleted.

        Args:
            outcome: What came of it.
            once: (plan, remedy, step): if that step has noted the same verdict before, nothing is written again.
        """
        with self.together():
            if once is not None:
                row = self._db.execute(
                    "SELECT body FROM steps WHERE plan = ? AND remedy = ? AND step = ?", once
                ).fetchone()
                if row is not None and orjson.loads(row[0]) == outcome.verdict:
                    return
                self._db.execute(
                    "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?)",
                    (*once, orjson.dumps(outcome.verdict).decode(), time.time()),
                )
            self._db.execute(
                "INSERT INTO outcomes (kind, verdict, body) VALUES (?, ?, ?)",
                (outcome.kind, outcome.verdict, orjson.dumps(outcome.body).decode()),
            )

    def outcomes(self) -> list[Outcome]:
        """Return all outcomes, the oldest first."""
        rows = self._db.execute("SELECT at, kind, verdict, body FROM outcomes ORDER BY number")
        return [
            Outcome(at=at, kind=kind, verdict=verdict, body=orjson.loads(body))
            for at, kind, verdict, body in rows
        ]

    def issue(self, wanted: str) -> Issue | None:
        """Return the issue whose id, or beginning of id, this is; None if there is none."""
        found = self._ids("issues", wanted)
        if not found:
            return None
        (body,) = self._db.execute("SELECT body FROM issues WHERE id = ?", (_only(found, wanted),)).fetchone()
        return issue_of(orjson.loads(body))

    def _ids(self, table: str, wanted: str) -> list[str]:
        low, high = wanted, wanted + "\U0010ffff"
        rows = self._db.execute(
            f"SELECT id FROM {table} WHERE id >= ? AND id < ? LIMIT 5", (low, high)
        ).fetchall()
        return [wanted] if (wanted,) in rows else [row[0] for row in rows]

    def sample(self, count: int) -> list[str]:
        """Return up to `count` ids of stored exchanges that have no label yet, in the order of their hash."""
        rows = self._db.execute(
            "SELECT id FROM exchanges WHERE id NOT IN (SELECT id FROM labels) ORDER BY id LIMIT ?", (count,)
        )
        return [row[0] for row in rows]

    def label(self, key: str, gaps: Iterable[Gap], body: bytes | None) -> None:
        """Write a verdict down, in place of an earlier one on the same exchange."""
        with self.together():
            self._db.execute(
                "INSERT OR REPLACE INTO labels (id, gaps, body) VALUES (?, ?, ?)",
                (key, ",".join(sorted(gaps)), body),
            )

    def verdicts(self) -> MutableMapping[str, str]:
        """Return what the judge was paid to say, by content; it is written at once and never deleted by a run."""
        return _Verdicts(self._db)

    def labels(self) -> list[Label]:
        """Return all verdicts, by id."""
        rows = self._db.execute("SELECT id, gaps, body FROM labels ORDER BY id").fetchall()
        return [
            Label(id=key, gaps=_gaps(gaps), exchange=loads(zlib.decompress(body))[0] if body else None)
            for key, gaps, body in rows
        ]


class _Verdicts(MutableMapping[str, str]):
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __getitem__(self, key: str) -> str:
        row = self._db.execute("SELECT verdict FROM verdicts WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return str(row[0])

    def __setitem__(self, key: str, verdict: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?)", (key, verdict))

    def __delitem__(self, key: str) -> None:
        self._db.execute("DELETE FROM verdicts WHERE key = ?", (key,))

    def __iter__(self) -> Iterator[str]:
        return (str(row[0]) for row in self._db.execute("SELECT key FROM verdicts ORDER BY key"))

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM verdicts").fetchone()[0])


def _facts_of(data: dict[str, Any]) -> Facts:
    learned = {kind: (int(k), int(n)) for kind, (k, n) in data.get("learned", {}).items()}
    return Facts(**{**data, "learned": learned, "refused": tuple(data.get("refused", ()))})


def _gaps(text: str) -> frozenset[Gap]:
    named = text.split(",")
    return frozenset(g for g in GAPS if g in named)


def _only(found: list[str], wanted: str) -> str:
    if not found:
        raise InputError(
            f"no exchange or issue {wanted!r} in the last run; run `advise LOGS` first and copy an id it shows"
        )
    if len(found) > 1:
        raise InputError(f"{wanted!r} fits several: {', '.join(f[:12] for f in found)}; give more of the id")
    return found[0]


@contextmanager
def opened(folder: Path) -> Iterator[State]:
    """Open the state of a folder and close it again."""
    with closing(State(folder)) as state:
        yield state
