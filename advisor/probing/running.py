"""Running probes on what the last run found: what was shown is kept in the state, and the plan follows from it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from advisor import config as settings
from advisor import inputs
from advisor.advisor import context_of
from advisor.exchange import Exchange
from advisor.issues import Issue
from advisor.logs.files import InputError
from advisor.probing.asking import Budget, Remembered
from advisor.probing.means import Sources, Workshop
from advisor.probing.probe import Asker, Probed, Size, Tell, most_calls, probe, standing
from advisor.probing.subjects import bots, price
from advisor.remedies import plan as plan_for
from advisor.serial import dumps
from advisor.state import State
from rag.index import Index, IndexMissing
from rag.snapshot import Snapshot

Agreed = Callable[[int, Budget, str], bool]
"""Asks before anything is paid for: most calls, budget, and which bot."""


def probe_run(
    config: settings.Config,
    state: State,
    index: Index,
    *,
    only: Sequence[str] = (),
    agreed: Agreed | None = None,
    tell: Tell | None = None,
) -> Probed | None:
    """Probe the issues of the last run; None if nobody agreed to the price.

    Raises:
        InputError: There is nothing to probe, or no bot to ask.
    """
    issues = state.issues()
    if not issues or not state.runs():
        raise InputError(f"{state.path}: no issue to probe; run `advise LOGS` first")
    wanted = [i for i in issues if not only or any(i.id.startswith(o) for o in only)]
    if not wanted:
        raise InputError(f"no issue {only[0]!r}; `advise show` takes the ids that the plan names")
    seen = list(state.exchanges())
    asked, own = bots(config, seen, index=index), config.probe
    size = Size(failures=own.failures, good=own.good, repeats=own.repeats if own.temperature > 0 else 1)
    budget = Budget(calls=own.cap_calls, usd=own.cap_usd, price=price(config))
    if agreed is not None and not agreed(
        most_calls(wanted, asked.default, size), budget, asked.default.reference
    ):
        return None
    sources = Sources(
        documents=tuple(inputs.pages((*config.documents, *config.index.candidates))),
        snapshot=_snapshot(index),
    )
    context = context_of(config)

    def asker(failures: Sequence[Exchange]) -> Asker:
        subject = asked.of(failures)
        model = Remembered(subject.model_reference, subject.model, config.state / "probes.db", budget)
        return Asker(subject=subject, model=model, context=context)

    # What came of remedies since then counts too: after a refusal what is dearer is due.
    facts = replace(state.runs()[-1].facts, learned=state.learned(), refused=state.refused())
    found = probe(wanted, facts, seen, Workshop(seen, config, sources), asker, size=size, tell=tell)
    spent = f"{budget.spent_calls} calls, {budget.free} known already, ${budget.spent_usd:.2f}"
    return replace(_kept(state, issues, found), spent=spent)


def _kept(state: State, issues: Sequence[Issue], found: Probed) -> Probed:
    probed = {i.id: i for i in found.issues}
    after = [probed.get(i.id, i) for i in issues]
    members = {id: i for i in found.issues if i.proofs for id in i.exchange_ids}
    changed = [
        (e.id, zlib.compress(dumps(e, standing(d, members[e.id])), 1))
        for e, d in state.exchanges()
        if e.id in members
    ]
    state.replace_issues(after, changed)
    return (
        found
        if len(after) == len(found.issues)
        else replace(found, plan=plan_for(tuple(after), state.runs()[-1].facts))
    )


def _snapshot(index: Index) -> Snapshot | None:
    try:
        return index.snapshot()
    except IndexMissing:
        return None
