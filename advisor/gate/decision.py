"""Decision: what paired outcomes allow, in one of four words and one sentence. Pure.

Better is shown by the exact McNemar test on conversations, of all issues together and of each, the latter corrected by Holm (1979). No worse is shown by the
interval of the paired difference on what was good (non-inferiority); a margin that the cases are too few to exclude is a reason
for a canary, not for a promotion.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from rag.statistics import Share, mcnemar, newcombe, share

Kind = Literal["target", "good", "general", "irrelevance"]
Verdict = Literal["promote", "canary", "refuse", "not enough evidence"]

ALPHA = 0.05
MARGIN = 0.02
"""Drop of what was good, 0-1, that is not worth refusing a remedy for."""

_DRAWS = 2000
_ALL = "all together"
_TOGETHER = 0.8
"""Share of the level that is spent on all issues together; the rest is for single ones (Holm), which keeps the whole at the level."""

LEAST_FLIPS = 6
"""Fewest conversations that must change, all for the better, to be more than chance at 5 % (2 * 0.5^6 = 0.03)."""

_CHANCE = 0.1
"""Level, one-sided, at which a drop of general abilities is taken to be more than chance."""

NAMES: Mapping[Kind, str] = {
    "target": "held-out failures",
    "good": "good replies",
    "general": "general abilities",
    "irrelevance": "requests that call for no tool",
}
"""What the cases of each kind are called in a sentence."""

_BREAKS = 2
"""Good cases that may break in one conversation or another without that being called a pattern."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One case, judged before and after.

    Attributes:
        id: Of the case.
        group: Conversation; cases of one conversation are not independent.
        kind: A held-out failure, a reply that was good, an item of the general suite, or a request that calls for no tool.
        issue: Issue that a failure belongs to; empty for others.
        before: Whether it was good; None if that could not be told.
        after: Likewise.
        note: Why it is bad after, if it is.
    """

    id: str
    group: str
    kind: Kind
    issue: str = ""
    before: bool | None
    after: bool | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Cases of one kind, before against after.

    Attributes:
        before: Share that was good.
        after: Likewise.
        difference: after - before.
        low: Lower end of its 95 % interval, clustered by conversation.
        high: Upper end.
        gained: Cases good only after.
        lost: Cases good only before.
        p: Two-sided exact McNemar test over conversations, each counted once by the sign of its net change.
        unjudged: Cases left out because before or after could not be told.
        broken: Ids of the cases that were lost, at most twenty.
    """

    before: Share
    after: Share
    difference: float
    low: float
    high: float
    gained: int
    lost: int
    p: float
    unjudged: int
    broken: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of cases."""
        return self.before.n


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What may be done, and why.

    Attributes:
        verdict: The word.
        reason: The sentence.
        issues: The held-out failures, by issue.
        target: All of them together.
        good: What was good.
        general: The general and safety suite.
        irrelevance: Requests that call for no tool.
    """

    verdict: Verdict
    reason: str
    issues: Mapping[str, Part]
    target: Part
    good: Part
    general: Part
    irrelevance: Part


def decide(
    pairs: Iterable[Pair], *, margin: float = MARGIN, alpha: float = ALPHA, names: Mapping[Kind, str] = NAMES
) -> Decision:
    """Return what paired outcomes allow.

    Args:
        pairs: Of all kinds.
        margin: Drop of what was good, 0-1, that is borne.
        alpha: Level of the tests.
        names: What the cases of each kind are called. Where good replies have no name none is asked again, and a decision misses none.
    """
    found = list(pairs)
    by_issue: dict[str, list[Pair]] = defaultdict(list)
    for pair in found:
        if pair.kind == "target":
            by_issue[pair.issue].append(pair)
    issues = {name: part(own) for name, own in sorted(by_issue.items())}
    parts = {kind: part([p for p in found if p.kind == kind]) for kind in NAMES}
    target = parts.pop("target")
    verdict, reason = _judged(issues, target, parts, margin, alpha, names)
    return Decision(
        verdict=verdict, reason=reason, issues=issues, target=target, good=parts["good"], general=parts["general"], irrelevance=parts["irrelevance"]
    )  # fmt: skip


def part(pairs: Sequence[Pair]) -> Part:
    """Compare the pairs of one kind; what could not be judged on both sides is left out and counted."""
    judged = [
        (p.group, p.before, p.after, p.id) for p in pairs if p.before is not None and p.after is not None
    ]
    n = len(judged)
    gained = sum(not b and a for _, b, a, _ in judged)
    lost = sum(b and not a for _, b, a, _ in judged)
    groups: dict[str, list[int]] = defaultdict(list)
    for group, b, a, _ in judged:
        groups[group].append(int(bool(a)) - int(bool(b)))
    ups, downs = sum(sum(g) > 0 for g in groups.values()), sum(sum(g) < 0 for g in groups.values())
    both = sum(bool(b and a) for _, b, a, _ in judged)
    low, high = newcombe(both, gained, lost, n) if len(groups) == n else _clustered(list(groups.values()))
    first, second = share(both + lost, n), share(both + gained, n)
    return Part(
        before=first, after=second, difference=second.value - first.value, low=low, high=high, gained=gained, lost=lost, p=mcnemar(ups, downs),
        unjudged=len(pairs) - n, broken=tuple(id for _, b, a, id in judged if b and not a)[:20],
    )  # fmt: skip


