"""Readers of rules on the language of the reply."""

from __future__ import annotations

import re
from collections.abc import Iterator

from advisor.rulebook.directive import Directive, Reader, negated
from router.contract.rules import Rule

LANGUAGES: dict[str, str] = {
    "english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it", "portuguese": "pt", "dutch": "nl",
    "russian": "ru", "ukrainian": "uk", "bulgarian": "bg", "polish": "pl", "czech": "cs", "slovak": "sk", "hungarian": "hu",
    "romanian": "ro", "greek": "el", "turkish": "tr", "arabic": "ar", "hebrew": "he", "persian": "fa", "farsi": "fa",
    "urdu": "ur", "hindi": "hi", "marathi": "mr", "nepali": "ne", "bengali": "bn", "bangla": "bn", "punjabi": "pa",
    "gujarati": "gu", "tamil": "ta", "telugu": "te", "kannada": "kn", "malayalam": "ml", "sinhala": "si", "thai": "th",
    "lao": "lo", "burmese": "my", "khmer": "km", "chinese": "zh", "mandarin": "zh", "simplified chinese": "zh",
    "traditional chinese": "zh", "japanese": "ja", "korean": "ko", "vietnamese": "vi", "indonesian": "id", "malay": "ms",
    "swahili": "sw", "finnish": "fi", "swedish": "sv", "norwegian": "no", "danish": "da", "icelandic": "is",
    "estonian": "et", "latvian": "lv", "lithuanian": "lt", "croatian": "hr", "serbian": "sr", "slovenian": "sl",
    "catalan": "ca", "basque": "eu", "galician": "gl", "irish": "ga", "welsh": "cy", "albanian": "sq", "georgian": "ka",
    "armenian": "hy", "tagalog": "tl", "filipino": "tl", "amharic": "am",
}  # fmt: skip
"""English name of a language to its ISO 639-1 code."""

_NATIVE: dict[str, str] = {
    "deutsch": "de", "deutscher sprache": "de", "englisch": "en", "französisch": "fr", "spanisch": "es", "italienisch": "it",
    "allemand": "de", "anglais": "en", "français": "fr", "espagnol": "es", "italien": "it", "néerlandais": "nl", "arabe": "ar",
    "alemán": "de", "inglés": "en", "francés": "fr", "español": "es", "castellano": "es", "portugués": "pt",
    "tedesco": "de", "inglese": "en", "francese": "fr", "spagnolo": "es", "italiano": "it", "portoghese": "pt",
    "alemão": "de", "inglês": "en", "francês": "fr", "espanhol": "es", "português": "pt",
    "het nederlands": "nl", "nederlands": "nl", "het engels": "en", "engels": "en", "duits": "de", "frans": "fr",
    "русском": "ru", "русском языке": "ru", "английском": "en", "українською": "uk", "polsku": "pl", "svenska": "sv",
}  # fmt: skip

_NAMES = "|".join(sorted(LANGUAGES, key=len, reverse=True))
_IN = rf"\b(?:in|using)\s+(?:only\s+)?(?:the\s+)?(?:only\s+)?(?:[Ss]tandard\s+|proper\s+|fluent\s+)?(?P<name>{_NAMES})\b"
_ASKED = re.compile(
    rf"\b(?:respond|reply|answer|write|writing|written|speak|communicate|output|talk|converse|compose|generate|create|translate|entirely|completely|provide|"
    rf"responses?|repl(?:y|ies)|answers?|give)\b[^.\n;:]{{0,60}}?{_IN}",
    re.IGNORECASE,
)
_ONLY = re.compile(
    rf"{_IN}(?: language)?,? (?:only|and no other|no other|with no other)|\bonly (?:in|use|using) (?:the )?(?P<name2>{_NAMES})(?: language)?\b",
    re.IGNORECASE,
)
_MUST = re.compile(rf"\b(?:should|must|be|it['’]s)\b[^.\n;:]{{0,30}}?{_IN}", re.IGNORECASE)
_INTO = re.compile(
    rf"^\W*(?:please |kindly )?translate\b[^.\n]{{0,80}}?\b(?:in)?to (?P<name>{_NAMES})\b", re.IGNORECASE
)
_NATIVE_ASK = re.compile(
    r"(?:antwort\w*|schreib\w*|sprich|spreche|répond\w*|écri\w*|parl\w*|respond\w*|contest\w*|escrib\w*|habl\w*|rispond\w*|scriv\w*|escrev\w*|fale|"
    r"antwoord\w*|schrijf|отвеча\w*|ответ\w*|пиши\w*|відповіда\w*|odpowiada\w*|odpowiedz\w*|svara)\b[^.\n\"]{0,40}?\b(?:auf|in|en|em|na|po|på)?\s*\b(?P<name>"
    + "|".join(sorted(_NATIVE, key=len, reverse=True))
    + r")\b",
    re.IGNORECASE,
)
_CJK = (
    (re.compile(r"(?:请|請|务必|只)?用(?:简体|繁體|繁体)?中文(?:回答|回复|回覆|作答|输出)|使用中文"), "zh"),
    (re.compile(r"日本語で(?:回答|答え|返答|返信|書)"), "ja"),
    (re.compile(r"한국어로\s?(?:답|대답|작성|응답)"), "ko"),
)
_SAME = re.compile(
    r"\b(?:same language (?:as|that|in which)|language of the (?:user|question|customer|query|message)|(?:user|customer)['’]s language|"
    r"in der(?:selben)? Sprache de[sr]|dans la (?:même )?langue de|en el (?:mismo )?idioma de[l ])",
    re.IGNORECASE,
)
# In these the language is that of a part, or of something spoken about.
_PART = re.compile(
    r"\b(?:titles?|names?|words?|terms?|keywords?|subject|class|course|literature|translation of|keys?|fields?|comments?|code|sql|query|queries|question|examples?|quote|or|if|not|exams?|grammar)\b",
    re.IGNORECASE,
)


def _language(directive: Directive) -> Iterator[Rule]:
    if _SAME.search(directive.text):
        yield directive.rule("same_language", "language")
        return
    code = _english(directive) or _native(directive)
    if code is not None:
        yield directive.rule("language", "language", code=code)


def _english(directive: Directive) -> str | None:
    text = directive.text
    codes = {LANGUAGES[m["name"].lower()] for m in re.finditer(_IN, text, re.IGNORECASE)}
    match = _ONLY.search(text)
    if match is not None and len(codes) <= 1:
        return LANGUAGES[(match["name"] or match["name2"]).lower()]
    match = _INTO.search(text)
    if match is not None:
        return LANGUAGES[match["name"].lower()]
    match = _ASKED.search(text) or _MUST.search(text)
    if match is None or len(codes) != 1 or negated(text, match.end(), reach=len(match[0]) + 8):
        return None
    name_at = match.start("name")
    if _PART.search(text, max(match.start(), name_at - 25), name_at):
        return None
    return LANGUAGES[match["name"].lower()]


def _native(directive: Directive) -> str | None:
    match = _NATIVE_ASK.search(directive.text)
    if match is not None and not negated(directive.text, match.end(), reach=len(match[0]) + 8):
        return _NATIVE[match["name"].lower()]
    return next((code for pattern, code in _CJK if pattern.search(directive.text)), None)


READERS = (
    Reader(
        needs=("respon", "repl", "answer", "writ", "language", "translate", "speak", "compose", "create", "generate", "talk", "communicate", "only", " in ", "using ", *_NATIVE, "中文", "日本語", "한국어", "sprache", "langue", "idioma"),
        read=_language,
    ),
)  # fmt: skip
