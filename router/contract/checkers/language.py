"""Checkers of the language of a reply: by script where that decides, by a classifier of languages where it does not."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any

from router.contract.checkers.verdict import Checker, Verdict

_SCRIPTS: tuple[tuple[str, str], ...] = (
    ("latin", "A-Za-z\u00c0-\u024f\u1e00-\u1eff"), ("cyrillic", "\u0400-\u052f"), ("greek", "\u0370-\u03ff\u1f00-\u1fff"),
    ("arabic", "\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff"), ("hebrew", "\u0590-\u05ff"), ("devanagari", "\u0900-\u097f"),
    ("bengali", "\u0980-\u09ff"), ("gurmukhi", "\u0a00-\u0a7f"), ("gujarati", "\u0a80-\u0aff"), ("tamil", "\u0b80-\u0bff"),
    ("telugu", "\u0c00-\u0c7f"), ("kannada", "\u0c80-\u0cff"), ("malayalam", "\u0d00-\u0d7f"), ("sinhala", "\u0d80-\u0dff"),
    ("thai", "\u0e00-\u0e7f"), ("lao", "\u0e80-\u0eff"), ("burmese", "\u1000-\u109f"), ("khmer", "\u1780-\u17ff"), ("georgian", "\u10a0-\u10ff"),
    ("armenian", "\u0530-\u058f"), ("ethiopic", "\u1200-\u137f"), ("kana", "\u3040-\u30ff"), ("han", "\u3400-\u9fff"), ("hangul", "\uac00-\ud7af\u1100-\u11ff"),
)  # fmt: skip
_FINDERS = {name: re.compile(f"[{span}]") for name, span in _SCRIPTS}
_LATIN = {
    "en", "de", "fr", "es", "it", "pt", "nl", "pl", "cs", "sk", "hu", "ro", "tr", "vi", "id", "ms", "sw", "fi", "sv", "no", "da", "is", "et",
    "lv", "lt", "hr", "sl", "ca", "eu", "gl", "ga", "cy", "sq", "tl",
}  # fmt: skip
_SCRIPTS_OF: dict[str, tuple[str, ...]] = {
    "ru": ("cyrillic",), "uk": ("cyrillic",), "bg": ("cyrillic",), "sr": ("cyrillic", "latin"), "el": ("greek",), "ar": ("arabic",),
    "fa": ("arabic",), "ur": ("arabic",), "he": ("hebrew",), "hi": ("devanagari",), "mr": ("devanagari",), "ne": ("devanagari",),
    "bn": ("bengali",), "pa": ("gurmukhi", "arabic"), "gu": ("gujarati",), "ta": ("tamil",), "te": ("telugu",), "kn": ("kannada",),
    "ml": ("malayalam",), "si": ("sinhala",), "th": ("thai",), "lo": ("lao",), "my": ("burmese",), "km": ("khmer",), "ka": ("georgian",),
    "hy": ("armenian",), "am": ("ethiopic",), "zh": ("han",), "ja": ("kana", "han"), "ko": ("hangul",),
}  # fmt: skip
# Languages a classifier takes for one another on short texts; between these nothing is said.
_ALIKE = ({"da", "no", "nb", "nn", "sv"}, {"es", "gl", "ca", "pt"}, {"hr", "sr", "bs", "sl"}, {"id", "ms", "jv"}, {"cs", "sk"}, {"nl", "af"}, {"hi", "mr", "ne"}, {"ru", "uk", "bg", "be", "mk", "sr"}, {"et", "fi"})  # fmt: skip
_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\S+@\S+|\{[^{}]{0,200}\}|<[^<>\n]{1,80}>", re.DOTALL
)
_LIMIT = 2000


def prose(text: str) -> str:
    """The first part of a text without code and addresses, in which nobody speaks a language."""
    return _NOT_PROSE.sub(" ", text[: 2 * _LIMIT])[:_LIMIT]


def scripts(text: str) -> dict[str, float]:
    """Share of the letters in each script, 0-1; empty if there are fewer than eight letters."""
    counts = (
        {name: len(finder.findall(text)) for name, finder in _FINDERS.items()}
        if not text.isascii()
        else {"latin": sum(c.isalpha() for c in text)}
    )
    total = sum(counts.values())
    return {name: n / total for name, n in counts.items() if n} if total >= 8 else {}


def spoken(text: str) -> tuple[str, float] | None:
    """The language of a text and how sure that is (0-1), None if the text is too short to say."""
    if sum(c.isalpha() for c in text) < 40:
        return None
    # Loading the model takes a tenth of a second, and most logs never need it.
    found: tuple[str, float] = importlib.import_module("router.contract.checkers.langid").identify(text)
    return found


def _language(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    code, text = str(params.get("code", "")).lower()[:2], prose(reply)
    shares = scripts(text)
    wanted = _SCRIPTS_OF.get(code, ("latin",) if code in _LATIN else ())
    if not shares or not wanted:
        return None
    share = sum(shares.get(s, 0.0) for s in wanted)
    if share < 0.4:
        main = max(shares, key=lambda s: shares[s])
        return Verdict(
            False, f"The reply is written in {main} script, asked for was the language '{code}'.", reply[:150]
        )
    if code == "ja" and "kana" not in shares and len(text) > 30:
        return Verdict(False, "The reply has no kana, asked for was Japanese.", reply[:150])
    if "latin" not in wanted and share < 0.7:
        return Verdict(
            False,
            f"Only {share:.0%} of the letters belong to the language '{code}'.",
            reply[-150:],
            near=True,
        )
    if "latin" not in wanted and sum(wanted == s for s in _SCRIPTS_OF.values()) == 1:
        return Verdict(True, f"The reply is in the script of the language '{code}'.")
    return _by_classifier(reply, text, code)


def _by_classifier(reply: str, text: str, code: str) -> Verdict | None:
    found = spoken(text)
    if found is None:
        return None
    language, sure = found
    if language == code:
        return Verdict(True, f"The reply is in the language '{code}'.")
    if sure < 0.95 or any({language, code} <= group for group in _ALIKE):
        return None
    return Verdict(False, f"The reply is in '{language}', asked for was the language '{code}'.", reply[:150])


def _same_language(reply: str, params: Mapping[str, Any]) -> Verdict | None:
    """`like` holds the person's words."""
    asked, answered = prose(str(params.get("like", ""))), prose(reply)
    theirs, ours = scripts(asked), scripts(answered)
    if not theirs or not ours:
        return None
    main = max(theirs, key=lambda s: theirs[s])
    if theirs[main] > 0.8 and ours.get(main, 0.0) < 0.2 and {main, *ours} != {"kana", "han"}:
        return Verdict(False, f"The person writes in {main} script, the reply does not.", reply[:150])
    found = spoken(asked)
    return _by_classifier(reply, answered, found[0]) if found is not None and found[1] >= 0.95 else None


CHECKERS: dict[str, Checker] = {"language": _language, "same_language": _same_language}
