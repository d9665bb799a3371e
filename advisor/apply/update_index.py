"""UpdateIndex: pages found and added, the search mended, conflicts shown; staged, verified, then made live.

Nothing is invented: what goes into the index are the operator's own documents. What users typed is never a source; a
question may become a search word of a chunk, which is searched and never shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

from advisor.apply.cases import Case, cases
from advisor.apply.conflicts import Conflict, conflicts
from advisor.apply.locating import Locator, Place
from advisor.apply.requests import ContentRequest, Draft, requests
from advisor.apply.retrieval_fixes import Target, Tried, chosen, try_fixes
from advisor.apply.verification import Trial, Verification, as_data, question, verify
from advisor.apply.workplace import Made, Workplace
from advisor.evidence import Gap
from advisor.inputs import pages
from advisor.plan import Remedy
from rag.documents import Document
from rag.index import Index
from rag.measure import Question
from rag.snapshot import Snapshot
from rag.visibility import Filter

_MOST_ASKED = 500
_LEAST_HALF = 5
"""Failing questions that each half must have for fixes to be tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A document that is to be added, and the questions it answers.

    Attributes:
        by: `answer` if one of the right answers was found in it, figures and all; else `words`.
        perhaps: Further questions that find it first once it is there, though their words alone do not tell whether it
            answers them.
    """

    document: str
    title: str
    uri: str | None
    questions: tuple[str, ...]
    by: str
    perhaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What to do to an index about the knowledge failures of a log.

    Attributes:
        version: The staged version; None if nothing is to be made live.
        additions: Pages that no one had indexed and that hold missing answers.
        requests: Pages to be written.
        tried: Fixes of the search, in the order tried.
        fix: Name of the one that is in the staged version.
        conflicts: Pages that contradict each other; a person says which holds.
        unlocated: Failing questions that were not found again in any page, though one was thought to hold the answer.
        verification: Of the staged version against the live one.
    """

    version: str | None
    additions: tuple[Addition, ...]
    requests: tuple[ContentRequest, ...]
    tried: tuple[Tried, ...]
    fix: str | None
    conflicts: tuple[Conflict, ...]
    unlocated: int
    verification: Verification | None

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "version": self.version, "additions": [asdict(a) for a in self.additions], "requests": [asdict(r) for r in self.requests],
            "tried": [
                {"fix": t.fix.name, "cost": t.fix.cost, "why_not": t.why_not, **(as_data(t.verification) if t.verification else {})} for t in self.tried
            ],
            "fix": self.fix, "conflicts": [asdict(c) for c in self.conflicts], "unlocated": self.unlocated,
            "verification": as_data(self.verification) if self.verification else None,
        }  # fmt: skip


def propose(
    index: Index,
    seen: Sequence[Case],
    candidates: Iterable[Document] = (),
    *,
    base: str | None = None,
    draft: Draft | None = None,
    reranker: str | None = None,
) -> Proposal:
    """Find what mends the knowledge failures, put it into a version that is not live, and verify that.

    Args:
        index: The bot's index.
        seen: Cases of the log.
        candidates: The operator's documents that are not in the index.
        base: Version that the bot searches; None for the live one.
        draft: Writes outlines for content requests.
        reranker: A cross-encoder to try; it may have to be fetched.

    Raises:
        IndexMissing: There is no index yet.
        IndexFailed: A version could not be made; the live one is as it was.
    """
    with closing(index.at(base)) if base else nullcontext(index.snapshot()) as live:
        return _proposed(index, live, seen, candidates, draft, reranker)


def _proposed(
    index: Index,
    live: Snapshot,
    seen: Sequence[Case],
    candidates: Iterable[Document],
    draft: Draft | None,
    reranker: str | None,
) -> Proposal:
    held = {d.id: d for d in live.documents()}
    inside = Locator(held.values())
    candidates = [d for d in candidates if held.get(d.id) != d]
    missing = [c for c in seen if c.cause == "missing_content"]
    additions, new, unanswered, found = _additions(
        missing, [d for d in candidates if held.get(d.id) != d], inside
    )
    old = tuple(_old(seen, inside))
    targets, unlocated = _targets([c for c in seen if c.cause == "retrieval_miss"], inside)
    tried = _tried(index, live, targets, old, reranker)
    fix = chosen(tried)
    version, verification = None, None
    if new or fix:
        made = index.update(add=new, settings=fix.fix.settings if fix else None, live=False, base=live.id)
        version = made.id
        trial = Trial(
            targets=(*found, *(t.question for t in targets if t.held_out and fix)), old=old, unrelated=tuple(question(c, ()) for c in _others(seen)[:_MOST_ASKED])
        )  # fmt: skip
        staged = index.at(version)
        try:
            verification = verify(
                live.search,
                staged.search,
                trial,
                k=live.manifest.recipe.retrieval.k,
                added=frozenset(d.id for d in new),
            )
            additions, unanswered = _perhaps(additions, unanswered, staged)
        finally:
            staged.close()
    return Proposal(
        version=version, additions=additions, requests=requests(unanswered, _nearest(unanswered, candidates), draft), tried=tried, fix=fix.fix.name if fix else None,
        conflicts=conflicts(live.search, [c for c in seen if c.cause == "stale_content"]), unlocated=unlocated, verification=verification,
    )  # fmt: skip


