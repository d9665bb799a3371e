"""Recalibrating the diagnosis on an operator's own labels.

Bots differ in how often they fail and at what, so probabilities fitted elsewhere are not calibrated for this one.
With enough labels the slope and the biases of the scores are refitted (Platt scaling, Platt 1999, with an L2 pull
toward the shipped values); the weights of the signals stay, since tens of labels cannot teach them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from advisor.diagnosis import GAP_SETS, failure_score, gap_scores
from advisor.evidence import GAPS, Evidence, Gap
from advisor.weights import Weights

MIN_LABELS = 60
MIN_PER_SIDE = 15
PULL = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A person's verdict on one exchange.

    Attributes:
        evidence: What the checks saw on it.
        gaps: The gaps the person named; empty if the reply was good.
    """

    evidence: tuple[Evidence, ...]
    gaps: frozenset[Gap]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether there are labels enough, in words for the operator."""

    enough: bool
    message: str


def standing(labels: Collection[Labelled]) -> Standing:
    """Say whether these labels can calibrate, and what is missing if not."""
    bad = sum(bool(label.gaps) for label in labels)
    good = len(labels) - bad
    if len(labels) >= MIN_LABELS and min(bad, good) >= MIN_PER_SIDE:
        return Standing(
            enough=True, message=f"calibrated on {len(labels)} labels ({bad} failed, {good} good)"
        )
    return Standing(
        enough=False,
        message=f"uncalibrated: {len(labels)} labels ({bad} failed, {good} good); needs {MIN_LABELS}, "
        f"with {MIN_PER_SIDE} of each",
    )


def recalibrate(weights: Weights, labels: Sequence[Labelled]) -> Weights:
    """Return weights calibrated on the labels, or the same weights if there are too few."""
    if not standing(labels).enough:
        return weights
    slope, bias = _fit_failed(weights, labels)
    gap_slope, shifts = _fit_gaps(weights, [label for label in labels if label.gaps])
    return replace(
        weights,
        failed_slope=slope,
        failed_bias=bias,
        gap_slope=gap_slope,
        gap_bias={g: weights.gap_bias[g] + s for g, s in zip(GAPS, shifts, strict=True)},
        calibrated=True,
    )


def _fit_failed(weights: Weights, labels: Sequence[Labelled]) -> tuple[float, float]:
    score = np.array([failure_score(label.evidence, weights) for label in labels])
    failed = np.array([bool(label.gaps) for label in labels], float)
    start = np.array([weights.failed_slope, weights.failed_bias])

    def gradient(p: np.ndarray) -> np.ndarray:
        error = 1 / (1 + np.exp(-(p[0] * score + p[1]))) - failed
        pulled: np.ndarray = np.array([(error * score).sum(), error.sum()]) + PULL * (p - start)
        return pulled

    slope, bias = _descend(gradient, start, scale=len(labels))
    return max(0.05, float(slope)), float(bias)


def _fit_gaps(weights: Weights, labels: Sequence[Labelled]) -> tuple[float, list[float]]:
    plain = replace(weights, gap_slope=1.0, gap_bias=dict.fromkeys(GAPS, 0.0))
    raw = np.array([[gap_scores(label.evidence, plain)[g] for g in GAPS] for label in labels])
    bias = np.array([weights.gap_bias[g] for g in GAPS])
    member = np.array([[g in s for g in GAPS] for s in GAP_SETS], float)
    right = np.array([[s == label.gaps for s in GAP_SETS] for label in labels], float)
    penalty = weights.second_gap * (member.sum(1) - 1)
    start = np.array([weights.gap_slope, 0.0, 0.0, 0.0, 0.0])

    def gradient(p: np.ndarray) -> np.ndarray:
        energy = (p[0] * raw + bias + p[1:]) @ member.T - penalty
        share = np.exp(energy - energy.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        # A label of three gaps or more matches no set; it teaches nothing here.
        pull = (share - right) * right.sum(1, keepdims=True)
        d = pull @ member
        pulled: np.ndarray = np.array([(d * raw).sum(), *d.sum(0)]) + PULL * (p - start)
        return pulled

    slope, *shifts = _descend(gradient, start, scale=len(labels))
    return max(0.05, float(slope)), [float(s) for s in shifts]


def _descend(gradient: Callable[[np.ndarray], np.ndarray], start: np.ndarray, *, scale: int) -> np.ndarray:
    """Minimise a smooth convex function by Adam (Kingma and Ba 2015); deterministic."""
    x, mean, square = start.copy(), np.zeros_like(start), np.zeros_like(start)
    for step in range(1, 801):
        g = gradient(x) / scale
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
        x = x - 0.05 * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return x
