"""Index: documents that can be searched, in versions that can be compared and taken back.

index = Index("kb")
index.build(load("help/").documents)
index.search("Do you ship to Canada?")[0].text
index.rollback()
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import TracebackType

import numpy as np

from rag import embedders, stores
from rag.building import Progress, Tell, Work, build
from rag.diff import Diff, compare
from rag.documents import Document, by_id
from rag.embedded import Embedded
from rag.embedders.port import Embedder, EmbedderFailed, Identity, Vectors
from rag.hits import Hit
from rag.locks import Locked
from rag.manifest import Manifest, Recipe, version_id
from rag.settings import Settings
from rag.snapshot import Reranker, Snapshot
from rag.stores.port import StoreFailed, VectorStore
from rag.table import Table
from rag.versions import Live, UnknownVersion, Versions
from rag.visibility import Filter


class IndexFailed(RuntimeError):
    """A change that could not be made; the live version is as it was."""


class IndexMissing(LookupError):
    """There is no index, or not one that can be used so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What a collection of garbage did.

    Attributes:
        versions: Ids that are gone.
        in_use: Ids that would be gone, but are being read.
        vectors: Vectors that no version needed.
        freed: Bytes.
    """

    versions: tuple[str, ...]
    in_use: tuple[str, ...]
    vectors: int
    freed: int


class Index:
    """An index in a folder. Searches follow the live version, also when another process moves it.

    May be used by several threads. Only one process writes at a time; others wait.

    Args:
        folder: Where it lives; made by the first build.
        embedder: In place of the one the live version names, which it must equal.
        store: In place of the one the live version names.
        wait_s: Longest wait for another process that writes, in seconds.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, embedder: Embedder | str | None = None, store: VectorStore | str | None = None, wait_s: float = 600,
    ) -> None:  # fmt: skip
        self._versions = Versions(Path(folder))
        self._given = embedder
        self._given_store = store
        self._wait_s = wait_s
        self._lock = threading.RLock()
        self._current: Snapshot | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._reranker = lru_cache(maxsize=2)(_cross_encoder)
        self._asked: dict[Identity, Callable[[str], Vectors]] = {}

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the open version."""
        with self._lock:
            if self._current is not None:
                self._current.close()
            self._current = self._stamp = None

    # Reading

    def search(self, query: str, *, k: int | None = None, filter: Filter | None = None) -> tuple[Hit, ...]:
        """Search the live version; see `Snapshot.search`.

        Raises:
            IndexMissing: Nothing was built yet.
        """
        return self.snapshot().search(query, k=k, filter=filter)

    def snapshot(self) -> Snapshot:
        """Return the live version as it is now, opened.

        Raises:
            IndexMissing: Nothing was built yet, or with another embedder than the one given.
        """
        with self._lock:
            stamp = self._versions.stamp()
            if self._current is None or stamp != self._stamp:
                self._current, self._stamp = self._newest(), stamp
            return self._current

    def at(self, version: str) -> Snapshot:
        """Return a version, given by its id or the beginning of it, opened; close it when done.

        Raises:
            UnknownVersion: There is none.
            IndexMissing: It was made with another embedder than the one given.
        """
        return self._open(self._versions.find(version))

    @property
    def live(self) -> Live:
        """Where the pointer points."""
        return self._versions.live()

    def versions(self) -> list[Manifest]:
        """Return the manifests of all versions, the oldest first."""
        return [self._versions.manifest(id) for id in self._versions.ids()]

    def diff(self, first: str, second: str) -> Diff:
        """Compare two versions.

        Raises:
            UnknownVersion: One is not there.
        """
        return compare(*(self._versions.manifest(self._versions.find(v)) for v in (first, second)))

    # Writing

    def build(
        self,
        documents: Iterable[Document],
        *,
        settings: Settings | None = None,
        sources: Sequence[str] | None = None,
        live: bool = True,
        on_progress: Tell | None = None,
    ) -> Manifest:
        """Make a version that holds these documents and no others, and make it live.

        Only what the live version lacks is cut and embedded. The same documents and settings give the same version, so
        building twice is building once. An embedder given to this `Index` may be another than the live version's: all is
        embedded anew then.

        Args:
            documents: All of them; ids must differ.
            settings: What to do otherwise than the live version.
            sources: Paths they were loaded from, remembered for the next update.
            live: Whether to make it live; else it waits for `promote`.
            on_progress: Called now and then.

        Raises:
            IndexFailed: It could not be made; the live version is as it was.
            ValueError: Two documents have one id.
        """
        with self._writing():
            parent = self._parent()
            embedder = self._embedder(None if self._given is not None or parent is None else parent.recipe)
            order = _Order(
                documents=by_id(documents), recipe=self._recipe(parent, embedder, settings or Settings()), parent=parent, embedder=embedder,
                adapter=settings.adapter if settings else None, sources=tuple(sources) if sources is not None else parent.sources if parent else (),
                live=live,
            )  # fmt: skip
            return self._make(order, on_progress or _quiet)

    def update(
        self,
        *,
        add: Iterable[Document] = (),
        remove: Iterable[str] = (),
        settings: Settings | None = None,
        live: bool = True,
        base: str | None = None,
        on_progress: Tell | None = None,
    ) -> Manifest:
        """Make a version with some documents added, replaced (the same id) or removed, or other settings.

        Args:
            add: Documents to add, or to put in place of those with the same id.
            remove: Ids to leave out; unknown ones are no error.
            settings: What to do otherwise than the version it is made from.
            live: Whether to make it live; else it waits for `promote`.
            base: Version that it is made from; None for the live one.
            on_progress: Called now and then.

        Raises:
            IndexFailed: It could not be made; the live version is as it was.
            IndexMissing: The index was made with another embedder than the one given.
            UnknownVersion: There is no such base.
            ValueError: Two documents to add have one id.
        """
        with self._writing():
            gone = set(remove)
            parent = self._versions.manifest(self._versions.find(base)) if base else self._parent()
            embedder = self._embedder(parent.recipe if parent else None)
            held = self._documents(parent.id) if parent else {}
            order = _Order(
                documents={id: d for id, d in held.items() if id not in gone} | by_id(add),
                recipe=self._recipe(parent, embedder, settings or Settings()), parent=parent, embedder=embedder,
                adapter=settings.adapter if settings else None, sources=parent.sources if parent else (), live=live,
            )  # fmt: skip
            return self._make(order, on_progress or _quiet)

    def promote(self, version: str) -> Manifest:
        """Make a version live.

        Raises:
            UnknownVersion: There is none.
        """
        with self._writing():
            id = self._versions.find(version)
            self._versions.point(id)
            return self._versions.manifest(id)

    def rollback(self) -> Manifest:
        """Make the version live that was live before.

        Raises:
            UnknownVersion: There was none, or it is gone.
        """
        with self._writing():
            here = self._versions.live()
            before = next(
                (id for id in here.previous if (self._versions.path(id) / "manifest.json").exists()), None
            )
            if before is None:
                raise UnknownVersion("no version was live before this one, or none is left")
            self._versions.point(before, back=True)
            return self._versions.manifest(before)

    def gc(self, *, keep: int = 3, pinned: Iterable[str] = ()) -> Removed:
        """Delete what nothing points at: all but the live version, the `keep - 1` that were live before it, and the pinned.

        A version that another process has open stays until the next time.
        """
        with self._writing():
            here = self._versions.live()
            kept = {v for v in (here.version, *here.previous[: max(0, keep - 1)]) if v} | {
                self._versions.find(p) for p in pinned
            }
            before = _size(self._versions.folder)
            gone: list[str] = []
            in_use: list[str] = []
            for id in self._versions.ids():
                if id in kept:
                    continue
                if self._current is not None and self._current.id == id:
                    self.close()
                (gone if self._removed(id) else in_use).append(id)
            vectors = self._forget()
            return Removed(
                versions=tuple(gone),
                in_use=tuple(in_use),
                vectors=vectors,
                freed=max(0, before - _size(self._versions.folder)),
            )

    def discard(self, version: str) -> None:
        """Delete a version that is not live, such as one that was only tried; one that is being read stays.

        Raises:
            UnknownVersion: There is none.
            ValueError: It is live.
        """
        with self._writing():
            id = self._versions.find(version)
            if id == self._versions.live().version:
                raise ValueError(f"version {id} is live")
            self._removed(id)

    # Parts of it

    def _removed(self, id: str) -> bool:
        store = self._store(self._versions.manifest(id).recipe.store)
        taken = self._versions.withdraw(id)
        if taken is not None:
            self._throw_away(taken, store)
        return taken is not None

    def _newest(self) -> Snapshot:
        for _ in range(5):
            id = self._versions.live().version
            if id is None:
                raise IndexMissing(
                    f"{self._versions.folder}: no index here yet; build one with `advise index build`"
                )
            if self._current is not None and self._current.id == id:
                return self._current
            try:
                return self._open(id)
            except (FileNotFoundError, Locked):
                # It moved on and was collected between the look and the opening.
                continue
        raise IndexMissing(
            f"{self._versions.folder}: version {id} cannot be opened; roll back or build again"
        )

    def _open(self, id: str) -> Snapshot:
        recipe = self._versions.manifest(id).recipe
        embedder = self._embedder(recipe)
        known = Embedded(self._versions.folder / "embeddings", embedder.identity)
        return Snapshot(
            self._versions.path(id),
            embedder=embedder,
            asked=self._asked.setdefault(embedder.identity, _remembered(embedder)),
            store=self._store(recipe.store),
            known=known,
            reranker=self._reranker,
        )

    def _embedder(self, recipe: Recipe | None) -> Embedder:
        """Return the embedder to use, held against the version's."""
        given = self._given
        if not isinstance(given, str | None):
            found: Embedder = given
        else:
            found = _loaded(given or (recipe.embedder.model if recipe else embedders.default()))
        if recipe is not None and found.identity != recipe.embedder:
            raise IndexMissing(
                f"{self._versions.folder}: its vectors are of {recipe.embedder}, not of {found.identity}; "
                "vectors of two embedders cannot be compared: build into a new folder"
            )
        return found

    def _store(self, reference: str | None) -> VectorStore:
        given = self._given_store
        if not isinstance(given, str | None):
            return given
        return stores.load(reference or given or stores.default())

    def _parent(self) -> Manifest | None:
        id = self._versions.live().version
        return self._versions.manifest(id) if id else None

    def _recipe(self, parent: Manifest | None, embedder: Embedder, settings: Settings) -> Recipe:
        given = self._given_store
        reference = given.reference if not isinstance(given, str | None) else given
        held = parent.recipe if parent else Recipe(embedder=embedder.identity, store=stores.default())
        # A matrix fits the vectors it was made for only.
        adapter = held.adapter if held.embedder == embedder.identity else None
        return Recipe(
            embedder=embedder.identity,
            store=reference or held.store,
            chunking=settings.chunking or held.chunking,
            retrieval=settings.retrieval or held.retrieval,
            aliases=held.aliases if settings.aliases is None else settings.aliases,
            adapter=adapter if settings.adapter is None else _matrix_hash(settings.adapter),
        )

    def _documents(self, id: str) -> dict[str, Document]:
        with closing(Table(self._versions.path(id) / "chunks.db")) as table:
            return {d.id: d for d in table.documents()}

    def _make(self, order: _Order, tell: Tell) -> Manifest:
        id = version_id(order.recipe, {id: d.hash for id, d in order.documents.items()})
        store = self._store(order.recipe.store)
        for left in self._versions.drafts():
            self._throw_away(left, store)
        if not (self._versions.path(id) / "manifest.json").exists():
            self._write(order, store, tell)
        if order.live:
            self._versions.point(id)
        return self._versions.manifest(id)

    def _write(self, order: _Order, store: VectorStore, tell: Tell) -> None:
        known = Embedded(self._versions.folder / "embeddings", order.recipe.embedder)
        draft = self._versions.draft()
        parent, recipe = order.parent, order.recipe
        try:
            work = Work(
                documents=order.documents, aliases=recipe.aliases, chunking=recipe.chunking, embedder=order.embedder, store=store, known=known,
                parent=self._versions.path(parent.id) if parent and _alike(parent.recipe, recipe) else None,
            )  # fmt: skip
            counts = build(draft, work, tell)
            if order.adapter is not None:
                np.save(draft / "adapter.npy", order.adapter.astype(np.float32))
            elif recipe.adapter and parent:
                shutil.copy(self._versions.path(parent.id) / "adapter.npy", draft)
            made = Manifest(
                recipe=recipe, documents={id: d.hash for id, d in order.documents.items()}, chunks=counts.chunks, embedded=counts.embedded,
                reused=counts.reused, created=datetime.now(UTC).isoformat(timespec="microseconds"), parent=parent.id if parent else None,
                sources=order.sources,
            )  # fmt: skip
            self._versions.publish(draft, made)
        except (OSError, sqlite3.Error, StoreFailed, EmbedderFailed) as error:
            raise IndexFailed(
                f"{self._versions.folder}: not updated ({error}); {_standing(parent)}"
            ) from error
        finally:
            if draft.exists():
                self._throw_away(draft, store)
            known.close()

    def _throw_away(self, draft: Path, store: VectorStore) -> None:
        store.drop(draft / "vectors")
        self._versions.discard(draft)

    def _forget(self) -> int:
        """Delete the vectors that no version needs and return how many those were."""
        needed: dict[Identity, set[str]] = {}
        for made in self.versions():
            with closing(Table(self._versions.path(made.id) / "chunks.db")) as table:
                needed.setdefault(made.recipe.embedder, set()).update(text for _, _, text in table.vectors())
        gone = 0
        for identity, hashes in needed.items():
            with closing(Embedded(self._versions.folder / "embeddings", identity)) as known:
                gone += known.keep(hashes)
        return gone

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._versions.writing(wait_s=self._wait_s):
                yield
        except Locked:
            raise IndexFailed(
                f"{self._versions.folder}: another process has been writing for {self._wait_s:.0f} s; try again when it is done"
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """A version that was asked for."""

    documents: Mapping[str, Document]
    recipe: Recipe
    parent: Manifest | None
    embedder: Embedder
    adapter: Vectors | None
    sources: tuple[str, ...]
    live: bool


def _alike(a: Recipe, b: Recipe) -> bool:
    """Return whether the one's chunks and vectors can serve the other."""
    return (a.embedder, a.store, a.chunking) == (b.embedder, b.store, b.chunking)


def _quiet(progress: Progress) -> None:
    """Tell nobody."""


def _remembered(embedder: Embedder) -> Callable[[str], Vectors]:
    """Return what gives a query's vector, and remembers the last ones: the same questions are asked of several versions."""
    return lru_cache(maxsize=4096)(lambda text: embedder.embed([text], kind="query"))


@lru_cache(maxsize=4)
def _loaded(reference: str) -> Embedder:
    return embedders.load(reference)


def _cross_encoder(name: str) -> Reranker:
    from importlib import import_module

    make: Callable[[str], Reranker] = import_module("rag.sbert").Cross
    return make(name)


def _matrix_hash(matrix: Vectors) -> str:
    return hashlib.sha256(np.ascontiguousarray(matrix, dtype=np.float32).tobytes()).hexdigest()


def _standing(parent: Manifest | None) -> str:
    return f"version {parent.id} is still live" if parent else "nothing is live yet"


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
