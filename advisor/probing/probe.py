"""Probe: every issue of a plan that a bot can be asked about, and the plan that follows from what was shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from advisor.checks.context import Context
from advisor.diagnosis import Diagnosis
from advisor.evidence import GAPS, Gap
from advisor.exchange import Exchange
from advisor.issues import Issue
from advisor.plan import Facts, Plan
from advisor.probing.asking import CapReached, Remembered
from advisor.probing.judging import Referee
from advisor.probing.ladder import Ladder, Sample
from advisor.probing.means import Workshop, by_issue
from advisor.probing.pooling import pooled
from advisor.probing.rungs import LADDER, NEEDS
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
        repeats: How often a failure is asked unchanged.
    """

    failures: int = 12
    good: int = 10
    repeats: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What probing a plan gave.

    Attributes:
        issues: All issues, those that were probed with their proofs and the gaps that were shown.
        plan: The plan that follows.
        changed: Ids of issues whose gaps are other than the log alone said.
        cut: Why not all issues were probed; empty if they were.
        spent: Calls and dollars it took, in words.
    """

    issues: tuple[Issue, ...]
    plan: Plan
    changed: tuple[str, ...]
    cut: str = ""
    spent: str = ""


def most_calls(issues: Sequence[Issue], subject: Subject, size: Size) -> int:
    """Return the most calls that probing issues may take; early stopping mostly leaves it far below."""
    rungs = sum(name == "unchanged" or NEEDS[name] in subject.open_to for name in LADDER)
    each = sum(min(size.failures, len(i.exchange_ids)) for i in issues)
    # A rung that holds the bot to its contract may ask twice.
    return each * (rungs + size.repeats + 2) + len(issues) * 3 * 2 * size.good


def probe(
    issues: Sequence[Issue],
    facts: Facts,
    seen: Sequence[tuple[Exchange, Diagnosis]],
    workshop: Workshop,
    askers: Callable[[Sequence[Exchange]], Asker],
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
        askers: From failures to what asks their bot.
        size: How much is asked.
        tell: Called now and then.
    """
    size = size or Size()
    stored = {e.id: e for e, _ in seen}
    done: dict[str, Issue] = {}
    cut = ""
    for issue in sorted(issues, key=lambda i: (-i.rate.count, i.id)):
        failures = by_issue(issue, stored, size.failures)
        if not failures:
            continue
        asker = askers(failures)
        sample = Sample(
            failures=failures,
            good=workshop.good(issue, failures, size.good),
            means=workshop.means(issue, failures),
            stand_in=asker.stands_in(failures),
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
    return Probed(issues=after, plan=plan_for(after, facts), changed=changed, cut=cut)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """What asks the bot.

    Attributes:
        subject: The bot.
        model: Its model, remembered.
        context: What judging may look at.
        models: Names under which the log knows the bot's model; empty if it does not say.
        referee: Asked about facts where nothing else can tell.
    """

    subject: Subject
    model: Remembered
    context: Context
    referee: Referee | None = None

    def ladder(self, size: Size) -> Ladder:
        """Return a ladder of this bot."""
        return Ladder(self.subject, self.model, self.context, repeats=size.repeats, referee=self.referee)

    def stands_in(self, failures: Sequence[Exchange]) -> bool:
        """Return whether the bot that is asked is another than the one that answered in the log."""
        if self.subject.reference.startswith(("http://", "https://", "release ")):
            return False  # the operator's own bot, by its address or as it is live
        names = {_plain(e.model) for e in failures if e.model}
        own = _plain(self.subject.reference.partition(":")[2] or self.subject.reference)
        return bool(names) and not any(own in n or n in own for n in names)


def proved(issue: Issue, proofs: tuple[Proof, ...]) -> Issue:
    """Return an issue with its proofs, and with the gaps they show where they are certain.

    A gap that the log named and that does not fail when the bot is asked again stays, without proof: the bot that was asked may
    not be the one that failed.
    """
    shown = {p.gap for p in proofs if p.settled and p.named != "unchanged"}
    gaps: tuple[Gap, ...] = tuple(g for g in GAPS if g in shown) if shown else issue.gaps
    return replace(issue, gaps=gaps, proofs=proofs)


def standing(diagnosis: Diagnosis, issue: Issue) -> Diagnosis:
    """Return a member's diagnosis with the standing that the issue's proofs give it: confirmed where they show the gaps it names."""
    shown = {p.gap for p in issue.proofs if p.settled and p.named != "unchanged"}
    if not shown:
        return diagnosis
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


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())
