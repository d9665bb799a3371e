"""Nearest labelled examples of a text, by words and character n-grams."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

_WORD = re.compile(r"\w+")
_MOST_COMMON = 0.3  # a feature in more than this share of the texts says nothing and costs time


def features(text: str) -> Counter[str]:
    """Words and character 4-grams within words; single characters where a script does not part words."""
    found: Counter[str] = Counter()
    for word in _WORD.findall(text[:2000].casefold()):
        found["w:" + word] += 2
        padded = f" {word} "
        found.update(padded[i : i + 4] for i in range(max(1, len(padded) - 3)))
        if not word.isascii():
            found.update(padded[i : i + 2] for i in range(len(padded) - 1))
    return found


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One labelled example and how like the text it is (cosine, 0-1)."""

    text: str
    label: str
    likeness: float


class LabelIndex:
    """Inverted index of labelled texts with TF-IDF cosine."""

    def __init__(self, labelled: Mapping[str, str]) -> None:
        self.texts, self.labels = tuple(labelled), tuple(map(str, labelled.values()))
        postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        counts = [features(t) for t in self.texts]
        for i, found in enumerate(counts):
            for feature, n in found.items():
                postings[feature].append((i, 1 + math.log(n)))
        total = len(self.texts)
        self._idf = {
            f: math.log((1 + total) / (1 + len(p)))
            for f, p in postings.items()
            if total < 10 or len(p) <= _MOST_COMMON * total
        }
        norms = np.zeros(total)
        for feature, idf in self._idf.items():
            for i, weight in postings[feature]:
                norms[i] += (weight * idf) ** 2
        self._norms = np.sqrt(np.maximum(norms, 1e-9))
        self._postings: dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] = {
            f: (np.array([i for i, _ in postings[f]]), np.array([w * idf for _, w in postings[f]]))
            for f, idf in self._idf.items()
        }

    def nearest(self, text: str, k: int = 8) -> list[Neighbour]:
        """Return the `k` examples most like `text`, best first, without the text itself."""
        scores, norm = np.zeros(len(self.texts)), 0.0
        for feature, n in features(text).items():
            if feature in self._idf:
                weight = (1 + math.log(n)) * self._idf[feature]
                norm += weight * weight
                ids, weights = self._postings[feature]
                scores[ids] += weight * weights
        if norm == 0:
            return []
        scores /= self._norms * math.sqrt(norm)
        best = np.argsort(-scores, kind="stable")[: k + 1]
        found = [Neighbour(self.texts[i], self.labels[i], float(scores[i])) for i in best if scores[i] > 0.05]
        return found[:k]


class _Same:
    """A mapping as a cache key: the same object, not an equal one."""

    def __init__(self, labelled: Mapping[str, str]) -> None:
        self.labelled = labelled

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.labelled is self.labelled

    def __hash__(self) -> int:
        return id(self.labelled)


@lru_cache(maxsize=4)
def _index(key: _Same) -> LabelIndex:
    return LabelIndex(key.labelled)


def index_of(labelled: Mapping[str, str]) -> LabelIndex:
    """Return the index of the operator's examples, built once per mapping."""
    return _index(_Same(labelled))
