"""Readers of rules on layout: lists, sections, titles, quotes, markdown, citations and the like."""

from __future__ import annotations

import re
from collections.abc import Iterator

from advisor.rulebook.directive import Directive, Reader, negated, quoted
from advisor.rulebook.numbers import COUNT, bounds, number
from router.contract.rules import Rule

_BULLETS = re.compile(
    rf"{COUNT}[\s-](?:[\w-]+\s)?(?:bullet(?:ed)?[- ]?(?:points?|list|items?)?s?\b|Stichpunkten?|Aufzählungspunkten?|puces|viñetas|punti elenco)",
    re.IGNORECASE,
)
_ANY_BULLETS = re.compile(
    r"\b(?:use|using|in|with|as)\b(?: (?:a|the|markdown|an?))* ?(?:bullet(?:ed)?[- ]?(?:points?|lists?)|bullets|Stichpunkte\w*)\b",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    r"\b(?:as|in|use|using|with|return|provide|give)\b(?: (?:an?|the))? ?(?:numbered|ordered) (?:list|steps)\b",
    re.IGNORECASE,
)
_TABLE = re.compile(
    r"\b(?:as|in|use|using|with|return|provide|give)\b(?: (?:an?|the))? ?(?:markdown )?table(?: format)?\b|\b(?:als|in einer) Tabelle\b",
    re.IGNORECASE,
)
_EACH = re.compile(r"\b(?:each|every|per)\b", re.IGNORECASE)


def _lists(directive: Directive) -> Iterator[Rule]:
    text = directive.text
    match = _BULLETS.search(text)
    found = bounds(match) if match is not None else None
    if (
        match is not None
        and found is not None
        and not _EACH.search(text, match.start(), match.end() + 15)
        and not _EACH.search(text, max(0, match.start() - 25), match.start())
    ):
        yield directive.rule("bullets", min=found.low, max=found.high)
    elif (plain := _ANY_BULLETS.search(text)) is not None:
        if negated(text, plain.start() + 4, reach=30):
            yield directive.rule("bullets", max=0)
        elif found is None and re.search(
            r"\b(?:response|answer|reply|must|always|explain|write|list)\b", text, re.IGNORECASE
        ):
            yield directive.rule("bullets", min=1)
    for kind, pattern in (("numbered", _NUMBERED), ("table", _TABLE)):
        hit = pattern.search(text)
        if hit is not None and not negated(text, hit.start() + 4, reach=30):
            yield directive.rule(kind, min=1)


_HIGHLIGHT = re.compile(
    rf"{COUNT}\s(?:[\w-]+\s)?(?:sections?|parts?|phrases?|words?|sentences?|titles?)", re.IGNORECASE
)
_SECTIONS = re.compile(rf"{COUNT}\s(?:[\w-]+\s)?sections\b", re.IGNORECASE)
_PARTED = re.compile(
    rf"{COUNT}\s(?:[\w-]+\s)?(?:sections?|paragraphs?|stanzas?|parts?|versions?|responses?|answers?)",
    re.IGNORECASE,
)
_SPLITTERS = ("******", "***", "---", "===", "###")
_ASTERISKS = re.compile(r"\b(\w+) (?:asterisks?|stars)\b(?: symbols?)?", re.IGNORECASE)
_SECTION_WORD = re.compile(r"[\"“'‘(]?\b(SECTION|Section|PART|Part|Day|DAY|Chapter|CHAPTER) (?:X|\d|1)\b")


def _highlights(directive: Directive) -> Iterator[Rule]:
    text = directive.text
    start = re.search(r"\bhighlight(?:ed)?\b", text, re.IGNORECASE)
    if (
        start is None
        or negated(text, start.start(), reach=20)
        or ("markdown" not in directive.low and "*" not in text)
    ):
        return
    match = _HIGHLIGHT.search(text, max(0, start.start() - 30))
    found = bounds(match) if match is not None else None
    low = found.low if found is not None else (1 if re.search(r"\bsome\b", text) else None)
    if low:
        yield directive.rule("highlights", min=low)


def _sections(directive: Directive) -> Iterator[Rule]:
    text, near = directive.text, directive.text + " " + directive.after[:160]
    if "highlight" in directive.low:
        return
    splitter = _splitter(near)
    if splitter is not None:
        match = _PARTED.search(text)
        found = bounds(match) if match is not None else None
        if found is not None:
            yield directive.rule("segments", separator=splitter, min=found.low, max=found.high)
        elif re.search(
            r"\bseparat\w+\b[^.\n]{0,40}\b(?:those|these|the|both) (?:two )?(?:versions?|parts?|perspectives?|responses?)",
            text,
            re.IGNORECASE,
        ):
            yield directive.rule("segments", separator=splitter, min=2)
        return
    word = _SECTION_WORD.search(near)
    match = _SECTIONS.search(text)
    found = bounds(match) if match is not None else None
    if word is not None and found is not None:
        yield directive.rule("sections", word=word[1].lower(), min=found.low)


