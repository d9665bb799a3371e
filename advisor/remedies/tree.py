"""`plan`: proposals for every issue, joined where one remedy serves several, in the order of gain per effort."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from advisor.exchange import content_hash
from advisor.issues import Issue
from advisor.plan import Facts, Gain, Plan, Remedy, as_data
from advisor.remedies import proved, training
from advisor.remedies.proposal import Proposal, free
from finetune.catalog import Row, rows
from rag.statistics import wilson

_RATE = 60.0
"""US dollars that an hour of a person counts as, to weigh hours against prices."""
_PRIOR = 10
"""Cases that the expectation from elsewhere weighs against what was seen here."""

_LEAST = 3
"""Fewest failures to act on: of two or less in a hundred or more, the ends of the 95 % interval lie over tenfold apart."""


def plan(issues: Sequence[Issue], facts: Facts, *, catalog: Sequence[Row] | None = None) -> Plan:
    """Return what to do about the issues. Pure: the same issues in any order and the same facts give the same plan.

    Args:
        issues: What was found.
        facts: What else decides.
        catalog: What can be tuned where; the shipped table if not given.
    """
    known = rows() if catalog is None else catalog
    ordered = sorted(issues, key=lambda i: i.id)
    facts = replace(facts, trainable=training.trainable(ordered, facts.refused))
    joined = _joined(proposal for issue in ordered for proposal in _proposals(issue, facts, known))
    settled = [part for part in joined if not _too_few(part)]
    covered = {p.issue.id for part in settled for p in part}
    rare = {
        p.issue.id: p.issue for part in joined if _too_few(part) for p in part if p.issue.id not in covered
    }
    settled += _joined(_rare(issue) for issue in rare.values())
    ranked = [(_learned(_remedy(part), facts), part[0].after) for part in settled]
    ranked.sort(key=lambda pair: (pair[1], -_worth(pair[0]), pair[0].id))
    remedies = _linked([remedy for remedy, _ in ranked], ordered) or (_nothing(facts),)
    body = Plan(
        hash="", exchanges=facts.exchanges, failures=facts.failures, undetermined=facts.undetermined, calibrated=facts.calibrated, remedies=remedies
    )  # fmt: skip
    return Plan(
        **{**{name: getattr(body, name) for name in body.__slots__}, "hash": content_hash(as_data(body))}
    )


def _proposals(issue: Issue, facts: Facts, catalog: Sequence[Row]) -> Iterator[Proposal]:
    if not issue.gaps:
        yield _undetermined(issue)
        return
    known = {p.gap: p for p in issue.proofs}
    for gap in issue.gaps:
        if gap in known:
            yield from proved.proposals(issue, known[gap], facts, catalog)
        else:
            yield from proved.inferred(issue, gap, facts, catalog, tried=issue.id in facts.refused)


def _joined(proposals: Iterable[Proposal]) -> list[list[Proposal]]:
    """Proposals of the same thing together, each issue once: two of its gaps may ask for the same."""
    found: dict[tuple[str, str], dict[str, Proposal]] = defaultdict(dict)
    for proposal in proposals:
        found[proposal.kind, proposal.key].setdefault(proposal.issue.id, proposal)
    return [list(part.values()) for part in found.values()]


def _too_few(part: Sequence[Proposal]) -> bool:
    """Whether what it would mend was seen too rarely to act on; a page that is missing is missing, however often asked for."""
    return part[0].kind in ("ChangePrompt", "FineTune") and sum(p.issue.rate.count for p in part) < _LEAST


def _undetermined(issue: Issue) -> Proposal:
    return Proposal(
        kind="NotEnoughEvidence", key="undetermined", action="Look at the failures whose cause the log does not show, and label some (advise label)",
        issue=issue, why="Something says that these replies failed and nothing says why; any remedy would be a guess.",
        why_not_next="A remedy chosen without a cause is money spent on chance.",
        hours=(0.5, 2.0), mends=(0.0, 0.0), basis="mends nothing by itself; 60 labels calibrate the diagnosis",
    )  # fmt: skip


def _rare(issue: Issue) -> Proposal:
    more = _LEAST - issue.rate.count
    return Proposal(
        kind="NotEnoughEvidence", key="rare", action="Wait for more: these failures were seen too rarely to act on",
        issue=issue, why=f"So few may be chance: their share of all replies is anything from {issue.rate.low:.2%} to {issue.rate.high:.2%} (95 %), seen in "
        f"{issue.rate.count} of {issue.rate.total:,}.",
        why_not_next="A rule or a training run for a single reply costs more than it mends.",
        hours=(0.0, 0.2), mends=(0.0, 0.0), basis="mends nothing; it says how much more must be seen",
        needs=(f"{_LEAST} failures of a kind, so {more} more like: {issue.title}"[:200],),
        details={"more_needed": [f"{more} more: {issue.title}"[:200]]},
    )  # fmt: skip


def _nothing(facts: Facts) -> Remedy:
    seen = facts.exchanges > 0
    return Remedy(
        id=content_hash(["nothing", seen], length=12), kind="Nothing" if seen else "NotEnoughEvidence",
        action="Leave the bot as it is" if seen else "Give a log with exchanges in it", issues=(),
        why="No failure was found." if seen else "Nothing was read.", why_not_next="Any change could only make it worse." if seen else "",
        needs=(), blocked=False, price=free(), effort_hours=(0.0, 0.0), gain=Gain(failures=0, low=0.0, high=0.0, basis="no failures"), details={},
    )  # fmt: skip


def _remedy(part: Sequence[Proposal]) -> Remedy:
    first = max(part, key=lambda p: (p.issue.rate.count, p.issue.id))
    failures = sum(p.issue.rate.count for p in part)
    issues = tuple(sorted(p.issue.id for p in part))
    return Remedy(
        id=content_hash([first.kind, first.key, list(issues)], length=12), kind=first.kind, action=first.action, issues=issues,
        why=first.why, why_not_next=first.why_not_next, needs=first.needs, blocked=first.blocked, price=first.price,
        effort_hours=_hours(part, first), gain=Gain(failures=failures, low=first.mends[0], high=first.mends[1], basis=first.basis),
        details=_details(part),
    )  # fmt: skip


def _learned(remedy: Remedy, facts: Facts) -> Remedy:
    """Let what came of this kind of remedy here before move the expectation: ten cases' worth of prior, then what was seen."""
    mended, tried = facts.learned.get(remedy.kind, (0, 0))
    if not tried or remedy.details.get("proof") or not remedy.gain.failures:
        return remedy
    prior = (remedy.gain.low + remedy.gain.high) / 2 * _PRIOR
    low, high = wilson(round(prior + mended), _PRIOR + tried)
    basis = f"{remedy.gain.basis}; and {mended} of {tried} held-out failures mended when such remedies were applied here"
    return replace(remedy, gain=replace(remedy.gain, low=round(low, 3), high=round(high, 3), basis=basis))


