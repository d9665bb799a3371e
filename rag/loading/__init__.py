"""From files to documents: Markdown, HTML, text, PDF, DOCX, CSV, JSON, a folder, a sitemap.

What a file is, is told by its ending. A file that cannot be read is skipped with a reason; the rest goes on.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from rag.documents import Document, Loaded
from rag.loading.source import Source, Unreadable

LOADERS: dict[str, str] = {
    ".md": "rag.loading.markdown:read",
    ".markdown": "rag.loading.markdown:read",
    ".txt": "rag.loading.markdown:read",
    ".rst": "rag.loading.markdown:read",
    ".html": "rag.loading.html:read",
    ".htm": "rag.loading.html:read",
    ".csv": "rag.loading.rows:read_table",
    ".tsv": "rag.loading.rows:read_table",
    ".jsonl": "rag.loading.rows:read_lines",
    ".ndjson": "rag.loading.rows:read_lines",
    ".json": "rag.loading.rows:read_json",
    ".pdf": "rag.loading.pdf:read",
    ".docx": "rag.loading.docx:read",
}
"""Ending of a file to `module:function` of its reader."""

_STREAMED = (".csv", ".tsv", ".jsonl", ".ndjson")
_LIMIT = 50 * 2**20
_EXTRAS = {"pypdf": "rag", "docx": "rag"}


def load(*paths: str | Path, defaults: Mapping[str, Any] | None = None) -> Loaded:
    """Load every readable document under the paths.

    A folder is read whole; a `sitemap.xml` in it, or given itself, names the pages' URLs.

    Args:
        paths: Files and folders.
        defaults: Fields for documents that do not set them, for instance `{"tenant": "acme", "language": "en"}`.

    Raises:
        FileNotFoundError: A path does not exist.
    """
    documents: list[Document] = []
    skipped: list[str] = []
    for source in (s for given in paths for s in _sources(Path(given), skipped)):
        found = _read(source, skipped)
        documents.extend(d for d in found if d.text.strip())
        if found is not _NOTHING and not any(d.text.strip() for d in found):
            skipped.append(f"{source.path}: no text in it")
    filled = (_filled(d, defaults) for d in documents) if defaults else documents
    return Loaded(documents=tuple(_unique(filled)), skipped=tuple(skipped))


_NOTHING: list[Document] = []


def _read(source: Source, skipped: list[str]) -> list[Document]:
    kind = source.path.suffix.lower()
    try:
        if kind not in LOADERS:
            raise Unreadable(f"unknown ending {kind or '(none)'}; known: {', '.join(LOADERS)}")
        if kind not in _STREAMED and source.path.stat().st_size > _LIMIT:
            raise Unreadable(f"larger than {_LIMIT // 2**20} MB; split it into pages")
        home, _, name = LOADERS[kind].partition(":")
        reader: Callable[[Source], Iterable[Document]] = getattr(import_module(home), name)
        return list(reader(source))
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(error.name or "")
        if extra is None:
            raise
        skipped.append(f"{source.path}: needs the package {error.name!r}; pip install 'rightfix[{extra}]'")
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        told = str(error).splitlines()[0][:150] if str(error) else type(error).__name__
        skipped.append(f"{source.path}: {told}")
    return _NOTHING


def _sources(given: Path, skipped: list[str]) -> Iterator[Source]:
    if given.is_dir():
        yield from _walked(given, skipped)
    elif not given.exists():
        raise FileNotFoundError(f"{given}: no such file or folder")
    elif given.suffix.lower() == ".xml":
        from rag.loading import sitemap

        yield from sitemap.sources(given, skipped)
    else:
        yield Source(path=given, id=given.name)


def _walked(folder: Path, skipped: list[str]) -> Iterator[Source]:
    root = folder.resolve()
    known: dict[Path, Source] = {}
    if (folder / "sitemap.xml").is_file():
        from rag.loading import sitemap

        known = {s.path.resolve(): s for s in sitemap.sources(folder / "sitemap.xml", skipped)}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in LOADERS or not path.is_file():
            continue
        if not path.resolve().is_relative_to(root):
            skipped.append(f"{path}: is a link that leads out of {folder}")
            continue
        yield known.get(path.resolve()) or Source(path=path, id=path.relative_to(folder).as_posix())


def _filled(document: Document, defaults: Mapping[str, Any]) -> Document:
    return replace(document, **{k: v for k, v in defaults.items() if not getattr(document, k)})


def _unique(documents: Iterable[Document]) -> Iterator[Document]:
    seen: dict[str, int] = {}
    for d in documents:
        count = seen[d.id] = seen.get(d.id, 0) + 1
        yield d if count == 1 else replace(d, id=f"{d.id}#{count}")
