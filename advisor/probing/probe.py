"""Probe: every issue of a plan that a bot can be asked about, and the plan that follows from what was shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from advisor.checks.context import Context
from advisor.diagnosis import Diagnosis
from advisor.evidence import Gap
from advisor.exchange import Exchange
from advisor.issues import Issue
from advisor.plan import Facts, Plan
from advisor.probing.asking import CapReached, Remembered
from advisor.probing.judging import Referee
from advisor.probing.ladder import Ladder, Sample
from advisor.probing.means import Workshop, by_issue
from advisor.probing.pooling import pooled
from advisor.probing.rungs import HOLDING, LADDER, NEEDS
from advisor.probing.subject import Subject
from advisor.proof import Proof
from advisor.remedies import plan as plan_for

Tell = Callable[[str, str, int, int], None]
"""Called with the issue's title, the rung, and how many of how many cases are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is asked.

    Attributes:
        failures: Failures an issue.
        good: Good exchanges a rung that turns something.
        repeats: How often a bot that has chance is asked unchanged.
    """

    failures: int = 12
    good: int = 10
    repeats: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What probing a plan gave.

    Attributes:
        issues: All issues, those that were probed with their proofs and the gaps that were shown.
        probed: Ids of those that were asked about to the end.
        plan: The plan that follows.
        changed: Ids of issues whose gaps are other than the log alone said.
        cut: Why not all issues were probed; empty if they were.
        spent: Calls and dollars it took, in words.
    """

    issues: tuple[Issue, ...]
    probed: frozenset[str]
    plan: Plan
    changed: tuple[str, ...]
    cut: str = ""
    spent: str = ""


def most_calls(asked: Iterable[tuple[Subject, Exchange, int]], size: Size) -> int:
    """Return the most calls that probing issues may take; early stopping mostly leaves it far below.

    Args:
        asked: Of each issue the bot, one failure, and how many are asked again.
        size: How much is asked.
    """
    return sum(_most(subject, exchange, failures, size) for subject, exchange, failures in asked)


def _most(subject: Subject, exchange: Exchange, failures: int, size: Size) -> int:
    how = subject.setup(exchange).release.generation
    # Each reply may take the retries, and where a schema is refused one call more, without it.
    plain, held = how.retries + 1 + how.strict, max(1, how.retries) + 2
    unchanged = plain * (size.repeats if subject.has_chance else 1)
    open_rungs = [name for name in LADDER if name != "unchanged" and NEEDS[name] in subject.open_to]
    rungs = sum(held if name in HOLDING else plain for name in open_rungs)
    return (failures + size.good) * (unchanged + rungs)


def probe(
    issues: Sequence[Issue],
    facts: Facts,
    seen: Sequence[tuple[Exchange, Diagnosis]],
    workshop: Workshop,
    askers: Callable[[Issue, Sequence[Exchange]], Asker | None],
    *,
    size: Size | None = None,
    tell: Tell | None = None,
) -> Probed:
    """Climb the ladder for each issue, the largest first, and plan anew from what was shown.

    Args:
        issues: Of the run.
        facts: Of the run.
        seen: Its stored exchanges.
        workshop: Makes the means of each issue.
        askers: From an issue and its failures to what asks their bot; None where that cannot be asked.
        size: How much is asked.
        tell: Called now and then.
    """
    size = size or Size()
    stored = {e.id: e for e, _ in seen}
    done: dict[str, Issue] = {}
    cut = ""
    for issue in sorted(issues, key=lambda i: (-i.rate.count, i.id)):
        failures = by_issue(issue, stored, size.failures)
        asker = askers(issue, failures) if failures else None
        if asker is None:
            continue
        sample = Sample(
            failures=failures,
            good=workshop.good(issue, failures, size.good),
            means=workshop.means(issue, failures),
            stand_in=asker.stand_in,
            shown=frozenset(p.gap for p in issue.proofs if p.shows),
        )
        said = partial(tell, issue.title) if tell is not None else _quiet
        try:
            done[issue.id] = proved(issue, asker.ladder(size).climb(sample, tell=said))
        except CapReached as reached:
            cut = str(reached)
            break
    done |= {i.id: i for i in pooled(tuple(done.values()))}
    after = tuple(done.get(i.id, i) for i in issues)
    changed = tuple(i.id for before, i in zip(issues, after, strict=True) if set(before.gaps) != set(i.gaps))
    return Probed(issues=after, probed=frozenset(done), plan=plan_for(after, facts), changed=changed, cut=cut)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """What asks the bot.

    Attributes:
        subject: The bot.
        model: Its model, remembered.
        context: What judging may look at.
        stand_in: Whether it is another bot than the one that answered in the log.
        referee: Asked about facts where nothing else can tell.
    """

    subject: Subject
    model: Remembered
    context: Context
    stand_in: bool = False
    referee: Referee | None = None

    def ladder(self, size: Size) -> Ladder:
        """Return a ladder of this bot."""
        repeats = size.repeats if self.subject.has_chance else 1
        return Ladder(self.subject, self.model, self.context, repeats=repeats, referee=self.referee)


def proved(issue: Issue, proofs: tuple[Proof, ...]) -> Issue:
    """Return an issue with its proofs, and with the gaps they show where they are certain.

    A gap that the log named and of which nothing is certain stays; where nothing at all could be judged, as of a bot that is down, what was
    shown before stays too.
    """
    if not proofs:
        return issue
    gaps: tuple[Gap, ...] = tuple(p.gap for p in proofs if p.shows) or issue.gaps
    return replace(issue, gaps=gaps, proofs=tuple(p for p in proofs if not p.refutes or p.gap in issue.gaps))


def standing(diagnosis: Diagnosis, issue: Issue) -> Diagnosis:
    """Return a member's diagnosis with the standing that the issue's proofs give it, whatever an earlier probe gave it.

    Confirmed where they show gaps to fail, which are named then; refuted where all that it names was good when the bot was asked
    again; else as the log left it. What another bot does says nothing of the one that failed.
    """
    if any(p.stand_in for p in issue.proofs):
        return diagnosis
    shown = {p.gap for p in issue.proofs if p.shows}
    if not shown:
        gone = {p.gap for p in issue.proofs if p.refutes}
        refuted = bool(diagnosis.named) and gone >= set(diagnosis.named)
        return replace(
            diagnosis, standing="refuted" if refuted else "inferred" if diagnosis.named else "undetermined"
        )
    if set(diagnosis.named) == shown:
        return replace(diagnosis, standing="confirmed")
    named = tuple(sorted(shown, key=lambda g: -diagnosis.gaps.get(g, 0.0)))
    return replace(
        diagnosis,
        named=named,
        standing="confirmed",
        cause=diagnosis.cause if diagnosis.named[:1] == named[:1] else None,
    )


def _quiet(rung: str, done: int, total: int) -> None:
    """Say nothing."""
