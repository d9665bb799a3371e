"""Readers of rules on wording: required and forbidden words, their frequency, how a reply starts and ends, case."""

from __future__ import annotations

import re
from collections.abc import Iterator

from advisor.rulebook.directive import Directive, Reader, first_quoted, negated, quoted
from advisor.rulebook.numbers import COUNT, bounds, number
from router.contract.rules import Rule

_REPLY = r"(?:response|answer|reply|replies|answers|responses|output|message|messages|text|letter|email|e-mail|story|poem|essay|limerick|song)"
_END = re.compile(
    r"\b(?:(?:end|ends|ending|ended|finish|finishes|conclude|concludes|close|sign off)\b[^.\n\"“”'`]{0,70}?\b(?:with|by (?:saying|writing|asking))\b|"
    r"(?:beende\w*|schlie(?:ß|ss)e\w*|ende)\b[^.\n\"“„']{0,60}?\bmit\b|(?:termine[zr]?|finis(?:sez)?|conclu\w+)\b[^.\n\"“«']{0,60}?\b(?:par|avec)\b|"
    r"(?:termin[ae]|finali[cz][ae]|acab[ae]|conclu\w+)\b[^.\n\"“«']{0,60}?\b(?:con|com)\b|(?:eindig|sluit|beëindig)\b[^.\n\"“']{0,60}?\bmet\b|"
    r"(?:end|ends)\b[^.\n\"“”'`]{0,50}?\b(?:read|be) exactly(?: like)?:?)",
    re.IGNORECASE,
)
_START = re.compile(
    r"\b(?:(?:start|starts|starting|begin|begins|beginning|open|opens|preface)\b[^.\n\"“”'`]{0,60}?\b(?:with|by (?:saying|writing))\b|"
    r"(?:beginne\w*|starte)\b[^.\n\"“„']{0,50}?\bmit\b|commence[zr]?\b[^.\n\"“«']{0,50}?\bpar\b|"
    r"(?:empieza|comienza|inicia|inizia|comece|comience)\b[^.\n\"“«']{0,50}?\b(?:con|com)\b|begin\b[^.\n\"“']{0,50}?\bmet\b)",
    re.IGNORECASE,
)
_PART = re.compile(
    r"\b(?:(?:each|every|jede\w*|chaque|cada|ogni|elke?)\b(?!\s+(?:single )?(?:repl|respon|answer|message|turn|antwort|nachricht|réponse|respuesta|risposta|resposta))|per|section|bullet|line|sentence|stanza|verse|json|title|item|word|block|step)\b",
    re.IGNORECASE,
)
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "last": -1}
_NTH = re.compile(rf"\b(?:the )?({'|'.join(_ORDINALS)}|\d+(?:st|nd|rd|th)) paragraph\b", re.IGNORECASE)
_WORD_AFTER = re.compile(r"\s*(?:the )?(?:word|phrase|words)?:?\s*([^\W\d_]+)", re.IGNORECASE)
_EXACT_PHRASE = re.compile(r"\bexact (?:phrase|words|sentence|text)\s*:\s*(\S[^\n]{2,200})$", re.IGNORECASE)
_COLON_PHRASE = re.compile(
    r"(?:[^\S\n]+exactly)?\s*:[^\S\n]*(?!(?:an?|the|your|one|eine?|une?|un[ao]?)\s)([^\W\d_a-z][^\n:]{5,160})\s*$"
)
_QUESTION_END = re.compile(
    r"\b(?:end|finish|conclude|close)\b[^.\n\"“]{0,50}\bwith an? (?:[\w-]+ ){0,2}question\b", re.IGNORECASE
)


def _ends(directive: Directive) -> Iterator[Rule]:
    text = directive.text
    match = _END.search(text)
    if match is None or negated(text, match.start(), reach=25):
        return
    if _PART.search(text, max(0, match.start() - 30), match.end()):
        return
    phrase = first_quoted(text, match.end())
    exact = _EXACT_PHRASE.search(text, match.start())
    if phrase is None and exact is not None:
        phrase = exact[1].strip()
    if phrase is None and match[0].rstrip(":").endswith(("exactly like", "exactly")):
        phrase = text[match.end() :].strip(" :\n")
    if phrase is None:
        phrase = _after_colon(directive, match.end())
    if phrase and not re.search(r"\bpostscript\b", text[match.end() : match.end() + 30]):
        yield directive.rule("ends_with", "required_element", text=phrase)
    elif phrase is None and _QUESTION_END.search(text):
        yield directive.rule("ends_with_question", "required_element")