def _additions(
    missing: Sequence[Case], candidates: Sequence[Document], inside: Locator
) -> tuple[tuple[Addition, ...], list[Document], list[Case], list[Question]]:
    """Return what to add, those documents, the cases that nothing answers, and the questions that what is added answers."""
    outside = Locator(candidates)
    answers: dict[str, list[tuple[Case, Place]]] = {}
    unanswered: list[Case] = []
    found: list[Question] = []
    for case in missing:
        places = outside.places(case)
        if places:
            answers.setdefault(places[0].document, []).append((case, places[0]))
            found.append(question(case, (p.document for p in (*places, *inside.places(case)))))
        elif not inside.places(case):
            unanswered.append(case)
    own = {d.id: d for d in candidates}
    additions = tuple(
        Addition(
            document=id, title=own[id].title, uri=own[id].uri, questions=tuple(c.question[:200] for c, _ in asked),
            by="answer" if any(p.by == "answer" for _, p in asked) else "words",
        )
        for id, asked in sorted(answers.items(), key=lambda a: (-len(a[1]), a[0]))
    )  # fmt: skip
    return additions, [own[a.document] for a in additions], unanswered, found


def _old(seen: Sequence[Case], inside: Locator) -> Iterator[Question]:
    """Yield the questions that worked and whose page can be told: the one that holds what the bot rightly said."""
    for case in [c for c in seen if not c.failed and c.answer][:_MOST_ASKED]:
        places = inside.places(case)
        if places:
            yield question(case, (p.document for p in places))


def _targets(missed: Sequence[Case], inside: Locator) -> tuple[list[Target], int]:
    found = []
    for case in missed[:_MOST_ASKED]:
        places = inside.places(case)
        if places:
            asked = question(case, (p.document for p in places))
            found.append(
                Target(
                    question=asked, document=places[0].document, text=places[0].text, held_out=case.held_out
                )
            )
    return found, min(len(missed), _MOST_ASKED) - len(found)


def _tried(
    index: Index, live: Snapshot, targets: Sequence[Target], old: Sequence[Question], reranker: str | None
) -> tuple[Tried, ...]:
    halves = sum(t.held_out for t in targets), sum(not t.held_out for t in targets)
    return try_fixes(index, live, targets, old, reranker=reranker) if min(halves) >= _LEAST_HALF else ()


def _others(seen: Sequence[Case]) -> list[Case]:
    return [c for c in seen if c.failed and c.cause is None]


def _perhaps(
    additions: Sequence[Addition], unanswered: Sequence[Case], staged: Snapshot
) -> tuple[tuple[Addition, ...], list[Case]]:
    """Move the cases whose first hit is an added page from the unanswered to that page."""
    more: dict[str, list[str]] = {a.document: [] for a in additions}
    left = []
    for case in unanswered:
        hits = staged.search(case.question, k=1, filter=Filter(tenant=case.tenant))
        if hits and hits[0].document in more:
            more[hits[0].document].append(case.question[:200])
        else:
            left.append(case)
    return tuple(replace(a, perhaps=tuple(more[a.document])) for a in additions), left


def _nearest(unanswered: Sequence[Case], candidates: Sequence[Document]) -> dict[str, str]:
    """Return, for cases nothing answers for sure, the page outside the index that comes nearest, by the case's id."""
    outside = Locator(candidates)
    found = {case.id: outside.nearest(case) for case in unanswered}
    return {id: document for id, document in found.items() if document is not None}


def _searched(place: Workplace) -> str | None:
    """Return the version to go on from, None for the index's live one.

    A release that was a canary first brought a version to which the index itself never moved; from the index's own, what that release added
    would be lost. A version that the index has left behind was left by an operator.
    """
    own, live = place.base.index, place.index.live
    return own if own not in (None, live.version, *live.previous) else None


def make(place: Workplace, remedy: Remedy) -> Made:
    """Make an index remedy: pages that hold missing answers and a search that finds what is there, as a release on a staged version."""
    # Pages are the operator's own and hold what they hold, so all questions may find them; how to search is split inside.
    found = propose(
        place.index,
        cases(place.seen),
        tuple(pages(place.config.index.candidates)),
        base=_searched(place),
        reranker=place.config.index.try_reranker,
    )
    gaps: frozenset[Gap] = frozenset({"knowledge"})
    about = {"proposal": found.as_data()}
    newest = place.index.live.version
    helps = found.verification is not None and found.verification.verdict != "refused"
    if not helps and place.base.index not in (None, newest) and _searched(place) is None:
        # After `advise rollback` the index has what the release lacks: the gate says whether that is good now.
        return Made(
            remedy=remedy.id, kind=remedy.kind, release=place.kept(replace(place.base, index=newest)), gaps=gaps, what=f"version {newest} of the index, which is live there",
            cost=1, about=about,
        )  # fmt: skip
    if found.version is None or found.verification is None:
        told = (
            f"no page holds the answers; {len(found.requests)} page(s) to be written"
            if found.requests
            else "nothing to change in the index"
        )
        return Made(
            remedy=remedy.id, kind=remedy.kind, release=None, gaps=gaps, what=told, cost=1, about=about
        )
    if found.verification.verdict == "refused":
        place.index.discard(found.version)
        return Made(
            remedy=remedy.id,
            kind=remedy.kind,
            release=None,
            gaps=gaps,
            what=f"refused: {found.verification.reason}",
            cost=1,
            about=about,
        )
    parts = [f"{len(found.additions)} page(s) added" if found.additions else "", found.fix or ""]
    release = place.kept(replace(place.base, index=found.version))
    return Made(
        remedy=remedy.id,
        kind=remedy.kind,
        release=release,
        gaps=gaps,
        what="; ".join(filter(None, parts)),
        cost=1,
        about=about,
    )
