"""HTML: what a person would see, by headings with their anchors; scripts, styles and navigation left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from rag.documents import Document, Section
from rag.loading.source import Source, code_in

_HIDDEN = {"script", "style", "noscript", "template", "svg", "iframe", "object", "nav", "footer"}
_BLOCKS = {
    "p", "div", "br", "li", "ul", "ol", "tr", "table", "section", "article", "main", "header", "aside", "dt", "dd", "blockquote", "pre",
    "h1", "h2", "h3", "h4", "h5", "h6",
}  # fmt: skip
_LEVEL = {f"h{n}": n for n in range(1, 7)}
_SPACE = re.compile(r"[ \t\r\f\v\u00a0]+")


def read(source: Source) -> Iterator[Document]:
    """Yield the one document of the file."""
    page = _Page()
    page.feed(source.text())
    page.close()
    text, starts = page.text()
    title = page.title.strip() or next((w for _, _, w, _ in page.headings), "") or source.path.stem
    metadata = {"changed": source.changed} if source.changed else {}
    yield Document(
        id=source.id, title=" ".join(title.split()), text=text, code=code_in(text),
        uri=source.url or page.canonical or str(source.path), language=page.language, metadata=metadata,
        sections=tuple(_sections(page, starts, title)),
    )  # fmt: skip


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.language: str | None = None
        self.canonical: str | None = None
        self.headings: list[tuple[int, int, str, str | None]] = []
        self._blocks: list[str] = [""]
        self._hidden: list[str] = []
        self._in_title = False
        self._level = 0
        self._anchor: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Enter a tag."""
        named = dict(attrs)
        if tag == "html":
            self.language = named.get("lang") or None
        elif tag == "link" and named.get("rel") == "canonical":
            self.canonical = named.get("href")
        elif tag == "title" and not self._hidden:
            self._in_title = True
        if tag in _HIDDEN:
            self._hidden.append(tag)
        elif not self._hidden:
            self._enter(tag, named.get("id") or (named.get("name") if tag == "a" else None))

    def _enter(self, tag: str, anchor: str | None) -> None:
        if tag in _BLOCKS and self._blocks[-1].strip():
            self._blocks.append("")
        if anchor:
            self._anchor = anchor
        if tag in _LEVEL:
            self._level = _LEVEL[tag]

    def handle_endtag(self, tag: str) -> None:
        """Leave the innermost tag of that name."""
        if tag == "title":
            self._in_title = False
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass
        elif tag in _LEVEL and self._level:
            words = " ".join(self._blocks[-1].split())
            if words:
                self.headings.append((len(self._blocks) - 1, self._level, words, self._anchor))
            self._level, self._anchor = 0, None
        if tag in _BLOCKS and self._blocks[-1].strip():
            self._blocks.append("")

    def handle_data(self, data: str) -> None:
        """Keep text that a person would see."""
        if self._in_title:
            self.title += data
        elif not self._hidden:
            self._blocks[-1] += data

    def text(self) -> tuple[str, dict[int, int]]:
        """Return the text, and where in it each block begins."""
        parts: list[str] = []
        starts: dict[int, int] = {}
        at = 0
        for number, block in enumerate(self._blocks):
            lines = "\n".join(filter(None, (_SPACE.sub(" ", line).strip() for line in block.split("\n"))))
            if lines:
                starts[number] = at
                parts.append(lines)
                at += len(lines) + 2
        return "\n\n".join(parts), starts


def _sections(page: _Page, starts: dict[int, int], title: str) -> Iterator[Section]:
    above: list[tuple[int, str]] = []
    for block, level, words, anchor in page.headings:
        above = [(lv, w) for lv, w in above if lv < level]
        above.append((level, words))
        if block in starts:
            heading = tuple(w for _, w in above if w != title)
            yield Section(start=starts[block], heading=heading, place=f"#{anchor}" if anchor else None)