def _splitter(text: str) -> str | None:
    if not re.search(r"\b(?:separat\w+|divide[rd]?|split|parted)\b", text, re.IGNORECASE):
        return None
    for mark in _SPLITTERS:
        if re.search(rf"(?<![{re.escape(mark[0])}]){re.escape(mark)}(?![{re.escape(mark[0])}])", text):
            return mark
    stars = _ASTERISKS.search(text)
    n = number(stars[1]) if stars is not None else None
    return "*" * n if n is not None and 3 <= n <= 10 else None


_PLACEHOLDER = re.compile(rf"{COUNT}\s(?:[\w-]+\s)?placeholders?\b", re.IGNORECASE)
_POSTSCRIPT = re.compile(r"\b(P\.P\.S\.?|P\.S\.?|PPS|PS)(?!\w)")
_WRAPPED = re.compile(
    r"\b(?:wrap|wrapped|put|enclose|enclosed|surround|place)\b[^.\n]{0,100}?\b(?:double )?(?:quotation marks?|quotes)\b|\bin double quot",
    re.IGNORECASE,
)
_WHOLE = re.compile(
    r"\b(?:entire|whole|your|full|complete)\b[^.\n]{0,25}?\b(?:response|answer|reply|output)\b", re.IGNORECASE
)


def _marks(directive: Directive) -> Iterator[Rule]:
    text, low = directive.text, directive.low
    if "title" in low and ("<<" in text or "double angular" in low or "double angle" in low):
        yield directive.rule("title", "required_element")
    match = _PLACEHOLDER.search(text)
    found = bounds(match) if match is not None else None
    if found is not None and ("[" in text or "bracket" in low):
        yield directive.rule("placeholders", "required_element", min=found.low)
    if "postscript" in low and (marker := _POSTSCRIPT.search(text)) is not None:
        yield directive.rule("postscript", "required_element", marker=marker[1].rstrip("."))
    wrapped = _WRAPPED.search(text)
    if wrapped is not None and _WHOLE.search(text) and not negated(text, wrapped.start(), reach=20):
        yield directive.rule("wrapped_in_quotes")


_REPEAT = re.compile(
    r"\brepeat the (?:request|question|prompt|sentence|query)\b[^.\n]{0,40}\b(?:word for word|exactly|verbatim|without change)",
    re.IGNORECASE,
)


def _repeat(directive: Directive) -> Iterator[Rule]:
    if directive.origin != "request" or _REPEAT.search(directive.text) is None:
        return
    head = directive.whole.partition(directive.text.strip()[:60])[0].strip()
    if len(head) >= 15:
        yield directive.rule("repeats", "required_element", text=head[:600])


_OPTIONS = re.compile(
    r"\b(?:contain|include|answer|respond|reply|choose|select|use)\b[^.\n\"“”]{0,40}\b(?:exactly )?one of (?:the following|these|the)\b[^.\n\"“”:]{0,30}?\b(?:exact )?(?:phrases?|options?|answers?|sentences?|responses?|choices?)\b",
    re.IGNORECASE,
)


def _options(directive: Directive) -> Iterator[Rule]:
    match = _OPTIONS.search(directive.text)
    if match is None or negated(directive.text, match.start(), reach=20):
        return
    tail = directive.text[match.end() :] + "\n" + directive.after[:600]
    found = tuple(dict.fromkeys(inner for _, _, inner in quoted(tail.split("\n\n")[0]) if len(inner) <= 120))
    if len(found) < 2:
        lines = [
            re.sub(r"^\s*(?:[-*•]|\d+[.)])\s*", "", s).strip()
            for s in tail.strip(" :\n").split("\n\n")[0].split("\n")
        ]
        found = tuple(s for s in lines if 0 < len(s) <= 80)
    if 2 <= len(found) <= 30:
        yield directive.rule(
            "one_of", "required_element", options=found, exact=True if "exact" in match[0].lower() else None
        )


_FENCE = re.compile(
    r"```|\bcode (?:fences?|blocks?)\b|\bbackticks?\b|\bmarkdown (?:ticks|fences?|code)", re.IGNORECASE
)
_PLAIN = re.compile(r"\bplain text\b|\bmarkdown\b", re.IGNORECASE)


