"""Retrieval fixes, the cheapest first: each is chosen on one half of the failing questions and judged on the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from advisor.apply.verification import Trial, Verification, verify
from rag.adapter import LEAST_PAIRS, fit
from rag.hits import Hit
from rag.index import Index, IndexFailed
from rag.manifest import Recipe
from rag.measure import Question, Search, score
from rag.settings import Alias, Retrieval, Settings
from rag.snapshot import Snapshot
from rag.visibility import Filter

_WEIGHTS = (0.0, 0.3, 0.45, 0.6, 0.75, 1.0)
_SIZES = (128, 254, 400)
_MOST_ALIASES = 500
_ENOUGH = 0.8
"""Share of the failing questions that must find their page for dearer fixes not to be tried."""

_WORTH = 0.05
"""Share of the failing questions by which a dearer fix must be better than a cheaper one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """One thing to change about the search.

    Attributes:
        name: In words.
        settings: What a version with it does otherwise.
        cost: What it costs to run, in words.
    """

    name: str
    settings: Settings
    cost: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of a fix on the half that did not suggest it; `verification` is None if it could not be tried."""

    fix: Fix
    verification: Verification | None
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A failing question, the document that answers it, and the part of it that does."""

    question: Question
    document: str
    text: str
    held_out: bool


def try_fixes(
    index: Index,
    live: Snapshot,
    targets: Sequence[Target],
    old: Sequence[Question],
    *,
    reranker: str | None = None,
) -> tuple[Tried, ...]:
    """Try the fixes in order of their cost, up to the first that is accepted and leaves little; `chosen` says which it is.

    Versions that were made on the way from `live`, which the bot searches now, are deleted again.
    """
    teaching = [t for t in targets if not t.held_out]
    judging = Trial(targets=tuple(t.question for t in targets if t.held_out), old=tuple(old), unrelated=())
    done: list[Tried] = []
    for rung in (*LADDER[:-1], *((reranked(reranker),) if reranker else ()), LADDER[-1]):
        for fix in rung(live, teaching):
            tried = judged(index, live, fix, judging)
            done.append(tried)
            if _accepted(tried) and _after(tried) >= _ENOUGH:
                return tuple(done)
    return tuple(done)


def chosen(tried: Sequence[Tried]) -> Tried | None:
    """Return the cheapest of the accepted fixes that come near the best of them, None if none was accepted."""
    accepted = [t for t in tried if _accepted(t)]
    most = max(map(_after, accepted), default=0.0)
    return next((t for t in accepted if _after(t) >= most - _WORTH), None)


def _accepted(tried: Tried) -> bool:
    return tried.verification is not None and tried.verification.verdict == "accepted"


def _after(tried: Tried) -> float:
    return tried.verification.targets.after.value if tried.verification is not None else 0.0


def judged(index: Index, live: Snapshot, fix: Fix, judging: Trial) -> Tried:
    """Try one fix against the live version and delete again what was made for it."""
    held = live.manifest.recipe.retrieval
    k = (fix.settings.retrieval or held).k

    def before(text: str, *, k: int, filter: Filter | None) -> tuple[Hit, ...]:
        # What is served now, also where the fix is to serve more.
        return live.search(text, k=held.k, filter=filter)

    try:
        with staged(index, live, fix.settings) as search:
            return Tried(fix=fix, verification=verify(before, search, judging, k=k))
    except (IndexFailed, LookupError) as error:
        return Tried(fix=fix, verification=None, why_not=str(error))


@contextmanager
def staged(index: Index, live: Snapshot, settings: Settings) -> Iterator[Search]:
    """Give the search of the live documents under other settings, by a version that is deleted again where one is needed."""
    if settings.chunking is None and settings.aliases is None and settings.adapter is None:
        yield lambda text, *, k, filter: live.search(text, k=k, filter=filter, retrieval=settings.retrieval)
        return
    there = {m.id for m in index.versions()}
    made = index.update(settings=settings, live=False, base=live.id)
    try:
        snapshot = index.at(made.id)
        try:
            yield snapshot.search
        finally:
            snapshot.close()
    finally:
        if made.id not in there:
            index.discard(made.id)


Rung = Callable[[Snapshot, Sequence[Target]], Iterator[Fix]]


def _recipe(live: Snapshot) -> Recipe:
    return live.manifest.recipe


