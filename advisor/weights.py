"""Weights of the signals: how they were fitted is in `weights.json` itself and in docs/benchmarks.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path

from advisor.evidence import Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights of the log-linear diagnosis, in natural log units.

    Attributes:
        failed: Weight of each signal for "the reply failed".
        gap: Weight of each signal for the gap it speaks of.
        cause: Weight of each signal for the cause it names; 1 where it is missing.
        failed_bias: Log-odds of failure with no evidence at all.
        gap_bias: Score of each gap with no evidence at all.
        cause_bias: Score of each cause with no evidence at all.
        second_gap: Penalty for naming a second gap.
        cap: Most that one family of related checks may add to or, among the gaps, take from a score.
        good_cap: Most that one family may take from the failure score.
        failed_slope: Calibration slope of the failure score.
        gap_slope: Calibration slope of the gap scores.
        floor: Least probability of the first gap to name it; below it a person is asked.
        calibrated: Whether fitted on this bot's own labels.
    """

    failed: Mapping[str, float]
    gap: Mapping[str, float]
    cause: Mapping[str, float] = field(default_factory=dict)
    failed_bias: float
    gap_bias: Mapping[Gap, float]
    cause_bias: Mapping[str, float] = field(default_factory=dict)
    second_gap: float
    cap: float
    good_cap: float = 6.0
    failed_slope: float = 1.0
    gap_slope: float = 1.0
    floor: float = 0.5
    calibrated: bool = False


def load(path: Path | None = None) -> Weights:
    """Return the shipped weights, or those of a file in the same form."""
    text = (
        path.read_text(encoding="utf-8")
        if path
        else resources.files("advisor").joinpath("weights.json").read_text("utf-8")
    )
    data = json.loads(text)
    known = {f.name for f in fields(Weights)}
    return Weights(**{k: v for k, v in data.items() if k in known})
