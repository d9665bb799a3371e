"""Conditions: what `--fail-on` says, and whether it holds."""

from __future__ import annotations

import operator
import re
import sys
from collections.abc import Callable
from typing import NamedTuple

from advisor.evidence import GAPS
from advisor.logs.files import InputError
from advisor.result import Result

_COUNTED = ("failures", "undetermined", "skipped", *GAPS)
_CONDITION = re.compile(rf"\s*({'|'.join(_COUNTED)})\s*(>=|>)\s*(\d+(?:\.\d+)?)\s*(%?)\s*")
_COMPARE: dict[str, Callable[[float, float], bool]] = {">": operator.gt, ">=": operator.ge}


class Condition(NamedTuple):
    """One `--fail-on`."""

    text: str
    name: str
    compare: Callable[[float, float], bool]
    limit: float
    percent: bool


def parsed(text: str) -> Condition:
    """Return a condition of its text.

    Raises:
        InputError: It is none.
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise InputError(
            f"--fail-on {text!r}: write NAME>NUMBER or NAME>NUMBER%, NAME one of {', '.join(_COUNTED)}"
        )
    return Condition(text, found[1], _COMPARE[found[2]], float(found[3]), found[4] == "%")


def tripped(conditions: list[Condition], result: Result) -> int:
    """Return 1 if one of the conditions holds for what the run read itself, saying which, else 0."""
    own = result.own
    counts: dict[str, int] = {
        "failures": own.failures, "undetermined": own.undetermined, "skipped": result.counts.skipped,
        **{gap: own.gaps[gap] for gap in GAPS},
    }  # fmt: skip
    code = 0
    for c in conditions:
        total = result.counts.records if c.name == "skipped" else own.exchanges
        value = 100 * counts[c.name] / max(1, total) if c.percent else counts[c.name]
        if c.compare(value, c.limit):
            shown = f"{value:.1f}% of {total:,}" if c.percent else f"{counts[c.name]:,}"
            print(f"advise: --fail-on {c.text}: {c.name} is {shown}", file=sys.stderr)
            code = 1
    return code
