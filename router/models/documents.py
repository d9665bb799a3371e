"""Passages as documents: how they travel in a message, and how a model's own citations of them become labels in the text.

In a message whose content is a list, a passage is `{"type": "document", "label": "2", "title": "...", "text": "..."}`. Models that cite by
themselves are sent it as a document; what they cite becomes the same `[2]` behind the sentence that other models write, so that all
citations are checked alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from router.models.port import Messages


def as_text(messages: Messages) -> list[dict[str, Any]]:
    """Return messages in which passages are text under their labels, for models that do not take documents."""
    told = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list) and any(_is_document(p) for p in content):
            blocks = [
                f"[{p['label']}] {p['title']}\n{p['text']}" if _is_document(p) else str(p.get("text", ""))
                for p in content
            ]
            content = "\n\n".join(blocks)
        told.append({**message, "content": content})
    return told


def as_documents(messages: Messages) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return messages in Anthropic's form, and the labels of the documents in the order in which it counts them."""
    told, labels = [], []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            labels += [str(p["label"]) for p in content if _is_document(p)]
            content = [_document(p) if _is_document(p) else p for p in content]
        told.append({**message, "content": content})
    return told, tuple(labels)


class Marking:
    """Text with a label behind whatever a model cites, from content blocks, whole or as they come in a stream.

    Args:
        labels: Of the documents, in order; none: the text stays as it is.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._cited: list[str] = []
        self._block: object = None

    def fed(self, content: Any) -> str:
        """Return the text of the next piece; the labels of a block come before the text of the next."""
        if isinstance(content, str):
            return self._flushed(content)
        told = ""
        for number, block in enumerate(content):
            if isinstance(block, str):
                told += self._flushed(block)
                continue
            if block.get("type") not in ("text", None):
                continue
            index = block.get("index", number)
            if index != self._block:
                told += self._flushed("")
                self._block = index
            told += block.get("text") or ""
            self._note(block.get("citations") or ())
        return told

    def ended(self) -> str:
        """Return the labels that are left to say."""
        return self._flushed("")

    def _note(self, citations: Sequence[Mapping[str, Any]]) -> None:
        for citation in citations:
            place = citation.get("document_index")
            if (
                isinstance(place, int)
                and 0 <= place < len(self._labels)
                and self._labels[place] not in self._cited
            ):
                self._cited.append(self._labels[place])

    def _flushed(self, text: str) -> str:
        markers = "".join(f" [{label}]" for label in self._cited)
        self._cited = []
        return markers + text


def _is_document(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "document" and "label" in part


def _document(part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": part["text"]},
        "title": part["title"] or part["label"],
        "citations": {"enabled": True},
    }
