"""The operator's own files beside the logs: documents, labelled examples, verdicts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from advisor.evidence import GAPS, Gap
from advisor.logs.files import InputError
from finetune.reading import UnreadableFile, read
from rag.documents import Document
from rag.lexical import LexicalIndex
from rag.loading import load


def documents(paths: Iterable[Path]) -> tuple[LexicalIndex | None, int | None]:
    """Return the documents as an index and their number; (None, None) if there are no paths.

    Raises:
        InputError: A path does not exist, or no text is found.
    """
    paths = tuple(paths)
    if not paths:
        return None, None
    try:
        loaded = load(*paths)
    except FileNotFoundError as error:
        raise InputError(f"documents: {error}; give a file or folder that exists") from error
    if not loaded.documents:
        where = ", ".join(map(str, paths))
        raise InputError(
            f"documents: no text found under {where}; give Markdown, HTML, text, CSV or JSON Lines"
        )
    return LexicalIndex.from_documents(loaded.documents), len(loaded.documents)


def pages(paths: Iterable[Path]) -> Iterator[Document]:
    """Yield the documents under paths, each id once.

    Raises:
        InputError: A path does not exist.
    """
    seen: set[str] = set()
    for path in paths:
        try:
            found = load(path)
        except FileNotFoundError as error:
            raise InputError(f"documents: {error}; give a file or folder that exists") from error
        for document in found.documents:
            if document.id not in seen:
                seen.add(document.id)
                yield document


def labelled(path: Path | None) -> Mapping[str, str]:
    """Return labelled examples, text to label, from a CSV or JSON Lines file with `text` and `label`."""
    return {row["text"]: row["label"] for row in _rows(path, "labelled", ("text", "label"))} if path else {}


def examples(paths: Iterable[Path]) -> int:
    """Return how many examples of good replies an operator's own files hold.

    Raises:
        InputError: One cannot be read; file, line and what was expected are named.
    """
    try:
        return sum(1 for _ in read(paths))
    except UnreadableFile as error:
        raise InputError(f"train.examples: {error}") from error


def verdicts(path: Path | None) -> dict[str, frozenset[Gap]]:
    """Return verdicts from a file with `id` and `gaps`: gaps parted by spaces or commas, or `good`."""
    found: dict[str, frozenset[Gap]] = {}
    for number, row in enumerate(_rows(path, "labels", ("id", "gaps")) if path else (), start=2):
        named = set(row["gaps"].replace(",", " ").split()) - {"good", "none"}
        unknown = named - set(GAPS)
        if unknown:
            raise InputError(
                f"{path}:{number}: unknown gap {', '.join(sorted(unknown))}; use {', '.join(GAPS)} or good"
            )
        found[row["id"]] = frozenset(g for g in GAPS if g in named)
    return found


def _rows(path: Path, what: str, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{what}: {path} cannot be read ({error}); give a UTF-8 CSV file") from error
    if text.lstrip().startswith("{"):
        rows: Iterable[dict[str, Any]] = map(orjson.loads, filter(str.strip, text.split("\n")))
    else:
        rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for number, row in enumerate(rows, start=2):
            if any(row.get(c) is None for c in columns):
                raise InputError(
                    f"{path}:{number}: needs the columns {' and '.join(columns)}; it has {', '.join(map(str, row))}"
                )
            yield {c: str(row[c]) for c in columns}
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: is not JSON Lines ({error})") from error
    except csv.Error as error:
        raise InputError(f"{path}: is not CSV ({error})") from error