def _after_colon(directive: Directive, end: int) -> str | None:
    """Unquoted words after "end with:", if they are a sentence alone on their line and not a description."""
    plain = _COLON_PHRASE.match(directive.text, end)
    if plain is None or directive.after.partition("\n")[0].strip():
        return None
    return plain[1].strip()


def _starts(directive: Directive) -> Iterator[Rule]:
    text = directive.text
    match = _START.search(text)
    if match is None:
        return
    phrase = first_quoted(text, match.end())
    nth = _NTH.search(text, max(0, match.start() - 40), match.end())
    if nth is not None:
        word = phrase
        if word is None and (plain := _WORD_AFTER.match(text, match.end())):
            word = plain[1]
        index = _ORDINALS.get(nth[1].lower()) or number(re.sub(r"\D", "", nth[1]) or "0")
        if word and index:
            yield directive.rule("paragraph_starts", "required_element", index=index, text=word)
        return
    if phrase is None or _PART.search(text, max(0, match.start() - 40), match.end()):
        return
    kind = "not_starts_with" if negated(text, match.start(), reach=25) else "starts_with"
    yield directive.rule(kind, "required_element" if kind == "starts_with" else "format", text=phrase)


_ITEM_NOUN = r"(?:key ?words?|words?|phrases?|terms?|expressions?|name)"
_INCLUDE = re.compile(
    rf"\b(?:includ(?:e|es|ing)|contain(?:s|ing)?|use|using|mention(?:s|ing)?|say(?:ing)?|write|have)\b(?: of)?\s+(?:any of )?(?:all )?(?:the )?(?:following |exact |specific )*{_ITEM_NOUN}\b",
    re.IGNORECASE,
)
_PASSIVE = re.compile(
    rf"\b(?:the )?{_ITEM_NOUN}\s+(?P<item>[\"“”'‘`]?[\w'’-]+[\"”'’`]?)\s+(?:should|must|may|can(?:not)?|shall|is|are|appears?|occurs?)(?P<not>n['’]t| not| never)?(?: to)?(?: be)?\s?"
    r"(?:appear|occur|used|included|mentioned|present|show up|allowed)?",
    re.IGNORECASE,
)
_STOP = re.compile(
    r"\s(?:in (?:the|your|any|its)|at (?:least|most)|each|throughout|for the|anywhere|more than|less than|exactly|only|or similar|when|as|to|\()(?!\w)|[.;\n]|\)$",
    re.IGNORECASE,
)
_SAY = re.compile(
    r"\b(?:say|write|use|mention|begin|reply|answer|respond|include)\b(?: (?:the )?(?:phrases?|words?|expressions?|sentences?))?\W{0,2}(?:like )?$",
    re.IGNORECASE,
)
_TIMES = re.compile(rf"{COUNT}\s*(?:times|mal\b|fois|veces|volte|vezes|keer)", re.IGNORECASE)
_ONCE = re.compile(
    r"(?:(?P<rel>at least|at most|only|exactly|no more than|more than)\s)?(?P<n>once|twice|thrice)\b",
    re.IGNORECASE,
)


def _items(directive: Directive, start: int) -> tuple[str, ...]:
    """The words listed from `start` on: quoted, or plain and parted by commas."""
    text = directive.text
    spans = quoted(text, start)
    if spans and spans[0][0] - start <= 6:
        return tuple(inner for _, _, inner in spans if inner)[:40]
    rest = text[start : start + 300].lstrip(" :\t[(")
    stop = _STOP.search(rest)
    rest = rest[: stop.start()] if stop else rest
    parts = [p.strip(" .\"'“”[]()*") for p in re.split(r",|\band\b|\bor\b|\n", rest)]
    return tuple(p for p in parts if p and len(p.split()) <= 3)[:40]


