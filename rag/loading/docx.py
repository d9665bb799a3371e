"""DOCX, by python-docx: paragraphs and tables in order, headings by their style."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

import docx
from docx.document import Document as Word
from docx.opc.exceptions import OpcError
from docx.table import Table
from lxml.etree import LxmlError

from rag.documents import Document, Section
from rag.loading.source import Source, Unreadable, code_in

_UNPACKED = 200 * 2**20
_HEADING = re.compile(r"(?:Heading|Title|Überschrift|Titre)\s*(\d)?", re.IGNORECASE)


def read(source: Source) -> Iterator[Document]:
    """Yield the one document of the file.

    Raises:
        Unreadable: It is damaged, or unpacks to more than 200 MB.
    """
    try:
        with zipfile.ZipFile(source.path) as packed:
            size = sum(info.file_size for info in packed.infolist())
            if size > _UNPACKED:
                raise Unreadable(
                    f"unpacks to {size / 2**20:,.0f} MB; more than {_UNPACKED // 2**20} is not opened"
                )
        word = docx.Document(str(source.path))
        blocks = list(_blocks(word))
        properties = word.core_properties
        title, language = properties.title, properties.language
    except (
        zipfile.BadZipFile,
        OpcError,
        LxmlError,
        KeyError,
        ValueError,
        AttributeError,
        NotImplementedError,
    ) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"is not a readable DOCX ({type(error).__name__})") from None
    sections: list[Section] = []
    above: list[tuple[int, str]] = []
    at = 0
    for level, text in blocks:
        if level:
            above = [*((lv, w) for lv, w in above if lv < level), (level, text)]
            sections.append(Section(start=at, heading=tuple(w for _, w in above)))
        at += len(text) + 2
    text = "\n\n".join(text for _, text in blocks)
    yield Document(
        id=source.id, title=title or next((t for level, t in blocks if level), source.path.stem), text=text, code=code_in(text),
        uri=source.uri, language=language or None, sections=tuple(sections),
    )  # fmt: skip


def _blocks(word: Word) -> Iterator[tuple[int, str]]:
    """Yield (heading level or 0, text) of everything that holds text."""
    for item in word.iter_inner_content():
        if isinstance(item, Table):
            rows = (" | ".join(dict.fromkeys(c.text.strip() for c in row.cells)) for row in item.rows)
            text, level = "\n".join(r for r in rows if r.strip(" |")), 0
        else:
            style = _HEADING.match((item.style.name if item.style else "") or "")
            text, level = item.text.strip(), int(style[1] or 1) if style else 0
        if text:
            yield level, text
