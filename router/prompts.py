"""Prompts: versioned by content, made of parts that can be added and taken out one by one.

prompt = Prompt.of("You are the assistant of a shop.").with_part(Part(kind="rule", name="cta", text="End with: Anything else?"))
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rag.files import write

PartKind = Literal["text", "rule", "example"]


class PromptMissing(LookupError):
    """There is no such prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One piece of a prompt.

    Attributes:
        kind: `text`, a `rule` (one sentence that replies must keep to), or an `example` (a request and its reply).
        name: Handle, unique within the prompt.
        text: The words; of an example the request.
        answer: Of an example, the reply.
    """

    kind: PartKind
    name: str
    text: str
    answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a bot is told before a conversation.

    Attributes:
        parts: In order.
        no_answer: What the bot says when nothing that was retrieved holds the answer.
    """

    parts: tuple[Part, ...]
    no_answer: str = "I do not know."

    def __post_init__(self) -> None:
        names = [p.name for p in self.parts]
        if len(set(names)) != len(names):
            raise ValueError(
                f"two parts of a prompt are named {next(n for n in names if names.count(n) > 1)!r}"
            )

    @classmethod
    def of(cls, text: str, *, no_answer: str | None = None) -> Prompt:
        """Return the prompt of a plain text."""
        parts = (Part(kind="text", name="text", text=text.strip()),) if text.strip() else ()
        return cls(parts=parts) if no_answer is None else cls(parts=parts, no_answer=no_answer)

    @property
    def id(self) -> str:
        """SHA-256 of its content, 12 hex digits."""
        return hashlib.sha256(_canonical(self).encode()).hexdigest()[:12]

    @property
    def system(self) -> str:
        """The system message: texts as paragraphs, rules line by line."""
        lines: list[str] = []
        for before, part in zip((None, *self.parts), self.parts, strict=False):
            if part.kind == "example":
                continue
            joined = before is not None and part.kind == "rule" and before.kind in ("rule", "text")
            lines.append(part.text if joined or not lines else f"\n{part.text}")
        return "\n".join(lines)

    @property
    def examples(self) -> tuple[dict[str, str], ...]:
        """The examples as messages, to be put before the conversation."""
        return tuple(
            message
            for part in self.parts
            if part.kind == "example"
            for message in (
                {"role": "user", "content": part.text},
                {"role": "assistant", "content": part.answer},
            )
        )

    def with_part(self, part: Part, *, before: str | None = None) -> Prompt:
        """Return the prompt with a part added at the end, or before another.

        Raises:
            ValueError: A part has that name already.
            KeyError: There is no part to put it before.
        """
        at = len(self.parts) if before is None else self._at(before)
        return replace(self, parts=(*self.parts[:at], part, *self.parts[at:]))

    def without(self, name: str) -> Prompt:
        """Return the prompt without a part.

        Raises:
            KeyError: There is none of that name.
        """
        at = self._at(name)
        return replace(self, parts=(*self.parts[:at], *self.parts[at + 1 :]))

    def _at(self, name: str) -> int:
        found = next((n for n, p in enumerate(self.parts) if p.name == name), None)
        if found is None:
            raise KeyError(f"no part {name!r} in the prompt; it has {', '.join(p.name for p in self.parts)}")
        return found


class Prompts:
    """The prompts of a state folder, `prompts/<id>.json`; written once, never changed."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "prompts"

    def add(self, prompt: Prompt) -> str:
        """Keep a prompt and return its id."""
        file = self._folder / f"{prompt.id}.json"
        if not file.exists():
            write(json.dumps(asdict(prompt), ensure_ascii=False, indent=2) + "\n", file)
        return prompt.id

    def get(self, id: str) -> Prompt:
        """Return a prompt by its id.

        Raises:
            PromptMissing: There is none, or its file is damaged.
        """
        file = self._folder / f"{id}.json"
        try:
            return from_data(json.loads(file.read_text(encoding="utf-8")))
        except OSError:
            raise PromptMissing(f"no prompt {id!r} in {self._folder}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise PromptMissing(f"{file}: is no prompt ({error})") from None


def from_data(data: dict[str, Any]) -> Prompt:
    """Return the prompt of JSON data."""
    return Prompt(parts=tuple(Part(**p) for p in data["parts"]), no_answer=data["no_answer"])


def as_text(prompt: Prompt) -> str:
    """Return a prompt as a person reads it, part by part."""
    blocks = []
    for part in prompt.parts:
        words = f"{part.text}\n-> {part.answer}" if part.kind == "example" else part.text
        blocks.append(f"## {part.kind} {part.name}\n{words}\n")
    return "\n".join([*blocks, f"## when nothing retrieved answers\n{prompt.no_answer}\n"])


def diff(before: Prompt, after: Prompt) -> Sequence[str]:
    """Return the lines of a unified diff of two prompts; none if they are the same."""
    old, new = as_text(before).splitlines(), as_text(after).splitlines()
    return list(difflib.unified_diff(old, new, f"prompt {before.id}", f"prompt {after.id}", lineterm="", n=2))


def _canonical(prompt: Prompt) -> str:
    return json.dumps(asdict(prompt), ensure_ascii=False, sort_keys=True)
