"""Pages: the chat in a browser, and the page that a citation opens where its document has no address of its own."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import dataclass
from importlib.resources import files

from rag.documents import Document
from router.server.seal import Place

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page with the headers that forbid it all it does not need."""

    headers: Headers
    body: bytes


def chat(title: str) -> Page:
    """Return the chat, one file that loads nothing.

    Args:
        title: Its heading.
    """
    text = files("router.server").joinpath("chat.html").read_text(encoding="utf-8")
    return _page(text.replace("{{title}}", html.escape(title)), connect="'self'")


def passage(document: Document, place: Place) -> Page:
    """Return a document with the passage marked and in view."""
    text = document.text
    parts = (text[: place.start], text[place.start : place.end].rstrip(), text[place.start : place.end], text[place.end :])  # fmt: skip
    before, marked, whole, after = parts
    after = whole[len(marked) :] + after
    frame = files("router.server").joinpath("passage.html").read_text(encoding="utf-8")
    filled = {
        "title": html.escape(document.title or document.id), "before": html.escape(before), "marked": html.escape(marked),
        "after": html.escape(after), "language": html.escape(document.language or "", quote=True),
    }  # fmt: skip
    return _page(re.sub(r"\{\{(\w+)\}\}", lambda m: filled[m[1]], frame), connect="'none'")


def _page(text: str, *, connect: str) -> Page:
    hashes = {
        kind: " ".join(_hash(block) for block in re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL))
        for kind in ("script", "style")
    }
    scripts = hashes["script"] or "'none'"
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src {hashes['style']}; connect-src {connect}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "content-type": "text/html; charset=utf-8", "content-security-policy": policy, "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer", "cache-control": "no-store", "x-robots-tag": "noindex",
    }  # fmt: skip
    return Page(headers=[(k.encode(), v.encode()) for k, v in headers.items()], body=text.encode("utf-8", "replace"))  # fmt: skip


def _hash(block: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}'"
