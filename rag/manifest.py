"""Manifest: what one version of an index is made of. Its id is a hash of that, so the same makes the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rag.embedders.port import Identity
from rag.settings import Alias, Chunking, Retrieval

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All of a version but its documents.

    Attributes:
        embedder: What made the vectors.
        store: Where they are searched.
        adapter: SHA-256 of the matrix that queries are turned by, None for none.
    """

    embedder: Identity
    store: str
    chunking: Chunking = field(default_factory=Chunking)
    retrieval: Retrieval = field(default_factory=Retrieval)
    aliases: tuple[Alias, ...] = ()
    adapter: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One version.

    Attributes:
        documents: Id of every document to the hash of its content.
        chunks: Number of chunks.
        embedded: Texts that were embedded for it.
        reused: Chunks whose vectors were known already.
        created: ISO time, UTC.
        parent: The version it was made from.
        sources: Paths it was loaded from, for the next update.
    """

    recipe: Recipe
    documents: Mapping[str, str]
    chunks: int
    embedded: int
    reused: int
    created: str
    parent: str | None
    sources: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Hash of recipe and documents, 16 hex digits."""
        return version_id(self.recipe, self.documents)


def version_id(recipe: Recipe, documents: Mapping[str, str]) -> str:
    """Return the id that a version of these has."""
    whole = json.dumps(
        {"format": FORMAT, "recipe": asdict(recipe), "documents": dict(documents)}, sort_keys=True
    )
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def write(manifest: Manifest, path: Path) -> None:
    """Write it as JSON."""
    data = {"format": FORMAT, "id": manifest.id, **asdict(manifest)}
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True), encoding="utf-8")


def read(path: Path) -> Manifest:
    """Return the manifest of a file.

    Raises:
        ValueError: It is none, or of a newer format.
        OSError: It cannot be read.
    """
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if data.pop("format", None) != FORMAT:
        raise ValueError(f"{path}: is of another format; this is format {FORMAT}")
    data.pop("id", None)
    recipe = data.pop("recipe")
    chunking = {**recipe["chunking"], "filterable": tuple(recipe["chunking"]["filterable"])}
    return Manifest(
        **{**data, "sources": tuple(data["sources"])},
        recipe=Recipe(
            embedder=Identity(**recipe["embedder"]), store=recipe["store"], chunking=Chunking(**chunking),
            retrieval=Retrieval(**recipe["retrieval"]), aliases=tuple(Alias(**a) for a in recipe["aliases"]), adapter=recipe["adapter"],
        ),
    )  # fmt: skip