def _weight(live: Snapshot, teaching: Sequence[Target]) -> Iterator[Fix]:
    held = _recipe(live).retrieval
    best = _best(live, teaching, {w: replace(held, dense=w) for w in _WEIGHTS}, held)
    if best is not None:
        yield Fix(
            name=f"weight of meaning against words {best.dense}",
            settings=Settings(retrieval=best),
            cost="none",
        )


def _more(live: Snapshot, teaching: Sequence[Target]) -> Iterator[Fix]:
    held = _recipe(live).retrieval
    for k in (held.k + 3, held.k + 5):
        share = k / held.k - 1
        yield Fix(
            name=f"{k} chunks instead of {held.k}",
            settings=Settings(retrieval=replace(held, k=k)),
            cost=f"{share:.0%} more prompt tokens for passages",
        )


def _size(live: Snapshot, teaching: Sequence[Target]) -> Iterator[Fix]:
    held = _recipe(live).chunking
    for size in _SIZES:
        if size <= live.embedder.max_tokens and abs(size - held.max_tokens) > 0.2 * held.max_tokens:
            yield Fix(
                name=f"chunks of at most {size} tokens",
                settings=Settings(chunking=replace(held, max_tokens=size)),
                cost="all is embedded once more",
            )


def _context(live: Snapshot, teaching: Sequence[Target]) -> Iterator[Fix]:
    held = _recipe(live).chunking
    if not held.context:
        yield Fix(
            name="title and headings searched with each chunk",
            settings=Settings(chunking=replace(held, context=True)),
            cost="all is embedded once more",
        )


def _aliases(live: Snapshot, teaching: Sequence[Target]) -> Iterator[Fix]:
    held = _recipe(live).aliases
    known = {(a.document, a.text) for a in held}
    new = [
        Alias(document=t.document, anchor=_anchor(t.text), text=t.question.text)
        for t in teaching
        if (t.document, t.question.text) not in known
    ]
    if new:
        yield Fix(
            name=f"{min(len(new), _MOST_ALIASES)} failed questions as search words of the chunks that answer them",
            settings=Settings(aliases=(*held, *new[:_MOST_ALIASES])), cost="none when asked; each is embedded once",
        )  # fmt: skip


def _anchor(text: str) -> str:
    # The first line may be a heading that stands in several chunks.
    return text.strip()[-80:].strip()


def _expand(live: Snapshot, teaching: Sequence[Target]) -> Iterator[Fix]:
    held = _recipe(live).retrieval
    if not held.expand:
        yield Fix(
            name="the query widened by the words of its best hits",
            settings=Settings(retrieval=replace(held, expand=True)),
            cost="each question is searched twice",
        )


def reranked(name: str) -> Rung:
    """Return the rung of a cross-encoder; it is tried only when one is named, since it may have to be fetched."""

    def rung(live: Snapshot, teaching: Sequence[Target]) -> Iterator[Fix]:
        held = _recipe(live).retrieval
        if held.reranker is None:
            settings = Settings(retrieval=replace(held, reranker=name))
            yield Fix(
                name=f"the best 20 put in order by {name}",
                settings=settings,
                cost="tenths of a second a question on a CPU",
            )

    return rung


def _adapter(live: Snapshot, teaching: Sequence[Target]) -> Iterator[Fix]:
    if len(teaching) >= LEAST_PAIRS:
        queries = live.embedder.embed([t.question.text for t in teaching], kind="query")
        passages = live.embedder.embed([t.text for t in teaching], kind="passage")
        yield Fix(
            name=f"queries turned by a matrix learned from {len(teaching)} pairs",
            settings=Settings(adapter=fit(queries, passages)),
            cost="none",
        )


def _best(
    live: Snapshot, teaching: Sequence[Target], choices: Mapping[float, Retrieval], held: Retrieval
) -> Retrieval | None:
    """Return the choice that finds most on the teaching half, None if none finds more than what is."""
    asked = [t.question for t in teaching]

    def found(how: Retrieval) -> tuple[int, float]:
        scores = score(
            lambda text, *, k, filter: live.search(text, k=k, filter=filter, retrieval=how), asked, k=held.k
        )
        return sum(s.hit for s in scores), sum(1 / s.rank for s in scores if s.rank)

    now = found(held)
    ranked = sorted(
        ((found(how), -abs(w - 0.5), how) for w, how in choices.items()),
        key=lambda r: (r[0], r[1]),
        reverse=True,
    )
    return ranked[0][2] if ranked and ranked[0][0][0] > now[0] else None


LADDER: tuple[Rung, ...] = (_weight, _more, _size, _context, _aliases, _expand, _adapter)
"""What gives the fixes, the cheapest first."""
