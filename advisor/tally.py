"""Tally: what a run keeps of each exchange, in bounded memory, whatever the size of the log.

Counts are exact. Of failures, and of good replies to label, a sample is kept by smallest hash of the id (bottom-k,
Cohen and Kaplan 2007), so that the sample does not depend on the order in which the log was read.
"""

from __future__ import annotations

import heapq
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from advisor.diagnosis import Diagnosis
from advisor.evidence import GAPS, Evidence, Gap
from advisor.exchange import Exchange
from advisor.issues import Broken, Member
from advisor.serial import dumps

FAILURES_KEPT = 20_000
GOOD_KEPT = 500
_HOUR = 3600
_STRONG = 0.3
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the tally must know of one exchange; small, so that it crosses processes cheaply.

    Attributes:
        member: Set if it failed.
        body: Exchange and diagnosis, packed, for `advise show`; empty if it will not be kept.
        known: Every id of the exchange in the log.
        judged_by: Families of checks that saw something, feedback included.
        tokens: Of request and reply.
    """

    id: str
    member: Member | None
    body: bytes
    known: tuple[str, ...]
    judged_by: frozenset[str]
    served: bool
    tokens: float
    model: str | None
    time: float | None


@dataclass(frozen=True, slots=True)
class Limits:
    """Ids from here on are not kept; packing them would be wasted."""

    failures: str = "g"
    good: str = "g"


def seen(exchange: Exchange, diagnosis: Diagnosis, limits: Limits) -> Seen:
    """Return what is kept of one exchange."""
    kept = exchange.id < (limits.failures if diagnosis.is_failure else limits.good)
    logged = (exchange.input_tokens or 0) + (exchange.output_tokens or 0)
    text = sum(len(m.content) for m in exchange.conversation) + len(exchange.reply.content)
    return Seen(
        id=exchange.id,
        member=member_of(exchange, diagnosis) if diagnosis.is_failure else None,
        body=zlib.compress(dumps(exchange, diagnosis), 1) if kept else b"",
        known=tuple(sorted(exchange.ids)),
        judged_by=frozenset(e.check.partition(".")[0] for e in diagnosis.evidence),
        served=exchange.passages is not None,
        tokens=logged or text / _CHARACTERS_PER_TOKEN,
        model=exchange.model,
        time=exchange.time,
    )


def member_of(exchange: Exchange, diagnosis: Diagnosis) -> Member:
    """Return what grouping and planning need of a failed exchange."""
    against = [
        e for e in diagnosis.evidence if e.strength >= _STRONG and (e.gap is None or e.gap in diagnosis.named)
    ]
    return Member(
        id=exchange.id,
        gaps=diagnosis.named,
        cause=diagnosis.cause,
        confidence=diagnosis.confidence,
        signature=tuple(sorted({f"{e.check}:{e.rule}" if e.rule else e.check for e in against if not e.check.endswith(".task")})),
        broken=tuple(_broken(e) for e in against if e.rule is not None),
        question=exchange.question[:300],
        reply=exchange.reply.content[:300],
        notes=tuple(e.note for e in against[:3]),
        corrected=exchange.expected is not None,
        tenant=exchange.tenant,
        model=exchange.model,
        time=exchange.time,
        copies=exchange.copies,
    )  # fmt: skip


def _broken(evidence: Evidence) -> Broken:
    read = next((q for q in evidence.quotes if q.place in ("system", "request")), None)
    origin = "declared" if read is None else read.place
    return Broken(rule=evidence.rule or "", origin=origin, words=(read.text if read else evidence.note)[:200])


@dataclass(slots=True)
class _Sample:
    """The items with the smallest keys, at most `size` of them."""

    size: int
    heap: list[tuple[str, Seen]] = field(default_factory=list)

    def add(self, item: Seen) -> None:
        if not item.body:
            return
        entry = (_inverted(item.id), item)
        if len(self.heap) < self.size:
            heapq.heappush(self.heap, entry)
        elif entry[0] > self.heap[0][0]:
            heapq.heapreplace(self.heap, entry)

    def limit(self) -> str:
        """The largest id kept, or a bound above all ids while there is room."""
        return self.heap[0][1].id if len(self.heap) == self.size else "g"

    def __iter__(self) -> Iterator[Seen]:
        return (item for _, item in sorted(self.heap, key=lambda e: e[1].id))


def _inverted(key: str) -> str:
    # A heap yields its smallest first; the largest id must go first, so hex digits are mirrored.
    return key.translate(_MIRROR)


_MIRROR = str.maketrans("0123456789abcdef", "fedcba9876543210")


@dataclass(slots=True)
class Tally:
    """Counts over a whole run and the samples.

    Attributes:
        gaps: Failures by named gap; a failure with two counts in both.
        hours: Exchanges by hour since the epoch.
        judged_by: Exchanges of which a family of checks saw something.
    """

    exchanges: int = 0
    failed: int = 0
    undetermined: int = 0
    gaps: Counter[Gap] = field(default_factory=Counter)
    served: int = 0
    tokens: float = 0.0
    models: Counter[str] = field(default_factory=Counter)
    hours: Counter[int] = field(default_factory=Counter)
    judged_by: Counter[str] = field(default_factory=Counter)
    _failures: _Sample = field(default_factory=lambda: _Sample(FAILURES_KEPT))
    _good: _Sample = field(default_factory=lambda: _Sample(GOOD_KEPT))

    def add(self, item: Seen) -> None:
        """Count one exchange."""
        self.exchanges += 1
        self.served += item.served
        self.tokens += item.tokens
        self.judged_by.update(item.judged_by)
        if item.model is not None and (len(self.models) < 1000 or item.model in self.models):
            self.models[item.model] += 1
        if item.time is not None:
            self.hours[int(item.time // _HOUR)] += 1
        if item.member is None:
            self._good.add(item)
            return
        self.failed += 1
        self.undetermined += not item.member.gaps
        self.gaps.update(g for g in GAPS if g in item.member.gaps)
        self._failures.add(item)

    def limits(self) -> Limits:
        """Return from which ids on nothing need be packed."""
        return Limits(self._failures.limit(), self._good.limit())

    def members(self) -> list[Member]:
        """Return the failures kept, by id."""
        return [item.member for item in self._failures if item.member is not None]

    def stored(self) -> Iterator[tuple[str, bytes, tuple[str, ...]]]:
        """Yield (id, packed body, ids in the log) of all that is kept."""
        for sample in (self._failures, self._good):
            yield from ((item.id, item.body, item.known) for item in sample)

    def bodies(self) -> Mapping[str, bytes]:
        """Return the packed failures by exchange id."""
        return {item.id: item.body for item in self._failures}

    def days(self) -> float | None:
        """Return the span of time the log covers, in days, None if it holds no times."""
        return (max(self.hours) - min(self.hours) + 1) / 24 if self.hours else None
