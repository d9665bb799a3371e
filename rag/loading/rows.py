"""Records: a CSV, JSON or JSON Lines file with one document a row, such as a list of questions and answers."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from typing import Any

from rag.documents import Document
from rag.loading.source import Source, Unreadable, code_in, fields

_TEXT_KEYS = ("text", "content", "body", "page_content", "answer", "passage")
_TITLE_KEYS = ("title", "question", "name", "heading", "subject")
_ID_KEYS = ("id", "_id")


def read_table(source: Source) -> Iterator[Document]:
    """Yield a document for every row of a CSV or TSV file."""
    delimiter = "\t" if source.path.suffix.lower() == ".tsv" else ","
    with source.path.open(encoding="utf-8-sig", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines, delimiter=delimiter), 2):
            yield _document({k: v for k, v in row.items() if k}, source, number)


def read_lines(source: Source) -> Iterator[Document]:
    """Yield a document for every line of a JSON Lines file."""
    with source.path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _document(_parsed(line, f"line {number}: "), source, number)


def read_json(source: Source) -> Iterator[Document]:
    """Yield a document for every object of a JSON file that holds one or a list of them."""
    value = _parsed(source.text(), "")
    for number, record in enumerate(value if isinstance(value, list) else [value], 1):
        yield _document(record, source, number)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Unreadable(f"{where}is not JSON ({error})") from None


def _document(record: Any, source: Source, number: int) -> Document:
    if not isinstance(record, Mapping):
        raise Unreadable(f"line {number}: not an object with a text")
    text = next((record[k] for k in _TEXT_KEYS if isinstance(record.get(k), str)), None)
    if text is None:
        raise Unreadable(f"line {number}: none of {', '.join(_TEXT_KEYS)} in it")
    title = next((str(record[k]) for k in _TITLE_KEYS if record.get(k)), "")
    name = next(
        (str(record[k]) for k in _ID_KEYS if record.get(k) not in (None, "")), f"{source.id}:{number}"
    )
    try:
        named = fields({k: v for k, v in record.items() if k not in (*_TEXT_KEYS, *_TITLE_KEYS, *_ID_KEYS)})
    except ValueError as error:
        raise Unreadable(f"line {number}: {error}") from None
    inner = record.get("metadata")
    if isinstance(inner, Mapping):
        named = {**fields(inner), **{k: v for k, v in named.items() if k != "metadata" or v}}
    return Document(
        **{
            "id": name,
            "title": title,
            "text": text,
            "code": code_in(f"{title} {text}"),
            "uri": source.uri,
            **named,
        }
    )
