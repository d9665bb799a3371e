"""Readers of length rules: words, sentences, paragraphs and characters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from advisor.rulebook.directive import Directive, Reader
from advisor.rulebook.numbers import COUNT, Bounds, bounds
from router.contract.rules import Rule

_UNITS = {
    "words": r"words?|wörtern?|worten?|mots|palabras|parole|palavras|woorden",
    "sentences": r"sentences?|sätzen?|satz|oraciones|frases?|phrases (?=maximum|au plus|au maximum)|frasi|zinnen|zin",
    "paragraphs": r"paragraphs?|absätzen?|paragraphes|párrafos|paragrafi|parágrafos|alinea['’]s",
    "characters": r"characters?|zeichen|caractères|caracteres|caratteri|tekens",
}
_PATTERNS = {
    kind: re.compile(
        rf"{COUNT}[\s-]{{1,2}}(?:(?:short|full|complete|concise|brief|long|simple|kurze[nr]?)\s)?(?:{unit})\b",
        re.IGNORECASE,
    )
    for kind, unit in _UNITS.items()
}
_UNIT_WORDS = {kind: re.compile(rf"(?:{unit})\b", re.IGNORECASE) for kind, unit in _UNITS.items()}
_REACH = 60  # characters a count may stand before the end of its unit
# A count of a part of the reply, or of something the reply is about, is no rule on the whole reply.
_PART = re.compile(
    r"\b(?:(?:each|every|jede[rnms]?|chaque|cada|ogni|elke?)\b(?!\s+(?:single )?(?:repl|respon|answer|message|turn|antwort|nachricht|réponse|respuesta|risposta|resposta))|per|title|headline|subject|caption|slogan|tagline|hashtags?|field|keys?|column|names?|first|second|third|last|"
    r"opening|closing|intro(?:duction)?|conclusion|pro|par|por|chunk|question|input)\b",
    re.IGNORECASE,
)
_GIVEN = re.compile(
    r"\b(?:the|these|those|following|above|below|my|its|their|last|first|of|that|by|after|die|les|las|los|le)\s*$",
    re.IGNORECASE,
)
_CASED = re.compile(
    r"^\s?(?:or phrases?\s)?(?:that are\s)?(?:in|with|of|are)?\s?(?:all|capital|upper|ALL)", re.IGNORECASE
)
_OF_SOURCE = re.compile(
    r"\b(?:article|essay|document|text|transcript|report|book|story|list) (?:of|with|that (?:has|contains))\s*$",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"\b(?:use|using|keep|limit|contains?|includes?|have|has|be|should|must|write|answer|respond|reply|response|give|make|sure|"
    r"summar\w+|create|compose|generate|explain|describe|draft|produce|provide|output|long|in|within|with|exceed|elaborate|tell|"
    r"antworte\w*|schreib\w*|halte|verwende|fasse|réponds|répondez|écris|écrivez|résume\w*|responde|escrib\w+|resum\w+|"
    r"rispondi|scrivi|riassumi|responda|escreva|antwoord|schrijf|vat)\b",
    re.IGNORECASE,
)
_LIMIT_FIRST = re.compile(
    r"\W*(?:max|máx|mín|min|höchstens|maximal|au plus|al massimo|no more than|at most|at least)",
    re.IGNORECASE,
)
_APPROXIMATE = (0.7, 1.4)


def _lengths(directive: Directive) -> Iterator[Rule]:
    if not (_ASKED.search(directive.text) or _LIMIT_FIRST.match(directive.text)):
        return
    for kind, pattern in _PATTERNS.items():
        if kind == "sentences" and "frase" in directive.low and "phrase" in directive.low:
            continue
        for unit in _UNIT_WORDS[kind].finditer(directive.text):
            match = pattern.search(directive.text, max(0, unit.start() - _REACH), unit.end())
            found = bounds(match) if match is not None else None
            if match is not None and found is not None and _is_whole(directive, match, found):
                yield _length_rule(directive, kind, found)
                break


def _is_whole(directive: Directive, match: re.Match[str], found: Bounds) -> bool:
    text = directive.text
    before, after = text[max(0, match.start() - 45) : match.start()], text[match.end() : match.end() + 40]
    if (
        _CASED.match(after)
        or _PART.search(before)
        or re.match(r"\W{0,2}(?:each(?! separated)|per|every|limit per)\b", after)
    ):
        return False
    if re.match(r"\s+(?:before|after|from|ago|earlier|above|below|you|(?:that|which) (?:you|i))\b", after):
        return False
    return not (found.bare and (_GIVEN.search(before) or _OF_SOURCE.search(before)))


def _length_rule(directive: Directive, kind: str, found: Bounds) -> Rule:
    low, high = found.low, found.high
    loose = found.about or (found.bare and kind in {"words", "characters"})
    if loose and low is not None and high is not None:
        low, high = round(low * _APPROXIMATE[0]), round(high * _APPROXIMATE[1])
    cause = "length"
    return directive.rule(kind, cause, min=low, max=high, about=True if loose else None)


READERS = (
    Reader(
        needs=(
            "word", "sentence", "paragraph", "character", "wört", "wort", "sätze", "satz", "absätze", "zeichen", "mots", "paragraphe",
            "caract", "palabra", "oracion", "frase", "phrases", "párrafo", "parole", "frasi", "palavra", "parágrafo", "woorden", "zinnen", "tekens",
        ),
        read=_lengths,
    ),
)  # fmt: skip
