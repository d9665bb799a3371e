"""Heads: multinomial logistic regression on frozen sentence embeddings, in seconds on one core; the first thing to try for labels.

Weights are fitted by L-BFGS (Liu and Nocedal 1989) with an L2 penalty; how strong it is, and below which probability a head is to say nothing,
is chosen by cross-validation on the training texts. Served as `head:FOLDER`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.examples import Example
from rag import embedders

Floats = NDArray[np.float64]

_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
_FOLDS = 5
_MOST_FOLDED = 3000
_HISTORY = 10
_STEPS = 150
_STILL = 1e-5


class HeadFailed(ValueError):
    """No head can be trained on these texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A head.

    Attributes:
        labels: In the order of the rows.
        weight: [classes, dimension].
        bias: [classes].
        embedder: Reference in `rag.embedders`.
        threshold: Least probability of a label that is given, 0-1.
        metrics: Macro-F1 and accuracy in cross-validation, penalty, texts.
    """

    labels: tuple[str, ...]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    embedder: str
    threshold: float
    metrics: Mapping[str, float]

    def save(self, folder: Path) -> Path:
        """Write it as `head.npz` and `head.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / "head.npz", weight=self.weight, bias=self.bias)
        data = {"labels": list(self.labels), "embedder": self.embedder, "threshold": self.threshold}
        (folder / "head.json").write_text(
            json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
        return folder

    def probabilities(self, vectors: NDArray[np.floating[Any]]) -> Floats:
        """Return the probability of each label, [texts, classes]."""
        return _softmax(np.asarray(vectors, dtype=np.float64) @ self.weight.T + self.bias)


def texts_of(examples: Sequence[Example]) -> tuple[list[str], list[str]]:
    """Return the requests and labels of labelled examples."""
    own = [(e.request, e.label) for e in examples if e.label]
    return [text for text, _ in own], [str(label) for _, label in own]


def train(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    embedder: str | None = None,
    outside: Sequence[str] = (),
    seed: int = 0,
) -> Fitted:
    """Train a head.

    Args:
        texts: What people write.
        labels: The label of each.
        embedder: Reference in `rag.embedders`; the best that is installed unless given.
        outside: Texts that have no label; they set the threshold, and nothing else does.
        seed: Of the folds.

    Raises:
        HeadFailed: Fewer than two labels, or a label with fewer than two texts.
    """
    counts = Counter(labels)
    if len(counts) < 2 or min(counts.values()) < 2:
        few = [name for name, n in counts.items() if n < 2]
        raise HeadFailed(
            f"a head needs two labels with two texts each{f'; {few[0]!r} has one' if few else ''}"
        )
    name = embedder or embedders.default()
    model = embedders.load(name)
    vectors = np.asarray(model.embed(list(texts), kind="query"), dtype=np.float64)
    known = tuple(sorted(counts))
    classes = np.array([known.index(label) for label in labels])
    penalty, chances = _chosen(vectors, classes, len(known), seed)
    weight, bias = _fit(vectors, classes, len(known), penalty)
    apart = np.asarray(model.embed(list(outside), kind="query"), dtype=np.float64) if outside else None
    threshold = _threshold(chances, _softmax(apart @ weight.T + bias)) if apart is not None else 0.0
    folded = chances.rows
    metrics = {
        "cv_macro_f1": macro_f1(classes[folded], chances.values.argmax(axis=1), len(known)), "cv_accuracy": float((chances.values.argmax(axis=1) == classes[folded]).mean()),
        "penalty": penalty, "texts": float(len(texts)), "labels": float(len(known)),
    }  # fmt: skip
    return Fitted(
        labels=known, weight=weight.astype(np.float32), bias=bias.astype(np.float32), embedder=name, threshold=threshold, metrics=metrics
    )  # fmt: skip


def macro_f1(right: NDArray[np.integer[Any]], said: NDArray[np.integer[Any]], classes: int) -> float:
    """Return the mean F1 over the classes that occur in either, 0-1."""
    found = []
    for label in range(classes):
        hit = int(((right == label) & (said == label)).sum())
        total = int((right == label).sum() + (said == label).sum())
        if total:
            found.append(2 * hit / total)
    return float(np.mean(found)) if found else 0.0


@dataclass(frozen=True, slots=True)
class _Chances:
    """Probabilities of texts by heads that did not see them.

    Attributes:
        rows: Which texts.
        values: [those texts, classes].
    """

    rows: NDArray[np.integer[Any]]
    values: Floats


def _chosen(
    vectors: Floats, classes: NDArray[np.integer[Any]], count: int, seed: int
) -> tuple[float, _Chances]:
    """Return the penalty with the least held-out loss, and the held-out probabilities under it."""
    chance = np.random.default_rng(seed)
    rows = chance.permutation(len(vectors))[:_MOST_FOLDED]
    folds = np.arange(len(rows)) % min(_FOLDS, len(rows))
    best: tuple[float, float, Floats] | None = None
    for penalty in _PENALTIES:
        values = np.zeros((len(rows), count))
        for fold in range(folds.max() + 1):
            inside, out = rows[folds != fold], rows[folds == fold]
            weight, bias = _fit(vectors[inside], classes[inside], count, penalty)
            values[folds == fold] = _softmax(vectors[out] @ weight.T + bias)
        loss = float(-np.log(np.maximum(values[np.arange(len(rows)), classes[rows]], 1e-12)).mean())
        if best is None or loss < best[0]:
            best = (loss, penalty, values)
    if best is None:
        raise HeadFailed("nothing to choose from")
    return best[1], _Chances(rows, best[2])


def _threshold(inside: _Chances, outside: Floats) -> float:
    """Return the probability that tells texts with a label best from those without: most right on both sides, each weighed alike."""
    own, other = inside.values.max(axis=1), outside.max(axis=1)
    tried = np.unique(np.concatenate([own, other]))
    scores = [(float((own >= t).mean() + (other < t).mean()), float(t)) for t in tried]
    return max(scores)[1]


def _fit(
    vectors: Floats, classes: NDArray[np.integer[Any]], count: int, penalty: float
) -> tuple[Floats, Floats]:
    n, dimension = vectors.shape
    wanted = np.zeros((n, count))
    wanted[np.arange(n), classes] = 1.0

    def loss(flat: Floats) -> tuple[float, Floats]:
        weight, bias = flat[: count * dimension].reshape(count, dimension), flat[count * dimension :]
        chances = _softmax(vectors @ weight.T + bias)
        off = (chances - wanted) / n
        value = -np.log(np.maximum(chances[np.arange(n), classes], 1e-300)).mean() + penalty / 2 * float(
            (weight**2).sum()
        )
        slope = np.concatenate([(off.T @ vectors + penalty * weight).ravel(), off.sum(axis=0)])
        return float(value), slope

    flat = _minimised(loss, np.zeros(count * dimension + count))
    return flat[: count * dimension].reshape(count, dimension), flat[count * dimension :]


def _minimised(loss: Callable[[Floats], tuple[float, Floats]], start: Floats) -> Floats:
    """L-BFGS with backtracking; the losses here are convex and smooth."""
    at, (value, slope) = start, loss(start)
    moves: list[tuple[Floats, Floats]] = []
    for _ in range(_STEPS):
        if np.abs(slope).max() < _STILL:
            break
        direction = _direction(slope, moves)
        step, downhill = 1.0, float(slope @ direction)
        while True:
            then, (next_value, next_slope) = at + step * direction, loss(at + step * direction)
            if next_value <= value + 1e-4 * step * downhill or step < 1e-10:
                break
            step /= 2
        moves = [*moves, (then - at, next_slope - slope)][-_HISTORY:]
        at, value, slope = then, next_value, next_slope
    return at


def _direction(slope: Floats, moves: Sequence[tuple[Floats, Floats]]) -> Floats:
    found = -slope
    kept = [(s, y, 1.0 / float(s @ y)) for s, y in moves if float(s @ y) > 1e-12]
    alphas = []
    for s, y, rho in reversed(kept):
        alphas.append(rho * float(s @ found))
        found = found - alphas[-1] * y
    if kept:
        s, y, _ = kept[-1]
        found = found * (float(s @ y) / float(y @ y))
    for (s, y, rho), alpha in zip(kept, reversed(alphas), strict=True):
        found = found + s * (alpha - rho * float(y @ found))
    return found


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Floats = powers / powers.sum(axis=1, keepdims=True)
    return found
