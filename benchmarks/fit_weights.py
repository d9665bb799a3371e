"""Fit the weights of the diagnosis on labelled failures and write `advisor/weights.json`.

    python benchmarks/fit_weights.py DATA CORPORA [--out advisor/weights.json] [--leave-out SOURCE] [--cache FILE]

Tens of non-negative numbers, one per signal, by projected gradient descent with an L2 pull toward hand-set
priors; no text is kept. How hard the pull is was chosen by leaving out one source at a time
(`benchmarks/generalisation.py`). Every second group (one question answered by several models is
one group) is left out of the fit, so that the benchmark can report figures on groups the fit never saw.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from labelled import Case, cases

from advisor.checks import SIGNALS
from advisor.diagnosis import GAP_SETS, gap_scores, set_probabilities, signals
from advisor.evidence import CAUSES, GAPS
from advisor.weights import Weights

LABELS = {
    "knowledge_gap": {"knowledge"},
    "style_format_gap": {"style"},
    "tool_call": {"tool_call"},
    "classification": {"classification"},
    "both": {"knowledge", "style"},
}
CAUSE_OF = {
    "missing_content": "missing_content",
    "context_lacks_answer": "missing_content",
    "retrieval_miss": "retrieval_miss",
    "context_ignored_or_contradicted": "context_unused",
}
CAP, GOOD_CAP = 6.0, 1.2
# Pull toward the priors; that of the biases keeps one source from teaching where good ends for all.
L2_FAILED, L2_GAP, L2_CAUSE = 5.0, 10.0, 40.0
L2_FAILED_BIAS, L2_GAP_BIAS = 200.0, 50.0
NAMES = sorted(SIGNALS)
COLUMN = {name: i for i, name in enumerate(NAMES)}
FAMILY = np.array([sorted({n.partition(".")[0] for n in NAMES}).index(n.partition(".")[0]) for n in NAMES])
# Signals the labelled logs cannot teach (every failure there is flagged alike): set by hand, never fitted.
BY_HAND = {name: prior for name, prior in SIGNALS.items() if prior.fixed}


def number(case: Case) -> int:
    return int(hashlib.sha256(case.group.encode()).hexdigest(), 16)


def teaches(case: Case) -> bool:
    return number(case) % 2 == 0


def tempers(case: Case) -> bool:
    """A quarter of what teaches; on it the slope is set, with weights that have not seen it."""
    return number(case) % 8 in (2, 3)


def capped(x: np.ndarray, w: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Family sums of x * w between -least and CAP, and the columns that are not at a cap; x is (..., signals)."""
    terms = x * w
    total = np.zeros(x.shape[:-1])
    free = np.zeros_like(x)
    for family in np.unique(FAMILY):
        part = family == FAMILY
        s = terms[..., part].sum(-1)
        total += np.clip(s, -least, CAP)
        free[..., part] = ((s > -least) & (s < CAP))[..., None]
    return total, free


def balance(found: Sequence[Case], key: Callable[[Case], object], *, power: float) -> np.ndarray:
    counts: dict = defaultdict(int)
    for c in found:
        counts[key(c)] += 1
    raw = np.array([counts[key(c)] ** -power for c in found])
    return raw / raw.mean()


def adam(
    grad: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    low: np.ndarray,
    *,
    steps: int = 1500,
    rate: float = 0.03,
) -> np.ndarray:
    x, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
    for t in range(1, steps + 1):
        g = grad(x)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x = np.maximum(low, x - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8))
    return x


