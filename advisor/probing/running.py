"""Running probes on what the last run found: what was shown is kept in the state, and the plan follows from it."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from advisor import config as settings
from advisor import inputs, lessons
from advisor.advisor import context_of
from advisor.checks.context import Context
from advisor.diagnosis import Diagnosis
from advisor.exchange import Exchange
from advisor.issues import Issue
from advisor.logs.files import InputError
from advisor.plan import Facts
from advisor.probing.asking import Budget, Remembered, size_of
from advisor.probing.means import Sources, Workshop, by_issue
from advisor.probing.probe import Asker, Probed, Size, Tell, most_calls, probe, standing
from advisor.probing.subject import Subject
from advisor.probing.subjects import ADDRESS, Bots, bots, price
from advisor.remedies import plan as plan_for
from advisor.serial import dumps
from advisor.state import State
from rag.index import Index, IndexMissing
from rag.snapshot import Snapshot
from router.live import NothingLive

Agreed = Callable[[Budget, str], bool]
"""Asks before anything is paid for: what may be spent at most, and which bots are asked."""

Answering = tuple[Subject, Exchange, int]
"""A bot, one failure of the issue it is asked about, and how many of them are asked again."""

_AGES = 24 * 3600.0
"""Seconds after which a bot at an address, which may be another by then, is asked anew."""

_ATTEMPTS = 3


def probe_run(
    config: settings.Config,
    state: State,
    index: Index,
    *,
    only: Sequence[str] = (),
    fresh: bool = False,
    agreed: Agreed | None = None,
    tell: Tell | None = None,
) -> Probed | None:
    """Probe the issues of the last run; None if nobody agreed to the price.

    Where a newer run comes in meanwhile, its issues are probed in their place, as far as what was agreed to goes.

    Args:
        only: Ids of issues, or how they begin; all if empty.
        fresh: Ask anew what was asked by an earlier call.
        agreed: Asks before anything is paid for.
        tell: Called now and then.

    Raises:
        InputError: There is nothing to probe, no bot to ask, or runs come in faster than they are probed.
        NothingLive: No bot of any issue is live, where those are to be asked.
    """
    own, since = config.probe, _since(config, fresh=fresh)
    context, budget = context_of(config), Budget(calls=own.cap_calls, usd=own.cap_usd)
    size = Size(failures=own.failures, good=own.good, repeats=own.repeats)

    def remembered(subject: Subject) -> Remembered:
        return Remembered(
            subject.model_reference, subject.model, config.state / "probes.db", budget, since=since
        )

    for attempt in range(_ATTEMPTS):
        issues = state.issues()
        wanted = _wanted(state, issues, only)
        # What came of remedies since then counts too: after a refusal what is dearer is due.
        facts = lessons.told(state.runs()[-1].facts, state.outcomes())
        seen = list(state.exchanges())
        asked = bots(config, seen, index=index)
        answering = _answering(asked, wanted, seen, size)
        if attempt == 0:
            budget.price = price(config, [s.setup(e).release for s, e, _ in answering.values()])
            budget.calls = min(own.cap_calls, most_calls(answering.values(), size))
            budget.size = size_of(e for e, _ in seen)
            names = ", ".join(sorted({s.reference for s, _, _ in answering.values()}))
            if agreed is not None and not agreed(budget, names):
                return None
        workshop = Workshop(seen, config, _sources(config, index))
        askers = _askers(asked, answering, remembered, context)
        found = probe(wanted, facts, seen, workshop, askers, size=size, tell=tell)
        kept = _kept(state, issues, facts, found)
        if kept is not None:
            spent = f"{budget.spent_calls} calls, {budget.free} known already, ${budget.spent_usd:.2f}"
            return replace(kept, spent=spent)
    raise InputError(
        f"{state.path}: newer runs came in while their issues were probed; probe again, what was answered is kept"
    )


def _since(config: settings.Config, *, fresh: bool) -> float:
    """Return from when on answers count that were kept, seconds since the epoch."""
    now = time.time()
    return now if fresh else now - _AGES if (config.probe.bot or "").startswith(ADDRESS) else 0.0


def _wanted(state: State, issues: Sequence[Issue], only: Sequence[str]) -> list[Issue]:
    if not issues or not state.runs():
        raise InputError(f"{state.path}: no issue to probe; run `advise LOGS` first")
    wanted = [i for i in issues if not only or any(i.id.startswith(o) for o in only)]
    if not wanted:
        raise InputError(f"no issue {only[0]!r}; `advise show` takes the ids that the plan names")
    return wanted


def _answering(
    asked: Bots, wanted: Sequence[Issue], seen: Sequence[tuple[Exchange, Diagnosis]], size: Size
) -> dict[str, Answering]:
    """Return the bot of each issue, with one of its failures and how many are asked again; issues whose bot is not live are left out.

    Raises:
        NothingLive: None is.
    """
    stored = {e.id: e for e, _ in seen}
    found: dict[str, Answering] = {}
    missing: NothingLive | None = None
    for issue in wanted:
        failures = by_issue(issue, stored, size.failures)
        try:
            if failures:
                found[issue.id] = (asked.of(failures), failures[0], len(failures))
        except NothingLive as error:
            missing = error
    if missing is not None and not found:
        raise missing
    return found


def _askers(
    asked: Bots, answering: Mapping[str, Answering], model: Callable[[Subject], Remembered], context: Context
) -> Callable[[Issue, Sequence[Exchange]], Asker | None]:
    def asker(issue: Issue, failures: Sequence[Exchange]) -> Asker | None:
        if issue.id not in answering:
            return None
        subject = answering[issue.id][0]
        return Asker(
            subject=subject, model=model(subject), context=context, stand_in=asked.stands_in(failures)
        )

    return asker


def _kept(state: State, issues: Sequence[Issue], facts: Facts, found: Probed) -> Probed | None:
    """Keep what was shown in the state, and plan for all issues; None if others than these are stored by now."""
    probed = {i.id: i for i in found.issues}
    after = tuple(probed.get(i.id, i) for i in issues)
    members = {id: i for i in found.issues if i.id in found.probed for id in i.exchange_ids}
    changed = [
        (e.id, zlib.compress(dumps(e, standing(d, members[e.id])), 1))
        for e, d in state.exchanges()
        if e.id in members
    ]
    if not state.replace_issues(after, changed, before=issues):
        return None
    return found if len(after) == len(found.issues) else replace(found, plan=plan_for(after, facts))


def _sources(config: settings.Config, index: Index) -> Sources:
    snapshot: Snapshot | None = None
    with suppress(IndexMissing):
        snapshot = index.snapshot()
    documents = tuple(inputs.pages((*config.documents, *config.index.candidates)))
    return Sources(documents=documents, snapshot=snapshot)
