"""What to do about an issue that was probed: the rung that turned its failures is the remedy; what was shown is its ground."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from advisor.evidence import Gap
from advisor.issues import Issue
from advisor.plan import Facts
from advisor.proof import Proof, Rung, RungName
from advisor.remedies import form, knowledge, training
from advisor.remedies.proposal import Proposal
from finetune.catalog import Row

_DEARER = {
    "settings": "A rule in the prompt, pages and training are dearer, and this was enough.",
    "rule": "Examples and training are dearer, and one line was enough.",
    "exemplars": "Training is dearer, and examples were enough.",
    "retrieval": "The page is there; writing it again would not help, and training would not either.",
    "oracle": "No change to prompt or settings turned these failures, and with the passage before it the bot answers.",
}


def proposals(issue: Issue, proof: Proof, facts: Facts, catalog: Sequence[Row]) -> Iterator[Proposal]:
    """Yield what a proof names for its gap."""
    if proof.named is not None:
        yield from _NAMED[proof.named](issue, proof, facts)
        yield from _beside(issue, proof, facts, catalog)
    elif not proof.settled:
        yield from _open(issue, proof, facts, catalog)
    elif proof.gap == "knowledge":
        yield _person(issue, proof)
    elif proof.gap == "classification":
        yield _grounded(form.classifier(issue, facts), proof, None)
    else:
        yield from _trained(issue, proof, facts, catalog)


def _beside(issue: Issue, proof: Proof, facts: Facts, catalog: Sequence[Row]) -> Iterator[Proposal]:
    """Yield what is dearer than what the probes name and need not wait for it: where that turned only some, or the gate refused it. The gate
    keeps the cheaper alone where it is as good, and the dearer alone where the cheaper adds nothing."""
    seen = proof.rung(proof.named) if proof.named not in (None, "unchanged") else None
    if seen is None or (seen.turned == seen.asked and issue.id not in facts.refused):
        return
    for p in _inferred(issue, proof, facts, catalog):
        if p.kind == "FineTune":
            yield _grounded(p, proof, None)


def _inferred(issue: Issue, proof: Proof, facts: Facts, catalog: Sequence[Row]) -> Iterator[Proposal]:
    """Yield what the log alone suggests, but no training that waits for what was not shown; once the prompt was shown not to be enough, by
    probes or by the gate, what a training lacks is told."""
    tried = proof.short or issue.id in facts.refused
    for p in inferred(issue, proof.gap, facts, catalog, tried=tried):
        if tried or p.kind != "FineTune" or not p.blocked:
            yield p


def _unsteady(issue: Issue, proof: Proof, facts: Facts) -> Iterator[Proposal]:
    yield Proposal(
        kind="NotEnoughEvidence", key="unsteady", action="Ask why these replies were bad: asked again, the bot gives good ones",
        issue=issue, why=f"{proof.told} So they were chance (temperature), or another bot than the one that was asked.",
        why_not_next="A change to prompt, pages or weights would mend what is not broken now.",
        hours=(0.2, 1.0), mends=(0.0, 0.0), basis="probe", details={"settings": {"temperature": 0}},
    )  # fmt: skip


def _settings(issue: Issue, proof: Proof, facts: Facts) -> Iterator[Proposal]:
    own = (
        next(
            (p for gap in (proof.gap,) for p in form.proposals(issue, gap, facts) if "settings" in p.details),
            None,
        )
        if proof.gap != "knowledge"
        else None
    )
    base = own or Proposal(
        kind="ChangePrompt", key="hold-contract", action="Hold every reply to its contract at run time: constrained decoding, mending, one retry, citations checked",
        issue=issue, why="", why_not_next="", hours=(0.2, 1.0), mends=(0.0, 0.0), basis="", details={"settings": {"hold_contract": True}},
    )  # fmt: skip
    yield _grounded(
        replace(
            base,
            details={
                **base.details,
                "settings": {**_mapping(base.details.get("settings")), "hold_contract": True},
            },
        ),
        proof,
        "settings",
    )


def _rule(issue: Issue, proof: Proof, facts: Facts) -> Iterator[Proposal]:
    rules = [b.words for b in issue.broken] if proof.gap != "knowledge" else [knowledge.KEEP_TO_CONTEXT]
    words = "; ".join(rules)
    yield _grounded(
        Proposal(
            kind="ChangePrompt", key=f"rule:{words}", action=f"State at the end of the prompt: {words[:100]}", issue=issue, why="", why_not_next="",
            hours=(0.2, 0.8), mends=(0.0, 0.0), basis="", details={"append": words, "rules": rules},
        ),
        proof, "rule",
    )  # fmt: skip


def _exemplars(issue: Issue, proof: Proof, facts: Facts) -> Iterator[Proposal]:
    yield _grounded(
        Proposal(
            kind="ChangePrompt", key=f"exemplars:{proof.gap}", action="Show three similar requests with replies as they should be", issue=issue, why="", why_not_next="",
            hours=(0.3, 1.0), mends=(0.0, 0.0), basis="", details={"exemplars": 3},
        ),
        proof, "exemplars",
    )  # fmt: skip


def _retrieval(issue: Issue, proof: Proof, facts: Facts) -> Iterator[Proposal]:
    yield _grounded(knowledge.retrieve(issue), proof, "retrieval")


def _oracle(issue: Issue, proof: Proof, facts: Facts) -> Iterator[Proposal]:
    found = knowledge.retrieve(issue) if issue.cause == "retrieval_miss" else knowledge.write(issue, facts)
    yield _grounded(found, proof, "oracle")


def _both(issue: Issue, proof: Proof, facts: Facts) -> Iterator[Proposal]:
    """Neither half alone turned it; both are proposed, and linked by the plan as both are of one issue."""
    if proof.gap == "knowledge":
        yield from _oracle(issue, proof, facts)
        return
    yield from _rule(issue, proof, facts)
    yield from _settings(issue, proof, facts)


_NAMED: Mapping[RungName, Callable[[Issue, Proof, Facts], Iterator[Proposal]]] = {
    "unchanged": _unsteady, "settings": _settings, "rule": _rule, "exemplars": _exemplars, "retrieval": _retrieval, "oracle": _oracle, "oracle+rule": _both,
}  # fmt: skip


def _trained(issue: Issue, proof: Proof, facts: Facts, catalog: Sequence[Row]) -> Iterator[Proposal]:
    """A fine-tune, once nothing in the prompt turns a form: what it waited for has been shown."""
    found = list(training.proposals(issue, proof.gap, facts, catalog, tried=True))
    for p in found:
        yield _grounded(p, proof, None)
    if not found:
        yield Proposal(
            kind="NotEnoughEvidence", key=f"train-later:{proof.gap}", action="Collect more failures and good replies: nothing in the prompt turns these, and they are too few to train for",
            issue=issue, why=proof.told, why_not_next="Training on so few teaches the examples, not the form.", hours=(0.1, 0.5), mends=(0.0, 0.0), basis="probe",
        )  # fmt: skip


def _open(issue: Issue, proof: Proof, facts: Facts, catalog: Sequence[Row]) -> Iterator[Proposal]:
    """Keep what the log alone suggests where too few could be judged, and say so; where that much is clear that no change to the prompt turns nearly
    all, training is tried beside it."""
    found = list(_inferred(issue, proof, facts, catalog))
    still = (
        "no change to prompt or settings turns nearly all, and how many is open"
        if proof.short
        else "still open: too few could be judged"
    )
    for p in found:
        yield replace(p, why=f"{p.why} Probed, and {still}. {proof.told}")
    if not found:
        yield Proposal(
            kind="NotEnoughEvidence", key=f"probe-more:{proof.gap}", action="Probe more of these failures, or look at some: too few could be judged",
            issue=issue, why=proof.told, why_not_next="A remedy chosen now would be a guess between those that may still turn them.",
            hours=(0.2, 1.0), mends=(0.0, 0.0), basis="probe",
        )  # fmt: skip


def inferred(
    issue: Issue, gap: Gap, facts: Facts, catalog: Sequence[Row], *, tried: bool
) -> Iterator[Proposal]:
    """Yield what the log alone suggests for a gap; `tried`: whether probes or the gate showed that no change to the prompt is enough."""
    if gap == "knowledge":
        yield from knowledge.proposals(issue, facts)
        return
    yield from form.proposals(issue, gap, facts)
    yield from training.proposals(issue, gap, facts, catalog, tried=tried)


def _person(issue: Issue, proof: Proof) -> Proposal:
    return Proposal(
        kind="NotEnoughEvidence", key="person", action="Look at these failures: not even the right passage turns them",
        issue=issue, why=proof.told, why_not_next="Pages, prompt and training were each shown not to be what is missing, or could not be tried.",
        hours=(0.5, 2.0), mends=(0.0, 0.0), basis="probe", details={"questions": list(issue.questions)},
    )  # fmt: skip


def _grounded(proposal: Proposal, proof: Proof, rung: RungName | None) -> Proposal:
    """Put what was shown in the place of what was expected."""
    seen = proof.rung(rung) if rung is not None else None
    shown = replace(
        proposal,
        why=f"{proposal.why} {proof.told}".strip(),
        details={**proposal.details, "proof": _data(proof, seen)},
    )
    if seen is None:
        return shown
    broke = f", {seen.broken} of {seen.good} good replies broken" if seen.good else ""
    return replace(
        shown, mends=(round(seen.low, 3), round(seen.high, 3)), basis=f"probe of {proof.subject}: {seen.turned} of {seen.asked} failures turned{broke}",
        why_not_next=_DEARER.get(rung or "", proposal.why_not_next),
    )  # fmt: skip


def _data(proof: Proof, seen: Rung | None) -> dict[str, object]:
    found: dict[str, object] = {
        "gap": proof.gap,
        "named": proof.named,
        "subject": proof.subject,
        "stand_in": proof.stand_in,
    }
    return found | (
        {"turned": seen.turned, "asked": seen.asked, "broken": seen.broken, "good": seen.good}
        if seen is not None
        else {}
    )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
