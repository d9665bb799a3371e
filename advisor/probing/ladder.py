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
from router.replies import Reply

ALPHA = 0.1
"""Probability that an interval misses at any time of looking."""

TURNS = 0.5
"""Share of failures that a rung must turn, with its interval above it."""

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
    """

    failures: tuple[Exchange, ...]
    good: tuple[Exchange, ...]
    means: Means
    stand_in: bool


@dataclass(slots=True)
class _Seen:
    """What one rung did so far, by gap."""

    asked: dict[Gap, int] = field(default_factory=lambda: defaultdict(int))
    turned: dict[Gap, int] = field(default_factory=lambda: defaultdict(int))
    failed: int = 0
    good: int = 0
    broken: int = 0
    over: bool = False


class Ladder:
    """Climbs for one issue.

    Args:
        subject: The bot.
        model: Its model, remembered.
        context: What judging may look at.
        repeats: How often a case is asked unchanged; more than once where the bot has temperature.
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
        return tuple(self._proof(gap, seen, sample) for gap in GAPS if gap in failing)

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
            judged = (
                self._first(baseline[exchange.id])
                if name == "unchanged"
                else self._asked(name, exchange, sample.means)
            )
            self._count(found, judged, baseline[exchange.id], name)
            tell(name, number, len(sample.failures))
            if name != "unchanged" and all(self._verdict(found, g) != "open" for g in wanted):
                break
        if name != "unchanged" and any(self._verdict(found, g) == "yes" for g in wanted):
            self._guard(found, name, sample)
        return found

    def _guard(self, found: _Seen, name: RungName, sample: Sample) -> None:
        for exchange in sample.good:
            before = self._asked("unchanged", exchange, sample.means, reference=exchange.reply.content)
            if before is None or before.good is not True:
                continue  # this bot does not repeat the good reply of the log, so nothing can be broken
            after = self._asked(name, exchange, sample.means, reference=exchange.reply.content)
            if after is not None and after.good is not None:
                found.good += 1
                found.broken += not after.good

    def _count(self, found: _Seen, judged: Judged | None, before: Sequence[Judged], name: RungName) -> None:
        if judged is None:
            found.failed += 1
            return
        for gap in GAPS:
            # Only what fails unchanged can be turned.
            bad = [j for j in before if j.gaps.get(gap) is False]
            if gap in judged.gaps and (bad or name == "unchanged") and any(gap in j.gaps for j in before):
                found.asked[gap] += 1
                found.turned[gap] += judged.gaps[gap]

    def _unchanged(self, exchange: Exchange, sample: Sample) -> tuple[Judged, ...]:
        found = [self._asked("unchanged", exchange, sample.means, again=n) for n in range(self._repeats)]
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
        sources = [p.text for p in means.oracle.get(exchange.id, ())]
        return judge(
            exchange,
            answer_of(reply),
            self._context,
            sources=sources,
            reference=reference,
            referee=self._referee,
        )

    # What it means

    def _open(self, name: RungName) -> bool:
        return name == "unchanged" or NEEDS[name] in self._subject.open_to

    @staticmethod
    def _first(judged: Sequence[Judged]) -> Judged | None:
        return judged[0] if judged else None

    @staticmethod
    def _failing(baseline: Mapping[str, Sequence[Judged]]) -> set[Gap]:
        """Return the gaps in which a third or more of the failures fail when the bot is asked again unchanged."""
        found = set()
        for gap in GAPS:
            judged = [j.gaps[gap] for js in baseline.values() for j in js[:1] if gap in j.gaps]
            if judged and judged.count(False) >= max(1, len(judged) / 3):
                found.add(gap)
        return found

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
        low, high = confidence_sequence(seen.turned[gap], seen.asked[gap], ALPHA)
        return "yes" if low > TURNS else "no" if high < TURNS else "open"

    def _proof(self, gap: Gap, seen: Mapping[RungName, _Seen], sample: Sample) -> Proof:
        rungs = tuple(
            self._told(name, s, gap) for name, s in seen.items() if s.asked[gap] or name == "unchanged"
        )
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

    def _told(self, name: RungName, seen: _Seen, gap: Gap) -> Rung:
        low, high = confidence_sequence(seen.turned[gap], seen.asked[gap], ALPHA)
        return Rung(
            name=name, asked=seen.asked[gap], turned=seen.turned[gap], low=low, high=high, verdict=self._verdict(seen, gap), good=seen.good, broken=seen.broken,
            failed=seen.failed,
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
