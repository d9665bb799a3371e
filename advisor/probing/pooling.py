"""Pooling: issues of one bot that have one cause are parts of one failure; where each is too small to say, all together may be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from advisor.evidence import Gap
from advisor.issues import Issue
from advisor.probing.ladder import bar, rung
from advisor.proof import Proof, Rung, RungName


def pooled(issues: Sequence[Issue]) -> Iterator[Issue]:
    """Yield the issues, those with open proofs settled by what was shown of like issues together, where their own cases agree.

    Like are issues of which the same bot was asked and whose cause is the same. An issue's own cases agree if the rung turned most of
    those that could be judged; an issue of which none could be stays open.
    """
    like: dict[tuple[str, str | None, Gap], list[Proof]] = defaultdict(list)
    for issue in issues:
        for proof in issue.proofs:
            like[proof.subject, issue.cause, proof.gap].append(proof)
    named = {key: _named(proofs) for key, proofs in like.items()}
    for issue in issues:
        proofs = tuple(_settled(p, named[p.subject, issue.cause, p.gap]) for p in issue.proofs)
        yield issue if proofs == issue.proofs else replace(issue, proofs=proofs)


def _named(proofs: Sequence[Proof]) -> Rung | None:
    """Return the cheapest rung that turned the cases of all together and broke next to nothing."""
    names = dict.fromkeys(r.name for p in proofs for r in p.rungs if r.name != "unchanged")
    for name in names:
        found = _sum(name, [r for p in proofs for r in p.rungs if r.name == name])
        if found.verdict == "yes" and found.broken <= max(1, found.good // 10):
            return found
    return None


def _sum(name: RungName, rungs: Sequence[Rung]) -> Rung:
    return rung(
        name, sum(r.asked for r in rungs), sum(r.turned for r in rungs), sum(r.alone * r.asked for r in rungs),
        good=sum(r.good for r in rungs), broken=sum(r.broken for r in rungs), failed=sum(r.failed for r in rungs),
    )  # fmt: skip


def _settled(proof: Proof, together: Rung | None) -> Proof:
    own = proof.rung(together.name) if together is not None else None
    if proof.settled or together is None or own is None or own.turned <= bar(own.alone) * own.asked:
        return proof
    return replace(proof, named=together.name, settled=True, pooled=together)
