"""Training files: the same examples in the form each provider wants, one JSON object a line, the same bytes every time.

A format is a pair of functions: from an example to a line, and from a line to what it teaches. Writing and reading a line
gives the same messages, tools and rejected reply back; what a format cannot say raises `Unfit` and is never left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from finetune.catalog import Format
from finetune.examples import Example
from finetune.formats import bedrock, openai, plain
from finetune.formats.line import Line, Taught, Unfit


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How one format is written and read."""

    write: Callable[[Example], Line]
    read: Callable[[Mapping[str, Any]], Taught]


FORMATS: dict[Format, Form] = {
    "local": Form(write=plain.line, read=plain.taught),
    "openai_chat": Form(write=openai.chat_line, read=openai.chat_taught),
    "openai_preference": Form(write=openai.preference_line, read=openai.preference_taught),
    "openai_reinforcement": Form(write=openai.reinforcement_line, read=openai.reinforcement_taught),
    "bedrock_conversation": Form(write=bedrock.conversation_line, read=bedrock.conversation_taught),
    "bedrock_prompt": Form(write=bedrock.prompt_line, read=bedrock.prompt_taught),
    "bedrock_claude": Form(write=bedrock.claude_line, read=bedrock.claude_taught),
}


def write(examples: Iterable[Example], format: Format) -> bytes:
    """Return the training file of some examples, in their order.

    Raises:
        Unfit: The format cannot say what an example teaches; the message names the example's source.
    """
    form = FORMATS[format]
    parts = []
    for example in examples:
        try:
            parts.append(text(form.write(example)))
        except (Unfit, UnicodeEncodeError) as error:
            raise Unfit(f"{example.source}: {error}") from None
    return b"".join(parts)


def text(line: Line) -> bytes:
    """Return a line as canonical JSON with its line break.

    Raises:
        UnicodeEncodeError: It holds half a surrogate pair.
    """
    return (
        json.dumps(line, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"
    ).encode()


def read(data: bytes, format: Format) -> tuple[Taught, ...]:
    """Return what a training file teaches.

    Raises:
        Unfit: A line is not of that format; the message names it by number.
    """
    form = FORMATS[format]
    found = []
    for number, line in enumerate(data.decode().removesuffix("\n").split("\n") if data else (), 1):
        try:
            found.append(form.read(json.loads(line)))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise Unfit(f"line {number}: {error!r}") from None
    return tuple(found)