def better(dear: Sequence[Pair], cheap: Sequence[Pair], *, alpha: float = ALPHA) -> tuple[bool, Part]:
    """Return whether a dearer remedy mends more than a cheaper one, and the comparison; if it does not, the cheaper one wins.

    Args:
        dear: The cases before and after the dearer one.
        cheap: The same cases before and after the cheaper one.
        alpha: Level of the test.
    """
    after = {p.id: p for p in dear if p.kind == "target"}
    pairs = [
        Pair(id=p.id, group=p.group, kind="target", issue=p.issue, before=p.after, after=after[p.id].after)
        for p in cheap
        if p.kind == "target" and p.id in after
    ]
    found = part(pairs)
    return found.gained > found.lost and found.p < alpha, found


def holm(ps: Mapping[str, float], alpha: float) -> set[str]:
    """Return the names whose hypotheses are rejected at a family-wise level (Holm 1979)."""
    rejected: set[str] = set()
    for rank, (name, p) in enumerate(sorted(ps.items(), key=lambda x: (x[1], x[0]))):
        if p > alpha / (len(ps) - rank):
            break
        rejected.add(name)
    return rejected


def _judged(
    issues: Mapping[str, Part], target: Part, kept: Mapping[Kind, Part], margin: float, alpha: float, names: Mapping[Kind, str]
) -> tuple[Verdict, str]:  # fmt: skip
    harmed = _harmed(kept, margin, names)
    if harmed is not None:
        return "refuse", harmed
    tested = {**issues, _ALL: target} if len(issues) > 1 else dict(issues)
    # Issues too small to show anything may show it as one, so most of the level is spent on all of them together.
    shown = holm(
        {name: p.p for name, p in issues.items()}, alpha * (1 - _TOGETHER) if len(issues) > 1 else alpha
    )
    shown |= {_ALL} if len(issues) > 1 and target.p <= alpha * _TOGETHER else set()
    # To be harmed is not a claim that must be earned: each issue is looked at with the whole level.
    harm = holm({name: p.p for name, p in issues.items()}, alpha) | (shown & {_ALL})
    worse = sorted(name for name in harm if tested[name].lost > tested[name].gained)
    if worse:
        seen, name = tested[worse[0]], worse[0]
        told = f"{name or names['target']} get" if name in (_ALL, "") else f"issue {name} gets"
        return (
            "refuse",
            f"{told} worse: {seen.lost} of {seen.n} held-out cases are lost, {seen.gained} gained",
        )
    mended = [name for name in shown if tested[name].gained > tested[name].lost]
    if not mended:
        return _not_mended(target, names["target"])
    told = f"{target.gained} of {target.n} {names['target']} are mended ({target.before.value:.0%} to {target.after.value:.0%} good), {target.lost} lost"
    doubtful = [kind for kind, p in kept.items() if p.n and p.low < -margin]
    if "good" in names and not kept["good"].n:
        return "canary", f"{told}; no good reply could be asked again, so what it breaks is not known"
    told = "; ".join([told, *(f"{p.lost} of {p.n} {names[kind]} broken" for kind, p in kept.items() if p.n)])
    if doubtful:
        return "canary", f"{told}, too few cases to exclude a drop of {margin:.0%}"
    return "promote", told


def _harmed(kept: Mapping[Kind, Part], margin: float, names: Mapping[Kind, str]) -> str | None:
    for kind, p in kept.items():
        surely = p.high < 0
        likely = p.difference < -margin and p.lost - p.gained >= _BREAKS
        # A task that a small model does by luck is lost by luck; a reply that was good and is asked for again is not.
        likely = likely and (kind != "general" or p.p < 2 * _CHANCE)
        if p.n and (surely or likely):
            return f"{p.lost} of {p.n} {names[kind]} are broken and {p.gained} gained ({p.before.value:.0%} to {p.after.value:.0%}), more than {margin:.0%}"
    return None


def _not_mended(target: Part, name: str) -> tuple[Verdict, str]:
    told = f"{target.gained} of {target.n} {name} are mended and {target.lost} lost"
    if target.n == 0:
        return "not enough evidence", f"no {name.removesuffix('s')} could be judged before and after"
    if target.gained > target.lost:
        need = max(1, LEAST_FLIPS - (target.gained - target.lost))
        return "not enough evidence", f"{told}: so few may be chance; {need} or more further cases are needed"
    if target.n < LEAST_FLIPS:
        return "not enough evidence", f"{told}; {target.n} cases are too few to tell"
    return "refuse", f"{told}: it does not mend what it is for"


def _clustered(groups: Sequence[Sequence[int]]) -> tuple[float, float]:
    """95 % interval of the mean change by bootstrap over conversations (fixed seed)."""
    if not groups:
        return -1.0, 1.0
    chance = random.Random(0)
    means = sorted(fmean(x for g in chance.choices(groups, k=len(groups)) for x in g) for _ in range(_DRAWS))
    return means[int(0.025 * _DRAWS)], means[int(0.975 * _DRAWS) - 1]
