"""Jobs: fine-tunes written down before they are sent, sent once, and asked after from any process.

jobs = Jobs(Path(".advisor"))
job = jobs.write(recipe, dataset_folder, cap_usd=5.0)   # a row; nothing is sent
job = jobs.submit(job.key)                              # exactly one job at the provider, whatever dies in between
job = jobs.wait(job.key)

A job is a row in `jobs.db` (SQLite, WAL). Its key is made of its recipe and dataset, so that ordering the same again gives
the same job; `again=True` gives a new one. While a process sends a job it holds a lock that dies with it: whoever finds a
job in state `sending` with the lock free knows that the sender died, and looks at the provider before sending anything.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from finetune import recipe as recipes
from finetune.backends import load
from finetune.backends.port import (
    DIED,
    FINAL,
    Action,
    Backend,
    Event,
    JobError,
    JobRefused,
    JobUnavailable,
    Order,
    Standing,
    State,
)
from finetune.jobs_file import migrate, opened
from finetune.recipe import Recipe
from rag.locks import Locked, exclusive, make

_PATIENCE_S = 30.0
_REVIVALS = 3
"""Times that one wait takes up a training again whose process died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a job is expected to cost, in US dollars.

    Attributes:
        basis: How it was computed, with the date of the prices.
        exact: Whether tokens were counted as the provider counts them, so that only the price may be off.
    """

    low: float = 0.0
    high: float = 0.0
    basis: str = "costs nothing but time on this machine"
    exact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it stands in its row.

    Attributes:
        key: Ours; see `Order.key`.
        provider_id: The provider's; None until it is known.
        raw: The provider's own word for the state.
        cost_usd: By the provider's count, None until it says.
        steps: What was noted on the way, such as ids of uploaded files.
        created: Seconds since the epoch.
        updated: Likewise.
    """

    key: str
    backend: str
    recipe: Recipe
    dataset: Path
    cap_usd: float
    estimate: Estimate
    state: State
    provider_id: str | None = None
    raw: str = ""
    message: str = ""
    model: str | None = None
    trained_tokens: int | None = None
    cost_usd: float | None = None
    steps: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    checkpoints: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    created: float = 0.0
    updated: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in FINAL