def fit_failed(found: Sequence[Case]) -> tuple[dict[str, float], float]:
    x = np.zeros((len(found), len(NAMES)))
    for i, c in enumerate(found):
        for (check, _), value in signals(c.evidence).items():
            x[i, COLUMN[check]] = value if abs(value) > abs(x[i, COLUMN[check]]) else x[i, COLUMN[check]]
    y = np.array([c.label != "none" for c in found], float)
    # As many good as failed replies in every source: no source's own share of failures is taught.
    weight = balance(found, lambda c: (c.source, c.label == "none"), power=1.0)
    prior = np.array([SIGNALS[n].failed for n in NAMES])
    fixed = np.array([n in BY_HAND or SIGNALS[n].failed == 0 for n in NAMES])
    pull = np.append(np.full(len(NAMES), L2_FAILED), L2_FAILED_BIAS)

    def grad(p: np.ndarray) -> np.ndarray:
        score, free = capped(x, p[:-1], GOOD_CAP)
        err = weight * (1 / (1 + np.exp(-(score + p[-1]))) - y)
        g = np.append((err[:, None] * x * free).sum(0), err.sum()) + pull * (p - np.append(prior, 0.0))
        g[:-1][fixed] = 0
        return g / len(found)

    p = adam(grad, np.append(prior, 0.0), np.append(np.zeros(len(NAMES)), -np.inf))
    return dict(zip(NAMES, p[:-1].round(3).tolist(), strict=True)), round(float(p[-1]), 3)


def fit_gaps(found: Sequence[Case]) -> tuple[dict[str, float], dict[str, float], float]:
    x = np.zeros((len(found), len(GAPS), len(NAMES)))
    for i, c in enumerate(found):
        for (check, gap), value in signals(c.evidence).items():
            if gap is not None:
                x[i, GAPS.index(gap), COLUMN[check]] = value
    member = np.array([[g in s for g in GAPS] for s in GAP_SETS], float)
    right = np.array([[any(s == LABELS[a] for a in accepted(c)) for s in GAP_SETS] for c in found], float)
    weight = balance(found, lambda c: (c.source, c.label), power=0.25)
    prior = np.array([SIGNALS[n].gap for n in NAMES])
    fixed = np.array([n in BY_HAND for n in NAMES])
    k = len(NAMES)

    def grad(p: np.ndarray) -> np.ndarray:
        score, free = capped(x, p[:k], CAP)
        score = score + p[k : k + 4]
        energy = score @ member.T - p[-1] * (member.sum(1) - 1)
        probability = np.exp(energy - energy.max(1, keepdims=True))
        probability /= probability.sum(1, keepdims=True)
        posterior = probability * right
        posterior /= np.maximum(posterior.sum(1, keepdims=True), 1e-12)
        d = weight[:, None] * (probability - posterior)
        ds = d @ member
        gw = np.einsum("ng,ngk->k", ds, x * free) + L2_GAP * (p[:k] - prior)
        gw[fixed] = 0
        return np.concatenate(
            [
                gw,
                ds.sum(0) + L2_GAP_BIAS * p[k : k + 4],
                [-(d @ (member.sum(1) - 1)).sum() + L2_GAP * (p[-1] - 3)],
            ]
        ) / len(found)

    p = adam(
        grad, np.concatenate([prior, np.zeros(4), [3.0]]), np.concatenate([np.zeros(k), np.full(5, -np.inf)])
    )
    bias = {g: round(float(b), 3) for g, b in zip(GAPS, p[k : k + 4], strict=True)}
    return dict(zip(NAMES, p[:k].round(3).tolist(), strict=True)), bias, round(float(p[-1]), 3)


def accepted(case: Case) -> set[str]:
    return {case.label, *(a for a in case.accept if a in LABELS)}


