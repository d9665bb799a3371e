"""Building one version: cut what changed, embed what is new, write it all into a folder of its own."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rag import table
from rag.chunks import Chunk, split
from rag.documents import Document
from rag.embedded import Embedded
from rag.embedders.port import Embedder, Vectors
from rag.lexical import TITLE_WEIGHT, Lexicon, terms
from rag.settings import Alias, Chunking
from rag.stores.port import Change, Rows, VectorStore
from rag.table import Entry, Table
from rag.visibility import Visibility

BATCH = 256
_ROWS = 5000
_CONTEXT_SHARE = 0.4
"""Most of a chunk that its title and headings may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a build has come.

    Attributes:
        stage: `cutting`, `embedding` or `writing`.
        done: Documents cut, texts embedded, or chunks written.
        total: Of how many; 0 if not known.
    """

    stage: str
    done: int
    total: int


Tell = Callable[[Progress], None]


class Counts(NamedTuple):
    """What a build did."""

    chunks: int
    embedded: int
    reused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a version is to be made of.

    Attributes:
        documents: Id to document.
        store: Writes the vectors.
        known: Vectors that were made before.
        parent: Folder of a version made with the same embedder, store and chunking, None for none.
    """

    documents: Mapping[str, Document]
    aliases: Sequence[Alias]
    chunking: Chunking
    embedder: Embedder
    store: VectorStore
    known: Embedded
    parent: Path | None


def build(folder: Path, work: Work, tell: Tell) -> Counts:
    """Write a version into a new folder: chunks, words and vectors.

    Raises:
        EmbedderFailed: Texts could not be embedded; those that were are kept for the next try.
        StoreFailed: The vector store could not write.
        OSError: The disk is full or the folder cannot be written.
    """
    folder.mkdir(parents=True)
    aliases = _by_document(work.aliases)
    made_of = {id: _made_of(d, aliases.get(id, ())) for id, d in work.documents.items()}
    before = _made_before(work.parent)
    changed = [work.documents[id] for id, made in made_of.items() if before.get(id) != made]
    gone = {id for id, made in before.items() if made_of.get(id) != made}

    entries: list[Entry] = []
    texts: dict[str, str] = {}
    for number, document in enumerate(changed):
        entries += _entries(document, aliases.get(document.id, ()), work, texts)
        if number % 100 == 0:
            tell(Progress(stage="cutting", done=number, total=len(changed)))
    embedded = _embed(texts, work, tell)

    chunks = folder / "chunks.db"
    parent = work.parent / "chunks.db" if work.parent else None
    table.write(
        chunks, documents=[(d, made_of[d.id]) for d in changed], entries=entries, parent=parent, gone=gone
    )
    with closing(Table(chunks)) as written:
        ids, _ = written.chunks()
        tell(Progress(stage="writing", done=0, total=len(ids)))
        Lexicon(list(written.terms())).save(folder / "words")
        work.store.write(folder / "vectors", _change(written, work))
    return Counts(chunks=len(ids), embedded=embedded, reused=len(ids) - min(len(ids), embedded))


def _by_document(aliases: Sequence[Alias]) -> dict[str, tuple[Alias, ...]]:
    found: dict[str, tuple[Alias, ...]] = {}
    for alias in aliases:
        found[alias.document] = (*found.get(alias.document, ()), alias)
    return found


def _made_of(document: Document, aliases: Sequence[Alias]) -> str:
    return _hash(document.hash + "".join(f"\0{a.anchor}\0{a.text}" for a in aliases))


def _made_before(parent: Path | None) -> dict[str, str]:
    if parent is None:
        return {}
    with closing(Table(parent / "chunks.db")) as before:
        return before.made_of()


