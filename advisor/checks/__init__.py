"""Checks: pure functions from an Exchange to Evidence.

Adding one: write the function in the file of its family, name it in `_FAMILIES`, and name every signal it can give
in `advisor.checks.signals.SIGNALS`. Nothing else knows the list.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING

from advisor.checks.context import Context
from advisor.checks.signals import SIGNALS

if TYPE_CHECKING:
    from advisor.evidence import Check, Evidence
    from advisor.exchange import Exchange

__all__ = ["SIGNALS", "Context", "run"]

_FAMILIES: dict[str, tuple[str, ...]] = {
    "instructions": ("check_rules",),
    "json_form": ("check_json",),
    "labels": ("check_labels",),
    "tools": ("check_tools", "check_tool_need"),
    "knowledge": ("check_knowledge", "check_length"),
    "subject": ("check_subject",),
    "delivery": ("check_delivery",),
    "reaction": ("check_feedback", "check_reaction"),
    "correction": ("check_correction",),
    "drift": ("check_drift",),
}


def _load() -> tuple[Check, ...]:
    return tuple(
        getattr(import_module(f"advisor.checks.{module}"), name)
        for module, names in _FAMILIES.items()
        for name in names
    )


CHECKS: tuple[Check, ...] = _load()


def run(exchange: Exchange, context: Context) -> tuple[Evidence, ...]:
    """Return what every check saw. A check that raises is warned of and counts as not having looked."""
    found: list[Evidence] = []
    for check in CHECKS:
        try:
            found.extend(check(exchange, context))
        except Exception as error:  # a fault of one check must not cost the run
            # `warnings` shows the same words once, where a log would repeat them for every exchange.
            warnings.warn(
                f"{check.__name__} could not look: {error!r}; please report it", RuntimeWarning, stacklevel=2
            )
    return tuple(found)
