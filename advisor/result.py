"""Result: all that one run found, ready to be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from advisor.diagnosis import Diagnosis
from advisor.evidence import Gap
from advisor.exchange import Exchange
from advisor.issues import Issue, Rate
from advisor.logs.reading import Counts
from advisor.logs.records import Skip
from advisor.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One telling exchange of an issue with its diagnosis."""

    exchange: Exchange
    diagnosis: Diagnosis


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Counts over the exchanges that a run read itself, without what runs before it left to plan with.

    Attributes:
        gaps: Failures by named gap; a failure with two gaps counts in both.
    """

    exchanges: int
    failures: int
    undetermined: int
    gaps: Mapping[Gap, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run over logs found.

    Attributes:
        counts: Files, records and exchanges read; they add up.
        skips: What could not be read, at most the first thousand; `counts.skipped` has the number.
        unknown_scores: Names of scores whose direction is not known; they were not used.
        issues: Largest first.
        plan: What to do, in order.
        failed: Share of exchanges that failed.
        gaps: For each gap, its share of all exchanges; a failure with two gaps counts in both.
        own: What of it this run read itself; all, but for a run over new exchanges only.
        examples: The examples of the issues by exchange id.
        calibration: One sentence: calibrated on how many labels, or what is missing.
        documents: Number of the operator's documents, None if none were given.
        notices: Sentences an operator should read before trusting the figures.
        seconds: Wall-clock time of the run.
    """

    counts: Counts
    skips: tuple[Skip, ...]
    unknown_scores: tuple[str, ...]
    issues: tuple[Issue, ...]
    plan: Plan
    failed: Rate
    gaps: Mapping[Gap, Rate]
    own: Own
    examples: Mapping[str, Example]
    calibration: str
    documents: int | None
    notices: tuple[str, ...]
    seconds: float
