"""Diagnosis: from the evidence on one exchange to failed or not, a set of gaps and one cause.

Two log-linear scores over the same signals. Whether the reply failed is a logistic score. Which gaps it has is
a distribution over sets of one or two gaps, P(S) proportional to exp(sum of the scores of the gaps in S, less a
penalty for the second), so that "both" needs evidence for each. Within a family of related checks the sum is
capped, because ten checks that see the same fault are not ten witnesses (naive Bayes with capped groups).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from advisor.evidence import GAPS, Evidence, Gap
from advisor.weights import Weights

Standing = Literal["inferred", "confirmed", "refuted", "undetermined"]
GAP_SETS: tuple[frozenset[Gap], ...] = tuple(
    frozenset(c) for size in (1, 2) for c in combinations(GAPS, size)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is wrong with one exchange, and how sure we are.

    Attributes:
        exchange_id: The exchange it is about.
        failed: Probability that the reply failed, 0-1.
        gaps: Probability of each gap given that the reply failed, 0-1; they need not sum to 1.
        named: The gaps that are named, most probable first; empty if the reply did not fail or none stands out.
        cause: The finer word under the first named gap, None if nothing points at one.
        standing: `inferred` from the log, `confirmed` or `refuted` by a probe, or `undetermined`: a person should look.
        calibrated: Whether the probabilities were calibrated on this bot's own labels.
        evidence: What the checks saw, strongest first.
    """

    exchange_id: str
    failed: float
    gaps: Mapping[Gap, float]
    named: tuple[Gap, ...]
    cause: str | None
    standing: Standing
    calibrated: bool
    evidence: tuple[Evidence, ...]

    @property
    def is_failure(self) -> bool:
        """Whether the reply more probably failed than not."""
        return self.failed >= 0.5

    @property
    def is_open(self) -> bool:
        """Whether looking alone does not settle it: undetermined, or failed with a probability of 0.3 to 0.7."""
        return self.standing == "undetermined" or 0.3 < self.failed < 0.7

    @property
    def confidence(self) -> float:
        """Probability of the first named gap, 0-1; 0 if none is named."""
        return self.gaps[self.named[0]] if self.named else 0.0


def diagnose(exchange_id: str, evidence: Iterable[Evidence], weights: Weights) -> Diagnosis:
    """Combine the evidence on one exchange. Pure: the same evidence in any order gives the same diagnosis."""
    seen = tuple(sorted(evidence, key=_surest_first))
    failed = failure_probability(seen, weights)
    sets = set_probabilities(gap_scores(seen, weights), weights)
    gaps: dict[Gap, float] = {g: sum(p for s, p in sets.items() if g in s) for g in GAPS}
    best = max(GAP_SETS, key=lambda s: sets[s])
    ranked = tuple(sorted(best, key=lambda g: -gaps[g]))
    is_failure = failed >= 0.5
    sure = gaps[ranked[0]] >= weights.floor
    named = ranked if is_failure and sure else ()
    return Diagnosis(
        exchange_id=exchange_id,
        failed=failed,
        gaps=gaps,
        named=named,
        cause=likely_cause(seen, ranked[0], weights) if named else None,
        standing="undetermined" if is_failure and not sure else "inferred",
        calibrated=weights.calibrated,
        evidence=seen,
    )


def failure_probability(evidence: Iterable[Evidence], weights: Weights) -> float:
    """Probability that the reply failed, 0-1."""
    score = failure_score(evidence, weights)
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, weights.failed_bias + weights.failed_slope * score))))


def failure_score(evidence: Iterable[Evidence], weights: Weights) -> float:
    """Log-odds of failure before bias and slope: capped sum over families.

    That one thing is well done hardly makes up for another that is broken, so what a family may take is capped lower
    than what it may add.
    """
    terms = {check: weights.failed.get(check, 0.0) * value for (check, _), value in signals(evidence).items()}
    return _capped(terms, weights.cap, weights.good_cap)


def gap_scores(evidence: Iterable[Evidence], weights: Weights) -> dict[Gap, float]:
    """Score of each gap in natural log units, bias included."""
    values = signals(evidence)
    scores: dict[Gap, float] = {}
    for gap in GAPS:
        terms = {
            check: weights.gap.get(check, 0.0) * value for (check, g), value in values.items() if g == gap
        }
        scores[gap] = weights.gap_bias[gap] + weights.gap_slope * _capped(terms, weights.cap, weights.cap)
    return scores


def set_probabilities(scores: Mapping[Gap, float], weights: Weights) -> dict[frozenset[Gap], float]:
    """Distribution over sets of one or two gaps; the values sum to 1."""
    energy = {s: sum(scores[g] for g in s) - weights.second_gap * (len(s) - 1) for s in GAP_SETS}
    top = max(energy.values())
    raw = {s: math.exp(e - top) for s, e in energy.items()}
    total = sum(raw.values())
    return {s: r / total for s, r in raw.items()}


def likely_cause(evidence: Iterable[Evidence], gap: Gap, weights: Weights) -> str | None:
    """The cause under `gap` that the evidence fits best, None if nothing points at one.

    Where the causes of a gap were weighed against each other (they have a fitted bias), the best is named even if
    the signals only speak against the others.
    """
    scores = cause_scores(evidence, gap, weights)
    best = max(sorted(scores), key=lambda c: scores[c], default=None)
    return best if best is not None and (scores[best] > 0 or best in weights.cause_bias) else None


def cause_scores(evidence: Iterable[Evidence], gap: Gap, weights: Weights) -> dict[str, float]:
    """Evidence for each cause under `gap`; only signals that name a cause count."""
    strongest: dict[tuple[str, str], float] = {}
    for e in evidence:
        if e.gap == gap and e.cause is not None:
            key = (e.check, e.cause)
            if abs(e.strength) > abs(strongest.get(key, 0.0)):
                strongest[key] = e.strength
    scores: dict[str, float] = {}
    for (check, cause), value in strongest.items():
        scores[cause] = (
            scores.get(cause, weights.cause_bias.get(cause, 0.0)) + weights.cause.get(check, 1.0) * value
        )
    return scores


def signals(evidence: Iterable[Evidence]) -> dict[tuple[str, Gap | None], float]:
    """The strongest strength of each signal for each gap it speaks of."""
    values: dict[tuple[str, Gap | None], float] = {}
    for e in evidence:
        key = (e.check, e.gap)
        if abs(e.strength) > abs(values.get(key, 0.0)):
            values[key] = e.strength
    return values


def _surest_first(e: Evidence) -> tuple[float, float, str, str, str, str, str]:
    return (-abs(e.strength), -e.strength, e.check, e.gap or "", e.cause or "", e.rule or "", e.note)


def _capped(terms: Mapping[str, float], most: float, least: float) -> float:
    families: dict[str, float] = {}
    for check, term in terms.items():
        family = check.partition(".")[0]
        families[family] = families.get(family, 0.0) + term
    return sum(max(-least, min(most, total)) for total in families.values())
