"""Makes text from a log safe to show. Log text is hostile: it may hold terminal escapes, bidi overrides, null bytes.

What is removed is removed character by character, so that a quote cleaned alone is still found in its cleaned text.
"""

from __future__ import annotations

import re

_CAP = 200_000
_ESCAPE = re.compile(
    "\x1b[\\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)?"  # strings: OSC (titles, links), DCS, SOS, PM, APC
    "|(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?"  # control sequences: colours, cursor
    "|\x1b[ -/]*[0-~]?"
)
_BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_INVISIBLE = (0xFEFF, 0xFFFE, 0xFFFF, 0x2028, 0x2029, *range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080))
_GONE: dict[int, int | str | None] = {
    **{c: None for c in range(0x20) if c not in (0x09, 0x0A)},
    **dict.fromkeys((*range(0x7F, 0xA0), *_BIDI, *_INVISIBLE)),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}
_SUSPECT = re.compile(f"[{''.join(re.escape(chr(c)) for c in _GONE)}]")


def clean(text: str) -> str:
    """Return text without control characters, terminal escapes, bidi overrides and lone surrogates."""
    if not _SUSPECT.search(text):
        return text
    return _ESCAPE.sub("", text).translate(_GONE)


def one_line(text: str) -> str:
    """Return cleaned text with every run of white space made one blank."""
    return " ".join(clean(text).split())


def cut(text: str, limit: int) -> str:
    """Return text of at most `limit` characters, its middle replaced by an ellipsis."""
    if len(text) <= limit:
        return text
    head = max(1, (limit - 1) * 2 // 3)
    tail = max(0, limit - 1 - head)
    return f"{text[:head].rstrip()}…{text[len(text) - tail :].lstrip()}"


def bounded(text: str) -> str:
    """Return at most 200,000 characters of a text, so that one huge record cannot stall a report.

    The middle is left out with a line that says how much.
    """
    if len(text) <= _CAP:
        return text
    half = _CAP // 2
    return f"{text[:half]}\n[… {len(text) - _CAP:,} characters left out …]\n{text[-half:]}"
