"""Checkers of layout that is not a count: title, quotes, citations, form of address, patterns and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from router.contract.checkers.verdict import Checker, Verdict

_FORMAL = {
    "de": (re.compile(r"\b(?:du|dich|dir|dein\w{0,2}|euch|euer|eure\w?)\b", re.IGNORECASE), re.compile(r"(?<=[a-zäöü,] )(?:Sie|Ihnen|Ihr(?:e[nmrs]?)?)\b")),
    "fr": (re.compile(r"\b(?:tu|toi|ton|tes)\b", re.IGNORECASE), re.compile(r"\b(?:vous|votre|vos)\b", re.IGNORECASE)),
}  # fmt: skip


def _title(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    held = re.search(r"<<[^\n<>]+>>", reply) is not None
    return Verdict(
        held, f"The reply has {'a' if held else 'no'} title in <<double angular brackets>>.", reply[:100]
    )


def _wrapped_in_quotes(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    text = reply.strip()
    held = len(text) > 1 and text[0] in '"“„«' and text[-1] in '"”“»'
    return Verdict(
        held,
        f"The reply is {'' if held else 'not '}wrapped in quotation marks.",
        f"{text[:40]} … {text[-40:]}",
    )


def _cites(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    like = str(params.get("like", "[1]"))
    held = _citation(like).search(reply) is not None
    return Verdict(held, f"The reply has {'a' if held else 'no'} citation like {like}.", reply[-150:])


@lru_cache(maxsize=256)
def _citation(like: str) -> re.Pattern[str]:
    """A sample such as [1], [SRC-12], [doc1] or [source name] as a pattern: a code for a code, anything for words.

    The sample's own letters do not bind: with `[SHIP-01]` shown, `[RET-02]` is a citation too.
    """
    inner = like.strip("[]【】() ")
    coded = re.fullmatch(r"([A-Za-z]{1,10})?([-_: #]?)(?:\d+|[xXnN#]+)", inner)
    if coded is None:
        return re.compile(r"[\[【][^\]】\n]{1,80}[\]】]")
    return re.compile(
        r"[\[【](?:[A-Za-z]{1,12}[-_: #]?)?\s?[\w.-]*\d[\w., :-]*[\]】]|\[\^?\d+\]", re.IGNORECASE
    )


def _address(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    patterns = _FORMAL.get(str(params.get("language")))
    if patterns is None:
        return None
    informal, formal = patterns[0].search(reply), patterns[1].search(reply)
    wrong, right = (informal, formal) if params.get("form") == "formal" else (formal, informal)
    if wrong is not None and right is None:
        return Verdict(
            False,
            "The reply uses the wrong form of address.",
            reply[max(0, wrong.start() - 30) : wrong.end() + 40],
        )
    return (
        Verdict(True, "The reply uses the asked form of address.")
        if right is not None and wrong is None
        else None
    )


def _matches(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    """A declared pattern; the operator answers for its speed."""
    try:
        pattern = re.compile(str(params.get("pattern", "")))
    except re.error:
        return None
    held = pattern.search(reply[:20_000]) is not None
    return Verdict(
        held, f"The reply {'matches' if held else 'does not match'} {pattern.pattern[:80]}.", reply[:120]
    )


def _json(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    try:
        json.loads(reply)
    except (ValueError, RecursionError) as error:
        return Verdict(False, f"The reply is not valid JSON: {error}.", reply[:120])
    return Verdict(True, "The reply is valid JSON.")


def _label(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    labels = [str(v).strip().casefold() for v in params.get("labels", ())]
    held = reply.strip(" \n\t.\"'`*").casefold() in labels
    return (
        Verdict(held, f"The reply is {'' if held else 'not '}one of the labels.", reply[:120])
        if labels
        else None
    )


CHECKERS: dict[str, Checker] = {
    "title": _title,
    "wrapped_in_quotes": _wrapped_in_quotes,
    "cites": _cites,
    "address": _address,
    "matches": _matches,
    "json": _json,
    "label": _label,
}
