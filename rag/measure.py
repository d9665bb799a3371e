"""Measuring retrieval: hit@k, reciprocal rank and answer-in-context, and one index against another on the same questions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from rag.hits import Hit
from rag.lexical import terms
from rag.statistics import Share, bootstrap, mcnemar, newcombe, share
from rag.visibility import Filter

Search = Callable[..., Sequence[Hit]]
"""`search(question, k=..., filter=...)` of an index or a snapshot."""

_FACT = re.compile(r"\d+(?:[.,:]\d+)*")
_HELD = 0.6
"""Share of the answer's search terms that passages must hold, besides all of its figures, to hold the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question whose answer is known.

    Attributes:
        documents: Ids of documents that answer it; any one of them is a hit. Empty if only the answer is known.
        answer: The right answer, for answer-in-context; None if not known.
        filter: Who asks.
    """

    text: str
    documents: frozenset[str] = frozenset()
    answer: str | None = None
    filter: Filter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How one question fared.

    Attributes:
        rank: Of the first hit among the k, from 1; None for none.
        held: Whether the passages hold the answer; None if it is not known.
    """

    rank: int | None
    held: bool | None

    @property
    def hit(self) -> bool:
        """Whether it found what answers: the document, or the answer itself where no document is named."""
        return self.rank is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Before and after on the same questions.

    Attributes:
        before: hit@k before.
        after: hit@k after.
        difference: after - before, with its 95 % interval `low`, `high` (Newcombe 1998, method 10, for pairs).
        gained: Questions found only after.
        lost: Questions found only before.
        p: Two-sided exact McNemar test.
        mrr: Mean reciprocal rank before and after.
        mrr_difference: Its difference with a 95 % interval (paired bootstrap, 2,000 draws, fixed seed).
        held: Answer-in-context before and after, over the questions whose answer is known; None if none is.
    """

    k: int
    before: Share
    after: Share
    difference: float
    low: float
    high: float
    gained: int
    lost: int
    p: float
    mrr: tuple[float, float]
    mrr_difference: tuple[float, float, float]
    held: tuple[Share, Share] | None

    @property
    def n(self) -> int:
        """Number of questions."""
        return self.before.n


def score(search: Search, questions: Iterable[Question], *, k: int) -> list[Score]:
    """Ask every question and return how each fared, in order."""
    return [_score(question, search(question.text, k=k, filter=question.filter)) for question in questions]


def compare(before: Sequence[Score], after: Sequence[Score], *, k: int) -> Comparison:
    """Compare two runs over the same questions.

    Raises:
        ValueError: They are not of one length.
    """
    pairs = list(zip(before, after, strict=True))
    gained = sum(not b.hit and a.hit for b, a in pairs)
    lost = sum(b.hit and not a.hit for b, a in pairs)
    first, second = (share(sum(s.hit for s in run), len(run)) for run in (before, after))
    low, high = newcombe(sum(b.hit and a.hit for b, a in pairs), gained, lost, len(pairs))
    ranks = [(_reciprocal(b), _reciprocal(a)) for b, a in pairs]
    known = [(b, a) for b, a in pairs if b.held is not None and a.held is not None]
    return Comparison(
        k=k, before=first, after=second, difference=second.value - first.value, low=low, high=high, gained=gained, lost=lost,
        p=mcnemar(gained, lost), mrr=(_mean(r[0] for r in ranks), _mean(r[1] for r in ranks)), mrr_difference=bootstrap([a - b for b, a in ranks]),
        held=(share(sum(bool(b.held) for b, _ in known), len(known)), share(sum(bool(a.held) for _, a in known), len(known))) if known else None,
    )  # fmt: skip


def holds(passages: Iterable[str], answer: str) -> bool:
    """Return whether passages hold an answer: all its figures, and most of its words' stems."""
    whole = "\n".join(passages)
    have, wanted = set(terms(whole)), set(terms(answer))
    if not wanted:
        return False
    figures = set(_FACT.findall(whole))
    return set(_FACT.findall(answer)) <= figures and len(wanted & have) >= _HELD * len(wanted)


def _score(question: Question, hits: Sequence[Hit]) -> Score:
    held = holds((h.text for h in hits), question.answer) if question.answer else None
    if question.documents:
        rank = next((n for n, h in enumerate(hits, 1) if h.document in question.documents), None)
    else:
        rank = next(
            (n for n in range(1, len(hits) + 1) if holds((h.text for h in hits[:n]), question.answer or "")),
            None,
        )
    return Score(rank=rank, held=held)


def _reciprocal(score: Score) -> float:
    return 1 / score.rank if score.rank else 0.0


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return fmean(found) if found else 0.0
