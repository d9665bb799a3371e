"""Retrieving: whether a request needs passages, what to search for, and whether what was found holds the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rag.grounding.cover import Weigh, best_window, plain
from rag.hits import Hit
from rag.lexical import terms
from router.replies import words_of

_LEAST_TERMS = 4
_BEFORE = 400
_CHAT = re.compile(
    r"""\A\W*(?:
      hi|hello|hey|hiya|howdy|yo|good\ (?:morning|afternoon|evening|day|night)|greetings|thanks?(?:\ you)?(?:\ (?:so|very)\ much|\ a\ lot)?|thank\ you|thx|ty|cheers|much\ appreciated
    | (?:ok(?:ay)?|great|perfect|nice|cool|super|wonderful|got\ it|i\ see|understood|never\ ?mind|that(?:['’]s|\ is)\ (?:all|great|fine|perfect|it))
    | bye|goodbye|see\ you(?:\ later)?|take\ care|have\ a\ (?:nice|good|great)\ (?:day|one|evening|weekend)|how\ are\ you(?:\ (?:doing|today))?|how(?:['’]s|\ is)\ it\ going|what(?:['’]s|\ is)\ up
    | who\ are\ you|what\ can\ you\ do|are\ you\ (?:a\ )?(?:bot|robot|human|real|there)|(?:can|could)\ you\ help(?:\ me)?|yes|no|yep|nope|sure|please
    | hallo|guten\ (?:tag|morgen|abend)|servus|moin|danke(?:\ (?:schön|dir|ihnen|sehr))?|vielen\ dank|tschüss|auf\ wiedersehen|ja|nein
    | bonjour|bonsoir|salut|merci(?:\ beaucoup)?|au\ revoir|oui|non|hola|buen(?:os|as)\ (?:días|dias|tardes|noches)|(?:muchas\ )?gracias|adiós|adios|sí|ciao|buongiorno|buonasera|grazie(?:\ mille)?|arrivederci
    | olá|oi|bom\ dia|boa\ (?:tarde|noite)|obrigad[oa]|tchau|sim|não|goedemorgen|goedemiddag|goedenavond|dank\ (?:je|u)(?:\ wel)?|bedankt|doei|hej|tack(?:\ så\ mycket)?|takk|tak|moi|kiitos|cześć|dzień\ dobry|dziękuję|ahoj|děkuji
    | привет|здравствуйте|добрый\ (?:день|вечер)|спасибо|пока|merhaba|teşekkür(?:ler|\ ederim)|γεια|ευχαριστώ|你好|您好|谢谢|再见|こんにちは|ありがとう(?:ございます)?|안녕하세요|감사합니다|नमस्ते|धन्यवाद|مرحبا|شكرا|שלום|תודה|xin\ chào|cảm\ ơn
    )(?:[\s,.!?…👋🙏😊🙂-]+|\b|\Z)""",
    re.IGNORECASE | re.VERBOSE,
)


def is_small_talk(text: str) -> bool:
    """Return whether a message greets, thanks or chats and asks for nothing a page could hold."""
    rest, before = text.strip(), None
    # "Hi there, thanks!" is three greetings in a row; what is left after them decides.
    while rest and rest != before:
        before, found = rest, _CHAT.match(rest)
        rest = rest[found.end() :].lstrip(" ,.!?…-") if found is not None and found.end() else rest
    left = re.sub(
        r"\b(?:there|all|everyone|team|again|then|so much|very much|today|me|for (?:your|the) help|a lot)\b",
        " ",
        rest,
        flags=re.IGNORECASE,
    )
    return bool(text.strip()) and before is not None and not re.search(r"\w", left)


def query_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return what to search for: the last request, with the one before it where it is too short to stand alone."""
    said = [words_of(m) for m in messages if m.get("role") == "user"]
    if not said:
        return ""
    alone = len(terms(said[-1])) >= _LEAST_TERMS or len(said) < 2 or is_small_talk(said[-2])
    return said[-1] if alone else f"{said[-1]} {said[-2][:_BEFORE]}"


def holds_answer(query: str, hits: Sequence[Hit], *, least: float, weigh: Weigh = plain) -> bool:
    """Return whether two neighbouring sentences of a passage hold so much of the query that the answer may stand there.

    Lexical, so a passage in quite other words than the question looks as if it did not hold it; keep `least` low.
    """
    if not hits:
        return False
    if least <= 0:
        return True
    asked = frozenset(terms(query))
    return not asked or best_window(asked, [f"{h.title}. {h.text}" for h in hits], weigh) >= least
