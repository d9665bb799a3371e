"""What a vector store is. A version, once written, never changes; the next one may start from its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from rag.embedders.port import Vectors


class Near(NamedTuple):
    """A chunk near a query.

    Attributes:
        similarity: Cosine, -1 to 1, higher is nearer.
    """

    id: str
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Chunks with their vectors.

    Attributes:
        ids: One a chunk, unique within a version.
        classes: Visibility class of each; a filter is a set of them.
        vectors: Shape (chunks, dimension), length 1 each.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    vectors: Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From one version to the next.

    Attributes:
        everything: Gives all rows of the new version in batches, in their order.
        classes: Number of rows of each visibility class of the new version.
        added: Rows the parent lacks.
        removed: Ids of the parent that are gone.
        parent: Folder in which this store wrote the version before; None for a version from scratch.
        dimension: Numbers in a vector.
    """

    everything: Callable[[], Iterator[Rows]]
    classes: Mapping[str, int]
    added: Rows
    removed: tuple[str, ...]
    parent: Path | None
    dimension: int


class OpenStore(Protocol):
    """A version opened for search."""

    def search(self, vector: Vectors, k: int, *, allowed: frozenset[str] | None) -> Sequence[Near]:
        """Return the `k` nearest chunks of the allowed classes (None: of all), nearest first, ties by id.

        Args:
            vector: Shape (dimension,).
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class VectorStore(Protocol):
    """Writes versions and opens them."""

    reference: str
    """What the manifest calls it."""

    def write(self, folder: Path, change: Change) -> None:
        """Write a version into a folder that does not exist yet.

        Raises:
            StoreFailed: It could not; what is in the folder then will be dropped.
        """
        ...

    def open(self, folder: Path, vectors: Callable[[Sequence[str]], Vectors]) -> OpenStore:
        """Open a version; `vectors` gives the vectors of some of its ids, for stores that do not give similarities."""
        ...

    def drop(self, folder: Path) -> None:
        """Delete what the version keeps elsewhere than in its folder. Dropping twice, or half a version, is no error."""
        ...


class StoreMissing(LookupError):
    """A store that is unknown or cannot be reached."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(f"{message}; {hint}")
        self.hint = hint


class StoreFailed(RuntimeError):
    """A store that could not write or search."""
