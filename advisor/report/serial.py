"""Plain data for `--json`: what a result and an exchange hold, in forms that JSON has."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass

from advisor.diagnosis import Diagnosis
from advisor.exchange import Exchange
from advisor.result import Result
from rag.masking import mask as masked

_SURROGATE = re.compile("[\ud800-\udfff]")


def to_data(result: Result) -> dict[str, object]:
    """Return a result as plain data; the names are those of the dataclasses.

    Personal data is left as it is: what reads this works on the log's own words. Examples stand by their ids;
    `exchange_data` has the rest.
    """
    names = (
        "counts",
        "failed",
        "gaps",
        "calibration",
        "documents",
        "notices",
        "seconds",
        "issues",
        "plan",
        "skips",
        "unknown_scores",
    )
    return {name: plain(getattr(result, name)) for name in names}


def exchange_data(exchange: Exchange, diagnosis: Diagnosis, *, mask: bool = False) -> dict[str, object]:
    """Return one exchange with its diagnosis as plain data, personal data masked on request."""
    data: dict[str, object] = {
        "exchange": plain(exchange, mask=mask),
        "diagnosis": plain(diagnosis, mask=mask),
    }
    return data | {"is_failure": diagnosis.is_failure, "confidence": diagnosis.confidence}


def plain(value: object, *, mask: bool = False) -> object:
    """Return a value as dicts, lists, text, numbers, booleans and None.

    Numbers that JSON has no form for become None, or text if they are huge; lone surrogates become U+FFFD, sets are sorted.
    """
    if isinstance(value, str):
        text = _SURROGATE.sub("\ufffd", value)
        return masked(text) if mask else text
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _nested(value, mask=mask)


def _nested(value: object, *, mask: bool) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name), mask=mask) for f in fields(value)}
    if isinstance(value, Mapping):
        return {
            str(plain(k if isinstance(k, str) else str(k))): plain(v, mask=mask) for k, v in value.items()
        }
    if isinstance(value, Set):
        return [plain(v, mask=mask) for v in sorted(value, key=str)]
    if isinstance(value, list | tuple):
        return [plain(v, mask=mask) for v in value]
    return plain(str(value), mask=mask)
