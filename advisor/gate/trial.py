"""Trial: the same cases put to a bot before and after, judged alike, as pairs for the decision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from advisor.apply.cases import group_of, held_out
from advisor.checks.context import Context
from advisor.diagnosis import Diagnosis
from advisor.evidence import Gap
from advisor.exchange import Exchange
from advisor.gate.decision import Kind, Pair
from advisor.issues import Issue
from advisor.probing.asking import Remembered, ask
from advisor.probing.judging import Judged, Referee, judge
from advisor.probing.ladder import answer_of
from advisor.probing.subject import Subject, request_of
from advisor.probing.witnesses import witnesses
from router.replies import Reply

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request whose reply can be judged.

    Attributes:
        group: Conversation; cases of one are on one side of the split.
        issue: Issue that it failed in; empty for what was good.
        reference: The reply that was good; None for failures.
        sources: Texts that hold the right answer, where known.
    """

    id: str
    group: str
    kind: Kind
    exchange: Exchange
    issue: str = ""
    reference: str | None = None
    sources: tuple[str, ...] = ()

    @property
    def held_out(self) -> bool:
        """Whether it judges remedies instead of suggesting them: every second conversation."""
        return held_out(self.group)


def cases_of(
    issues: Iterable[Issue],
    seen: Iterable[tuple[Exchange, Diagnosis]],
    *,
    sources: Callable[[Exchange], Sequence[str]],
    systems: frozenset[str] | None = None,
) -> tuple[Case, ...]:
    """Return the failures of issues and what was good, by id; a reply of which it is in doubt whether it was good is left out.

    Args:
        issues: Whose failures are wanted; a failure of several counts for the first.
        seen: Stored exchanges.
        sources: Texts that hold the right answer of an exchange.
        systems: Keep to bots with these system prompts; None for all.
    """
    owner: dict[str, str] = {}
    for issue in issues:
        for id in issue.exchange_ids:
            owner.setdefault(id, issue.id)
    found, known = [], list(seen)
    good = witnesses(known)
    for exchange, _ in known:
        if systems is not None and exchange.system not in systems:
            continue
        if exchange.id in owner:
            found.append(
                Case(
                    id=exchange.id,
                    group=group_of(exchange),
                    kind="target",
                    exchange=exchange,
                    issue=owner[exchange.id],
                    sources=tuple(sources(exchange)),
                )
            )
        elif exchange.id in good:
            found.append(
                Case(
                    id=exchange.id,
                    group=group_of(exchange),
                    kind="good",
                    exchange=exchange,
                    reference=exchange.reply.content,
                )
            )
    return tuple(sorted(found, key=lambda c: c.id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What asks and judges.

    Attributes:
        model: Gives a subject's model, remembered.
        context: What judging may look at.
        referee: Asked about facts where nothing else can tell.
    """

    model: Callable[[Subject], Remembered]
    context: Context
    referee: Referee | None = None

    def asked(
        self, cases: Sequence[Case], subject: Subject, *, again: int = 0, tell: Tell | None = None
    ) -> dict[str, Judged]:
        """Return how each case fared, by id; a case that got no answer is left out. `again` counts repetitions of a bot that has chance."""
        found: dict[str, Judged] = {}
        for case, reply in self._replies(cases, subject, again=again, tell=tell):
            found[case.id] = judge(
                case.exchange, answer_of(reply), self.context, sources=case.sources, reference=case.reference, referee=self.referee
            )  # fmt: skip
        return found

    def replies(
        self, cases: Sequence[Case], subject: Subject, *, tell: Tell | None = None
    ) -> dict[str, Reply]:
        """Return the replies themselves, by id; a case that got no answer is left out."""
        return {case.id: reply for case, reply in self._replies(cases, subject, tell=tell)}

    def _replies(
        self, cases: Sequence[Case], subject: Subject, *, again: int = 0, tell: Tell | None
    ) -> Iterator[tuple[Case, Reply]]:
        model = self.model(subject).repeated(again) if again else self.model(subject)
        for number, case in enumerate(cases, 1):
            reply = ask(subject.setup(case.exchange), model, request_of(case.exchange))
            if reply is not None:
                yield case, reply
            if tell is not None:
                tell(number, len(cases))


def pairs(
    cases: Sequence[Case],
    before: Mapping[str, Judged],
    after: Mapping[str, Judged],
    *,
    gaps: frozenset[Gap] | None = None,
    chosen: Mapping[str, Judged] | None = None,
) -> list[Pair]:
    """Return cases before and after as pairs.

    A good case that the bot does not answer well even unchanged cannot be broken, and is left open: its good reply in the log came of
    another model, or of chance.

    Args:
        cases: The cases.
        before: How they fared before, by id.
        after: Likewise after.
        gaps: Judge failures by these gaps only, as when one of two remedies is tried alone; None for all.
        chosen: How good cases fared when asked once more before, by id, for a bot that has chance: chosen by one answer and compared on
            another, so that a lucky answer that does not come again is not counted as lost. None: `before` chooses.
    """
    found = []
    chosen = before if chosen is None else chosen
    for case in cases:
        b, a = before.get(case.id), after.get(case.id)
        own = gaps if case.kind == "target" else None
        was, now = good_by(b, own), good_by(a, own)
        if case.kind == "good" and good_by(chosen.get(case.id), own) is not True:
            was = now = None
        note = next(iter(a.notes.values()), "") if a is not None and now is False else ""
        found.append(
            Pair(
                id=case.id,
                group=case.group,
                kind=case.kind,
                issue=case.issue,
                before=was,
                after=now,
                note=note,
            )
        )
    return found


def good_by(judged: Judged | None, gaps: frozenset[Gap] | None) -> bool | None:
    """Return whether a reply is good as far as some gaps go (all if None); None if that could not be judged."""
    if judged is None:
        return None
    own = [good for gap, good in judged.gaps.items() if gaps is None or gap in gaps]
    return all(own) if own else None
