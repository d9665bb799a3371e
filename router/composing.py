"""Composing: the messages a model is sent: prompt, examples, conversation, and the passages with their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rag.hits import Hit
from router.prompts import Prompt
from router.replies import words_of

NOTHING_FOUND = "(Nothing was found.)"


def labels(hits: Sequence[Hit]) -> dict[str, Hit]:
    """Return how each passage is named in prompt and reply: by its source code where it has one of its own, else by number."""
    named: dict[str, Hit] = {}
    for number, hit in enumerate(hits, 1):
        named[hit.code if hit.code and hit.code not in named else str(number)] = hit
    return named


def passages_text(named: Mapping[str, Hit]) -> str:
    """Return the passages as the model reads them, each under its label and title."""
    blocks = []
    for label, hit in named.items():
        title = " > ".join(dict.fromkeys(filter(None, (hit.title, *hit.heading))))
        head = title if f"[{label}]" in title else f"[{label}] {title}".rstrip()
        body = hit.text.strip()
        # A chunk that opens with its own heading need not say it twice.
        blocks.append(
            body
            if title and body.lstrip("# ").startswith(title) and f"[{label}]" in title
            else f"{head}\n{body}"
        )
    return "\n\n".join(blocks) or NOTHING_FOUND


def passages_documents(named: Mapping[str, Hit]) -> list[dict[str, Any]]:
    """Return the passages as documents of a message's content, for models that cite by themselves; see `router.models.documents`."""
    return [
        {"type": "document", "label": label, "title": " > ".join(dict.fromkeys(filter(None, (hit.title, *hit.heading)))), "text": hit.text.strip()}
        for label, hit in named.items()
    ]  # fmt: skip


def compose(
    prompt: Prompt,
    conversation: Sequence[Mapping[str, Any]],
    named: Mapping[str, Hit] | None,
    *,
    documents: bool = False,
) -> tuple[Mapping[str, Any], ...]:
    """Return the messages to send.

    The system message and the examples come first and never change with the question, so that a provider's or an engine's
    cache of the prompt's beginning holds; the passages stand with the last request.

    Args:
        prompt: The prompt; a system message of the conversation's own is kept behind it.
        conversation: In OpenAI form.
        named: The passages by label; None if none were looked for.
        documents: Whether the passages go along as documents, and not as text.
    """
    own = [words_of(m) for m in conversation if m.get("role") in ("system", "developer")]
    system = "\n\n".join(filter(None, (prompt.system, *own)))
    rest = [dict(m) for m in conversation if m.get("role") not in ("system", "developer")]
    if named is not None:
        at = next((n for n in range(len(rest) - 1, -1, -1) if rest[n].get("role") == "user"), None)
        if at is not None:
            asked = f"Question: {words_of(rest[at])}"
            content: Any = f"{passages_text(named)}\n\n{asked}"
            if documents and named:
                content = [*passages_documents(named), {"type": "text", "text": asked}]
            rest[at] = {**rest[at], "content": content}
    head = [{"role": "system", "content": system}] if system else []
    return (*head, *prompt.examples, *rest)
