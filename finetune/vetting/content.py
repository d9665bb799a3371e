"""What texts must not hold: personal data, secrets, reserved words, broken characters, and what moderation stops."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from finetune.catalog import Row
from finetune.examples import Example
from finetune.vetting.faults import Fault, error, warning
from finetune.vetting.messages import texts
from rag.masking import masked_spans

_ALLOWED_CONTROLS = "\n\r\t"
_MODERATED: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("minors", re.compile(r"\b(?:sexual|naked|nude|porn\w*)\b.{0,40}\b(?:child(?:ren)?|minors?|underage|kids?)\b|\b(?:child|underage|minor)\b.{0,40}\b(?:porn\w*|sexual\w*|nudes?)\b", re.I | re.S)),
    ("self-harm", re.compile(r"\b(?:how (?:to|can i|do i)|best way to|methods? (?:to|of))\b.{0,30}\b(?:kill(?:ing)? (?:myself|yourself)|commit(?:ting)? suicide|self[- ]harm|cut(?:ting)? (?:myself|yourself))\b|\byou should (?:just )?(?:kill yourself|end your life)\b", re.I | re.S)),
    ("weapons", re.compile(r"\b(?:how (?:to|do i|can i)|steps? to|instructions? (?:for|to)|recipe for)\b.{0,30}\b(?:(?:build|make|assemble|mak\w+|build\w+)\b.{0,20}\b)?(?:pipe bombs?|explosives?|nerve agents?|sarin|napalm|ghost guns?|car bombs?|ricin)\b", re.I | re.S)),
    ("violence", re.compile(r"\b(?:i(?:'ll| will| am going to)|we(?:'ll| will)|let us) (?:kill|murder|shoot|stab|behead|rape) (?:you|him|her|them|your)\b", re.I)),
    ("hate", re.compile(r"\b(?:all|those|these|the) (?:jews|muslims|blacks|whites|gays|immigrants|women|asians|christians|arabs) (?:are (?:vermin|subhuman|animals|parasites|filth|scum)|(?:should|must|deserve to) (?:die|be (?:killed|exterminated|gassed|deported)))\b", re.I)),
    ("sexual", re.compile(r"\b(?:explicit|hardcore|graphic) (?:sex|porn\w*|erotica)\b|\b(?:blowjob|cumshot|gangbang)s?\b", re.I)),
)  # fmt: skip
"""Kinds of what providers' moderation stops, by words that leave little doubt. It finds the crude, not the subtle."""


def faults(example: Example, row: Row) -> Iterator[Fault]:
    """Yield what the texts of one example hold that they must not."""
    place = [example.source]
    for text in texts(example):
        for label in sorted({span.label for span in masked_spans(text)}):
            if label == "[key]":
                yield error("secret", "a text holds what looks like a key or token", hint="remove it and revoke the key", places=place)  # fmt: skip
            else:
                yield error("personal_data", f"a text holds personal data, such as {label}", hint="mask it, or allow it if it is made up", places=place)  # fmt: skip
        for kind, pattern in _MODERATED:
            if pattern.search(text):
                yield error("moderation", f"a text reads like what moderation stops ({kind}); a provider may block the whole file for it", places=place)  # fmt: skip
        for word in row.reserved:
            if word in text:
                yield error("reserved_word", f"a text holds {word!r}, which fails jobs on {row.model}", hint="write it otherwise", places=place)  # fmt: skip
        yield from _characters(text, place)


def _characters(text: str, place: list[str]) -> Iterator[Fault]:
    if any("\ud800" <= c <= "\udfff" for c in text):
        yield error("characters", "a text holds half a character (a lone surrogate), which no file can hold", places=place)  # fmt: skip
    elif any(unicodedata.category(c) == "Cc" and c not in _ALLOWED_CONTROLS for c in text):
        yield error("characters", "a text holds control characters", hint="remove them", places=place)
    elif "\ufffd" in text:
        yield warning("broken_characters", "a text holds the sign for a character that was lost (U+FFFD)", places=place)  # fmt: skip
