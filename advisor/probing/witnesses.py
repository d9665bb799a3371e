"""Witnesses: a reply that nobody complained of shows what is right, unless those like it that people spoke of were mostly wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from advisor.checks.tool_fit import given_values
from advisor.checks.tools import calls_tools
from advisor.diagnosis import Diagnosis
from advisor.exchange import Exchange
from advisor.probing.judging import expected_calls


def witnesses(seen: Sequence[tuple[Exchange, Diagnosis]]) -> frozenset[str]:
    """Return the ids of replies that show what is right: those that did not fail, but for those in doubt.

    A bot that was offered tools and called none may have been right to, or the failure was not seen, and most people say nothing. So of
    each bot it is looked at what people said of such replies to requests that name something to call a tool with (a number, a name): where
    they found as many wrong as right, one of which nobody said anything is in doubt.

    Args:
        seen: Exchanges with their diagnoses, in any order.
    """
    return frozenset(e.id for e, d in seen if not d.is_failure) - _doubted(seen)


def _doubted(seen: Iterable[tuple[Exchange, Diagnosis]]) -> frozenset[str]:
    silent: dict[str, list[str]] = {}
    spoken: Counter[tuple[str, bool]] = Counter()
    for exchange, diagnosis in seen:
        if not exchange.tools or calls_tools(exchange) or not given_values(exchange.question):
            continue
        right = _said_right(exchange)
        if right is not None:
            spoken[exchange.system, right] += 1
        elif not diagnosis.is_failure:
            silent.setdefault(exchange.system, []).append(exchange.id)
    return frozenset(
        id
        for system, ids in silent.items()
        if spoken[system, False] and spoken[system, False] >= spoken[system, True]
        for id in ids
    )


def _said_right(exchange: Exchange) -> bool | None:
    """Whether people say that no call was due: by the correction, else by their thumbs; None if they say nothing."""
    wanted = expected_calls(exchange)
    if wanted is not None:
        return not wanted
    said = {f.polarity for f in exchange.feedback if f.target == "reply"}
    return False if -1 in said else True if 1 in said else None
