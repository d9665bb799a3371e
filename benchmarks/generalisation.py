"""How the diagnosis does where its weights were not fitted: on the other half of each source, and on a whole source left out.

    python benchmarks/generalisation.py DATA CORPORA [--cache FILE]

Prints, for both: the share of failures whose set of gaps is exactly right, the share decided, the share decided whose
first gap is wrong, the recall of each knowledge cause, and the balanced accuracy of finding failures, source by source;
and the calibration error of the first gap's probability (ten bins, where decided).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from fit_weights import CAUSE_OF, LABELS, accepted, fit, teaches
from labelled import Case, cases

from advisor.diagnosis import diagnose, likely_cause
from advisor.weights import Weights

Fold = tuple[list[Case], list[Case]]


def halves(found: Sequence[Case]) -> Iterator[Fold]:
    for side in (True, False):
        yield [c for c in found if teaches(c) == side], [c for c in found if teaches(c) != side]


def sources(found: Sequence[Case]) -> Iterator[Fold]:
    for name in sorted({c.source for c in found}):
        yield [c for c in found if c.source != name], [c for c in found if c.source == name]


def fitted(taught: Sequence[Case]) -> Weights:
    known = {f.name for f in fields(Weights)}
    return Weights(**{k: v for k, v in fit(taught).items() if k in known}, floor=0.5)


def score(folds: Iterable[Fold]) -> str:
    gaps: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    causes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    hits: dict[tuple[str, bool], list[int]] = defaultdict(lambda: [0, 0])
    sure: list[tuple[float, bool]] = []
    for taught, tested in folds:
        weights = fitted(taught)
        for case in tested:
            if case.run == "mixed":
                failed = case.label != "none"
                hit = hits[case.source, failed]
                hit[0] += diagnose(case.id, case.evidence, weights).is_failure == failed
                hit[1] += 1
            elif case.label != "none":
                sure += _count(case, weights, gaps[case.source], causes)
    return f"{_table(gaps, causes, hits)} Calibration error of the first gap: {_calibration_error(sure):.3f}."


def _calibration_error(sure: Sequence[tuple[float, bool]]) -> float:
    """Expected calibration error: how far the mean probability is from the share that is right, bin by bin."""
    told, right = np.array(sure, float).T
    bins = (told * 10).astype(int).clip(0, 9)
    parts = [bins == b for b in np.unique(bins)]
    return float(sum(p.sum() * abs(told[p].mean() - right[p].mean()) for p in parts) / len(told))


def _count(
    case: Case, weights: Weights, row: list[int], causes: dict[str, list[int]]
) -> list[tuple[float, bool]]:
    """Count one failure; return how sure its first gap was and whether it is right, nothing if undecided."""
    found = diagnose(case.id, case.evidence, weights)
    top = max(found.gaps, key=lambda g: found.gaps[g])
    named = {g for g, p in found.gaps.items() if p >= 0.5} or {top}
    right = [LABELS[a] for a in accepted(case)]
    decided = found.gaps[top] >= weights.floor
    row[0] += 1
    row[1] += decided
    row[2] += decided and named in right
    row[3] += decided and not any(top in r for r in right)
    cause = CAUSE_OF.get(case.sublabel or "")
    if case.label == "knowledge_gap" and cause:
        causes[cause][0] += likely_cause(found.evidence, "knowledge", weights) == cause
        causes[cause][1] += 1
    return [(found.gaps[top], any(top in r for r in right))] if decided else []


def _table(
    gaps: dict[str, list[int]], causes: dict[str, list[int]], hits: dict[tuple[str, bool], list[int]]
) -> str:
    lines = [
        "| source | failures | decided | exact | wrong first gap | balanced accuracy |",
        "|---|---|---|---|---|---|",
    ]
    accuracy = {s: sum(hits[s, side][0] / hits[s, side][1] for side in (True, False)) / 2 for s, _ in hits}
    for name, (n, decided, exact, wrong) in sorted(gaps.items()):
        lines.append(
            f"| {name} | {n} | {decided / n:.2f} | {exact / n:.2f} | {wrong} | {accuracy[name]:.2f} |"
        )
    n, decided, exact, wrong = (sum(row[i] for row in gaps.values()) for i in range(4))
    mean = float(np.mean(list(accuracy.values())))
    lines.append(
        f"| **all** | {n} | {decided / n:.3f} | {exact / n:.3f} | {wrong / decided:.3f} of decided | {mean:.3f} (mean) |"
    )
    shares = {c: right / total for c, (right, total) in sorted(causes.items())}
    told = ", ".join(f"{c} {share:.2f}" for c, share in shares.items())
    return "\n".join(
        [*lines, "", f"Recall of the knowledge causes: {told}; mean {np.mean(list(shares.values())):.2f}."]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    found = cases(args.data, args.corpora, cache=args.cache)
    folding: dict[str, Callable[[Sequence[Case]], Iterator[Fold]]] = {
        "Two halves": halves,
        "A source left out": sources,
    }
    for name, folds in folding.items():
        print(f"{name}\n\n{score(folds(found))}\n")


if __name__ == "__main__":
    main()
