"""Notices: what an operator should know before trusting the figures of a run."""

from __future__ import annotations

from collections.abc import Iterator

from advisor.logs.reading import Reading
from advisor.plan import Facts
from advisor.tally import Tally

_REACTIONS = ("feedback", "reaction", "correction")
_RULES = ("rule", "json", "label", "tool")


def notices(reading: Reading, tally: Tally, facts: Facts, *, sampled: int) -> tuple[str, ...]:
    """Return the sentences, most important first."""
    return tuple(_notices(reading, tally, facts, sampled))


def _notices(reading: Reading, tally: Tally, facts: Facts, sampled: int) -> Iterator[str]:
    if not tally.exchanges:
        yield "No exchange was read: nothing can be said. See what was skipped, and why."
        return
    if not any(tally.judged_by[f] for f in _REACTIONS):
        if any(tally.judged_by[f] for f in _RULES):
            yield "The log holds no feedback, follow-up or correction: failures that break no rule may be missed."
        else:
            yield (
                "The log holds no feedback, follow-up or correction, and no rule could be read: whether a reply failed "
                "is a guess with a wide margin."
            )
    if facts.documents is None and tally.gaps["knowledge"]:
        yield "No documents were given (--documents): a page that is missing cannot be told from one that was not found."
    if sampled < tally.failed:
        yield f"Issues are drawn from a sample of {sampled:,} of {tally.failed:,} failures; shares hold for all."
    if reading.unknown_scores:
        names = ", ".join(sorted(reading.unknown_scores)[:5])
        yield f"Scores whose direction is not known were not used: {names}."
    if reading.counts.notes > reading.counts.joined:
        lost = reading.counts.notes - reading.counts.joined
        yield f"{lost:,} of {reading.counts.notes:,} scores and notes name no exchange that was read."