def fit_causes(found: Sequence[Case]) -> tuple[dict[str, float], dict[str, float]]:
    """Softmax over the knowledge causes; other gaps keep weight 1."""
    causes = sorted(set(CAUSE_OF.values()))
    taught = [c for c in found if c.label == "knowledge_gap" and c.sublabel in CAUSE_OF]
    x = np.zeros((len(taught), len(causes), len(NAMES)))
    for i, c in enumerate(taught):
        for e in c.evidence:
            if e.cause in causes:
                j, col = causes.index(e.cause), COLUMN[e.check]
                if abs(e.strength) > abs(x[i, j, col]):
                    x[i, j, col] = e.strength
    y = np.array([[CAUSE_OF[c.sublabel or ""] == cause for cause in causes] for c in taught], float)
    # Recall of each cause counts the same, however rare it is in these logs.
    weight = balance(taught, lambda c: CAUSE_OF[c.sublabel or ""], power=1.0)
    k = len(NAMES)
    start = np.concatenate([[SIGNALS[n].cause for n in NAMES], np.zeros(len(causes))])
    fixed = np.array([n in BY_HAND for n in NAMES] + [False] * len(causes))

    def grad(p: np.ndarray) -> np.ndarray:
        score = (x * p[:k]).sum(-1) + p[k:]
        probability = np.exp(score - score.max(1, keepdims=True))
        probability /= probability.sum(1, keepdims=True)
        d = weight[:, None] * (probability - y)
        g = np.concatenate([np.einsum("nc,nck->k", d, x), d.sum(0)]) + L2_CAUSE * (p - start)
        return np.where(fixed, 0.0, g) / max(1, len(taught))

    p = adam(grad, start, np.concatenate([np.zeros(k), np.full(len(causes), -np.inf)]))
    speaks = (np.abs(x).sum((0, 1)) > 0) | (start[:k] != 1)
    assert all(cause in CAUSES["knowledge"] for cause in causes)
    return (
        {n: round(float(w), 3) for n, w, s in zip(NAMES, p[:k], speaks, strict=True) if s},
        {cause: round(float(b), 3) for cause, b in zip(causes, p[k:], strict=True)},
    )


def fit_slope(found: Sequence[Case]) -> float:
    """Temperature scaling (Guo et al. 2017) of the gap scores, by likelihood on a part the weights did not see."""
    gap, bias, second = fit_gaps([c for c in found if not tempers(c)])
    weights = Weights(failed={}, gap=gap, failed_bias=0, gap_bias=bias, second_gap=second, cap=CAP)

    def loss(slope: float) -> float:
        total = 0.0
        for c in filter(tempers, found):
            sets = set_probabilities(gap_scores(c.evidence, replace(weights, gap_slope=slope)), weights)
            right = [p for s, p in sets.items() if any(s == LABELS[a] for a in accepted(c))]
            total -= np.log(max(1e-9, sum(right)))
        return total

    return min((round(x, 2) for x in np.arange(0.6, 2.45, 0.1).tolist()), key=loss)


def fit(found: Sequence[Case]) -> dict[str, object]:
    failed, failed_bias = fit_failed([c for c in found if c.run == "mixed"])
    failures = [c for c in found if c.run == "failures" and c.label != "none"]
    gap, gap_bias, second = fit_gaps(failures)
    cause, cause_bias = fit_causes([c for c in found if c.run == "failures"])
    return {
        "failed": failed,
        "gap": gap,
        "cause": cause,
        "failed_bias": failed_bias,
        "gap_bias": gap_bias,
        "cause_bias": cause_bias,
        "second_gap": second,
        "gap_slope": fit_slope(failures),
        "cap": CAP,
        "good_cap": GOOD_CAP,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--out", type=Path, default=Path("advisor/weights.json"))
    parser.add_argument("--leave-out", help="a source the fit must not see")
    parser.add_argument("--cache", type=Path, help="keep the evidence here between fits")
    args = parser.parse_args()
    found = [
        c
        for c in cases(args.data, args.corpora, cache=args.cache)
        if teaches(c) and c.source != args.leave_out
    ]
    weights = {
        "about": "Fitted by benchmarks/fit_weights.py; see docs/benchmarks.md. Signals with a fixed prior were set by hand.",
        "n": {
            "failures": sum(c.run == "failures" for c in found),
            "mixed": sum(c.run == "mixed" for c in found),
        },
        **fit(found),
        "floor": 0.5,
    }
    args.out.write_text(json.dumps(weights, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{args.out}: fitted on {weights['n']}")


if __name__ == "__main__":
    main()
