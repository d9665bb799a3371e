"""Checkers of counts: words, sentences, paragraphs, characters, lists, sections and marks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from router.contract.checkers.verdict import Checker, Verdict, within

_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_SENTENCE_END = re.compile(r"[.!?…]+[\"”'’)*_]*(?=\s|$)|[。！？।؟]+|\n+")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|e\.g|i\.e|approx|No|z\.B|[ap]\.m|ca|bzw|Nr|[A-Z])|(?:^|\s)\d{1,2})\.$"
)
_BULLET = re.compile(r"^[ \t]*[*\-•·+–][ \t]+\S|^[ \t]*\*[^*\s]", re.MULTILINE)
_NUMBERED = re.compile(r"^[ \t]*\(?\d{1,3}[.)][ \t]+\S", re.MULTILINE)
_TABLE = re.compile(r"^[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*\|", re.MULTILINE)
_HIGHLIGHT = re.compile(r"(?<!\*)\*[^\n*]+\*(?!\*)|\*\*[^\n*]+\*\*|(?<![\w_])__?[^\n_]+_?_(?![\w_])")
_PLACEHOLDER = re.compile(r"\[[^\[\]\n]+\]")
_DIVIDER = re.compile(r"\n\s*\n|^\s*(?:\*\*\*|---|===)\s*$", re.MULTILINE)


def count_words(text: str) -> int | None:
    """Number of words, None for scripts that do not part words."""
    if len(_UNSPACED.findall(text[:2000])) > 0.1 * max(1, len(text[:2000])):
        return None
    return len(_WORD.findall(text))


def count_sentences(text: str) -> int:
    """Number of sentences; lines of lists and verse count as one each."""
    count, start = 0, 0
    for match in _SENTENCE_END.finditer(text):
        piece = text[start : match.end()]
        if "\n" not in match[0] and _ABBREVIATION.search(piece[-12:].strip()):
            continue
        count += any(c.isalpha() for c in piece)
        start = match.end()
    return count + any(c.isalpha() for c in text[start:])


def _words(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    found = count_words(reply)
    return None if found is None else within(found, params, unit="words", slack=0.03)


def _sentences(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    """Whether a line is a sentence is a matter of opinion, so the rule is broken only if both ways of counting say so."""
    lines, running = count_sentences(reply), count_sentences(reply.replace("\n", " "))
    verdicts = [within(n, params, unit="sentences", slack=0.15) for n in (lines, running)]
    return next((v for v in verdicts if v is not None and v.held), verdicts[-1])


def _paragraphs(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    found = sum(1 for p in _DIVIDER.split(reply) if p and p.strip(" \n*-=_#"))
    return within(found, params, unit="paragraphs")


def _characters(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    return within(len(reply), params, unit="characters", slack=0.03)


def _bullets(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    return within(len(_BULLET.findall(reply)), params, unit="bullet points")


def _numbered(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    return within(len(_NUMBERED.findall(reply)), params, unit="numbered items")


def _table(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    found = (
        len(_TABLE.findall(reply))
        or reply.lower().count("<table")
        or int(sum("\t" in s for s in reply.split("\n")) >= 2)
    )
    return within(found, params, unit="tables")


def _highlights(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    return within(len(_HIGHLIGHT.findall(reply)), params, unit="highlighted parts")


def _sections(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    word = re.escape(str(params.get("word", "section")))
    return within(
        len(re.findall(rf"\b{word}\s+(?:\d+|[IVX]+)\b", reply, re.IGNORECASE)),
        params,
        unit=f"parts named '{params.get('word', 'section')}'",
    )


def _segments(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    mark = str(params.get("separator", "")) or "***"
    first = re.escape(mark[0])
    parts = [p for p in re.split(rf"(?<!{first}){re.escape(mark)}(?!{first})", reply) if p.strip()]
    return within(len(parts), params, unit=f"parts separated by {mark}")


def _placeholders(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    return within(len(_PLACEHOLDER.findall(reply)), params, unit="placeholders in square brackets")


def _capital_words(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    found = sum(1 for w in re.findall(r"\b[^\W\d_][\w'’-]*", reply) if w.isupper())
    return within(found, params, unit="words in capital letters", slack=0.1)


def _frequency(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    word = str(params.get("word", "")).strip()
    if not word:
        return None
    found = len(re.findall(rf"(?<!\w){re.escape(word.casefold())}(?!\w)", reply.casefold()))
    verdict = within(found, params, unit=f"times the word '{word}'")
    # Whether "boats" counts as "boat" is a matter of opinion: broken only if both ways of counting say so.
    loose = within(reply.casefold().count(word.casefold()), params, unit=f"times the word '{word}'")
    return loose if loose is not None and loose.held else verdict


def _letter(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    letter = str(params.get("letter", "")).casefold()
    return (
        within(reply.casefold().count(letter), params, unit=f"times the letter '{letter}'")
        if letter
        else None
    )


CHECKERS: dict[str, Checker] = {
    "words": _words,
    "sentences": _sentences,
    "paragraphs": _paragraphs,
    "characters": _characters,
    "bullets": _bullets,
    "numbered": _numbered,
    "table": _table,
    "highlights": _highlights,
    "sections": _sections,
    "segments": _segments,
    "placeholders": _placeholders,
    "capital_words": _capital_words,
    "frequency": _frequency,
    "letter": _letter,
}
