"""Grouping failures into issues: by cause and failed checks first, by what they are about second.

Everything is sorted before it is looked at, so the same failures in any order give the same issues. Work grows
linearly with the number of failures.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from advisor.evidence import GAPS
from advisor.exchange import content_hash
from advisor.faults import failed, path
from advisor.issues import Broken, Issue, Member, Rate, Trend
from advisor.titles import title
from advisor.topics import spelled, topics, weights, words
from rag.duplicates import first_like
from rag.statistics import wilson as interval

_PERIODS = 8
_LEAST_FOR_TREND = 10
_Z = 1.96
_MOST_QUESTIONS = 20
_MOST_RULES = 5
_LONGEST_QUESTION = 200
_HOUR = 3600
_LOOKED_AT = 2_000
"""Members of an issue that the choice of examples and the spelling of its topic look at."""


def wilson(count: int, total: int) -> Rate:
    """Return a share with its 95 % interval (Wilson 1927); of nothing the interval is 0 to 1."""
    if total <= 0:
        return Rate(count=0, total=0, value=0.0, low=0.0, high=1.0)
    share = min(1.0, count / total)
    low, high = interval(min(count, total), total)
    return Rate(count=count, total=total, value=share, low=min(low, share), high=max(high, share))


def group(members: Iterable[Member], *, total: int, clock: Mapping[int, int]) -> tuple[Issue, ...]:
    """Return the issues that failures make up, largest first.

    Args:
        members: The failures, in any order.
        total: Exchanges they were found among.
        clock: Exchanges by hour since the epoch, for rates over time; empty if the log has no times.
    """
    ordered = sorted(members, key=lambda m: (m.id, m.question, m.reply))
    bags = {q: words(q) for q in sorted({m.question for m in ordered})}
    world = _World(
        bags=bags, weight=weights(list(bags.values())), least=_least(len(ordered)), total=total, clock=clock
    )
    issues = [
        _issue(key, topic, part, world)
        for key, bucket in sorted(_buckets(ordered, world.least).items(), key=lambda item: repr(item[0]))
        for topic, part in _parts(bucket, world)
    ]
    return tuple(sorted(issues, key=lambda i: (-i.rate.count, i.id)))


@dataclass(frozen=True, slots=True)
class _World:
    """What all issues of one run share.

    Attributes:
        bags: The telling words of each question.
        weight: How much each word tells.
        least: Fewest failures that stand as an issue of their own beside others of the same cause.
    """

    bags: Mapping[str, frozenset[str]]
    weight: Mapping[str, float]
    least: int
    total: int
    clock: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class _Key:
    """What the failures of one bucket share.

    Attributes:
        path: From the failed check or rule to the tool and argument, or the label; empty where nothing is shared.
    """

    gaps: tuple[str, ...]
    cause: str | None = None
    path: tuple[str, ...] = ()


def _least(failures: int) -> int:
    """Two, or one in a hundred failures, up to ten."""
    return max(2, min(10, failures // 100))


def _buckets(ordered: Sequence[Member], least: int) -> dict[_Key, list[Member]]:
    """Failures by gaps, cause and what failed; what is rare there falls back on what it shares with others."""
    common = Counter(name for m in ordered for name in failed(m))
    by_cause: dict[_Key, list[Member]] = defaultdict(list)
    for member in ordered:
        gaps = tuple(sorted(member.gaps, key=GAPS.index))
        by_cause[_Key(gaps, member.cause if gaps else None)].append(member)
    found: dict[_Key, list[Member]] = {}
    for key, bucket in by_cause.items():
        paths = [path(m, common) for m in bucket]
        folded = _folded(paths, least)
        groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for index, whole in enumerate(paths):
            groups[folded[whole]].append(index)
        for indices in groups.values():
            shared = _shared_start([paths[i] for i in indices])
            found[_Key(key.gaps, key.cause, shared)] = [bucket[i] for i in indices]
    return found


def _folded(paths: Sequence[tuple[str, ...]], least: int) -> dict[tuple[str, ...], tuple[str, ...]]:
    """From each path to the longest start of it that enough failures end at, once the rarer ones are cut."""
    counts = Counter(paths)
    target = {whole: whole for whole in counts}
    for length in range(max(map(len, counts), default=0), 0, -1):
        ends: Counter[tuple[str, ...]] = Counter()
        for whole, n in counts.items():
            ends[target[whole]] += n
        for whole, now in target.items():
            if len(now) == length and ends[now] < least:
                target[whole] = now[:-1]
    return target


def _shared_start(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    low, high = min(paths), max(paths)
    same = next(
        (i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high))
    )
    return low[:same]


def _parts(bucket: Sequence[Member], world: _World) -> Iterator[tuple[tuple[str, ...], list[Member]]]:
    """The bucket by topic if knowledge is missing, else whole."""
    if "knowledge" not in bucket[0].gaps:
        yield (), list(bucket)
        return
    for topic in topics([world.bags[m.question] for m in bucket], world.weight, least=world.least):
        yield topic.words, [bucket[i] for i in topic.members]


def _issue(key: _Key, topic: tuple[str, ...], members: Sequence[Member], world: _World) -> Issue:
    first = members[0]
    signature = Counter(s for m in members for s in m.signature)
    shared = tuple(sorted(s for s, n in signature.items() if 2 * n > len(members)))
    said = spelled(topic, [m.question for m in members[:_LOOKED_AT]])
    broken = _common_rules(members)
    count = len(members)
    gaps = tuple(sorted(first.gaps, key=GAPS.index))
    return Issue(
        id=content_hash([key.gaps, key.cause, key.path, topic], length=12),
        title=title(gaps, key.cause, signature=shared, broken=broken, topic=said, named=key.path[1:]),
        gaps=gaps, cause=key.cause, signature=shared, topic=said, exchange_ids=tuple(m.id for m in members),
        distinct=len(set(first_like([f"{m.question}\n{m.reply}" for m in members]))), rate=wilson(count, world.total), trend=_trend(members, world.clock),
        tenants=tuple(sorted({m.tenant for m in members if m.tenant})),
        confidence=round(math.fsum(m.confidence for m in members) / count, 4), undetermined=sum(not m.gaps for m in members),
        examples=_examples(members, world), questions=_questions(members), broken=broken, corrected=sum(m.corrected for m in members),
    )  # fmt: skip


def _common_rules(members: Sequence[Member]) -> tuple[Broken, ...]:
    """The rules that most of them broke; where failures with rare rules of their own were put together, the commonest."""
    counts = Counter(b for m in members for b in set(m.broken))
    ranked = sorted(counts, key=lambda b: (-counts[b], b.rule, b.words, b.origin))
    # What one person asked for is shown once of each kind.
    kinds = {b.rule if b.origin != "request" else b.rule.partition("(")[0]: b for b in reversed(ranked)}
    rare = [b for b in ranked if b in kinds.values()]
    return tuple([b for b in ranked if 2 * counts[b] > len(members)] or rare)[:_MOST_RULES]


def _examples(members: Sequence[Member], world: _World) -> tuple[str, ...]:
    """The surest, the one most like the others, the one least like it."""
    if len(members) <= 3:
        return tuple(m.id for m in members)
    surest = min(members, key=lambda m: (-m.confidence, m.id))
    rest = [m for m in members[:_LOOKED_AT] if m is not surest]
    beside = Counter(word for m in rest for word in world.bags[m.question])

    def typical(m: Member) -> float:
        own = world.bags[m.question]
        return sum(beside[word] for word in own) / (4 + len(own))

    middle = min(rest, key=lambda m: (-typical(m), m.id))
    rest.remove(middle)
    core = world.bags[middle.question]

    def likeness(m: Member) -> float:
        return len(core & world.bags[m.question]) / max(1, len(core | world.bags[m.question]))

    far = min(rest, key=lambda m: (likeness(m), -m.confidence, m.id))
    return (surest.id, middle.id, far.id)


def _questions(members: Sequence[Member]) -> tuple[str, ...]:
    """Distinct ones, the shortest first."""
    shown = sorted(
        {" ".join(m.question.split())[:_LONGEST_QUESTION] for m in members if m.question.strip()},
        key=lambda q: (len(q), q),
    )
    first = first_like(shown)
    return tuple(_writable(q) for index, q in enumerate(shown) if first[index] == index)[:_MOST_QUESTIONS]


def _writable(text: str) -> str:
    """Without halves of surrogate pairs, which no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _trend(members: Sequence[Member], clock: Mapping[int, int]) -> Trend:
    """Failures in eight equal periods; rising or falling if the later half differs at the 5 % level (two shares, z)."""
    if not clock:
        return Trend(period_days=0.0, counts=(), totals=(), direction="unknown")
    first, last = min(clock), max(clock)
    hours = max(1, math.ceil((last - first + 1) / _PERIODS))
    periods = (last - first) // hours + 1
    counts, totals = [0] * periods, [0] * periods
    for hour, n in clock.items():
        totals[(hour - first) // hours] += n
    for member in members:
        if member.time is not None and math.isfinite(member.time):
            counts[min(periods - 1, max(0, (int(member.time // _HOUR) - first) // hours))] += 1
    return Trend(
        period_days=hours / 24,
        counts=tuple(counts),
        totals=tuple(totals),
        direction=_direction(counts, totals),
    )


def _direction(counts: Sequence[int], totals: Sequence[int]) -> str:
    half = len(counts) // 2
    a, b, na, nb = sum(counts[:half]), sum(counts[half:]), sum(totals[:half]), sum(totals[half:])
    if a + b < _LEAST_FOR_TREND or not na or not nb:
        return "unknown"
    share = min(1.0, (a + b) / (na + nb))
    spread = math.sqrt(share * (1 - share) * (1 / na + 1 / nb))
    z = (b / nb - a / na) / spread if spread else 0.0
    return "rising" if z > _Z else "falling" if z < -_Z else "steady"
