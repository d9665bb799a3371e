"""Fresh: what a scheduled run reads that no run before it read, and what those before it left to plan with."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from advisor.exchange import Exchange
from advisor.grouping import wilson
from advisor.issues import Issue
from advisor.ledger import in_force
from advisor.state import State
from advisor.tally import Tally, seen
from router.live import Route

_DAY_S = 86_400.0


@dataclass(slots=True)
class Fresh:
    """Tells new exchanges from those that were read before; one of which more was said since counts as new.

    Attributes:
        before: Exchanges read before, with how much was said of each.
        unfinished: A run that was ended before it was finished, and what it read; see `State.unfinished`.
        now: Those that were new in this run.
    """

    before: dict[str, int]
    unfinished: tuple[int, frozenset[str]] | None = None
    now: dict[str, int] = field(default_factory=dict)

    def is_new(self, exchange: Exchange) -> bool:
        """Return whether an exchange was not read before as it is now."""
        told = len(exchange.feedback) + len(exchange.later) + (exchange.expected is not None)
        if self.before.get(exchange.id, -1) >= told:
            return False
        self.now[exchange.id] = told
        return True

    @property
    def again(self) -> int | None:
        """The unfinished run that this one makes again; None if there is none, or what it read is no longer there."""
        if self.unfinished is None or self.unfinished[1].isdisjoint(self.now):
            return None
        return self.unfinished[0]


def carry(tally: Tally, state: State, fresh: Fresh, routes: Mapping[str, Route], *, days: float) -> None:
    """Add what runs of the last `days` kept to a tally, so that a plan rests on more than the newest log.

    Failures that a remedy was applied for are left out.
    """
    since = time.time() - days * _DAY_S
    runs = {r.number: r for r in state.runs()}
    again = runs.get(fresh.again) if fresh.again is not None else None
    # What a run that is made again applied is its own plan's, which it goes on with; what was answered before, it left out itself.
    over = _answered(state, routes) if again is None else frozenset()
    carried = 0
    for exchange, diagnosis in state.exchanges():
        if exchange.id in over or exchange.id in fresh.now:
            continue
        if exchange.time is None or exchange.time >= since:
            tally.add(seen(exchange, diagnosis, tally.limits()))
            carried += 1
    # Of what was good only a sample is kept, but all of it was counted.
    if again is None:
        counted = sum(r.exchanges for r in runs.values() if r.at >= since) - len(over)
    else:
        counted = again.facts.exchanges - again.exchanges
    tally.exchanges += max(0, counted - carried)


def _answered(state: State, routes: Mapping[str, Route]) -> frozenset[str]:
    """Return the failures that a remedy was applied for since the last run, by id: the bot that gave them is gone, and a plan that
    counts them again would mend what is mended. What the remedy left bad shows in newer logs."""
    last = max((r.at for r in state.runs()), default=0.0)
    applied = {
        issue
        for outcome in state.outcomes()
        if (at := in_force(outcome, routes)) is not None
        and at >= int(last)  # outcomes are noted to the second
        for issue in outcome.body.get("issues", ())
    }
    return frozenset(id for issue in state.issues() if issue.id in applied for id in issue.exchange_ids)


def of_now(issues: Iterable[Issue], fresh: Fresh) -> Iterator[Issue]:
    """Yield the issues with what this run alone saw of them; those it did not see are left out."""
    total = len(fresh.now)
    for issue in issues:
        own = tuple(id for id in issue.exchange_ids if id in fresh.now)
        if own:
            yield replace(issue, exchange_ids=own, rate=wilson(len(own), total))
