"""Turns text into safe HTML. Every word of a log passes through a `Pen`; nothing else writes log text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

from advisor.report.clean import bounded, clean, cut, one_line
from advisor.report.marks import Piece
from rag import masking

_CODE = re.compile("`([^`]{1,120})`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pen:
    """How text is written.

    Attributes:
        mask: Whether personal data is masked.
    """

    mask: bool = True

    def text(self, text: str, *, limit: int = 2_000) -> str:
        """Return a text as HTML, lines kept, cut in the middle above `limit` characters."""
        return esc(cut(self._masked(bounded(clean(text))), limit))

    def line(self, text: str, *, limit: int = 300) -> str:
        """Return a text as one line of HTML."""
        return esc(cut(self._masked(one_line(bounded(text))), limit))

    def sentence(self, text: str, *, limit: int = 600) -> str:
        """Return a sentence of ours as one line of HTML, what stands between backticks set as code."""
        return _CODE.sub(r"<code>\1</code>", self.line(text, limit=limit))

    def pieces(self, found: Iterable[Piece], *, anchor: str) -> str:
        """Return pieces of a cleaned and masked text as HTML with its quotes marked.

        Args:
            found: The pieces.
            anchor: Prefix of the ids of the notes they point to.
        """
        return "".join(_piece(p, anchor) for p in found)

    def _masked(self, text: str) -> str:
        return masking.mask(text) if self.mask else text


def esc(text: str) -> str:
    """Return text with what HTML gives a meaning escaped, quotes of attributes included."""
    return html.escape(text, quote=True)


def folded(summary: str, body: str, *, css: str = "fold", open_: bool = False) -> str:
    """Return a block that opens on a click or the Enter key; both arguments are HTML."""
    return f'<details class="{css}"{" open" if open_ else ""}><summary>{summary}</summary>{body}</details>'


def chip(words: str, css: str = "") -> str:
    """Return a small label; `words` is plain text."""
    return f'<span class="chip {css}">{esc(words)}</span>'


def _piece(piece: Piece, anchor: str) -> str:
    if piece.left_out:
        return f'<span class="left-out">… {piece.left_out:,} characters left out …</span>'
    if not piece.notes:
        return esc(piece.text)
    links = "".join(f'<a class="ref" href="#{anchor}{n}" aria-label="note {n}">{n}</a>' for n in piece.last)
    many = " many" if len(piece.notes) > 1 else ""
    return f'<mark class="m{many}">{esc(piece.text)}</mark>{links}'
