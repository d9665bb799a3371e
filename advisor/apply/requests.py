"""Content requests: what has to be written because no source holds it. Nothing is invented here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from advisor.apply.cases import Case
from advisor.exchange import content_hash
from advisor.topics import spelled, topics, weights, words
from rag.masking import mask

_QUESTIONS = 12
_KINDS = (
    ("how much|how many|what price|cost", "an amount, with its currency or unit"),
    ("how long|how far|how old|how often", "a length of time, a distance or a number, with its unit"),
    (r"\bwhen\b|what time|what date|until", "a date or times"),
    (r"\bwhere\b|address|which country|which city", "a place"),
    (r"\bwho\b|whom|contact", "a person or an office, and how to reach them"),
    (r"\bhow (?:do|can|to|should)\b", "the steps, in order"),
    (r"\bwhy\b", "the reason"),
    (r"^(?:do|does|can|is|are|may|will|could|am)\b", "a plain yes or no, and its conditions"),
)

Draft = Callable[[str], str]
"""From a request to an outline in Markdown by a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentRequest:
    """A page that somebody who knows the facts should write.

    Attributes:
        id: Content hash.
        topic: What it is about, as people spelled it; empty for single questions.
        questions: In people's words, personal data masked; at most 12.
        count: How many asked.
        must_answer: What kinds of things a good page must state.
        look_at: Pages outside the index that come near, for a person to look at first.
        draft: An outline by a model, unapproved and without facts; None without a model.
    """

    id: str
    topic: tuple[str, ...]
    questions: tuple[str, ...]
    count: int
    must_answer: tuple[str, ...]
    look_at: tuple[str, ...] = ()
    draft: str | None = None


def requests(
    unanswered: Sequence[Case], nearest: Mapping[str, str], draft: Draft | None = None
) -> tuple[ContentRequest, ...]:
    """Return one request for every topic of the questions no source answers, the most asked first.

    Args:
        unanswered: The questions.
        nearest: Case id to a page outside the index that comes near.
        draft: Writes outlines.
    """
    ordered = sorted(unanswered, key=lambda c: c.id)
    bags = [words(c.question) for c in ordered]
    found = [_request([ordered[i] for i in part], topic, nearest, draft) for topic, part in _parts(bags)]
    return tuple(sorted(found, key=lambda r: (-r.count, r.id)))


def as_markdown(request: ContentRequest) -> str:
    """Return the request as a page for whoever writes it."""
    about = ", ".join(request.topic) or "a single question"
    lines = [
        "---", f"request: {request.id}", "status: wanted", "---", f"# Wanted: a page about {about}", "",
        f"Asked {request.count} time{'s' if request.count != 1 else ''}; no source holds the answer.", "", "## In people's words", "",
        *(f"- {q}" for q in request.questions), "", "## A good page states", "", *(f"- {m}" for m in request.must_answer),
    ]  # fmt: skip
    if request.look_at:
        lines += [
            "",
            "## Look here first: not indexed, and may hold it",
            "",
            *(f"- {d}" for d in request.look_at),
        ]
    if request.draft:
        lines += [
            "",
            "## Outline by a model: UNAPPROVED, holds no facts, not for the index",
            "",
            request.draft,
        ]
    return "\n".join([*lines, ""])


def from_data(data: Mapping[str, Any]) -> ContentRequest:
    """Return the request of its data."""
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return ContentRequest(**given)


def _parts(bags: list[frozenset[str]]) -> list[tuple[tuple[str, ...], list[int]]]:
    found: list[tuple[tuple[str, ...], list[int]]] = []
    for topic in topics(bags, weights(bags)):
        # What belongs to no topic is asked one by one.
        found += [(topic.words, list(topic.members))] if topic.words else [((), [i]) for i in topic.members]
    return found


def _request(
    members: Sequence[Case], topic: tuple[str, ...], nearest: Mapping[str, str], draft: Draft | None
) -> ContentRequest:
    texts = [c.question for c in members]
    shown = tuple(mask(" ".join(t.split()))[:300] for t in texts[:_QUESTIONS])
    kinds = [what for pattern, what in _KINDS if any(re.search(pattern, t, re.IGNORECASE) for t in texts)]
    request = ContentRequest(
        id=content_hash(sorted(texts))[:12], topic=spelled(topic, texts), questions=shown, count=sum(c.times for c in members),
        look_at=tuple(dict.fromkeys(nearest[c.id] for c in members if c.id in nearest)), must_answer=tuple(kinds) or ("what the questions ask, for everybody it holds for",),
    )  # fmt: skip
    if draft is None:
        return request
    return replace(request, draft=draft(as_markdown(request)))
