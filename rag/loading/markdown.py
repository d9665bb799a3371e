"""Markdown and plain text: front matter, headings, and the text as it stands in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from rag.documents import Document, Section
from rag.loading.source import Source, Unreadable, code_in, fields

_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_LINE = re.compile(r"^(?:(#{1,6})[ \t]+(.+?)[ \t]*#*|(`{3,}|~{3,}).*)$", re.M)


def read(source: Source) -> Iterator[Document]:
    """Yield the one document of the file.

    Raises:
        ValueError: The front matter is broken.
    """
    whole = source.text()
    front = _FRONT.match(whole)
    text = whole[front.end() :] if front else whole
    named = fields(_front(front[1])) if front else {}
    metadata = dict(named.pop("metadata", {}))
    title = metadata.pop("title", "")
    headings = list(_headings(text)) if source.path.suffix.lower() != ".txt" else []
    if not title:
        title = headings[0][2] if headings and headings[0][1] <= 3 else _named_by(source)
    if source.changed:
        metadata.setdefault("changed", source.changed)
    yield Document(
        **{
            "id": source.id, "title": title, "text": text, "code": code_in(text), "uri": source.uri, **named,
            "metadata": metadata, "sections": tuple(_sections(headings, title)), "offset": front.end() if front else 0,
        }
    )  # fmt: skip


def _front(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Unreadable(f"front matter is not YAML ({getattr(error, 'problem', None) or error})") from None
    return found if isinstance(found, dict) else {}


def _named_by(source: Source) -> str:
    return source.path.stem.replace("-", " ").replace("_", " ")


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (place, level, words) of each heading outside code fences."""
    fence = ""
    for hit in _LINE.finditer(text):
        if hit[3]:
            fence = "" if fence and hit[3].startswith(fence) else fence or hit[3]
        elif not fence:
            yield hit.start(), len(hit[1]), hit[2].strip()


def _sections(headings: list[tuple[int, int, str]], title: str) -> Iterator[Section]:
    above: list[tuple[int, str]] = []
    slugs: dict[str, int] = {}
    for start, level, words in headings:
        above = [(lv, w) for lv, w in above if lv < level]
        above.append((level, words))
        yield Section(
            start=start, heading=tuple(w for _, w in above if w != title), place=f"#{_slug(words, slugs)}"
        )


def _slug(words: str, taken: dict[str, int]) -> str:
    """Anchor as GitHub and most site generators make it."""
    slug = re.sub(r"[^\w\- ]", "", words.lower()).strip().replace(" ", "-")
    count = taken[slug] = taken.get(slug, -1) + 1
    return f"{slug}-{count}" if count else slug
