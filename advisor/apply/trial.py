"""What came of trying the index remedies of a plan, put into the plan in words and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from advisor.apply.update_index import Proposal
from advisor.apply.verification import as_data, lines
from advisor.plan import Plan, Remedy
from advisor.planfile import sealed

_SHOWN = 8


def with_trial(plan: Plan, proposal: Proposal) -> Plan:
    """Return the plan with the sentences under `came_of_trying`, and the staged version, in every UpdateIndex remedy."""
    remedies = tuple(_told(r, proposal) if r.kind == "UpdateIndex" else r for r in plan.remedies)
    return sealed(replace(plan, remedies=remedies))


def summary(proposal: Proposal) -> tuple[str, ...]:
    """Return what came of it all, in sentences."""
    return (*_pages(proposal), *_search(proposal), *_conflicts(proposal), *_verified(proposal))


def _told(remedy: Remedy, proposal: Proposal) -> Remedy:
    operation = remedy.details.get("operation")
    parts = {"add": _pages, "reindex": _search, "replace": _conflicts}
    sentences = (
        [*parts[operation](proposal), *_verified(proposal)]
        if isinstance(operation, str) and operation in parts
        else []
    )
    found = bool(proposal.additions) if operation == "add" else proposal.fix is not None
    accepted = proposal.verification is not None and proposal.verification.verdict == "accepted"
    details = {**remedy.details, "came_of_trying": sentences, "version": proposal.version}
    # What was shown to work needs no page from anybody.
    return replace(remedy, details=details, blocked=remedy.blocked and not (found and accepted))


def _pages(proposal: Proposal) -> Iterator[str]:
    for a in proposal.additions[:_SHOWN]:
        surely = "holds the right answer to" if a.by == "answer" else "seems to answer"
        more = f", and perhaps {len(a.perhaps)} more" if a.perhaps else ""
        yield f"Not indexed so far: {a.title or a.document} ({a.uri or a.document}) {surely} {_count(len(a.questions), 'failing question')}{more}."
    if len(proposal.additions) > _SHOWN:
        yield f"And {len(proposal.additions) - _SHOWN} more pages."
    for r in proposal.requests[:_SHOWN]:
        look = f"; look first at {', '.join(r.look_at[:3])}" if r.look_at else ""
        yield f"No source surely holds it, a page is wanted (request {r.id}, asked {_count(r.count, 'time')}): {r.questions[0]}{look}"
    if len(proposal.requests) > _SHOWN:
        yield f"And {len(proposal.requests) - _SHOWN} more pages are wanted."


def _search(proposal: Proposal) -> Iterator[str]:
    for t in proposal.tried:
        if t.verification is None:
            yield f"Not tried: {t.fix.name} ({t.why_not})."
        else:
            c = t.verification.targets
            yield (
                f"Tried: {t.fix.name} (cost: {t.fix.cost}): hit@{c.k} on {c.n} held-out failing questions {c.before.value:.2f} to {c.after.value:.2f} "
                f"({c.difference:+.2f}, 95 % interval {c.low:+.2f} to {c.high:+.2f}); {t.verification.verdict}."
            )
    if proposal.unlocated:
        yield f"{_count(proposal.unlocated, 'failing question')} could not be tied to a page, so no fix was judged by them."


def _conflicts(proposal: Proposal) -> Iterator[str]:
    for c in proposal.conflicts[:_SHOWN]:
        yield f"Which holds? {c.first.document}: “{c.first.sentence}” or {c.second.document}: “{c.second.sentence}”"


def _verified(proposal: Proposal) -> Sequence[str]:
    return lines(as_data(proposal.verification)) if proposal.verification else ()


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