class Jobs:
    """The jobs of one state folder. May be used by several threads and processes.

    Args:
        folder: The state folder; `jobs.db` and `jobs/<key>/` are made in it.
        backends: Gives the backend of a name; `finetune.backends.load` unless one's own are to be used.
        open_cap_usd: Most that all jobs that are sent and not over may cost together, US dollars; None: each has its own cap
            only.
    """

    def __init__(
        self,
        folder: Path,
        *,
        backends: Callable[[str], Backend] = load,
        open_cap_usd: float | None = None,
    ) -> None:
        self._folder = folder
        self._open_cap_usd = open_cap_usd
        self._backends = backends
        self._loaded: dict[str, Backend] = {}
        folder.mkdir(parents=True, exist_ok=True)
        migrate(self._folder / "jobs.db", wait_s=_PATIENCE_S)

    # Writing down, sending, asking after

    def write(
        self,
        recipe: Recipe,
        dataset: Path,
        *,
        cap_usd: float = 0.0,
        estimate: Estimate | None = None,
        again: bool = False,
    ) -> Job:
        """Write a job down; nothing is sent. Writing the same again gives the job that is there: one that failed on this machine, to be sent anew.

        Args:
            recipe: How.
            dataset: Folder of the dataset.
            cap_usd: Most it may cost.
            estimate: What it is expected to cost.
            again: Whether to write a new job even if there is one of the same recipe and dataset.

        Raises:
            JobRefused: The estimate is over the cap.
        """
        estimate = estimate or Estimate()
        if estimate.high > cap_usd:
            raise JobRefused(
                f"it may cost up to ${estimate.high:.2f}, more than the cap of ${cap_usd:.2f}",
                hint="raise the cap, or train on less",
            )
        backend = recipe.base.partition(":")[0]
        with self._open() as db, db:
            db.execute("BEGIN IMMEDIATE")
            known = self._same(db, recipe, dataset)
            if known and not again:
                key = known[-1]
                self._reopen(db, key)
            else:
                key = _key(recipe, dataset, attempt=len(known))
                now = time.time()
                db.execute(
                    "INSERT INTO jobs (key, backend, recipe, dataset, cap_usd, estimate, state, created, updated) VALUES (?,?,?,?,?,?,?,?,?)",
                    (key, backend, json.dumps(recipes.to_data(recipe), sort_keys=True), str(dataset), cap_usd, json.dumps(asdict(estimate), sort_keys=True), "written", now, now),
                )  # fmt: skip
        return self.get(key)

    def submit(self, key: str) -> Job:
        """Send a job unless it was sent; exactly one exists at the provider afterwards.

        Raises:
            JobRefused: The provider will not do it, or the job is over.
            JobUnavailable: It could not be sent now; calling again is safe.
            JobUncertain: The answer was lost; calling again looks for it first.
        """
        self.get(key)
        with self._sending(key):
            job = self.get(key)
            if job.provider_id is not None:
                return job
            if job.is_over:
                raise JobRefused(
                    f"job {key} is over ({job.state}): {job.message}", hint="order it again to try once more"
                )
            perhaps_sent = job.state == "sending"
            self._claim(job)
            try:
                id = self._backend(job).submit(
                    self._order(job), steps=job.steps, note=self._noting(key), perhaps_sent=perhaps_sent
                )
            except JobRefused as error:
                self._set(key, state="failed", message=str(error), raw=error.code)
                raise
            except JobUnavailable as error:
                self._set(key, state="sending" if perhaps_sent else "written", message=str(error))
                raise
            except JobError as error:
                self._set(key, message=str(error))
                raise
            self._set(key, state="running", provider_id=id, message="")
        return self.get(key)

    def poll(self, key: str) -> Job:
        """Ask after a job and write down how it stands. A job that is over is not asked after.

        Raises:
            JobError: It could not be asked; the row is as it was.
        """
        job = self.get(key)
        if job.is_over or job.provider_id is None:
            return job
        standing = self._backend(job).poll(
            self._order(job), job.provider_id, steps=job.steps, note=self._noting(key)
        )
        self._keep(key, standing)
        return self.get(key)

    def looks(
        self, key: str, *, every_s: float = 5.0, timeout_s: float | None = None
    ) -> Iterator[tuple[Job, float]]:
        """Look after a job until it is over or paused, or the time is: how it stands, and the seconds until the next look.

        A job that was not sent, or whose sender died over it, is not waited for. Faults of the network are waited out, and a training whose process died is taken up again, three times.

        Args:
            key: The job.
            every_s: Seconds between two looks; more where the provider asks for more.
            timeout_s: Longest time, in seconds; None for no end.

        Raises:
            JobRefused: There is no such job, or it may not be asked after.
            JobUnavailable: A person must do something first, such as set a key.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        revivals = _REVIVALS
        while True:
            pause, known = every_s, True
            try:
                job = self.poll(key)
            except JobUnavailable as error:
                if not error.passes:
                    raise
                job, pause, known = self.get(key), max(every_s, error.retry_after_s or 0.0), False
            paused = known and job.state == "paused"
            dead = paused and job.raw == DIED and revivals > 0
            late = end is not None and time.monotonic() + pause > end
            if job.is_over or self._left_unsent(job) or late or (paused and not dead):
                yield job, 0.0
                return
            yield job, 0.0 if dead else pause
            if dead:
                revivals -= 1
                # What cannot be taken up has ended meanwhile, or was taken up by somebody else: the next look tells.
                with suppress(JobError):
                    self.control(key, "resume")

    def wait(
        self,
        key: str,
        *,
        timeout_s: float | None = None,
        every_s: float = 5.0,
        on_change: Callable[[Job], None] | None = None,
    ) -> Job:
        """Wait until a job is over or paused, or the time is; see `looks`, also for what it raises.

        Args:
            key: The job.
            timeout_s: Longest wait; None for no end.
            every_s: Seconds between two looks.
            on_change: Called with the job after every look.
        """
        for job, pause in self.looks(key, every_s=every_s, timeout_s=timeout_s):
            if on_change is not None:
                on_change(job)
            time.sleep(pause)
        return job

    def control(self, key: str, action: Action) -> Job:
        """Cancel, pause or resume a job. A job that was not sent is cancelled without asking anybody; one that failed on this machine can be resumed.

        Raises:
            JobRefused: It is over, or the provider cannot do that.
            JobUnavailable: It could not be asked.
        """
        job = self.get(key)
        if action == "resume" and job.state == "failed":
            with self._open() as db, db:
                self._reopen(db, job.key)
            job = self.get(key)
            if not job.is_over:
                return self.submit(job.key)
        if job.is_over:
            raise JobRefused(f"job {key} is over ({job.state})")
        if job.provider_id is None:
            return self._stopped_before(job, action)
        self._backend(job).control(self._order(job), job.provider_id, action)
        return self.poll(key)

    # Reading

    def get(self, key: str) -> Job:
        """Return a job by its key or the beginning of it.

        Raises:
            JobRefused: There is none, or more than one.
        """
        with self._open() as db:
            rows = db.execute(
                "SELECT * FROM jobs WHERE key = ? OR substr(key, 1, ?) = ? ORDER BY key", (key, len(key), key)
            ).fetchall()
        exact = [r for r in rows if r["key"] == key] or rows
        if len(exact) != 1:
            told = "no job" if not exact else f"{len(exact)} jobs"
            raise JobRefused(f"{told} with key {key!r}", hint="`advise jobs` lists them")
        return _job(exact[0])

    def all(self) -> list[Job]:
        """Return all jobs, the oldest first."""
        with self._open() as db:
            return [_job(row) for row in db.execute("SELECT * FROM jobs ORDER BY created, key")]

    def events(self, key: str) -> list[Event]:
        """Return what the provider told of a job, the oldest first."""
        with self._open() as db:
            rows = db.execute("SELECT * FROM events WHERE key = ? ORDER BY time, message", (key,)).fetchall()
        return [
            Event(time=r["time"], message=r["message"], level=r["level"], data=json.loads(r["data"]))
            for r in rows
        ]

    def at_provider(self, provider_id: str) -> Job | None:
        """Return the job of a provider's id; None if there is none, or its id is not known yet."""
        with self._open() as db:
            row = db.execute("SELECT * FROM jobs WHERE provider_id = ?", (provider_id,)).fetchone()
        return None if row is None else _job(row)

    def heard(self, id: str, kind: str, provider_id: str) -> bool:
        """Write a provider's message down and return whether it is the first of its id."""
        with self._open() as db, db:
            done = db.execute(
                "INSERT OR IGNORE INTO hooks VALUES (?,?,?,?)", (id, kind, provider_id, time.time())
            )
        return done.rowcount == 1

    # Parts of it

    def _claim(self, job: Job) -> None:
        """Note that a job is being sent, if all open jobs together stay within their cap; one that has to wait for that stays as it is.

        Both in one transaction: two that are sent at the same time would each find that there is room.
        """
        with self._open() as db, db:
            db.execute("BEGIN IMMEDIATE")
            known = [_job(row) for row in db.execute("SELECT * FROM jobs WHERE key != ?", (job.key,))]
            others = [j for j in known if not j.is_over and j.state != "written"]
            most = sum(j.estimate.high for j in others) + job.estimate.high
            if self._open_cap_usd is not None and most > self._open_cap_usd:
                raise JobRefused(
                    f"with {len(others)} open jobs it may come to ${most:.2f}, more than the cap of ${self._open_cap_usd:.2f} over all",
                    hint="wait for one to end, or raise the cap",
                )
            db.execute("UPDATE jobs SET state = 'sending', updated = ? WHERE key = ?", (time.time(), job.key))

    def _left_unsent(self, job: Job) -> bool:
        """Whether nobody is sending a job that is not known to be at its provider."""
        if job.provider_id is not None or job.state != "sending":
            return job.state == "written"
        try:
            with self._sending(job.key, wait_s=0.0):
                return self.get(job.key).provider_id is None
        except JobUnavailable:
            return False

    def _stopped_before(self, job: Job, action: Action) -> Job:
        if action != "cancel":
            raise JobRefused(f"job {job.key} was not sent yet")
        with self._sending(job.key):
            now = self.get(job.key)
            if now.provider_id is not None or now.state == "sending":
                raise JobUnavailable(
                    f"job {job.key} may have been sent", hint="submit it again to find out, then cancel it"
                )
            self._set(job.key, state="cancelled", message="cancelled before it was sent")
        return self.get(job.key)

    def _backend(self, job: Job) -> Backend:
        if job.backend not in self._loaded:
            self._loaded[job.backend] = self._backends(job.backend)
        return self._loaded[job.backend]

    def _order(self, job: Job) -> Order:
        workdir = self._folder / "jobs" / job.key
        workdir.mkdir(parents=True, exist_ok=True)
        return Order(
            key=job.key, recipe=job.recipe, dataset=job.dataset, workdir=workdir, cap_usd=job.cap_usd
        )

    def _noting(self, key: str) -> Callable[[str, Any], None]:
        def note(name: str, value: Any) -> None:
            with self._open() as db, db:
                db.execute("BEGIN IMMEDIATE")
                steps = json.loads(db.execute("SELECT steps FROM jobs WHERE key = ?", (key,)).fetchone()[0])
                db.execute(
                    "UPDATE jobs SET steps = ? WHERE key = ?",
                    (json.dumps({**steps, name: value}, sort_keys=True), key),
                )

        return note

    def _keep(self, key: str, s: Standing) -> None:
        """Write a standing down; what is known and not told again stays, and nothing leaves a final state."""
        with self._open() as db, db:
            db.execute("BEGIN IMMEDIATE")
            row = db.execute("SELECT * FROM jobs WHERE key = ?", (key,)).fetchone()
            db.executemany(
                "INSERT OR IGNORE INTO events VALUES (?,?,?,?,?)",
                [
                    (key, e.time, e.message, e.level, json.dumps(dict(e.data), sort_keys=True))
                    for e in s.events
                ],
            )
            if row["state"] in FINAL:
                return
            db.execute(
                "UPDATE jobs SET state=?, raw=?, message=?, model=COALESCE(?, model), trained_tokens=COALESCE(?, trained_tokens), "
                "cost_usd=COALESCE(?, cost_usd), metrics=?, checkpoints=?, files=?, updated=? WHERE key=?",
                (
                    s.state, s.raw, s.message, s.model, s.trained_tokens, s.cost_usd, json.dumps({**json.loads(row["metrics"]), **s.metrics}, sort_keys=True),
                    json.dumps(list(dict.fromkeys([*json.loads(row["checkpoints"]), *s.checkpoints]))),
                    json.dumps({**json.loads(row["files"]), **{n: str(p) for n, p in s.files.items()}}, sort_keys=True), time.time(), key,
                ),
            )  # fmt: skip

    def _set(self, key: str, **values: str) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        with self._open() as db, db:
            db.execute(
                f"UPDATE jobs SET {names}, updated = ? WHERE key = ?", (*values.values(), time.time(), key)
            )

    @staticmethod
    def _reopen(db: sqlite3.Connection, key: str) -> None:
        """Make a job that failed on this machine one that is to be sent. It costs nothing; what is paid for is sent once, whatever came of it."""
        db.execute(
            "UPDATE jobs SET state = 'written', provider_id = NULL, message = '', raw = '', updated = ? "
            "WHERE key = ? AND state = 'failed' AND backend = 'local'",
            (time.time(), key),
        )

    @staticmethod
    def _same(db: sqlite3.Connection, recipe: Recipe, dataset: Path) -> list[str]:
        stem = _key(recipe, dataset, attempt=0).rpartition("-")[0]
        rows = db.execute(
            "SELECT key FROM jobs WHERE substr(key, 1, ?) = ? ORDER BY created", (len(stem) + 1, f"{stem}-")
        )
        return [row["key"] for row in rows]

    @contextmanager
    def _sending(self, key: str, *, wait_s: float = _PATIENCE_S) -> Iterator[None]:
        lock = self._folder / "jobs" / f"{key}.lock"
        lock.parent.mkdir(exist_ok=True)
        if not lock.exists():
            make(lock)
        try:
            with exclusive(lock, wait_s=wait_s):
                yield
        except Locked:
            raise JobUnavailable(f"another process is sending job {key}", hint="wait for it") from None

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return opened(self._folder / "jobs.db", wait_s=_PATIENCE_S)


def _key(recipe: Recipe, dataset: Path, *, attempt: int) -> str:
    content = f"{recipe.hash}/{dataset.name}".encode()
    return f"rf-{hashlib.sha256(content).hexdigest()[:12]}-{attempt + 1}"


def _job(row: sqlite3.Row) -> Job:
    return Job(
        key=row["key"], backend=row["backend"], recipe=recipes.from_data(json.loads(row["recipe"])), dataset=Path(row["dataset"]),
        cap_usd=row["cap_usd"], estimate=Estimate(**json.loads(row["estimate"])), state=row["state"], provider_id=row["provider_id"],
        raw=row["raw"], message=row["message"], model=row["model"], trained_tokens=row["trained_tokens"], cost_usd=row["cost_usd"],
        steps=json.loads(row["steps"]), metrics=json.loads(row["metrics"]), checkpoints=tuple(json.loads(row["checkpoints"])),
        files=json.loads(row["files"]), created=row["created"], updated=row["updated"],
    )  # fmt: skip
