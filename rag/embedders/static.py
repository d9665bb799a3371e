"""A static embedding for installs without torch: the weighted mean of its word pieces' vectors.

Distilled from all-MiniLM-L6-v2 (Apache-2.0) by `scripts/distil_static.py`. Weaker than MiniLM and thousands of times
faster; it reads texts of any length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources

import numpy as np

from rag import wordpieces
from rag.embedders.port import Identity, Kind, Vectors, unit


class Static:
    """The packaged static embedding, 128 dimensions."""

    max_tokens = 1_000_000

    def __init__(self) -> None:
        self._table, self.identity = _table()

    def count(self, text: str) -> int:
        """Return the number of word pieces of a text."""
        return wordpieces.count(text)

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Vectors:
        """Return a vector for every text; a text without any known piece is all zeros."""
        found = np.zeros((len(texts), self.identity.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            numbers = [n for n in wordpieces.pieces(text) if n != wordpieces.UNKNOWN]
            if numbers:
                found[row] = self._table[numbers].mean(axis=0)
        return unit(found)


@cache
def _table() -> tuple[Vectors, Identity]:
    path = resources.files("rag").joinpath("embedders", "static.npz")
    with path.open("rb") as file:
        data = file.read()
    with path.open("rb") as file, np.load(file) as packed:
        table: Vectors = packed["vectors"].astype(np.float32) * packed["scale"]
    fingerprint = hashlib.sha256(data).hexdigest()
    return table, Identity(model="static", dimension=table.shape[1], fingerprint=fingerprint)
