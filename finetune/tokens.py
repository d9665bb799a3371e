"""Tokens of training lines: counted where the provider's encoding is known, else estimated with a wide interval."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from finetune.catalog import Row
from finetune.formats.line import Line

_PER_MESSAGE = 3
"""`<|im_start|>`, the line break behind the role, `<|im_end|>`: OpenAI's own chat form, as its cookbook counts."""
_PER_LINE = 3
_OTHER_ENCODING = (0.8, 1.35)
"""How far another model's count may lie from that in o200k_base, as a factor: our own allowance, not measured per model."""
_NO_ENCODING = (0.6, 1.7)
_BYTES = 4.0
"""Bytes a token of English text, roughly; used only where no encoding is installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Tokens of a training file, one epoch.

    Attributes:
        each: The likely count of every line, in order.
        low: Fewest in all.
        high: Most in all.
        exact: Whether they were counted as the provider counts them.
        basis: How they were counted.
    """

    each: tuple[int, ...]
    low: float
    high: float
    exact: bool
    basis: str

    @property
    def total(self) -> int:
        """The likely count in all."""
        return sum(self.each)


def count(lines: Iterable[Line], row: Row) -> Tokens:
    """Return the tokens of lines in the format of a row."""
    counter, known = _counter(row.tokens or "o200k_base")
    given = list(lines)
    each = tuple(_of(line, counter, row) for line in given)
    total = sum(each)
    # Tools are turned into text in a way that is not published, and pairs may count their prompt twice.
    plain = row.format == "openai_chat" and not any(_odd(line) for line in given)
    if known and row.tokens and plain:
        return Tokens(
            each=each, low=total, high=total, exact=True, basis=f"{total:,} tokens counted in {row.tokens}"
        )
    low, high = _OTHER_ENCODING if known else _NO_ENCODING
    if row.format == "openai_preference":
        high = 2.0
    basis = "an estimate from o200k_base" if known else "an estimate from the length of the text"
    return Tokens(
        each=each, low=low * total, high=high * total, exact=False, basis=f"{total:,} tokens, {basis}"
    )


def most_tokens(tokens: int, row: Row) -> int:
    """Return how long a line may really be that was counted as `tokens` long."""
    if row.tokens and _counter(row.tokens)[1]:
        return tokens
    return int(tokens * _OTHER_ENCODING[1])


def of_text(text: str, encoding: str = "o200k_base") -> int:
    """Return the likely tokens of a text."""
    return _counter(encoding)[0](text)


# Parts of it


@cache
def _counter(encoding: str) -> tuple[Callable[[str], int], bool]:
    """What counts, and whether it knows the encoding."""
    try:
        found: Callable[[str], int] = import_module("finetune.encodings").counter(encoding)
    except ModuleNotFoundError:
        return (lambda text: round(len(text.encode("utf-8", "replace")) / _BYTES)), False
    return found, True


def _of(line: Line, counter: Callable[[str], int], row: Row) -> int:
    if row.format == "bedrock_prompt":
        return counter(line["prompt"]) + counter(line["completion"])
    messages = [m for part in _conversations(line) for m in part]
    total = _PER_LINE + sum(_message(m, counter) for m in messages)
    asked = line.get("input", line)
    if asked.get("tools"):
        total += counter(json.dumps(asked["tools"], ensure_ascii=False))
    system = line.get("system")
    if isinstance(system, str):
        total += counter(system) + _PER_MESSAGE
    elif system:
        total += sum(counter(p["text"]) + _PER_MESSAGE for p in system)
    return total + counter(line.get("reference_answer", ""))


def _conversations(line: Line) -> Sequence[Sequence[Mapping[str, Any]]]:
    if "input" in line:
        return line["input"]["messages"], line["preferred_output"], line["non_preferred_output"]
    return (line["messages"],)


def _message(message: Mapping[str, Any], counter: Callable[[str], int]) -> int:
    content = message.get("content")
    parts = content if isinstance(content, list | tuple) else ()
    texts = [content] if isinstance(content, str) else [p.get("text", "") for p in parts]
    total = _PER_MESSAGE + counter(str(message.get("role", ""))) + sum(map(counter, texts))
    if message.get("name"):
        total += 1 + counter(str(message["name"]))
    if message.get("tool_calls"):
        total += counter(json.dumps(message["tool_calls"], ensure_ascii=False))
    return total


def _odd(line: Line) -> bool:
    messages = line.get("messages", ())
    return bool(line.get("tools")) or any(
        m.get("tool_calls") or not isinstance(m.get("content"), str | None) for m in messages
    )
