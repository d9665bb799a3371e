"""What differs between two versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rag.manifest import Manifest, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What differs between two versions.

    Attributes:
        added: Ids of documents that only the second holds.
        removed: Ids of documents that only the first holds.
        changed: Ids of documents that differ.
        settings: What else differs, as `name: first -> second`.
        chunks: Number of chunks of the first and the second.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    settings: tuple[str, ...]
    chunks: tuple[int, int]


def compare(a: Manifest, b: Manifest) -> Diff:
    """Return what differs between two versions."""
    both = a.documents.keys() & b.documents.keys()
    return Diff(
        added=tuple(sorted(b.documents.keys() - both)), removed=tuple(sorted(a.documents.keys() - both)),
        changed=tuple(sorted(id for id in both if a.documents[id] != b.documents[id])), settings=tuple(_settings(a.recipe, b.recipe)),
        chunks=(a.chunks, b.chunks),
    )  # fmt: skip


def _settings(a: Recipe, b: Recipe) -> Iterator[str]:
    pairs = [
        ("embedder", a.embedder, b.embedder),
        ("store", a.store, b.store),
        ("query adapter", a.adapter, b.adapter),
    ]
    for before, after in ((a.chunking, b.chunking), (a.retrieval, b.retrieval)):
        pairs += [(name, getattr(before, name), getattr(after, name)) for name in before.__slots__]
    yield from (f"{name}: {x} -> {y}" for name, x, y in pairs if x != y)
    if a.aliases != b.aliases:
        yield f"aliases: {len(a.aliases)} -> {len(b.aliases)}"