def _words(directive: Directive) -> Iterator[Rule]:
    text = directive.text
    match = _INCLUDE.search(text)
    if match is None or "capital" in text[match.start() : match.end() + 20].lower():
        return
    items = _items(directive, match.end())
    if not items:
        return
    if negated(text, match.start(), reach=20):
        yield directive.rule("forbidden", "format", words=items)
        return
    if not _plain_list_is_sure(match, directive):
        return
    times = _frequency(text, match.end())
    if times is not None:
        yield from (
            directive.rule("frequency", "required_element", word=w, min=times[0], max=times[1]) for w in items
        )
    else:
        yield directive.rule("required", "required_element", words=items)


def _plain_list_is_sure(match: re.Match[str], directive: Directive) -> bool:
    """Plain words after a singular noun or a verb like "use" are too often prose."""
    spans = quoted(directive.text, match.end())
    near = bool(spans) and spans[0][0] - match.end() <= 6
    keyword = re.search(r"key ?words?$", match[0], re.IGNORECASE) is not None
    strong = re.match(r"(?:includ|contain|mention)", match[0], re.IGNORECASE) is not None
    either = re.search(
        r"\b(?:one|any|either|some) of\b",
        match[0] + directive.text[match.end() : match.end() + 12],
        re.IGNORECASE,
    )
    return (near or keyword or (strong and match[0].lower().endswith(("word", "name")))) and either is None


def _passive(directive: Directive) -> Iterator[Rule]:
    match = _PASSIVE.search(directive.text)
    if match is None:
        return
    word = match["item"].strip("\"“”'‘’`")
    times = _frequency(directive.text, match.end())
    if times is not None:
        yield directive.rule("frequency", "required_element", word=word, min=times[0], max=times[1])
    elif (match["not"] or "cannot" in match[0].lower()) and match["item"] != word:
        yield directive.rule("forbidden", "format", words=(word,))


def _frequency(text: str, start: int) -> tuple[int | None, int | None] | None:
    once = _ONCE.search(text, start)
    if once is not None:
        n, rel = number(once["n"]) or 1, (once["rel"] or "").lower()
        least = None if rel in {"at most", "no more than"} else n + (rel == "more than")
        return least, (n if rel in {"only", "exactly", "at most", "no more than"} else None)
    match = _TIMES.search(text, start)
    found = bounds(match) if match is not None else None
    if found is None:
        return None
    return (found.low, None if found.bare else found.high)


_LETTER = re.compile(r"\bletter\s+[\"“”'‘`]?(?P<letter>[^\W\d_])[\"”'’`]?(?!\w)", re.IGNORECASE)


def _letters(directive: Directive) -> Iterator[Rule]:
    match = _LETTER.search(directive.text)
    times = _frequency(directive.text, match.end()) if match is not None else None
    if match is not None and times is not None:
        yield directive.rule(
            "letter", "required_element", letter=match["letter"].lower(), min=times[0], max=times[1]
        )


def _never_say(directive: Directive) -> Iterator[Rule]:
    """Never say "..." with the words in quotes."""
    text = directive.text
    found = tuple(
        inner
        for start, _, inner in quoted(text)
        if _SAY.search(text, max(0, start - 40), start) and negated(text, start, reach=50) and inner
    )
    if found and not _INCLUDE.search(text) and not _START.search(text) and not _END.search(text):
        yield directive.rule("forbidden", "format", words=found)