def _entries(
    document: Document, aliases: Sequence[Alias], work: Work, texts: dict[str, str]
) -> Iterator[Entry]:
    """Yield the chunks of a document, and put every text to be embedded under its hash into `texts`."""
    visibility = Visibility.of(document, work.chunking.filterable)
    chunks = _chunks(document, work)
    named = _assigned(aliases, chunks)
    seen: Counter[str] = Counter()
    for number, (chunk, context) in enumerate(chunks):
        searched = _searched(chunk, context)
        words = [a.text for a in named.get(number, ())]
        key = _hash("\0".join((document.id, visibility.key, searched, *words)))[:24]
        seen[key] += 1
        id = key if seen[key] == 1 else f"{key}-{seen[key]}"
        vectors = {id: searched} | {f"{id}~{n}": text for n, text in enumerate(words)}
        texts.update((_hash(text), text) for text in vectors.values())
        title = document.title if work.chunking.context else ""
        yield Entry(
            id=id, chunk=chunk, visibility=visibility, terms=[*terms(title) * TITLE_WEIGHT, *terms(" ".join((*chunk.heading, chunk.text, *words)))],
            vectors={row: _hash(text) for row, text in vectors.items()},
        )  # fmt: skip


def _chunks(document: Document, work: Work) -> list[tuple[Chunk, str]]:
    """Return the document's chunks, each with its context, together no longer than the embedder reads."""
    most = min(work.chunking.max_tokens, work.embedder.max_tokens)
    limit = most
    if work.chunking.context:
        contexts = {
            _context(document, heading, work, most)
            for heading in {(), *(s.heading for s in document.sections)}
        }
        limit = most - max(map(work.embedder.count, contexts))
    while True:
        cut = [
            (c, _context(document, c.heading, work, most) if work.chunking.context else "")
            for c in split(document, limit=limit, measure=work.embedder.count)
        ]
        # Tokenizers that count more for a whole than for its parts are given another try with smaller chunks.
        if limit <= 8 or all(work.embedder.count(_searched(*c)) <= work.embedder.max_tokens for c in cut):
            return cut
        limit = limit * 3 // 4


def _context(document: Document, heading: tuple[str, ...], work: Work, most: int) -> str:
    context = Chunk(document=document, text="", start=0, end=0, heading=heading).context
    while context and work.embedder.count(context) > _CONTEXT_SHARE * most:
        # The innermost headings say most; the outermost words go first.
        context = context[len(context) // 4 + 1 :].lstrip()
    return context


def _searched(chunk: Chunk, context: str) -> str:
    return chunk.text if not context or chunk.text.startswith(context) else f"{context}\n{chunk.text}"


def _assigned(aliases: Sequence[Alias], chunks: Sequence[tuple[Chunk, str]]) -> dict[int, tuple[Alias, ...]]:
    found: dict[int, tuple[Alias, ...]] = {}
    for alias in aliases if chunks else ():
        number = next((n for n, (c, _) in enumerate(chunks) if alias.anchor in c.text), 0)
        found[number] = (*found.get(number, ()), alias)
    return found


def _embed(texts: Mapping[str, str], work: Work, tell: Tell) -> int:
    missing = work.known.missing(texts)
    for at in range(0, len(missing), BATCH):
        part = missing[at : at + BATCH]
        tell(Progress(stage="embedding", done=at, total=len(missing)))
        work.known.put(part, work.embedder.embed([texts[h] for h in part], kind="passage"))
    return len(missing)


def _change(written: Table, work: Work) -> Change:
    rows = written.vectors()
    before = _vector_rows(work.parent)
    now = {row for row, _, _ in rows}
    fresh = [r for r in rows if r[0] not in before]

    def batches() -> Iterator[Rows]:
        for at in range(0, len(rows), _ROWS):
            yield _rows(rows[at : at + _ROWS], work.known)

    return Change(
        everything=batches, classes=Counter(c for _, c, _ in rows), added=_rows(fresh, work.known), removed=tuple(sorted(before - now)),
        parent=work.parent / "vectors" if work.parent else None, dimension=work.embedder.identity.dimension,
    )  # fmt: skip


def _vector_rows(parent: Path | None) -> set[str]:
    if parent is None:
        return set()
    with closing(Table(parent / "chunks.db")) as before:
        return {row for row, _, _ in before.vectors()}


def _rows(rows: Sequence[tuple[str, str, str]], known: Embedded) -> Rows:
    vectors: Vectors = (
        known.get([text for _, _, text in rows]) if rows else np.zeros((0, 0), dtype=np.float32)
    )
    return Rows(ids=tuple(r for r, _, _ in rows), classes=tuple(c for _, c, _ in rows), vectors=vectors)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
