"""Checkers of wording: how a reply starts and ends, what it must and must not hold, case and marks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from router.contract.checkers.verdict import Checker, Verdict, words_of

_QUOTES = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "’": "'", "‘": "'", "\u00a0": " ", "\u202f": " "}
)
_EDGE = " \t\n\r\"'*_`#>.!"


def normal(text: str) -> str:
    """Text with quotes, spaces and case made the same."""
    return re.sub(r"\s+", " ", text.translate(_QUOTES)).strip().casefold()


def _ends_with(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    wanted = words_of(params, "text")
    tail = reply[-600:]
    if not wanted:
        return None
    held = any(normal(tail).rstrip(_EDGE).endswith(normal(w).strip(_EDGE)) for w in wanted)
    return Verdict(
        held, f"The reply {'ends' if held else 'does not end'} with '{wanted[0][:80]}'.", reply[-120:].strip()
    )


def _ends_with_question(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    held = (
        reply.rstrip(" \n\t\"”'’*_)").endswith(("?", "？", "؟", ";"))
        or "?" in reply.strip().rpartition("\n")[2]
    )
    return Verdict(
        held, f"The reply {'ends' if held else 'does not end'} with a question.", reply[-120:].strip()
    )


def _starts_with(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    wanted = words_of(params, "text")
    if not wanted:
        return None
    head = normal(reply[:600]).lstrip(_EDGE)
    held = any(head.startswith(normal(w).strip(_EDGE)) for w in wanted)
    return Verdict(
        held,
        f"The reply {'starts' if held else 'does not start'} with '{wanted[0][:80]}'.",
        reply[:120].strip(),
    )


def _not_starts_with(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    wanted = words_of(params, "text")
    hit = next((w for w in wanted if normal(reply[:600]).startswith(normal(w))), None)
    return (
        Verdict(
            hit is None,
            "The reply starts as it must not." if hit else "The reply does not start as it must not.",
            hit or "",
        )
        if wanted
        else None
    )


def _paragraph_starts(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    parts = [p.strip() for p in re.split(r"\n\s*\n", reply) if p.strip()]
    index, wanted = params.get("index", 1), words_of(params, "text")
    if not wanted or not isinstance(index, int):
        return None
    if not 0 <= (at := index - 1 if index > 0 else len(parts) - 1) < len(parts):
        return Verdict(False, f"The reply has no paragraph {index}.")
    held = normal(parts[at][:300]).lstrip(_EDGE).startswith(normal(wanted[0]).strip(_EDGE))
    return Verdict(
        held,
        f"Paragraph {index} {'starts' if held else 'does not start'} with '{wanted[0]}'.",
        parts[at][:120],
    )


def _required(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    wanted, text = words_of(params, "words"), normal(reply)
    missing = [w for w in wanted if normal(w) not in text]
    if not wanted:
        return None
    return Verdict(
        not missing,
        f"Missing from the reply: {', '.join(missing)[:150]}."
        if missing
        else "All required words are there.",
    )


def _forbidden(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    banned = words_of(params, "words")
    for word in banned:
        pattern = (
            rf"(?<!\w){re.escape(word.translate(_QUOTES))}(?!\w)"
            if word[:1].isalnum() and word[-1:].isalnum()
            else re.escape(word.translate(_QUOTES))
        )
        hit = re.search(pattern, reply.translate(_QUOTES), re.IGNORECASE)
        if hit is not None:
            return Verdict(
                False,
                f"The reply holds '{word[:80]}', which it must not.",
                reply[max(0, hit.start() - 40) : hit.end() + 40],
            )
    return Verdict(True, "No forbidden words.") if banned else None


def _one_of(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    options, text = words_of(params, "options"), normal(reply)
    if not options:
        return None
    # An exact phrase keeps its full stop: "My answer is no, because" is another sentence.
    held = any((normal(o) if params.get("exact") else normal(o).rstrip(".")) in text for o in options)
    return Verdict(
        held,
        "The reply holds one of the given phrases." if held else "The reply holds none of the given phrases.",
        reply[:120],
    )


def _repeats(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    wanted = normal(str(params.get("text", "")))
    if not wanted:
        return None
    held = normal(reply[: 2 * len(wanted) + 200]).lstrip(_EDGE).startswith(wanted.strip(_EDGE))
    return Verdict(
        held,
        "The reply repeats the request first."
        if held
        else "The reply does not repeat the request word for word first.",
        reply[:150],
    )


def _postscript(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    marker = re.sub(r"\W", "", str(params.get("marker", "PS"))) or "PS"
    pattern = r"(?<!\w)" + r"\.?\s?".join(map(re.escape, marker)) + r"(?![A-Za-z])"
    held = re.search(pattern, reply, re.IGNORECASE) is not None
    return Verdict(held, f"The reply has {'a' if held else 'no'} postscript.", reply[-120:])


def _cased(text: str) -> list[str]:
    """Letters of scripts that have case."""
    return [c for c in text if c.isupper() or c.islower()]


def _uppercase(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    return _case_verdict(reply, re.search(r"[^\W\d_]*[a-zà-öø-ÿа-яα-ω][^\W\d_]*", reply), "lower-case")


def _lowercase(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    return _case_verdict(reply, re.search(r"[^\W\d_]*[A-ZÀ-ÖØ-ÞА-ЯΑ-Ω][^\W\d_]*", reply), "capital")


def _case_verdict(reply: str, hit: re.Match[str] | None, what: str) -> Verdict | None:
    if len(_cased(reply[:400])) < 3:
        return None
    if hit is None:
        return Verdict(True, f"The reply has no {what} letters.")
    return Verdict(False, f"The reply has {what} letters.", reply[max(0, hit.start() - 20) : hit.end() + 40])


def _absent(pattern: re.Pattern[str], what: str) -> Checker:
    """Return a checker that wants none of what the pattern finds."""

    def check(reply: str, params: Mapping[str, Any]) -> Verdict | None:
        hit = pattern.search(reply)
        if hit is None:
            return Verdict(True, f"The reply has no {what}.")
        return Verdict(False, f"The reply has {what}.", reply[max(0, hit.start() - 40) : hit.end() + 40])

    return check


_AI = re.compile(
    r"\b(?:as an?|i['’]?a?m an?|i am (?:just |only )?an?) (?:ai|a\.i\.|artificial|language model|large language|chatbot|virtual assistant)\b|"
    r"\b(?:als|ich bin) (?:eine? )?(?:ki|künstliche intelligenz|sprachmodell)\b|\ben tant qu['’](?:ia|intelligence)|\bcomo (?:una? )?(?:ia|modelo de lenguaje)\b",
    re.IGNORECASE,
)
_EMOJI = re.compile(
    r"[\U0001F300-\U0001FAFF\U00002600-\U000026FF\U00002705\U0000270A-\U0000270D\U00002728\U0000274C\U00002753-\U00002757\U00002764]"
)
_MARKDOWN = re.compile(
    r"^#{1,6} \S|\*\*[^*\n]+\*\*|^```|^\s*[*-] \S+.*\n\s*[*-] \S|\[[^\]\n]+\]\(https?:", re.MULTILINE
)

CHECKERS: dict[str, Checker] = {
    "ends_with": _ends_with,
    "ends_with_question": _ends_with_question,
    "starts_with": _starts_with,
    "not_starts_with": _not_starts_with,
    "paragraph_starts": _paragraph_starts,
    "required": _required,
    "forbidden": _forbidden,
    "one_of": _one_of,
    "repeats": _repeats,
    "postscript": _postscript,
    "uppercase": _uppercase,
    "lowercase": _lowercase,
    "no_commas": _absent(re.compile(r"[,،，、]"), "commas"),
    "no_exclamations": _absent(re.compile(r"[!！]"), "exclamation marks"),
    "no_emoji": _absent(_EMOJI, "emoji"),
    "no_ai_mention": _absent(_AI, "words that say it is a machine"),
    "no_markdown": _absent(_MARKDOWN, "markdown"),
    "no_fences": _absent(re.compile(r"```"), "code fences"),
}
