"""Exact search in memory over a matrix in one file: no approximation, no package."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rag.embedders.port import Vectors
from rag.stores.port import Change, Near


class Memory:
    """Vectors in `vectors.npy`, read whole when opened."""

    reference = "memory"

    def write(self, folder: Path, change: Change) -> None:
        """Write all rows."""
        folder.mkdir(parents=True)
        ids: list[str] = []
        classes: list[str] = []
        parts: list[Vectors] = []
        for rows in change.everything():
            ids += rows.ids
            classes += rows.classes
            parts.append(rows.vectors)
        whole = np.concatenate(parts) if parts else np.zeros((0, change.dimension), dtype=np.float32)
        np.save(folder / "vectors.npy", whole)
        names = sorted(set(classes))
        number = {name: n for n, name in enumerate(names)}
        np.save(folder / "classes.npy", np.array([number[c] for c in classes], dtype=np.int32))
        (folder / "rows.json").write_text(json.dumps({"ids": ids, "classes": names}), encoding="utf-8")

    def open(self, folder: Path, vectors: Callable[[Sequence[str]], Vectors]) -> OpenMemory:
        """Open a version."""
        return OpenMemory(folder)

    def drop(self, folder: Path) -> None:
        """Do nothing: all of it is in the folder."""


class OpenMemory:
    """A matrix in memory."""

    def __init__(self, folder: Path) -> None:
        rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
        self._ids: list[str] = rows["ids"]
        self._names = {name: n for n, name in enumerate(rows["classes"])}
        self._classes = np.load(folder / "classes.npy")
        self._vectors: Vectors = np.load(folder / "vectors.npy")

    def search(self, vector: Vectors, k: int, *, allowed: frozenset[str] | None) -> list[Near]:
        """Return the `k` nearest chunks of the allowed classes."""
        rows = self._rows(allowed)
        if rows is not None and not len(rows):
            return []
        near = (self._vectors if rows is None else self._vectors[rows]) @ vector
        if not len(near):
            return []
        best = np.argpartition(-near, min(k, len(near)) - 1)[:k]
        # Those that tie with the last one compete by id, so that the order of rows does not matter.
        tied = np.flatnonzero(near >= near[best].min()) if len(best) else best
        found = [Near(self._ids[int(i if rows is None else rows[i])], float(near[i])) for i in tied]
        return sorted(found, key=lambda n: (-n.similarity, n.id))[:k]

    def _rows(self, allowed: frozenset[str] | None) -> np.ndarray | None:
        if allowed is None or allowed >= self._names.keys():
            return None
        wanted = [n for name, n in self._names.items() if name in allowed]
        return np.flatnonzero(np.isin(self._classes, wanted))

    def close(self) -> None:
        """Do nothing."""
