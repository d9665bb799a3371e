"""Any LangChain vector store.

Stores differ in how they filter and score, so neither is asked of them: chunks of one visibility class are a store of
their own, and similarities are computed here.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.embedders.port import Vectors
from rag.stores.port import Change, Near, Rows, StoreFailed, StoreMissing

Make = Callable[[str, Embeddings], Any]
"""From a name and an embedder to the `langchain_core.vectorstores.VectorStore` of that name, made if it is not there."""


def refuse(address: str = "") -> NoReturn:
    """Say that such a store cannot be made from its name.

    Raises:
        StoreMissing: Always.
    """
    raise StoreMissing(
        "this index lives in a LangChain store", hint="open it in Python with store=LangChainStore(make)"
    )


class LangChainStore:
    """Versions in LangChain vector stores.

    Args:
        make: Gives the store of a name, for instance
            `lambda name, e: Chroma(collection_name=name, embedding_function=e, persist_directory="db")`.
        drop: Deletes the store of a name; without it old versions stay there.
    """

    reference = "langchain"

    def __init__(self, make: Make, *, drop: Callable[[str], None] | None = None) -> None:
        self._make = make
        self._drop = drop

    def write(self, folder: Path, change: Change) -> None:
        """Write all rows, a store for every visibility class, the names noted in the folder beforehand."""
        folder.mkdir(parents=True)
        run = uuid.uuid4().hex
        names: dict[str, str] = {}
        for rows in change.everything():
            for name in dict.fromkeys(rows.classes):
                if name not in names:
                    names[name] = f"rightfix-{run}-{len(names)}"
                    _note(folder, names)
                self._write(names[name], _of_class(rows, name))
        _note(folder, names)

    def _write(self, name: str, rows: Rows) -> None:
        texts = list(rows.ids)
        ready = _Ready(dict(zip(texts, rows.vectors, strict=True)))
        documents = [Document(page_content=text, metadata={"chunk": text}) for text in texts]
        self._make(name, ready).add_documents(documents, ids=texts)

    def open(self, folder: Path, vectors: Callable[[Sequence[str]], Vectors]) -> OpenLangChain:
        """Open a version."""
        names = _names(folder)
        return OpenLangChain({c: self._make(name, _Ready({})) for c, name in names.items()}, vectors)

    def drop(self, folder: Path) -> None:
        """Delete the version's stores, if told how."""
        if self._drop is not None:
            for name in _names(folder).values():
                self._drop(name)


class OpenLangChain:
    """The stores of one version."""

    def __init__(self, stores: dict[str, Any], vectors: Callable[[Sequence[str]], Vectors]) -> None:
        self._stores = stores
        self._vectors = vectors

    def search(self, vector: Vectors, k: int, *, allowed: frozenset[str] | None) -> list[Near]:
        """Return the `k` nearest chunks of the allowed classes, as the stores find them."""
        ids = sorted(
            {id for name, store in self._stores.items() if allowed is None or name in allowed for id in _found(store, vector, k)}
        )  # fmt: skip
        if not ids:
            return []
        near = self._vectors(ids) @ vector
        found = [Near(id, float(similarity)) for id, similarity in zip(ids, near, strict=True)]
        return sorted(found, key=lambda n: (-n.similarity, n.id))[:k]

    def close(self) -> None:
        """Let go of the stores."""
        self._stores = {}


class _Ready(Embeddings):  # type: ignore[misc,unused-ignore]
    """Vectors that were computed already, by text."""

    def __init__(self, known: dict[str, Any]) -> None:
        self._known = known

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(x) for x in self._known[text]] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        raise StoreFailed("searched by text; an index searches by vector")


def _found(store: Any, vector: Vectors, k: int) -> Iterator[str]:
    try:
        documents = store.similarity_search_by_vector([float(x) for x in vector], k=k)
    except NotImplementedError:
        raise StoreFailed(f"{type(store).__name__} cannot search by vector") from None
    return (str(d.metadata["chunk"]) for d in documents)


def _of_class(rows: Rows, name: str) -> Rows:
    at = [i for i, c in enumerate(rows.classes) if c == name]
    return Rows(ids=tuple(rows.ids[i] for i in at), classes=(name,) * len(at), vectors=rows.vectors[at])


def _note(folder: Path, names: dict[str, str]) -> None:
    (folder / "names.json").write_text(json.dumps(names), encoding="utf-8")


def _names(folder: Path) -> dict[str, str]:
    file = folder / "names.json"
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found