def _markdown(directive: Directive) -> Iterator[Rule]:
    text = directive.text
    fence = _FENCE.search(text)
    if fence is not None:
        if negated(text, fence.start(), reach=60):
            yield directive.rule("no_fences")
        return
    plain = _PLAIN.search(text)
    if plain is None:
        return
    if plain[0].lower() == "plain text":
        if re.search(
            r"\b(?:in|as|only|use|using|return|respond|reply|answer)\b[^.\n]{0,25}$",
            text[: plain.start()],
            re.IGNORECASE,
        ):
            yield directive.rule("no_markdown")
    elif negated(text, plain.start(), reach=35):
        yield directive.rule("no_markdown")


_CITE = re.compile(
    r"\b(?:cite|citing|citations?|references?|source codes?|quellen?|zitiere\w*|citez|cita|cite as fontes|bronvermelding)\b",
    re.IGNORECASE,
)
_CITE_ASK = re.compile(
    r"\b(?:always|must|cite|add|include|give|append|put|provide|mark|use|every|each|with|in|zitiere\w*|nenne|gib|citez|cita|incluye)\b",
    re.IGNORECASE,
)
_BRACKET = re.compile(r"\[[^\[\]\n]{1,30}\]|【[^】\n]{1,30}】")


def _cite(directive: Directive) -> Iterator[Rule]:
    text = directive.text
    match = _CITE.search(text)
    if match is None or not _CITE_ASK.search(text) or negated(text, match.start(), reach=30):
        return
    sample = _BRACKET.search(text, max(0, match.start() - 80)) or (
        _BRACKET.match(directive.after.lstrip()) if text.rstrip().endswith(":") else None
    )
    if sample is not None and not text[sample.end() :].startswith("("):
        yield directive.rule("cites", "required_element", like=sample[0])
    elif "bracket" in directive.low:
        yield directive.rule("cites", "required_element", like="[1]")


_DISCLOSE = re.compile(
    r"\b(?:never|do not|don['’]t|must not)\b[^.\n]{0,40}\b(?:mention|reveal|say|state|admit|disclose)\b[^.\n]{0,25}\b(?:you are|you['’]re|being)\b[^.\n]{0,20}\b(?:ai|a\.i\.|bot|chatbot|language model|llm|machine)\b",
    re.IGNORECASE,
)
_ADDRESS = {
    ("de", "formal"): re.compile(r"\b(?:siez\w+|formal\w*[^.\n]{0,25}\bSie|(?:verwende|nutze|benutze|use|per|mit)\b[^.\n]{0,25}[\"“„'«]?\bSie\b[\"”“'»]?(?:-Form)?(?=$|[\s.,\"”“'»)-]))"),
    ("de", "informal"): re.compile(r"\b(?:duze\w*|(?:verwende|nutze|benutze|use|per|mit)\b[^.\n]{0,25}[\"“„'«]?\b[Dd]u\b[\"”“'»]?(?:-Form)?(?=$|[\s.,\"”“'»)-]))"),
    ("fr", "formal"): re.compile(r"\bvouvo(?:ie|yez|yer)\b", re.IGNORECASE),
    ("fr", "informal"): re.compile(r"\btuto(?:ie|yez|yer)\b", re.IGNORECASE),
}  # fmt: skip


def _manner(directive: Directive) -> Iterator[Rule]:
    if _DISCLOSE.search(directive.text):
        yield directive.rule("no_ai_mention", "persona")
    for (language, form), pattern in _ADDRESS.items():
        match = pattern.search(directive.text)
        if match is not None and not negated(directive.text, match.start(), reach=20):
            yield directive.rule("address", "tone", language=language, form=form)


READERS = (
    Reader(needs=("bullet", "stichpunkt", "aufzählung", "puces", "viñetas", "elenco", "numbered", "ordered", "table", "tabelle"), read=_lists),
    Reader(needs=("highlight",), read=_highlights),
    Reader(needs=("section", "***", "---", "===", "asterisk", "separat", "divide"), read=_sections),
    Reader(needs=("title", "placeholder", "postscript", "quot"), read=_marks),
    Reader(needs=("repeat the",), read=_repeat),
    Reader(needs=("one of",), read=_options),
    Reader(needs=("```", "fence", "code block", "backtick", "markdown", "plain text"), read=_markdown),
    Reader(needs=("cit", "reference", "source", "quelle", "zitier", "bron"), read=_cite),
    Reader(needs=("you are", "you're", "you’re", "being", "siez", "duze", "sie", "du", "vouvo", "tuto"), read=_manner),
)  # fmt: skip