def _hours(part: Sequence[Proposal], first: Proposal) -> tuple[float, float]:
    others = [p.hours_each for p in part if p is not first]
    return first.hours[0] + sum(h[0] for h in others), first.hours[1] + sum(h[1] for h in others)


def _linked(remedies: Sequence[Remedy], issues: Sequence[Issue]) -> tuple[Remedy, ...]:
    """Say of failures with two gaps that neither remedy mends them alone."""
    double = {i.id: i.rate.count for i in issues if len(i.gaps) > 1}
    working = [r for r in remedies if r.kind in ("ChangePrompt", "UpdateIndex")]
    found = []
    for remedy in remedies:
        shared = {i for i in remedy.issues if i in double} if remedy in working else set()
        others = [o for o in working if o.id != remedy.id and shared & set(o.issues)]
        if not others:
            found.append(remedy)
            continue
        both = sum(double[i] for i in shared if any(i in o.issues for o in others))
        why = f"{remedy.why} {both} of these failures have a second gap and are mended only together with: {'; '.join(o.action for o in others[:3])}."
        found.append(
            replace(remedy, why=why, details={**remedy.details, "together_with": [o.id for o in others]})
        )
    return tuple(found)


def _details(part: Sequence[Proposal]) -> dict[str, object]:
    """Those of the first, lists joined over all."""
    merged: dict[str, object] = {}
    for proposal in part:
        for name, value in proposal.details.items():
            before = merged.get(name)
            if isinstance(before, list) and isinstance(value, list):
                merged[name] = [*before, *(v for v in value if v not in before)][:50]
            elif name not in merged:
                merged[name] = value
    return merged


def _worth(remedy: Remedy) -> float:
    """Failures expected to be mended for an hour of effort, money counted as hours; what is blocked counts half."""
    mended = remedy.gain.failures * (remedy.gain.low + remedy.gain.high) / 2
    hours = sum(remedy.effort_hours) / 2 + (remedy.price.low + remedy.price.high) / 2 / _RATE
    return mended / (hours + 0.25) * (0.5 if remedy.blocked else 1.0)
