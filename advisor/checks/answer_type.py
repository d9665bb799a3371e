"""What a question asks: the kind of thing (a date, a number, a person, a place), and what of the things it names."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set

from rag.lexical import terms

_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a number", re.compile(r"\bhow (?:many|much|long|far|often|tall|big|large|high|fast|old)\b|\b(?:what|which) (?:percentage|number|amount|price|fee|rate)\b|\bwie (?:viele?|lange|oft|teuer|weit|hoch|groß|alt)\b|\bcombien\b|\bcuánt[oa]s?\b|\bquant[oiae]s?\b|\bhoe(?:veel| lang| vaak)\b|сколько|多少|几|いくつ|いくら|몇", re.IGNORECASE)),
    ("a date", re.compile(r"\b(?:since )?when\b|\b(?:what|which) (?:year|date|day|month|time)\b|\b(?:seit )?wann\b|\bquand\b|\bcuándo\b|\bquando\b|\bwanneer\b|когда|什么时候|何时|いつ|언제", re.IGNORECASE)),
    ("a name", re.compile(r"\bwho(?:se|m)?\b|\bwhere\b|\b(?:what|which) (?:city|country|place|state|person)\b|\bw(?:er|em|en|o)\b(?=[^.]{3,80}\?)|\bqui\b(?=[^.]{3,80}\?)|\bquiénes?\b|\bdónde\b|\bwie is\b", re.IGNORECASE)),
)  # fmt: skip
_DATE = re.compile(
    r"\b(?:1[5-9]|20)\d\d\b|\b\d{1,2}[./:-]\d{1,2}\b|\b(?:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zé]*\b"
    r"|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b(?:days?|weeks?|months?|hours?|years?|minutes?|today|tomorrow|daily|tage?|wochen?|stunden?|jahre?n?|jours?|semaines?|días?|semanas?)\b|[年月日]",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\d+(?:[.,]\d+)*|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand|million|free|once|twice)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<=[^\W\d_A-Z][ ,;(]|[,;(] )[A-ZÀ-ÖØ-ÞА-Я][\w’'-]+")
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s*(?=\S)|\n+")
_BEST = 4
# A word written with a capital or a digit that does not open a sentence names something.
_NAMED = re.compile(r"(?<!^)(?<![.?!:] )(?<![.?!:]\n)\b[A-ZÀ-ÖØ-ÞА-Я0-9][\w’'-]*")
# German writes every noun with a capital.
_NOUNS_CAPITAL = re.compile(
    r"\b(?:der|die|das|den|dem|des|ein|eine|einen|und|oder|ist|sind|ich|wir|wie|was|wer|wo|kann|für|mit|nach|nicht)\b"
)


def focus(question: str, asked: Set[str]) -> frozenset[str]:
    """Return the terms of what is asked of the things a question names; all its terms if it names nothing.

    Of "Who is the captain of KalPa?" that is the captain: a page that only knows KalPa does not answer.

    Args:
        asked: Terms of the question, of which the focus is a part.
    """
    if _NOUNS_CAPITAL.search(question):
        return frozenset(asked)
    named = set(terms(" ".join(_NAMED.findall(question))))
    return frozenset(asked - named) or frozenset(asked)


def lacks_answer(question: str, texts: Sequence[str], asked: Set[str]) -> tuple[float, str] | None:
    """Say whether the sentences nearest to a question hold the kind of thing it asks for.

    Returns:
        (1 if none does, -0.4 if one does; the kind in words), or None for a question that asks for no such thing.
    """
    kind = next((name for name, pattern in _KINDS if pattern.search(question)), None)
    if kind is None or not texts:
        return None
    sentences = [s for text in texts for s in _SENTENCE.split(text[:6000]) if s]
    nearest = sorted(sentences, key=lambda s: -len(asked & set(terms(s))))[:_BEST]
    return (-0.4 if _holds(kind, " \n".join(nearest), question) else 1.0), kind


def _holds(kind: str, text: str, question: str) -> bool:
    if kind == "a date":
        return _DATE.search(text) is not None
    if kind == "a number":
        known = set(_NUMBER.findall(question))
        return any(n not in known for n in _NUMBER.findall(text))
    if not re.search(r"[A-Za-zÀ-ÿА-я]", text):
        return True
    known = {w.lower() for w in re.findall(r"[\w’'-]+", question)}
    return any(n.lower() not in known for n in _NAME.findall(text))
