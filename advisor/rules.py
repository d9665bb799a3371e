"""Rules read off prompts: what the system prompt and the person asked that can be verified on the reply.

A rule wrongly read is a false failure, so examples, quoted material and documents in the prompt are blanked first,
and rules that hold only under a condition are left out. The wording of rules lives in `advisor.rulebook`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain

from advisor.exchange import Exchange
from advisor.rulebook import choices, languages, layout, lengths, shapes, wording
from advisor.rulebook.directive import Directive, quoted
from router.contract.rules import Origin, Rule

_READERS = tuple(
    chain(
        shapes.READERS, choices.READERS, languages.READERS, lengths.READERS, wording.READERS, layout.READERS
    )
)
_HEAD, _TAIL = 12_000, 4_000
_STANDING = re.compile(
    r"\b(?:from now on|always|every (?:time|answer|reply|response)|all (?:your |future |further )*(?:answers|replies|responses)|for the rest of|"
    r"in (?:the )?future|ab jetzt|immer|künftig|désormais|toujours|a partir de ahora|siempre|d'ora in poi|sempre|vanaf nu|altijd)\b|今后|以后|これから|앞으로",
    re.IGNORECASE,
)


def read_rules(exchange: Exchange) -> tuple[Rule, ...]:
    """Return the rules read off the system prompt, the request, and standing instructions of earlier requests."""
    users = [m.content for m in exchange.conversation if m.role == "user"]
    found = [
        *_rules_of(_capped(exchange.system), "system"),
        *(rule for text in users[:-1][-20:] if _STANDING.search(text[:_TAIL]) for rule in _standing(text)),
        *(_rules_of(_capped(users[-1]), "request") if users else ()),
    ]
    unique = {f"{rule.id}/{rule.cause}": rule for rule in found}
    return tuple(_without_overruled(list(unique.values())))


def rules_of_prompt(prompt: str) -> tuple[Rule, ...]:
    """Return the rules read off a system prompt."""
    unique = {f"{rule.id}/{rule.cause}": rule for rule in _rules_of(_capped(prompt), "system")}
    return tuple(_without_overruled(list(unique.values())))


def _standing(text: str) -> Iterator[Rule]:
    return (rule for rule in _rules_of(_capped(text), "request") if _STANDING.search(rule.quote))


def _without_overruled(rules: list[Rule]) -> Iterator[Rule]:
    """The person's later word on language overrules the prompt's only among requests; one language rule remains per origin."""
    last: dict[tuple[str, str], Rule] = {}
    for rule in rules:
        last[(rule.origin, rule.cause if rule.kind in {"language", "same_language", "json"} else rule.id)] = (
            rule
        )
    yield from last.values()


def _capped(text: str) -> str:
    return text if len(text) <= _HEAD + _TAIL else text[:_HEAD] + "\n\n" + text[-_TAIL:]


@lru_cache(maxsize=512)
def _rules_of(prompt: str, origin: Origin) -> tuple[Rule, ...]:
    low = prompt.lower()
    wanted = [reader for reader in _READERS if reader.wants(low)]
    if not wanted:
        return ()
    return tuple(
        rule
        for directive in directives(prompt, origin)
        for reader in wanted
        if reader.wants(directive.low)
        for rule in reader.read(directive)
    )


_TAGS = "context|contexts|documents?|docs?|examples?|passages?|article|source|sources|search_results|transcript|conversation|history|text|email|data|input|knowledge"
_MATERIAL = re.compile(
    rf"<(?P<tag>{_TAGS})\b[^>\n]{{0,100}}>.*?</(?P=tag)>|\"\"\".*?\"\"\"|\"[^\"\n]{{120,}}\"|“[^”]{{120,}}”",
    re.IGNORECASE | re.DOTALL,
)
_FENCED = re.compile(r"```[a-z]*\n.*?(?:```|\Z)", re.IGNORECASE | re.DOTALL)
_SAMPLE_LINE = re.compile(
    r"(?im)^[ \t>*#-]*(?:examples?|for example|e\.g\.|sample|beispiele?|exemples?|ejemplos?|esempi[o]?|input|user|assistant|customer|q|a|question|context|passage|documents?|article|text|email|"
    r"transcript|history|conversation|chat history|search results|retrieved [a-z]+|references?|knowledge base|kontext|contexte|contexto)\s*\d*\**\s*:[ \t]*(?P<rest>[^\n]*)(?P<more>(?:\n(?!\s*\n)[^\n]*)*)"
)
_GIVEN = re.compile(
    r"\b(?:following|below|this|given|these|startup pitch|provided)\b[^:\n.?]{0,50}?\b(?:passage|text|article|e-?mail|paragraphs?|documents?|story|sentences?|code|conversation|reviews?|transcript|messages?|poem|pitch|dialogue|"
    r"notes?|letter|abstract|report|content|tweet|post|riddle|statement)\b[^:\n.?\"“]{0,60}:\s*(?=[^\s\"“])(?P<body>.*?)(?=\n\s*\n(?=\S[^\n]{0,300}(?:\n|\Z))|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_LIST_INTRO = re.compile(
    r"\b(?:rules?|instructions?|guidelines?|requirements?|constraints?|conditions?|criteria|format|template|steps?|points?|phrases?|options?|keywords?|words|labels?|categor\w+|json|schema|style)\b",
    re.IGNORECASE,
)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _without_body(match: re.Match[str]) -> str:
    head = match[0][: match.start("body") - match.start()]
    return match[0] if _LIST_INTRO.search(head) else head + re.sub(r"[^\n]", " ", match["body"])


def _masked(prompt: str, origin: Origin) -> str:
    """The prompt with everything blanked that it only shows: documents, examples, quoted passages."""
    text = _MATERIAL.sub(_blank, prompt) if '"' in prompt or "<" in prompt or "“" in prompt else prompt
    if "```" in text:
        text = _FENCED.sub(_blank, text)
    if ":" in text:
        text = _SAMPLE_LINE.sub(
            lambda m: m[0] if not m["rest"] and not m["more"].strip() else _blank(m), text
        )
        if origin == "request":
            text = _GIVEN.sub(_without_body, text)
    return text


_CONDITION = re.compile(
    r"^\W*(?:\d{1,2}[.)]\s*)?(?:if|when|whenever|unless|in case|in the event|should (?:the|a|an|any|they|you)|once|wenn|falls|sobald|si|cuando|quando|se|als|indien|wanneer|lorsque|quand|если|когда|如果|若|当)(?!\w)"
    r"|\b(?:if|unless|whenever|in case|only when|when (?:the|a|an|asked|there|someone|they|discussing|relevant|appropriate|listing)|where (?:possible|appropriate|relevant|applicable)|falls|wenn)\b",
    re.IGNORECASE,
)
_NO_CONDITION = re.compile(
    r"\b(?:if possible|if you can|as if|when (?:you )?(?:answer|reply|respond|writ)(?:e|ing)?)\b|^\W*si[ ,](?:prega|vous plaît)",
    re.IGNORECASE,
)
_ABOUT_ONESELF = re.compile(
    r"\W*(?:i|my|we|our|ich|mein\w*|je|mon|yo|mi)\b(?! (?:want|need|would like|['’]d like|möchte|will|brauche|voudrais|quiero|necesito)|['’](?:d|ll))",
    re.IGNORECASE,
)
_ASKS = re.compile(r"\W*(?:what|why|how|who|whose|where|which|is|are|does|did|was|were)\b", re.IGNORECASE)
_POLITE = re.compile(
    r"\b(?:can|could|would|will) you\b|\bplease\b|\bbitte\b|\bkannst\b|\bkönn\w*|\bpeu[xt]\b|\bpouvez\b|\bpuedes?\b|\bpodr\w+|\bpuoi\b|\bpode\b|\bkun je\b",
    re.IGNORECASE,
)
_SHOWS = re.compile(r"\b(?:with|mit|par|avec|con|com|met)(?: exactly)?\s*:\s+\S", re.IGNORECASE)
_BOUNDARY = re.compile(r"(?<=[.!?。！？])[\"”'’)]?\s+(?=\S)|(?<=[。！？])|\n+")
_ABBREVIATED = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|max|min|no|ca|z\.B|bzw|U\.S|P\.S|P\.P)\.|^\s*\d{1,2}\.)$", re.IGNORECASE
)


def directives(prompt: str, origin: Origin) -> Iterator[Directive]:
    """Return the sentences of a prompt that may state an unconditional rule."""
    masked = _masked(prompt, origin)
    for start, end in _sentences(masked):
        text = masked[start:end]
        if len(text) < 6 or (_CONDITION.search(text) and not _NO_CONDITION.search(text)):
            continue
        asks = text.rstrip().endswith("?") and not _SHOWS.search(text)
        if (asks or _ASKS.match(text)) and not _POLITE.search(text):
            continue
        if origin == "request" and _ABOUT_ONESELF.match(text):
            continue
        yield Directive(
            text=text, low=text.lower(), after=prompt[end : end + 3000], whole=prompt, origin=origin
        )


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """Spans of sentences; a boundary inside a short quotation is none."""
    spans = quoted(text)
    closed, start = 0, 0
    for match in _BOUNDARY.finditer(text):
        while closed < len(spans) and spans[closed][1] <= match.start():
            closed += 1
        if closed < len(spans) and spans[closed][0] < match.start() and match.end() < spans[closed][1]:
            continue
        if "\n" not in match[0] and _ABBREVIATED.search(text[max(start, match.start() - 8) : match.start()]):
            continue
        if text[start : match.start()].strip():
            yield start, match.start() + len(match[0].rstrip())
        start = match.end()
    if text[start:].strip():
        yield start, len(text)


_SAY = r"(?:say|reply|respond|answer|return|output|write|state|print|use|sage?|antworte\w*|schreibe?|dis|dites|répond\w*|di|responde?|contesta|diga|rispondi|responda|antwoord|zeg)"
_LACK = (
    r"(?:can['’]?t|cannot|could not|couldn['’]t|do(?:es)? not|do(?:es)?n['’]t|is not|isn['’]t|are not|not|no|unable|insufficient|unanswerable|lacks?|outside|"
    r"keine?|nicht|pas|aucune?|ne|no|non|não|niet|geen)"
)
_ABSTAIN = (
    re.compile(rf"\b(?:if|when|in case|unless|otherwise|wenn|falls|si|se|als|indien)\b[^\n\"“«]{{0,250}}?\b{_LACK}\b[^\n\"“«]{{0,200}}?\b{_SAY}\b[^\n\"“«„'`]{{0,60}}", re.IGNORECASE),
    re.compile(rf"\b{_SAY}\b[^\n\"“«„'`]{{0,30}}(?=[\"“«„'`][^\n]{{2,200}}[\"”»'`]\W{{0,3}}(?:if|when|wenn|falls|si|se|als)\b[^\n.]{{0,150}}\b{_LACK}\b)", re.IGNORECASE),
)  # fmt: skip


def abstention_phrase(exchange: Exchange) -> str | None:
    """Return the words the prompt wants when no answer can be found, None if it asks for none."""
    for text in (exchange.system, exchange.question):
        found = _abstention(_capped(text)) if text else None
        if found is not None:
            return found
    return None


@lru_cache(maxsize=256)
def _abstention(prompt: str) -> str | None:
    for pattern in _ABSTAIN:
        for match in pattern.finditer(prompt):
            spans = quoted(prompt, match.end(), min(len(prompt), match.end() + 320))
            if spans and spans[0][0] - match.end() <= 3 and len(spans[0][2]) >= 3:
                return spans[0][2]
    return None
