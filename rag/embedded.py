"""What was embedded already: vectors by the hash of their text, so that none is computed, or paid for, twice."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from rag.embedders.port import Identity, Vectors

_MANY = 500


class Embedded:
    """The vectors of one embedder, in one SQLite file; every batch is on disk before the next is asked for."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        self._dimension = identity.dimension
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(repr(identity).encode()).hexdigest()[:12]
        self._db = sqlite3.connect(
            folder / f"{name}.db", timeout=30, isolation_level=None, check_same_thread=False
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS vectors (text TEXT PRIMARY KEY, vector BLOB NOT NULL)")

    def missing(self, hashes: Iterable[str]) -> list[str]:
        """Return those that are not known, in order, each once."""
        wanted = list(dict.fromkeys(hashes))
        known = {h for part in _parts(wanted) for (h,) in self._select("text", part)}
        return [h for h in wanted if h not in known]

    def put(self, hashes: Sequence[str], vectors: Vectors) -> None:
        """Write a batch down."""
        rows = [(h, v.astype(np.float32).tobytes()) for h, v in zip(hashes, vectors, strict=True)]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def get(self, hashes: Sequence[str]) -> Vectors:
        """Return the vectors, shape (hashes, dimension).

        Raises:
            KeyError: One is not known.
        """
        found: dict[str, bytes] = {}
        for part in _parts(list(dict.fromkeys(hashes))):
            found.update(self._select("text, vector", part))
        whole = b"".join(found[h] for h in hashes)
        return np.frombuffer(whole, dtype=np.float32).reshape(len(hashes), self._dimension)

    def keep(self, hashes: set[str]) -> int:
        """Forget all others and return how many those were."""
        gone = [h for (h,) in self._db.execute("SELECT text FROM vectors") if h not in hashes]
        for part in _parts(gone):
            self._db.execute(f"DELETE FROM vectors WHERE text IN ({','.join('?' * len(part))})", part)
        if gone:
            self._db.execute("VACUUM")
        return len(gone)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _select(self, columns: str, part: Sequence[str]) -> sqlite3.Cursor:
        return self._db.execute(
            f"SELECT {columns} FROM vectors WHERE text IN ({','.join('?' * len(part))})", part
        )


def _parts(hashes: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(hashes), _MANY):
        yield hashes[at : at + _MANY]