_CAPS = r"(?:all[- ])?(?:capital letters|capitals|caps|upper[- ]?case(?: letters)?)|Großbuchstaben|majuscules|mayúsculas|maiuscole|maiuscolo|hoofdletters"
_ALL_CAPS = re.compile(
    rf"\b(?:in|use|using|only|with|be|are)\b(?: (?:only|english|and|all|in|with|the))*,? ?(?:{_CAPS})\b|\bcapitalize every letter\b",
    re.IGNORECASE,
)
_LOWER = re.compile(
    r"\b(?:all|only|in|be|lower)?[ -]?(?:lower[- ]?case)\b|\bno (?:capital|uppercase) letters\b|\bKleinbuchstaben\b|\bminuscules\b|\bminúsculas\b|\bminuscolo\b|\bkleine letters\b",
    re.IGNORECASE,
)
_CASE_PART = re.compile(
    r"\b(?:words?|keys?|names?|headings?|headers?|title|titles|labels?|fields?|file|first letter|code|hex|acronyms?|some|wörter|mots|variables?|categor\w+|wherever)\b",
    re.IGNORECASE,
)
_CASED_WORDS = re.compile(
    r"\b(?:words?|phrases?)\b[^.\n]{0,20}?\b(?:all[ -])?(?:capital|caps|upper ?case|capitalized)|\ball[- ]caps words|\bcapitali[sz]ed words",
    re.IGNORECASE,
)
_ANY_COUNT = re.compile(COUNT + r"(?!\s*(?:years|sentences|paragraphs|bullet))", re.IGNORECASE)


def _case(directive: Directive) -> Iterator[Rule]:
    text = directive.text
    words = _CASED_WORDS.search(text)
    if words is not None:
        yield from _capital_words(directive, words)
        return
    caps, lower = _ALL_CAPS.search(text), _LOWER.search(text)
    if lower is not None and not _CASE_PART.search(text):
        yield directive.rule("lowercase")
    elif caps is not None and not _CASE_PART.search(text) and not negated(text, caps.start(), reach=15):
        yield directive.rule("uppercase")


def _capital_words(directive: Directive, words: re.Match[str]) -> Iterator[Rule]:
    text = directive.text
    start = max(0, words.start() - 30)
    for match in _ANY_COUNT.finditer(text, start):
        found = bounds(match)
        if (
            found is not None
            and (found.high or found.low or 0) > 0
            and not text[match.end() :].startswith((".", ")"))
        ):
            yield directive.rule("capital_words", min=found.low, max=None if found.bare else found.high)
            return


_MARKS = {
    "no_commas": re.compile(r"\bcommas?\b(?![- ](?:separated|delimited))|\bKommas?\b|\bvirgules?\b|\bcomas\b|\bvirgole\b|\bvírgulas\b|\bkomma['’]s\b", re.IGNORECASE),
    "no_exclamations": re.compile(r"\bexclamation (?:marks?|points?)\b|\bAusrufezeichen\b|\bpoints? d['’]exclamation\b", re.IGNORECASE),
    "no_emoji": re.compile(r"\bemojis?\b|\bemoticons?\b", re.IGNORECASE),
}  # fmt: skip
_FORBIDDEN_AFTER = re.compile(
    r"\s(?:are|is) (?:not allowed|forbidden|prohibited|banned)|\s(?:should|must) not", re.IGNORECASE
)


def _marks(directive: Directive) -> Iterator[Rule]:
    for kind, pattern in _MARKS.items():
        match = pattern.search(directive.text)
        if match is None:
            continue
        if negated(directive.text, match.start(), reach=40) or _FORBIDDEN_AFTER.match(
            directive.text, match.end()
        ):
            yield directive.rule(kind, "format" if kind == "no_commas" else "tone")


READERS = (
    Reader(needs=("end", "finish", "conclu", "close", "sign off", "schlie", "termin", "finis", "final", "acab", "sluit"), read=_ends),
    Reader(needs=("start", "begin", "open", "preface", "commence", "empieza", "comienza", "inici", "inizia", "comece", "comience"), read=_starts),
    Reader(needs=("word", "phrase", "term", "expression", "name"), read=_words),
    Reader(needs=("word", "phrase", "name"), read=_passive),
    Reader(needs=("letter ",), read=_letters),
    Reader(needs=("never", "not ", "n't", "n’t", "avoid"), read=_never_say),
    Reader(needs=("capital", "caps", "upper", "lower", "buchstaben", "uscul", "úscul", "letters"), read=_case),
    Reader(needs=("comma", "komma", "virg", "comas", "vírg", "exclam", "emoji", "emoticon", "ausruf"), read=_marks),
)  # fmt: skip
