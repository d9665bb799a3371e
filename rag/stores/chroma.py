"""Chroma, as files beside the version (its HNSW index) or as a server.

Embedded Chroma gives stale answers to a process that had a folder open while another wrote into it. So no folder is
written twice here: the next version starts from a copy of the last one's files and is opened only when it is complete.
"""

from __future__ import annotations

import json
import math
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import chromadb
from chromadb.config import Settings
from chromadb.errors import ChromaError, NotFoundError

from rag.embedders.port import Vectors
from rag.stores.port import Change, Near, Rows, StoreFailed, StoreMissing

_COLLECTION = "chunks"
_BATCH = 5000
_REWRITE = 0.5
"""Share of rows replaced since the last full write from which on it is written in full: HNSW keeps what was deleted."""
_WIDE = 0.3
"""Share of chunks a filter must admit for an unfiltered search with a few more results to be the quicker way."""


def make(address: str = "") -> ChromaFiles | ChromaServer:
    """Return Chroma in files, or the server at an address such as `http://localhost:8000`."""
    return ChromaServer(address) if address else ChromaFiles()


class ChromaFiles:
    """Chroma in the version's own folder."""

    reference = "chroma"

    def write(self, folder: Path, change: Change) -> None:
        """Write all rows, or copy the parent's files and change what changed."""
        with _told():
            parent = (
                change.parent
                if change.parent is not None and (change.parent / "about.json").exists()
                else None
            )
            about = json.loads((parent / "about.json").read_text(encoding="utf-8")) if parent else {}
            churn = about.get("churn", 0) + len(change.added.ids) + len(change.removed)
            rows = about.get("rows", 0) + len(change.added.ids) - len(change.removed)
            if parent is None or churn > _REWRITE * max(1, rows):
                self._write_all(folder, change)
                return
            shutil.copytree(parent, folder)
            (folder / "about.json").unlink()
            with self._collection(folder) as collection:
                for ids in _batched(change.removed):
                    collection.delete(ids=list(ids))
                _add(collection, [change.added])
            _note(folder, classes=change.classes, churn=churn)

    def _write_all(self, folder: Path, change: Change) -> None:
        folder.mkdir(parents=True)
        with self._collection(folder) as collection:
            _add(collection, change.everything())
        _note(folder, classes=change.classes, churn=0)

    @contextmanager
    def _collection(self, folder: Path) -> Iterator[Any]:
        with closing(_files(folder)) as client:
            yield _collection(client, _COLLECTION)

    def open(self, folder: Path, vectors: Callable[[Sequence[str]], Vectors]) -> OpenChroma:
        """Open a version."""
        with _told():
            about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
            client = _files(folder)
            return OpenChroma(
                client, client.get_collection(_COLLECTION, embedding_function=None), about["classes"]
            )

    def drop(self, folder: Path) -> None:
        """Do nothing: all of it is in the folder."""


class ChromaServer:
    """A collection for every version, on a Chroma server."""

    def __init__(self, address: str) -> None:
        at = urlsplit(address)
        if at.scheme not in ("http", "https") or not at.hostname:
            raise StoreMissing(
                f"store 'chroma:{address}' has no address", hint="write chroma:http://host:8000"
            )
        self.reference = f"chroma:{address}"
        self._host, self._ssl = at.hostname, at.scheme == "https"
        self._port = at.port or (443 if self._ssl else 8000)

    def _client(self) -> Any:
        try:
            return chromadb.HttpClient(host=self._host, port=self._port, ssl=self._ssl, settings=_settings())
        except (ChromaError, ValueError, OSError) as error:
            raise StoreMissing(
                f"{self.reference} does not answer ({str(error)[:120]})", hint="start it with `chroma run`"
            ) from error

    def write(self, folder: Path, change: Change) -> None:
        """Write all rows into a collection of a new name, noted in the folder before it is made."""
        folder.mkdir(parents=True)
        name = f"rightfix-{uuid.uuid4().hex}"
        (folder / "collection.json").write_text(json.dumps(name), encoding="utf-8")
        with closing(self._client()) as client, _told():
            _add(_collection(client, name), change.everything())
        _note(folder, classes=change.classes, churn=0)

    def open(self, folder: Path, vectors: Callable[[Sequence[str]], Vectors]) -> OpenChroma:
        """Open a version."""
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        client = self._client()
        with _told():
            return OpenChroma(
                client, client.get_collection(_name(folder), embedding_function=None), about["classes"]
            )

    def drop(self, folder: Path) -> None:
        """Delete the version's collection."""
        if not (folder / "collection.json").exists():
            return
        with closing(self._client()) as client, _told():
            try:
                client.delete_collection(_name(folder))
            except (NotFoundError, ValueError):
                return


class OpenChroma:
    """A collection opened for search."""

    def __init__(self, client: Any, collection: Any, classes: dict[str, int]) -> None:
        self._client = client
        self._collection = collection
        self._classes = classes
        self._count = sum(classes.values())

    def search(self, vector: Vectors, k: int, *, allowed: frozenset[str] | None) -> list[Near]:
        """Return the `k` nearest chunks of the allowed classes, by approximate search."""
        admitted = sum(n for c, n in self._classes.items() if allowed is None or c in allowed)
        if not admitted:
            return []
        share = admitted / self._count
        wanted = min(k, admitted)
        if share > _WIDE:
            found = self._asked(
                vector, min(self._count, math.ceil(wanted / share * 1.5) if share < 1 else wanted), None
            )
            near = [n for n, c in found if allowed is None or c in allowed]
            if len(near) >= wanted:
                return near[:k]
        inside = sorted(c for c in self._classes if allowed is None or c in allowed)
        return [n for n, _ in self._asked(vector, wanted, inside)]

    def _asked(self, vector: Vectors, k: int, classes: list[str] | None) -> list[tuple[Near, str]]:
        where = None if classes is None else {"class": {"$in": classes}}
        with _told():
            answer = self._collection.query(
                query_embeddings=[vector], n_results=k, where=where, include=["distances", "metadatas"]
            )
        rows = zip(answer["ids"][0], answer["distances"][0], answer["metadatas"][0], strict=True)
        found = [(Near(id, 1.0 - float(distance)), str(about["class"])) for id, distance, about in rows]
        return sorted(found, key=lambda f: (-f[0].similarity, f[0].id))

    def close(self) -> None:
        """Close the client."""
        self._client.close()


def _settings() -> Settings:
    return Settings(anonymized_telemetry=False)


def _files(folder: Path) -> Any:
    return chromadb.PersistentClient(path=str(folder), settings=_settings())


def _collection(client: Any, name: str) -> Any:
    return client.get_or_create_collection(name, metadata={"hnsw:space": "cosine"}, embedding_function=None)


def _name(folder: Path) -> str:
    return str(json.loads((folder / "collection.json").read_text(encoding="utf-8")))


def _add(collection: Any, batches: Iterable[Rows]) -> None:
    for rows in batches:
        for at in range(0, len(rows.ids), _BATCH):
            part = slice(at, at + _BATCH)
            collection.add(
                ids=list(rows.ids[part]), embeddings=rows.vectors[part], metadatas=[{"class": c} for c in rows.classes[part]]
            )  # fmt: skip


def _note(folder: Path, *, classes: Mapping[str, int], churn: int) -> None:
    about = {"rows": sum(classes.values()), "churn": churn, "classes": dict(sorted(classes.items()))}
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _batched(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(ids), _BATCH):
        yield ids[at : at + _BATCH]


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ChromaError as error:
        raise StoreFailed(f"Chroma: {str(error)[:200]}") from error
