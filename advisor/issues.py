"""Issues: failures that share one cause, named in words an operator would use."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.evidence import Gap
from advisor.proof import Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A contract rule that a failed reply broke.

    Attributes:
        rule: Id of the rule.
        origin: `declared`, `system` or `request`.
        words: The words it was read from, or its note; at most 200 characters.
    """

    rule: str
    origin: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What grouping and planning need to know of one failed exchange; small, so that a million can be held.

    Attributes:
        id: Of the exchange.
        gaps: Named gaps, most probable first; empty if undetermined.
        cause: The finer word under the first.
        confidence: Of the first gap, 0-1.
        signature: Names of the checks that speak for the failure or its gaps, sorted; a broken rule's id follows
            its check after a colon.
        broken: Contract rules it broke.
        question: The person's words, at most 300 characters.
        reply: The bot's words, at most 300 characters.
        notes: The notes of its three strongest pieces of evidence.
        corrected: Whether the log holds the right answer (a correction, an edit or a reference).
        copies: Identical records collapsed into it.
    """

    id: str
    gaps: tuple[Gap, ...]
    cause: str | None
    confidence: float
    signature: tuple[str, ...]
    broken: tuple[Broken, ...] = ()
    question: str = ""
    reply: str = ""
    notes: tuple[str, ...] = ()
    corrected: bool = False
    tenant: str | None = None
    model: str | None = None
    time: float | None = None
    copies: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share with its Wilson 95 % interval (Wilson 1927).

    Attributes:
        count: Numerator.
        total: Denominator.
        value: Share, 0-1.
        low: Lower end, 0-1.
        high: Upper end, 0-1.
    """

    count: int
    total: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Failures per period, oldest first.

    Attributes:
        period_days: Length of one period in days.
        counts: Failures of this issue in each period.
        totals: All exchanges in each period.
        direction: `rising`, `falling`, `steady`, or `unknown` if there are too few or no times.
    """

    period_days: float
    counts: tuple[int, ...]
    totals: tuple[int, ...]
    direction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """Failures that share gaps, cause and failed checks, and talk about the same thing.

    Attributes:
        id: Short hash of its signature and topic; stable for the same failures in any order.
        title: One line for an operator, for instance `Replies leave out "Anything else?" (required ending)`.
        gaps: Sorted set of gaps.
        cause: Finer word of the first gap.
        signature: Names of the failed checks and rules that its members share.
        topic: Words that set its questions apart; empty for issues that span topics.
        exchange_ids: Members, sorted.
        distinct: Members after near-duplicates are collapsed.
        rate: Share of all exchanges read.
        trend: Over time.
        tenants: Tenants touched, sorted.
        confidence: Mean confidence of the members, 0-1.
        undetermined: Members whose diagnosis is undetermined.
        examples: Ids of up to three telling members: the surest, the most typical, the most different.
        questions: Up to twenty distinct questions of its members, shortest first cut to 200 characters.
        broken: The rules that most of its members broke.
        corrected: Members for which the log holds the right answer.
        proofs: What probes showed, one for each gap that failed when the bot was asked again; empty if it was not.
    """

    id: str
    title: str
    gaps: tuple[Gap, ...]
    cause: str | None
    signature: tuple[str, ...]
    topic: tuple[str, ...]
    exchange_ids: tuple[str, ...]
    distinct: int
    rate: Rate
    trend: Trend
    tenants: tuple[str, ...]
    confidence: float
    undetermined: int
    examples: tuple[str, ...]
    questions: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()
    corrected: int = 0
    proofs: tuple[Proof, ...] = ()
