"""What to do about knowledge: write the page, find the page, keep to the page."""

from __future__ import annotations

from collections.abc import Iterator

from advisor.evidence import CAUSES
from advisor.issues import Issue
from advisor.plan import Facts
from advisor.remedies.proposal import Proposal

_RAG = "retrieval beat training for new facts by a wide margin: 0.875 against 0.504 on current events (Ovadia et al. 2023)"

KEEP_TO_CONTEXT = "Answer only from the passages. Copy numbers, dates and names from them exactly. If they do not hold the answer, say so."
_POINTS_AT = (
    ("contradiction.number", "context_unused"),
    ("knowledge.declined_though_served", "context_unused"),
    ("knowledge.declined_though_held", "retrieval_miss"),
    ("knowledge.better_document", "retrieval_miss"),
    ("knowledge.declined_nothing_there", "missing_content"),
    ("knowledge.nothing_served", "missing_content"),
    ("knowledge.facts_invented", "context_unused"),
    ("knowledge.nowhere", "missing_content"),
    ("knowledge.focus_nowhere", "missing_content"),
)
"""What a check says of the cause, the surest first."""


def proposals(issue: Issue, facts: Facts) -> Iterator[Proposal]:
    """Yield what would mend a knowledge issue."""
    cause = _cause(issue)
    if cause == "context_unused":
        yield _keep_to_context(issue)
    elif cause == "retrieval_miss":
        yield retrieve(issue)
    elif cause == "unanswerable":
        yield _decline(issue)
    elif cause in ("missing_content", "stale_content"):
        yield write(issue, facts)
    elif facts.documents is None:
        yield _look_again(issue)
    else:
        yield _sort_out(issue)


def _cause(issue: Issue) -> str | None:
    """The issue's cause, or, where that belongs to its other gap, the one that its checks point at."""
    if issue.cause in CAUSES["knowledge"]:
        return issue.cause
    names = {s.partition(":")[0] for s in issue.signature}
    return next((cause for check, cause in _POINTS_AT if check in names), None)


def _about(issue: Issue) -> str:
    return f" about {', '.join(issue.topic)}" if issue.topic else ""


def write(issue: Issue, facts: Facts) -> Proposal:
    """Return a page to be written or corrected as a remedy."""
    stale = issue.cause == "stale_content"
    verb = "Correct" if stale else "Write"
    needs = ["the facts, from somebody who may state them: a page for each question"]
    if facts.documents is None:
        needs.append("your pages (--documents), to be sure that none holds the answer already")
    return Proposal(
        kind="UpdateIndex", key=f"{verb}:{','.join(sorted(issue.topic))}",
        action=f"{verb} the page{_about(issue)} and put it in the index" if issue.topic else f"{verb} pages for single questions and put them in the index",
        issue=issue, why="The documents do not hold the answer, so no prompt and no training can give it.",
        why_not_next=f"A fine-tune would not do: {_RAG}, and training on unknown facts teaches a model to make up others (Gekhman et al. 2024).",
        hours=(0.5, 2.0), hours_each=(0.5, 2.0), mends=(0.6, 0.9), basis=_RAG, needs=tuple(needs), blocked=True,
        details={"operation": "replace" if stale else "add", "questions": list(issue.questions)},
    )  # fmt: skip


def retrieve(issue: Issue) -> Proposal:
    """Return another search as a remedy."""
    return Proposal(
        kind="UpdateIndex", key="retrieval", action="Index again: smaller chunks with titles, words and meaning searched together, a reranker",
        issue=issue, why="A document holds the answer and was not served, so the search has to change, not the documents.",
        why_not_next="Writing the page again would not help: it is there. Training would not either: the model never saw it.",
        hours=(1.0, 4.0), mends=(0.35, 0.67),
        basis="failed retrievals fell by 35 % with context in the chunks, 49 % with lexical search beside it, 67 % with a reranker (Anthropic 2024)",
        details={"operation": "reindex", "max_words": 200, "prepend_title": True, "hybrid": True, "rerank": True, "aliases": list(issue.questions)},
    )  # fmt: skip


def _keep_to_context(issue: Issue) -> Proposal:
    return Proposal(
        kind="ChangePrompt", key="keep-to-context", action="Tell the bot to answer only from the passages and to copy figures exactly",
        issue=issue, why="The answer was served; the reply strayed from it.",
        why_not_next="The index is not at fault. A fine-tune to use context is dear and can make it worse: instruction tuning first raises, then "
        "lowers reliance on context (Goyal et al. 2024).",
        hours=(0.5, 1.5), mends=(0.2, 0.5), basis="own estimate, to be replaced by a probe", details={"append": KEEP_TO_CONTEXT},
    )  # fmt: skip


def _decline(issue: Issue) -> Proposal:
    return Proposal(
        kind="ChangePrompt", key="decline", action="Tell the bot when to decline, with the words to use",
        issue=issue, why="The documents hold no answer and the reply gave one.",
        why_not_next="Writing a page is worth it only if the question should be answered at all.",
        hours=(0.3, 1.0), mends=(0.3, 0.7), basis="own estimate, to be replaced by a probe",
        details={"append": "If the passages do not hold the answer, say that you do not know and name where to ask."},
    )  # fmt: skip


def _look_again(issue: Issue) -> Proposal:
    return Proposal(
        kind="NotEnoughEvidence", key="documents", action="Run again with your pages (--documents)",
        issue=issue, why="Without them a page that is missing cannot be told from one that was not found or not used.",
        why_not_next="Writing pages or changing the search now would be a guess between the two.",
        hours=(0.1, 0.3), mends=(0.0, 0.0), basis="mends nothing by itself; it tells which remedy does", needs=("your pages",), blocked=True,
    )  # fmt: skip


def _sort_out(issue: Issue) -> Proposal:
    return Proposal(
        kind="NotEnoughEvidence", key="knowledge", action="Look at some of these failures: is a page missing, not found, or not used?",
        issue=issue, why="Something is not known, and the log does not show at which step it was lost.",
        why_not_next="Pages, search and prompt are three different remedies; two of them would be wasted.",
        hours=(0.3, 1.0), mends=(0.0, 0.0), basis="mends nothing by itself; it tells which remedy does",
        needs=("a log that holds the retrieved passages, or a person's look at a few of them",), details={"questions": list(issue.questions)},
    )  # fmt: skip
