"""Advisor: the whole way from logs to a plan, and each step of it."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advisor import calibration, checks, config, inputs, ledger, lessons, weights
from advisor.checks.context import Context
from advisor.diagnosis import Diagnosis, diagnose
from advisor.evidence import GAPS
from advisor.exchange import Exchange
from advisor.fresh import Fresh, carry, of_now
from advisor.grouping import group, wilson
from advisor.issues import Issue
from advisor.logs import read
from advisor.logs.files import InputError, expand
from advisor.logs.reading import Counts, Reading
from advisor.notices import notices
from advisor.observing import Observer
from advisor.plan import Facts, Plan
from advisor.remedies import plan as plan_for
from advisor.result import Example, Own, Result
from advisor.serial import loads
from advisor.state import Label, Outcome, State, opened
from advisor.tally import Limits, Seen, Tally, seen
from router.live import Live

if TYPE_CHECKING:
    from advisor.judge import Judge

_CHUNK = 200
_PARALLEL_FROM = 4 * 2**20


class Advisor:
    """Reads, explains and plans; changes nothing but its own state folder.

    Attributes:
        settings: What it was made with.
        document_count: Number of documents, None if none were given.
        context: What the checks may look at: contract, documents, labelled examples.
        weights: Of the diagnosis; recalibrated if there are labels enough.
        calibration: One sentence on that.
        observer: What diagnoses exchanges as they happen.
    """

    def __init__(self, settings: config.Config | None = None) -> None:
        self.settings = settings or config.Config()
        index, self.document_count = inputs.documents(self.settings.documents)
        self.context = Context(
            contract=config.contract_of(self.settings),
            documents=index,
            labelled=inputs.labelled(self.settings.labelled),
        )
        self._own_examples = inputs.examples(self.settings.train.examples)
        self.weights = weights.load(self.settings.weights)
        self.calibration = calibration.standing(()).message
        self._judge = _judge(self.settings.judge)
        self._outcomes: Sequence[Outcome] = ()
        self.observer = Observer(self.diagnose_one)

    @classmethod
    def from_config(cls, path: Path | str | None = None, **overrides: Any) -> Advisor:
        """Return an advisor with the settings of a file.

        Args:
            path: YAML as in `configs/advisor.yaml`; None for the defaults.
            overrides: Settings by name, for instance `state=Path("runs")`.

        Raises:
            InputError: The file or what it names has faults; one line for each.
        """
        return cls(config.load(path, overrides))

    def observe(self, exchange: Exchange) -> None:
        """Hand over an exchange as it happens; returns at once, never raises, and is diagnosed in the background."""
        self.observer.observe(exchange)

    def on_issue(self, call: Callable[[Issue], None]) -> None:
        """Call back with every issue that shows among the observed exchanges for the first time."""
        self.observer.on_issue(call)

    def diagnose_one(self, exchange: Exchange) -> Diagnosis:
        """Return what is wrong with one exchange."""
        evidence = checks.run(exchange, self.context)
        found = diagnose(exchange.id, evidence, self.weights)
        if self._judge is None or not found.is_open:
            return found
        votes = self._judge.vote(exchange, found)
        return diagnose(exchange.id, (*evidence, *votes), self.weights) if votes else found

    def diagnose(self, exchanges: Iterable[Exchange]) -> Iterator[Diagnosis]:
        """Yield the diagnosis of each exchange, in the same order."""
        return map(self.diagnose_one, exchanges)

    def plan(self, issues: Iterable[Issue], facts: Facts) -> Plan:
        """Return what to do about issues."""
        return plan_for(tuple(issues), facts)

    def run(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        new_only: bool = False,
        on_progress: Callable[[Counts, int], None] | None = None,
    ) -> Result:
        """Read logs, diagnose every exchange, group the failures and plan.

        The failures and a sample of good replies are kept in the state folder for `advise show` and `advise label`.

        Args:
            paths: Files, folders, globs or `-`.
            new_only: Whether exchanges that an earlier such run read are left out; what it kept is planned with. They are read
                again, in place of this run, until `State.finish_run` says that all was done that was to be done with them.
            on_progress: Called now and then with the counts of the reader and the exchanges diagnosed so far.

        Raises:
            InputError: A path names nothing, or the state folder cannot be used.
            NothingLive: With `new_only`: what says what is live is damaged.
        """
        started = time.monotonic()
        paths = list(paths)
        tell = on_progress or (lambda counts, done: None)
        with opened(self.settings.state) as state:
            if self._judge is not None:
                self._judge.cache = state.verdicts()
            self._calibrate(state.labels(), paths)
            self._outcomes = state.outcomes()
            tally = Tally()
            reading = read(
                paths,
                field_map=self.settings.logs.field_map or None,
                on_progress=lambda c: tell(c, tally.exchanges),
            )
            fresh = Fresh(state.read_before(), state.unfinished()) if new_only else None
            wanted = filter(fresh.is_new, reading) if fresh is not None else reading
            for item in self._seen(wanted, paths, tally):
                tally.add(item)
                if tally.exchanges % _CHUNK == 0:
                    tell(reading.counts, tally.exchanges)
            own = _own(tally)
            if fresh is not None and tally.exchanges:
                routes = Live(self.settings.state).routes()
                carry(tally, state, fresh, routes, days=self.settings.run.window_days)
            result = self._result(reading, tally, own, started)
            # A mistyped path must not wipe out what the run before found.
            if own.exchanges:
                self._keep(state, tally, result, fresh)
        return result

    def _keep(self, state: State, tally: Tally, result: Result, fresh: Fresh | None) -> None:
        with state.together():
            if fresh is not None and fresh.again is not None:
                state.take_back(fresh.again)
            elif fresh is not None:
                state.finish_run()  # what an unfinished run read is gone, so it cannot be made again
            state.replace_run(tally.stored(), result.issues)
            known = ledger.names(result.issues, state.sightings())
            seen_now = of_now(result.issues, fresh) if fresh is not None else result.issues
            number = state.note_run(result.own, ((known[i.id], i) for i in seen_now), plan=self._facts(tally))
            if fresh is not None:
                state.note_reading(number, fresh.now)

    def _seen(
        self, reading: Iterable[Exchange], paths: Iterable[str | os.PathLike[str]], tally: Tally
    ) -> Iterator[Seen]:
        workers = self._workers(paths)
        if workers < 2:
            for exchange in reading:
                yield seen(exchange, self.diagnose_one(exchange), tally.limits())
            return
        exchanges = iter(reading)
        with ProcessPoolExecutor(
            workers, initializer=_start_worker, initargs=(self.context, self.weights)
        ) as pool:
            waiting: list[Future[list[Seen]]] = []
            while chunk := list(islice(exchanges, _CHUNK)):
                waiting.append(pool.submit(_see, chunk, tally.limits()))
                # Bounded, so that a log larger than memory does not queue up before the workers.
                if len(waiting) > 3 * workers:
                    yield from waiting.pop(0).result()
            for future in waiting:
                yield from future.result()

    def _workers(self, paths: Iterable[str | os.PathLike[str]]) -> int:
        if self._judge is not None:
            return 1
        if self.settings.workers != "auto":
            return self.settings.workers
        return (os.cpu_count() or 1) if _size(paths) >= _PARALLEL_FROM else 1

    def _calibrate(self, labels: list[Label], paths: Iterable[str | os.PathLike[str]]) -> None:
        known = {label.id: label.gaps for label in labels if label.exchange is None}
        known |= inputs.verdicts(self.settings.labels)
        found = [
            calibration.Labelled(evidence=checks.run(label.exchange, self.context), gaps=label.gaps)
            for label in labels
            if label.exchange is not None and not known.keys() & {label.id, *label.exchange.ids}
        ]
        if known:
            for exchange in read(paths, field_map=self.settings.logs.field_map or None):
                named = known.keys() & {exchange.id, *exchange.ids}
                if named:
                    evidence = checks.run(exchange, self.context)
                    found.append(calibration.Labelled(evidence=evidence, gaps=known[min(named)]))
        self.weights = calibration.recalibrate(weights.load(self.settings.weights), found)
        self.calibration = calibration.standing(found).message

    def _result(self, reading: Reading, tally: Tally, own: Own, started: float) -> Result:
        members = tally.members()
        share = len(members) / tally.failed if tally.failed else 1.0
        clock = {hour: round(n * share) for hour, n in tally.hours.items()}
        issues = group(members, total=round(tally.exchanges * share), clock=clock)
        facts = self._facts(tally)
        bodies = tally.bodies()
        shown = {key for issue in issues for key in issue.examples} & bodies.keys()
        return Result(
            counts=reading.counts, skips=tuple(reading.skips), unknown_scores=tuple(sorted(reading.unknown_scores)),
            issues=issues, plan=self.plan(issues, facts), failed=wilson(tally.failed, tally.exchanges),
            gaps={g: wilson(tally.gaps[g], tally.exchanges) for g in GAPS}, own=own, examples={key: _example(bodies[key]) for key in sorted(shown)},
            calibration=self.calibration, documents=facts.documents, notices=notices(reading, tally, facts, sampled=len(members)),
            seconds=time.monotonic() - started,
        )  # fmt: skip

    def _facts(self, tally: Tally) -> Facts:
        n = max(1, tally.exchanges)
        facts = Facts(
            exchanges=tally.exchanges, failures=tally.failed, undetermined=tally.undetermined, good=tally.exchanges - tally.failed,
            calibrated=self.weights.calibrated, documents=self.document_count, served=tally.served / n,
            labelled=len(self.context.labelled), examples=self._own_examples, models=dict(sorted(tally.models.items())), tokens=round(tally.tokens / n, 1),
            days=tally.days(), today=datetime.now(UTC).date().isoformat(),
        )  # fmt: skip
        return lessons.told(facts, self._outcomes)


def context_of(settings: config.Config) -> Context:
    """Return what the checks may look at under some settings, without documents: replies are judged by what they were given."""
    return Context(contract=config.contract_of(settings), labelled=inputs.labelled(settings.labelled))


def _own(tally: Tally) -> Own:
    gaps = {g: tally.gaps[g] for g in GAPS}
    return Own(exchanges=tally.exchanges, failures=tally.failed, undetermined=tally.undetermined, gaps=gaps)


def _example(body: bytes) -> Example:
    exchange, diagnosis = loads(zlib.decompress(body))
    return Example(exchange=exchange, diagnosis=diagnosis)


_worker: tuple[Context, weights.Weights] | None = None


def _start_worker(context: Context, fitted: weights.Weights) -> None:
    global _worker
    _worker = (context, fitted)


def _see(exchanges: list[Exchange], limits: Limits) -> list[Seen]:
    if _worker is None:
        raise RuntimeError("the worker was not started")
    context, fitted = _worker
    return [seen(e, diagnose(e.id, checks.run(e, context), fitted), limits) for e in exchanges]


def _size(paths: Iterable[str | os.PathLike[str]]) -> int:
    return sum(Path(name).stat().st_size for name in expand(paths) if name != "-" and Path(name).exists())


def _judge(settings: config.JudgeSettings) -> Judge | None:
    if settings.model is None:
        return None
    from advisor import judge  # a run without one need not load the models
    from router.models import load
    from router.models.port import ModelMissing

    price = config.priced(settings.price)
    prices = {settings.model: price} if price is not None else {}
    try:
        model = load(settings.model)
    except ModelMissing as error:
        raise InputError(f"judge: {error}") from error
    return judge.Judge(
        model, name=settings.model, cap_usd=settings.cap_usd, cap_calls=settings.cap_calls, prices=prices
    )  # fmt: skip
