"""Ledger: issues over time. Each run's issues are matched to those known before; remedies and later runs say what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from advisor.issues import Issue
from advisor.state import Outcome, Run, Sighting
from rag.statistics import wilson

Standing = Literal["new", "open", "resolved", "back", "gone"]
"""Seen first in the last run; seen before and now; a remedy was applied and it is gone or much rarer; resolved once and seen again;
not seen lately, without a remedy."""

_ALIKE = 0.6
_TOPIC = 0.3
_RARE = 3.0
"""Failures one would have expected before absence means anything: of an issue seen in 1 of 100, nothing in 50 says little (rule of three)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An issue over time.

    Attributes:
        name: Id of its first sighting.
        issue: As it was seen last.
        counts: (run, failures, exchanges) for every run since it was seen first, the oldest first.
        applied: When remedies for it were applied, seconds since the epoch, the oldest first.
        standing: What became of it.
        said: Why, in one sentence.
    """

    name: str
    issue: Issue
    counts: tuple[tuple[int, int, int], ...]
    applied: tuple[float, ...]
    standing: Standing
    said: str


def names(issues: Iterable[Issue], sightings: Sequence[Sighting]) -> dict[str, str]:
    """Return the name under which each issue is known: that of the most similar one seen before, else its own id."""
    last = {s.name: s.issue for s in sorted(sightings, key=lambda s: s.run)}
    taken: set[str] = set()
    found: dict[str, str] = {}
    for issue in sorted(issues, key=lambda i: (-i.rate.count, i.id)):
        best = max(
            ((likeness(issue, old), name) for name, old in last.items() if name not in taken),
            default=(0.0, ""),
        )
        name = best[1] if best[0] > 0 else issue.id
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


def known(sightings: Sequence[Sighting], runs: Sequence[Run], outcomes: Sequence[Outcome]) -> list[Known]:
    """Return every issue that was ever seen, the largest of the last run first."""
    by_name: dict[str, dict[int, Issue]] = {}
    for s in sightings:
        by_name.setdefault(s.name, {})[s.run] = s.issue
    found = [_known(name, seen, runs, _applied(seen, outcomes)) for name, seen in by_name.items()]
    order = {"back": 0, "new": 1, "open": 2, "resolved": 3, "gone": 4}
    return sorted(found, key=lambda k: (order[k.standing], -k.counts[-1][1], k.name))


def _applied(seen: Mapping[int, Issue], outcomes: Sequence[Outcome]) -> tuple[float, ...]:
    own = {i.id for i in seen.values()}
    return tuple(o.time for o in outcomes if o.is_applied and own & set(o.body.get("issues", ())))


def _known(name: str, seen: Mapping[int, Issue], runs: Sequence[Run], applied: tuple[float, ...]) -> Known:
    first = min(seen)
    since = [r for r in runs if r.number >= first]
    counts = tuple(
        (r.number, seen[r.number].rate.count if r.number in seen else 0, r.exchanges) for r in since
    )
    standing, said = _standing(counts, since, applied)
    return Known(
        name=name, issue=seen[max(seen)], counts=counts, applied=applied, standing=standing, said=said
    )


def _standing(
    counts: Sequence[tuple[int, int, int]], runs: Sequence[Run], applied: Sequence[float]
) -> tuple[Standing, str]:
    number, count, total = counts[-1]
    if len(counts) == 1:
        return "new", f"seen first in run {number}: {count} of {total:,}"
    if applied:
        at = applied[-1]
        before = _share([c for c, r in zip(counts, runs, strict=True) if r.at <= at])
        after = [c for c, r in zip(counts, runs, strict=True) if r.at > at]
        if not after:
            return "open", "a remedy was applied; no log since"
        seen, of = _share(after)
        low, high = wilson(seen, of)
        was = before[0] / before[1] if before[1] else 0.0
        if seen and counts[-1][1] and any(c[1] == 0 for c in after[:-1]) and low > 0:
            return "back", f"it had gone after the remedy and is back: {count} of {total:,} in run {number}"
        if high < was / 2 or (not seen and of * was >= _RARE):
            return "resolved", f"{seen} of {of:,} since the remedy, {was:.1%} before"
        told = (
            "too few exchanges since the remedy to tell"
            if not seen
            else f"still {seen} of {of:,} since the remedy, {was:.1%} before"
        )
        return "open", told
    if count == 0:
        seen, of = _share(counts[:-1])
        expected = total * seen / of if of else 0.0
        return (
            ("gone", f"not seen in run {number}, without a remedy of ours")
            if expected >= _RARE
            else ("open", f"not seen in run {number}, which is too short to tell")
        )
    return "open", f"{count} of {total:,} in run {number}"


def _share(counts: Iterable[tuple[int, int, int]]) -> tuple[int, int]:
    found = list(counts)
    return sum(c for _, c, _ in found), sum(t for _, _, t in found)


def _jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b) if a | b else 1.0
