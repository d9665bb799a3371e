"""PDF, by pypdf: a section for every page."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from rag.documents import Document, Section
from rag.loading.source import Source, Unreadable, code_in

_PAGES = 5000


def read(source: Source) -> Iterator[Document]:
    """Yield the one document of the file.

    Raises:
        Unreadable: It is damaged, encrypted, or holds pictures only.
    """
    # pypdf tells of every flaw it mends; what could not be mended is raised.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(source.path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("is encrypted; save it without a password")
        pages = [page.extract_text().strip() for page in reader.pages[:_PAGES]]
        info = reader.metadata
    except (
        PyPdfError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        AssertionError,
        RecursionError,
    ) as error:
        # pypdf raises plain Python errors, too, on files that break the format.
        raise Unreadable(f"is not a readable PDF ({type(error).__name__}: {str(error)[:80]})") from None
    if not any(pages):
        raise Unreadable("no text in it; a scan needs text recognition (OCR) first")
    sections: list[Section] = []
    at = 0
    for number, page in enumerate(pages, 1):
        if page:
            sections.append(Section(start=at, place=f"#page={number}"))
            at += len(page) + 2
    text = "\n\n".join(filter(None, pages))
    yield Document(
        id=source.id, title=str((info and info.title) or source.path.stem), text=text, code=code_in(text),
        uri=source.uri, sections=tuple(sections),
    )  # fmt: skip
