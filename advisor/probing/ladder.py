"""Ladder: one issue's failures asked again, rung by rung, until what turns them is clear."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from advisor.checks.context import Context
from advisor.evidence import GAPS, Gap
from advisor.exchange import Exchange, Passage
from advisor.probing.asking import Remembered, ask
from advisor.probing.judging import Answer, Judged, Referee, judge
from advisor.probing.rungs import LADDER, MENDS, NEEDS, Means
from advisor.probing.subject import Subject, request_of
from advisor.proof import Proof, Rung, RungName, Turned
from router.comparison import confidence_sequence
from router.models.port import ToolRequest
from router.replies import Reply

ALPHA = 0.1
"""Probability that an interval misses at any time of looking."""

TURNS = 0.5
"""Share that a rung must turn of the failures that the bot does not turn by itself, with its interval above it."""

Tell = Callable[[str, int, int], None]
"""Called with the rung, and how many of how many cases are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one issue is probed on.

    Attributes:
        failures: Failed exchanges of the issue.
        good: Good exchanges of the same bot, to see what a rung breaks.
        means: What the rungs may use.
        stand_in: Whether another bot is asked than the one in the log.
        shown: Gaps that an earlier probe of the issue showed.
    """

    failures: tuple[Exchange, ...]
    good: tuple[Exchange, ...]
    means: Means
    stand_in: bool
    shown: frozenset[Gap] = frozenset()


@dataclass(slots=True)
class _Seen:
    """What one rung did so far, by gap."""

    asked: dict[Gap, int] = field(default_factory=lambda: defaultdict(int))
    turned: dict[Gap, float] = field(default_factory=lambda: defaultdict(float))
    alone: dict[Gap, float] = field(default_factory=lambda: defaultdict(float))
    failed: int = 0
    good: int = 0
    broken: int = 0

    def rung(self, name: RungName, gap: Gap) -> Rung:
        """Return it as it is told of one gap."""
        return rung(
            name, self.asked[gap], self.turned[gap], self.alone[gap], good=self.good, broken=self.broken, failed=self.failed
        )  # fmt: skip


class Ladder:
    """Climbs for one issue.

    Args:
        subject: The bot.
        model: Its model, remembered.
        context: What judging may look at.
        repeats: How often a case is asked unchanged; more than once where the bot has chance.
        referee: Asked about facts where nothing else can tell.
    """

    def __init__(
        self,
        subject: Subject,
        model: Remembered,
        context: Context,
        *,
        repeats: int = 1,
        referee: Referee | None = None,
    ) -> None:
        self._subject = subject
        self._model = model
        self._context = context
        self._repeats = repeats
        self._referee = referee

    def climb(self, sample: Sample, *, tell: Tell = lambda rung, done, total: None) -> tuple[Proof, ...]:
        """Return what probes show of each gap that fails when the bot is asked again unchanged.

        Failures are asked one by one and a rung is left as soon as its interval is clear. A rung that turns a gap is then asked
        about good exchanges. Rungs that are dearer than one that turned everything are not tried.

        Raises:
            CapReached: Money or calls are at their end; what was shown before is lost to this call, not to the cache.
        """
        seen: dict[RungName, _Seen] = {}
        baseline = {e.id: self._unchanged(e, sample) for e in sample.failures}
        failing = self._failing(baseline)
        for name in LADDER:
            wanted = {g for g in failing if g in MENDS[name] and not self._is_turned(g, seen)}
            both = name == "oracle+rule" and ("knowledge" not in failing or len(failing) < 2)
            if not self._open(name) or both or not (wanted or name == "unchanged"):
                continue
            seen[name] = self._rung(name, sample, baseline, wanted or failing, tell)
        gone = {} if sample.stand_in else self._gone(sample, baseline)
        return tuple(
            self._proof(gap, seen if gap in failing else {"unchanged": gone[gap]}, sample)
            for gap in GAPS
            if gap in failing or gap in gone
        )

    # One rung

    def _rung(
        self,
        name: RungName,
        sample: Sample,
        baseline: Mapping[str, Sequence[Judged]],
        wanted: set[Gap],
        tell: Tell,
    ) -> _Seen:
        found = _Seen()
        for number, exchange in enumerate(sample.failures, 1):
            before = baseline[exchange.id]
            if name == "unchanged":
                self._count_unchanged(found, before)
            else:
                self._count(found, self._asked(name, exchange, sample.means), before)
            tell(name, number, len(sample.failures))
            if name != "unchanged" and all(self._verdict(found, g) != "open" for g in wanted):
                break
        if name != "unchanged" and any(self._verdict(found, g) == "yes" for g in wanted):
            self._guard(found, name, sample)
        return found

    def _guard(self, found: _Seen, name: RungName, sample: Sample) -> None:
        for exchange in sample.good:
            before = self._unchanged(exchange, sample, reference=exchange.reply.content)
            if not before or any(j.good is not True for j in before):
                continue  # this bot does not repeat the good reply of the log each time, so nothing can be broken
            after = self._asked(name, exchange, sample.means, reference=exchange.reply.content)
            if after is not None and after.good is not None:
                found.good += 1
                found.broken += not after.good

    @staticmethod
    def _count(found: _Seen, judged: Judged | None, before: Sequence[Judged]) -> None:
        if judged is None:
            found.failed += 1
            return
        for gap in GAPS:
            # Only what fails unchanged can be turned. It is chosen by one answer and what the bot does by itself is seen on the others, as
            # those that were chosen for failing would look worse than they are.
            if before and before[0].gaps.get(gap) is False and gap in judged.gaps:
                found.asked[gap] += 1
                found.turned[gap] += judged.gaps[gap]
                found.alone[gap] += _share(before[1:], gap) or 0.0

    @staticmethod
    def _count_unchanged(found: _Seen, judged: Sequence[Judged]) -> None:
        found.failed += not judged
        for gap in GAPS:
            good = _share(judged, gap)
            if good is not None:
                found.asked[gap] += 1
                found.turned[gap] += good

    def _unchanged(
        self, exchange: Exchange, sample: Sample, reference: str | None = None
    ) -> tuple[Judged, ...]:
        found = [
            self._asked("unchanged", exchange, sample.means, again=n, reference=reference)
            for n in range(self._repeats)
        ]
        return tuple(j for j in found if j is not None)

    def _asked(
        self,
        name: RungName,
        exchange: Exchange,
        means: Means,
        *,
        again: int = 0,
        reference: str | None = None,
    ) -> Judged | None:
        setup = LADDER[name](self._subject.setup(exchange), exchange, means)
        if setup is None:
            return None
        reply = ask(setup, self._model.repeated(again) if again else self._model, request_of(exchange))
        if reply is None:
            return None
        return self._judged(exchange, answer_of(reply), means, reference)

    def _judged(
        self, exchange: Exchange, answer: Answer, means: Means, reference: str | None = None
    ) -> Judged:
        sources = [p.text for p in means.oracle.get(exchange.id, ())]
        return judge(
            exchange, answer, self._context, sources=sources, reference=reference, referee=self._referee
        )

    # What it means

    def _open(self, name: RungName) -> bool:
        return name == "unchanged" or NEEDS[name] in self._subject.open_to

    @staticmethod
    def _failing(baseline: Mapping[str, Sequence[Judged]]) -> set[Gap]:
        """Return the gaps in which a third or more of the failures fail when the bot is asked again unchanged."""
        found = set()
        for gap in GAPS:
            good = [share for judged in baseline.values() if (share := _share(judged, gap)) is not None]
            bad = len(good) - sum(good)
            if bad > 0 and bad >= len(good) / 3:
                found.add(gap)
        return found

    def _gone(self, sample: Sample, baseline: Mapping[str, Sequence[Judged]]) -> dict[Gap, _Seen]:
        """Return the gaps that do not fail when the bot is asked again: those that are gone, and those of which that is open though an
        earlier probe showed them.

        Failures count whose logged reply is bad to the same judge, or of which an earlier probe showed it: what the judge cannot see it
        cannot see gone.
        """
        found: dict[Gap, _Seen] = defaultdict(_Seen)
        for exchange in sample.failures:
            logged = self._judged(exchange, _logged(exchange), sample.means)
            for gap in GAPS:
                good = _share(baseline[exchange.id], gap)
                if good is not None and (logged.gaps.get(gap) is False or gap in sample.shown):
                    found[gap].asked[gap] += 1
                    found[gap].turned[gap] += good
        return {g: s for g, s in found.items() if g in sample.shown or self._verdict(s, g) == "yes"}

    def _is_turned(self, gap: Gap, seen: Mapping[RungName, _Seen]) -> bool:
        return any(name != "unchanged" and self._turns(s, gap) for name, s in seen.items())

    def _turns(self, seen: _Seen, gap: Gap) -> bool:
        """Turned, and no more than one good exchange in ten broken."""
        return (
            self._verdict(seen, gap) == "yes"
            and seen.broken <= max(1, seen.good // 10)
            and not (seen.good >= 2 and seen.broken == seen.good)
        )

    @staticmethod
    def _verdict(seen: _Seen, gap: Gap) -> Turned:
        return seen.rung("unchanged", gap).verdict

    def _proof(self, gap: Gap, seen: Mapping[RungName, _Seen], sample: Sample) -> Proof:
        rungs = tuple(s.rung(name, gap) for name, s in seen.items() if s.asked[gap] or name == "unchanged")
        # A failure that is mostly gone when asked again unchanged was chance, or is not this bot's.
        steady = self._verdict(seen["unchanged"], gap) != "yes"
        named: RungName | None = (
            "unchanged"
            if not steady
            else next((n for n, s in seen.items() if n != "unchanged" and self._turns(s, gap)), None)
        )
        tried = [self._verdict(s, gap) for n, s in seen.items() if n != "unchanged" and s.asked[gap]]
        settled = named is not None or (bool(tried) and all(v == "no" or (v == "yes") for v in tried))
        return Proof(
            gap=gap,
            rungs=rungs,
            named=named,
            settled=settled,
            subject=self._subject.reference,
            stand_in=sample.stand_in,
        )


def rung(
    name: RungName, asked: int, turned: float, alone: float = 0.0, *, good: int = 0, broken: int = 0, failed: int = 0
) -> Rung:  # fmt: skip
    """Return what a rung showed: the share it turned, held against what the bot turns by itself of the same failures.

    Args:
        name: Its name.
        asked: Failures that could be judged.
        turned: Those that were good after the change.
        alone: Those that are good when the bot is asked once more unchanged, on average.
        good: Good exchanges that were asked again.
        broken: Those of them that were bad then.
        failed: Calls without an answer that could be judged.
    """
    low, high = confidence_sequence(turned, asked, ALPHA)
    share = alone / asked if asked else 0.0
    # That it does not is said only below the least that the bot may turn by itself: of a few cases, that may look like all.
    least, _ = confidence_sequence(alone, asked, ALPHA)
    verdict: Turned = "yes" if low > bar(share) else "no" if high < bar(least) else "open"
    return Rung(
        name=name, asked=asked, turned=round(turned), low=low, high=high, verdict=verdict, good=good, broken=broken, failed=failed, alone=round(share, 4)
    )  # fmt: skip


def bar(alone: float) -> float:
    """Return the share of failures that a rung must turn where the bot turns some by itself: what that leaves counts, so luck is no remedy."""
    return alone + TURNS * (1 - alone)


def _share(judged: Sequence[Judged], gap: Gap) -> float | None:
    """Return the share of answers that are good in a gap; None if none could be judged."""
    found = [j.gaps[gap] for j in judged if gap in j.gaps]
    return sum(found) / len(found) if found else None


def _logged(exchange: Exchange) -> Answer:
    calls = tuple(ToolRequest(name=c.name, arguments=c.arguments, id=c.id) for c in exchange.reply.tool_calls)
    return Answer(
        text=exchange.reply.content, calls=calls, passages=exchange.passages, finish_reason=exchange.finish_reason
    )  # fmt: skip


def answer_of(reply: Reply) -> Answer:
    """Return a reply as an answer to be judged."""
    passages = None
    if reply.passages is not None:
        passages = tuple(
            Passage(text=h.text, id=h.document, title=h.title, uri=h.link, score=h.score)
            for h in reply.passages
        )
    return Answer(
        text=reply.text, calls=reply.tool_calls, passages=passages, finish_reason=reply.finish_reason
    )
