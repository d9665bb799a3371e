"""Verification: is a staged index better on the questions that failed, and no worse on those that worked?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from advisor.apply.cases import Case
from rag.measure import Comparison, Question, Search, compare, score
from rag.statistics import Share, share
from rag.visibility import Filter

Verdict = Literal["accepted", "refused", "not enough evidence"]
MARGIN = 0.01
"""Drop of hit@k on old questions, 0-1, from which on a change is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a staged version does to three kinds of questions, each asked before and after.

    Attributes:
        targets: Questions that failed.
        old: Questions that were answered well.
        intruded: Share of unrelated questions whose first hit is an added page now.
        reason: The verdict in one sentence.
    """

    targets: Comparison
    old: Comparison
    intruded: Share
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The three kinds of questions.

    Attributes:
        targets: With the documents that hold the answer, as located.
        old: Likewise.
        unrelated: Questions that no page needs to answer.
    """

    targets: tuple[Question, ...]
    old: tuple[Question, ...]
    unrelated: tuple[Question, ...]


def question(case: Case, documents: Iterable[str]) -> Question:
    """Return a case as a question to be searched for."""
    return Question(
        text=case.question,
        documents=frozenset(documents),
        answer=case.answer,
        filter=Filter(tenant=case.tenant),
    )


def verify(
    before: Search, after: Search, trial: Trial, *, k: int, added: frozenset[str] = frozenset()
) -> Verification:
    """Ask everything twice and judge."""
    targets = compare(score(before, trial.targets, k=k), score(after, trial.targets, k=k), k=k)
    old = compare(score(before, trial.old, k=k), score(after, trial.old, k=k), k=k)
    first = [hits[0].document for q in trial.unrelated if (hits := after(q.text, k=1, filter=q.filter))]
    verdict, reason = judged(targets, old)
    intruded = share(sum(d in added for d in first), len(trial.unrelated))
    return Verification(targets=targets, old=old, intruded=intruded, verdict=verdict, reason=reason)


def judged(targets: Comparison, old: Comparison) -> tuple[Verdict, str]:
    """Return the verdict on two comparisons, and why."""
    if old.difference < -MARGIN:
        return "refused", (
            f"{old.lost} of {old.n} questions that worked lose their page (hit@{old.k} {old.before.value:.2f} to {old.after.value:.2f}), "
            f"more than {MARGIN:.0%}"
        )
    if not targets.n:
        return "not enough evidence", "no page could be tied to any of the failing questions"
    if targets.gained <= targets.lost:
        return (
            "refused",
            f"the failing questions find their page no more often ({targets.gained} gained, {targets.lost} lost of {targets.n})",
        )
    told = f"{targets.gained} of {targets.n} failing questions gain their page, {targets.lost} lose it; {old.lost} of {old.n} that worked lose it"
    if targets.low <= 0:
        return "not enough evidence", f"{told}: so few may be chance"
    return "accepted", told


def as_data(found: Verification) -> dict[str, object]:
    """Return it as JSON-able data."""
    return {
        "verdict": found.verdict, "reason": found.reason, "failing": _compared(found.targets), "old": _compared(found.old),
        "unrelated": {"first hit is an added page": _shared(found.intruded)},
    }  # fmt: skip


def _compared(c: Comparison) -> dict[str, object]:
    data: dict[str, object] = {
        "n": c.n, "k": c.k, "hit_before": _shared(c.before), "hit_after": _shared(c.after), "difference": [round(x, 4) for x in (c.difference, c.low, c.high)],
        "gained": c.gained, "lost": c.lost, "p": round(c.p, 4), "mrr_before": round(c.mrr[0], 4), "mrr_after": round(c.mrr[1], 4),
        "mrr_difference": [round(x, 4) for x in c.mrr_difference],
    }  # fmt: skip
    if c.held:
        data |= {
            "answer_in_context_before": _shared(c.held[0]),
            "answer_in_context_after": _shared(c.held[1]),
        }
    return data


def _shared(s: Share) -> dict[str, float]:
    return {"value": round(s.value, 4), "low": round(s.low, 4), "high": round(s.high, 4), "n": s.n}


def lines(data: Mapping[str, object]) -> Sequence[str]:
    """Return the data of a verification as sentences for people."""
    found = [f"{str(data['verdict']).capitalize()}: {data['reason']}."]
    for name, words in (("failing", "Failing questions"), ("old", "Questions that worked")):
        c = data[name]
        if isinstance(c, Mapping) and c["n"]:
            low, high = c["difference"][1:]
            found.append(
                f"{words} (n = {c['n']}): hit@{c['k']} {c['hit_before']['value']:.2f} to {c['hit_after']['value']:.2f} "
                f"(difference {c['difference'][0]:+.2f}, 95 % interval {low:+.2f} to {high:+.2f}), MRR {c['mrr_before']:.2f} to {c['mrr_after']:.2f}"
                + _in_context(c)
            )
    return found


def _in_context(c: Mapping[str, object]) -> str:
    before, after = c.get("answer_in_context_before"), c.get("answer_in_context_after")
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return "."
    return f", answer in context {before['value']:.2f} to {after['value']:.2f} (n = {before['n']})."
