"""A sitemap on disk (sitemaps.org 0.9): URLs and days of change for the pages saved beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from rag.loading.source import Source

_LIMIT = 50 * 2**20
_PAGE_ENDINGS = ("", ".html", ".htm", ".md", "/index.html", "/index.htm", "/index.md")


def sources(path: Path, skipped: list[str], *, depth: int = 0) -> Iterator[Source]:
    """Yield the saved page of every URL; a page that is not there, or lies outside the folder, is skipped with the reason."""
    tree = _tree(path, skipped)
    if tree is None:
        return
    root = path.parent.resolve()
    for entry in tree:
        url = next((e.text.strip() for e in entry if _tag(e) == "loc" and e.text), "")
        changed = next((e.text.strip()[:10] for e in entry if _tag(e) == "lastmod" and e.text), None)
        if not url:
            continue
        page = _saved(root, url)
        if page is None:
            skipped.append(f"{path}: {url[:100]} is not saved beside it")
        elif _tag(tree) == "sitemapindex":
            if depth < 3:
                yield from sources(page, skipped, depth=depth + 1)
        else:
            yield Source(path=page, id=page.relative_to(root).as_posix(), url=url, changed=changed)


def _tree(path: Path, skipped: list[str]) -> ElementTree.Element | None:
    try:
        data = path.read_bytes()
        # No sitemap needs a document type; entities are how XML is blown up.
        if len(data) > _LIMIT or re.search(rb"<!(DOCTYPE|ENTITY)", data[:100_000], re.IGNORECASE):
            raise ValueError("too large, or declares entities")
        tree = ElementTree.fromstring(data)
    except (OSError, ValueError, ElementTree.ParseError) as error:
        skipped.append(f"{path}: is not a sitemap ({error})")
        return None
    if _tag(tree) not in ("urlset", "sitemapindex"):
        skipped.append(f"{path}: is XML, but no sitemap")
        return None
    return tree


def _saved(root: Path, url: str) -> Path | None:
    name = unquote(urlsplit(url).path).strip("/")
    for ending in _PAGE_ENDINGS:
        page = (root / f"{name}{ending}".lstrip("/")).resolve()
        if page.is_relative_to(root) and page.is_file():
            return page
    return None


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
