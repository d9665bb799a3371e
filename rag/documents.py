"""Documents: what an operator's pages are once read, whatever file they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Where a part of a document begins.

    Attributes:
        start: Its first character in the document's text.
        heading: Headings it stands under, outermost first, without the document's title.
        place: URL fragment that opens it, such as `#returns` or `#page=3`; None if there is none.
    """

    start: int
    heading: tuple[str, ...] = ()
    place: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One page.

    Attributes:
        id: Unique within what was loaded.
        text: The text a person would see; spans of chunks and sections count its characters.
        code: Source code such as `SHIP-04`, if the page names one.
        uri: Where it stands: a path or a URL.
        language: BCP 47 tag such as `en` or `de-AT`, None if not known.
        valid_from: First day it holds, None for always.
        valid_to: Last day it holds, None for no end.
        tenant: The one customer that may see it; None for all.
        access: Tags of which the asker must hold at least one; empty for everybody.
        metadata: Further fields, for filters.
        sections: Its parts in order; empty if it has none.
        offset: Characters of the source file before `text` (front matter), so that `offset + start` is a place there;
            None where the text was extracted and does not stand in the file as such.
    """

    id: str
    title: str
    text: str
    code: str | None = None
    uri: str | None = None
    language: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    tenant: str | None = None
    access: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    offset: int | None = None

    @property
    def hash(self) -> str:
        """SHA-256 of all its fields, in hex."""
        return hashlib.sha256(to_json(self).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was loaded, and what was not with the reason (`path: reason`)."""

    documents: tuple[Document, ...]
    skipped: tuple[str, ...]


def to_json(document: Document) -> str:
    """Return a document as canonical JSON."""
    return json.dumps(asdict(document), ensure_ascii=False, sort_keys=True, default=str)


def from_json(text: str) -> Document:
    """Return the document of such a text."""
    data: dict[str, Any] = json.loads(text)
    return Document(
        **{
            **data, "access": tuple(data["access"]), "valid_from": day(data["valid_from"]), "valid_to": day(data["valid_to"]),
            "sections": tuple(Section(start=s["start"], heading=tuple(s["heading"]), place=s["place"]) for s in data["sections"]),
        }
    )  # fmt: skip


def day(value: object) -> date | None:
    """Return a date from a date, a time or ISO text; None for nothing.

    Raises:
        ValueError: It is not a date.
    """
    if value is None or value == "":
        return None
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        raise ValueError(f"{str(value)[:40]!r} is not a date; write it as 2026-05-31") from None


def by_id(documents: Iterable[Document]) -> dict[str, Document]:
    """Return documents by id, without halves of surrogate pairs, which JSON may hold and no file can.

    Raises:
        ValueError: Two have one id.
    """
    found: dict[str, Document] = {}
    for d in documents:
        if d.id in found:
            raise ValueError(f"two documents have the id {d.id!r}")
        found[d.id] = _clean(d)
    return found


def _clean(document: Document) -> Document:
    try:
        f"{document.text}{document.title}".encode()
    except UnicodeEncodeError:
        return replace(document, text=_encodable(document.text), title=_encodable(document.title))
    return document


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
