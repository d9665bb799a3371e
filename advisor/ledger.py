"""Ledger: issues over time. Each run's issues are matched to those known before; remedies and later runs say what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from advisor.issues import Issue
from advisor.state import Outcome, Run, Sighting
from rag.statistics import wilson
from router.live import Route

Standing = Literal["new", "open", "resolved", "back", "gone"]
"""Seen first in the last run; seen before and now; a remedy was applied and it is gone or much rarer; resolved once and seen again;
not seen lately, without a remedy."""

_ALIKE = 0.6
_TOPIC = 0.3
_RARE = 3.0
"""Failures one would have expected before absence means anything: of an issue seen in 1 of 100, nothing in 50 says little (rule of three).
As many must be seen before an issue that was resolved is back: one is no return."""
_LATELY = 7
"""Runs over which a return may spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An issue over time.

    Attributes:
        name: Id of its first sighting.
        issue: As it was seen last.
        counts: (run, failures, exchanges) for every run since it was seen first, the oldest first.
        applied: When remedies for it that are in force were applied, seconds since the epoch, the oldest first.
        standing: What became of it.
        turned: Whether it was the last run that made it new, back or resolved.
        said: Why, in one sentence.
    """

    name: str
    issue: Issue
    counts: tuple[tuple[int, int, int], ...]
    applied: tuple[float, ...]
    standing: Standing
    turned: bool
    said: str


def names(issues: Iterable[Issue], sightings: Sequence[Sighting]) -> dict[str, str]:
    """Return the name under which each issue is known: that of the most similar one seen before, else its own id."""
    last = {s.name: s.issue for s in sorted(sightings, key=lambda s: s.run)}
    same = {i.id for i in last.values()}
    taken: set[str] = set()
    found: dict[str, str] = {}
    # Whose id is known comes first: another must neither take its name nor leave it to a third.
    for issue in sorted(issues, key=lambda i: (i.id not in last, i.id not in same, -i.rate.count, i.id)):
        best = max(
            ((old.id == issue.id, likeness(issue, old), name) for name, old in last.items() if name not in taken),
            default=(False, 0.0, ""),
        )  # fmt: skip
        name = issue.id if issue.id in last else best[2] if best[1] > 0 else issue.id
        taken.add(name)
        found[issue.id] = name
    return found


def likeness(one: Issue, other: Issue) -> float:
    """Return how alike two issues are, 0-1; 0 if they are not the same.

    The same gaps, mostly the same failed checks, and topics that share a third of their words. Probes may have changed an
    issue's gaps since, so one that was seen under other gaps is still known by its checks.
    """
    checks = _jaccard(set(one.signature), set(other.signature))
    topic = 1.0 if not one.topic and not other.topic else _jaccard(set(one.topic), set(other.topic))
    if one.id == other.id:
        return 1.0
    return (
        checks * (0.5 + topic / 2)
        if one.cause == other.cause and checks >= _ALIKE and topic >= _TOPIC
        else 0.0
    )


def known(
    sightings: Sequence[Sighting], runs: Sequence[Run], outcomes: Sequence[Outcome], routes: Mapping[str, Route]
) -> list[Known]:  # fmt: skip
    """Return every issue that was ever seen, the largest of the last run first.

    Args:
        routes: What is live; it says which remedies are in force.
    """
    by_name: dict[str, dict[int, Issue]] = {}
    for s in sightings:
        by_name.setdefault(s.name, {})[s.run] = s.issue
    held = [(at, o) for o in outcomes if (at := in_force(o, routes)) is not None]
    found = [_known(name, seen, runs, _applied(seen, held)) for name, seen in by_name.items()]
    order = {"back": 0, "new": 1, "open": 2, "resolved": 3, "gone": 4}
    return sorted(found, key=lambda k: (order[k.standing], -k.counts[-1][1], k.name))


def in_force(outcome: Outcome, routes: Mapping[str, Route]) -> float | None:
    """Return since when a remedy answers everybody on its route, seconds since the epoch; None if it was not applied, is tried on a
    canary only, or was taken back."""
    if not outcome.is_applied:
        return None
    release = outcome.body.get("release")
    if release is None:
        return outcome.time  # of the index alone; no route tells of it
    route = routes.get(outcome.body.get("route", ""))
    # What came later was made from it; a rollback takes it off the list.
    if route is None or release not in (route.release, *route.previous):
        return None
    return max(
        (c.at for c in route.changes if c.what == "promote" and c.release == release), default=outcome.time
    )


def _applied(seen: Mapping[int, Issue], held: Iterable[tuple[float, Outcome]]) -> tuple[float, ...]:
    own = {i.id for i in seen.values()}
    return tuple(sorted(at for at, o in held if own & set(o.body.get("issues", ()))))


def _known(name: str, seen: Mapping[int, Issue], runs: Sequence[Run], applied: tuple[float, ...]) -> Known:
    first = min(seen)
    own = [r for r in runs if r.number >= first]
    counts = tuple((r.number, seen[r.number].rate.count if r.number in seen else 0, r.exchanges) for r in own)
    standing, turned, said = _standing(counts, own, applied)
    return Known(
        name=name, issue=seen[max(seen)], counts=counts, applied=applied, standing=standing, turned=turned, said=said,
    )  # fmt: skip


_Counts = Sequence[tuple[int, int, int]]
"""(run, failures, exchanges) of runs, the oldest first."""


def _standing(counts: _Counts, runs: Sequence[Run], applied: Sequence[float]) -> tuple[Standing, bool, str]:
    number, count, total = counts[-1]
    if len(counts) == 1:
        return "new", True, f"seen first in run {number}: {count} of {total:,}"
    if applied:
        at = applied[-1]
        before = _share([c for c, r in zip(counts, runs, strict=True) if r.at <= at])
        after = [c for c, r in zip(counts, runs, strict=True) if r.at > at]
        if not after:
            return "open", False, "a remedy was applied; no log since"
        return _remedied(after, before[0] / before[1] if before[1] else 0.0)
    if count == 0:
        seen, of = _share(counts[:-1])
        expected = total * seen / of if of else 0.0
        return (
            ("gone", False, f"not seen in run {number}, without a remedy of ours")
            if expected >= _RARE
            else ("open", False, f"not seen in run {number}, which is too short to tell")
        )
    return "open", False, f"{count} of {total:,} in run {number}"


def _remedied(after: _Counts, was: float) -> tuple[Standing, bool, str]:
    """Return how an issue stands by the runs since a remedy, where it was seen in a share `was` of replies before.

    It is resolved once it is much rarer; then it is back with the run that shows so, and may be resolved again.
    """
    standing: Standing = "open"
    since, begin = 0, 0
    for n, (run, _, _) in enumerate(after):
        if standing == "resolved" and _rose(after[begin : n + 1], was):
            standing, since, begin = "back", run, n + 1
        elif standing != "resolved" and _fell(after[begin : n + 1], was):
            standing, since = "resolved", run
    seen, of = _share(after)
    number, count, total = after[-1]
    if standing == "back":
        told = f"it had gone after the remedy and is back since run {since}: {count} of {total:,} in run {number}"
        return standing, since == number, told
    if standing == "open" and not seen:
        return standing, False, "too few exchanges since the remedy to tell"
    still = "still " if standing == "open" else ""
    return standing, since == number, f"{still}{seen} of {of:,} since the remedy, {was:.1%} before"


def _fell(counts: _Counts, was: float) -> bool:
    """Return whether an issue is much rarer than it was."""
    seen, of = _share(counts)
    return wilson(seen, of)[1] < was / 2 or (not seen and of * was >= _RARE)


def _rose(counts: _Counts, was: float) -> bool:
    """Return whether the latest runs show an issue clearly more often than those before, and about as often as it was."""
    for first in range(max(1, len(counts) - _LATELY), len(counts)):
        quiet, (seen, of) = _share(counts[:first]), _share(counts[first:])
        if seen >= _RARE and seen > of * was / 2 and wilson(seen, of)[0] > wilson(*quiet)[1]:
            return True
    return False


def _share(counts: Iterable[tuple[int, int, int]]) -> tuple[int, int]:
    found = list(counts)
    return sum(c for _, c, _ in found), sum(t for _, _, t in found)


def _jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b) if a | b else 1.0
