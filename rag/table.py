"""The chunks of one version, in one SQLite file that is written once and then only read."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rag.chunks import Chunk
from rag.documents import Document, from_json, to_json
from rag.files import sync
from rag.visibility import Visibility

_SCHEMA = """
CREATE TABLE documents (id TEXT PRIMARY KEY, made_of TEXT NOT NULL, about TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE classes (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE chunks (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, document TEXT NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,
    text TEXT NOT NULL, heading TEXT NOT NULL, place TEXT, class TEXT NOT NULL, terms TEXT NOT NULL
);
CREATE INDEX of_document ON chunks (document);
CREATE TABLE vectors (id TEXT PRIMARY KEY, document TEXT NOT NULL, class TEXT NOT NULL, text TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX vector_of_document ON vectors (document);
"""
_MANY = 500
_LATELY = 2000
"""Chunks kept at hand, some megabytes; the file never changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A chunk as it is stored.

    Attributes:
        id: Hash of the document's id, what is searched, and who may see it.
        terms: Search terms, repeated as they occur.
        vectors: Row of the vector store to hash of the text embedded: the chunk itself, and one for each alias.
    """

    id: str
    chunk: Chunk
    visibility: Visibility
    terms: Sequence[str]
    vectors: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A stored chunk with what a citation needs of its document.

    Attributes:
        document: Its document without the text.
    """

    id: str
    document: Document
    text: str
    start: int
    end: int
    heading: tuple[str, ...]
    place: str | None
    terms: tuple[str, ...]


def write(
    path: Path, *, documents: Iterable[tuple[Document, str]], entries: Iterable[Entry], parent: Path | None, gone: Iterable[str]
) -> None:  # fmt: skip
    """Write the file: what the parent holds of documents that are not gone, then the new documents and their chunks."""
    with closing(sqlite3.connect(path.absolute().as_uri(), uri=True, isolation_level=None)) as db:
        # Nobody reads it before it is complete, and a version that was not completed is thrown away.
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA journal_mode=OFF")
        db.executescript(_SCHEMA)
        db.execute("BEGIN")
        if parent is not None:
            _copy(db, parent, gone)
        for document, made_of in documents:
            about = to_json(replace(document, text=""))
            db.execute(
                "INSERT INTO documents VALUES (?, ?, ?, ?)", (document.id, made_of, about, document.text)
            )
        for e in entries:
            key, c = e.visibility.key, e.chunk
            db.execute("INSERT OR IGNORE INTO classes VALUES (?, ?)", (key, e.visibility.to_json()))
            db.execute(
                "INSERT INTO chunks (id, document, start, end, text, heading, place, class, terms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    e.id,
                    c.document.id,
                    c.start,
                    c.end,
                    c.text,
                    json.dumps(c.heading),
                    c.place,
                    key,
                    " ".join(e.terms),
                ),
            )
            db.executemany(
                "INSERT INTO vectors VALUES (?, ?, ?, ?)", [(id, c.document.id, key, text) for id, text in e.vectors.items()]
            )  # fmt: skip
        db.execute("COMMIT")
    # Once, as a whole, instead of at every step.
    sync(path)


def _copy(db: sqlite3.Connection, parent: Path, gone: Iterable[str]) -> None:
    db.execute("CREATE TEMP TABLE gone (id TEXT PRIMARY KEY)")
    db.executemany("INSERT OR IGNORE INTO gone VALUES (?)", ((g,) for g in gone))
    db.execute("COMMIT")
    db.execute("ATTACH ? AS parent", (f"{parent.absolute().as_uri()}?mode=ro&immutable=1",))
    db.execute("BEGIN")
    kept = "document NOT IN (SELECT id FROM gone)"
    db.execute("INSERT INTO documents SELECT * FROM parent.documents WHERE id NOT IN (SELECT id FROM gone)")
    columns = "id, document, start, end, text, heading, place, class, terms"
    db.execute(
        f"INSERT INTO chunks ({columns}) SELECT {columns} FROM parent.chunks WHERE {kept} ORDER BY row"
    )
    db.execute(f"INSERT INTO vectors SELECT * FROM parent.vectors WHERE {kept}")
    db.execute("INSERT INTO classes SELECT * FROM parent.classes WHERE key IN (SELECT class FROM chunks)")


class Table:
    """The file opened for reading; may be used by several threads."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro&immutable=1",
            uri=True,
            check_same_thread=False,
            isolation_level=None,
        )
        self._lock = threading.Lock()
        self._lately: dict[str, Found] = {}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def made_of(self) -> dict[str, str]:
        """Return, for every document, the hash of what its chunks were made of."""
        return dict(self._all("SELECT id, made_of FROM documents"))

    def documents(self) -> Iterator[Document]:
        """Yield every document, by id."""
        for about, text in self._all("SELECT about, text FROM documents ORDER BY id"):
            yield replace(from_json(about), text=text)

    def document(self, id: str) -> Document | None:
        """Return a document; None if there is none of that id."""
        rows = self._all("SELECT about, text FROM documents WHERE id = ?", (id,))
        return replace(from_json(rows[0][0]), text=rows[0][1]) if rows else None

    def chunks(self) -> tuple[list[str], list[str]]:
        """Return ids and classes of all chunks, in the order of their rows."""
        rows = self._all("SELECT id, class FROM chunks ORDER BY row")
        return [r[0] for r in rows], [r[1] for r in rows]

    def terms(self) -> Iterator[list[str]]:
        """Yield the search terms of every chunk, in the order of their rows."""
        with self._lock:
            for (text,) in self._db.execute("SELECT terms FROM chunks ORDER BY row"):
                yield text.split(" ") if text else []

    def classes(self) -> dict[str, Visibility]:
        """Return every visibility class by its key."""
        return {key: Visibility.from_json(body) for key, body in self._all("SELECT key, body FROM classes")}

    def vectors(self) -> list[tuple[str, str, str]]:
        """Return (row of the vector store, class, hash of its text), by row."""
        return self._all("SELECT id, class, text FROM vectors ORDER BY id")

    def texts_of(self, ids: Sequence[str]) -> list[str]:
        """Return the hashes of the texts of rows of the vector store, in their order."""
        found: dict[str, str] = {}
        for at in range(0, len(ids), _MANY):
            part = ids[at : at + _MANY]
            found.update(
                self._all(f"SELECT id, text FROM vectors WHERE id IN ({','.join('?' * len(part))})", part)
            )
        return [found[id] for id in ids]

    def found(self, ids: Sequence[str]) -> dict[str, Found]:
        """Return the chunks of these ids that there are; those that were asked for lately need no reading."""
        with self._lock:
            known = {id: self._lately[id] for id in ids if id in self._lately}
        if len(known) == len(ids):
            return known
        read = self._read([id for id in ids if id not in known])
        with self._lock:
            self._lately.update(read)
            while len(self._lately) > _LATELY:
                del self._lately[next(iter(self._lately))]
        return known | read

    def _read(self, ids: Sequence[str]) -> dict[str, Found]:
        columns = "c.id, d.about, c.text, c.start, c.end, c.heading, c.place, c.terms"
        rows = self._all(
            f"SELECT {columns} FROM chunks c JOIN documents d ON d.id = c.document WHERE c.id IN ({','.join('?' * len(ids))})", ids
        )  # fmt: skip
        return {
            r[0]: Found(
                id=r[0], document=from_json(r[1]), text=r[2], start=r[3], end=r[4], heading=tuple(json.loads(r[5])), place=r[6],
                terms=tuple(r[7].split(" ")),
            )
            for r in rows
        }  # fmt: skip

    def _all(self, statement: str, values: Sequence[str] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()
