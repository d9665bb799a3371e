"""Examples: what a model is trained on, in OpenAI chat form, each with where it came from and who approved it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Origin = Literal["correction", "approved", "repaired", "file", "written", "replay", "generic"]
"""A person's correction, a good reply of the bot, a reply mended to keep its contract, a file of the
operator's, written for this purpose, the base model's own good output, generic instruction data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One example.

    Attributes:
        messages: Chat messages in OpenAI form, ending with the assistant message that is to be learnt. Further assistant
            messages are learnt too unless they carry `"weight": 0`; system, user and tool messages never are.
        tools: Tools offered, in OpenAI form.
        rejected: An assistant message that is worse than the last one, for preference tuning; None for none.
        label: The label, if the task is to classify.
        passages: Texts that were served to the bot and stand in the messages; what the answer says must stand there or in
            the other messages.
        group: Same for all examples of one conversation; a group is never on both sides of a split.
        origin: What kind of thing it is.
        source: Where it came from: `file:line` or the id of an exchange.
        author: Hash of the person whose words or vote made it an example; None if nobody's.
        approved_by: Who approved it; None if nobody did.
    """

    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    rejected: Mapping[str, Any] | None = None
    label: str | None = None
    passages: tuple[str, ...] = ()
    group: str
    origin: Origin
    source: str
    author: str | None = None
    approved_by: str | None = None

    @property
    def hash(self) -> str:
        """SHA-256 of what is learnt from it (messages, tools, rejected, label), 16 hex digits."""
        taught = [self.messages, self.tools, self.rejected, self.label]
        return hashlib.sha256(_canonical(taught)).hexdigest()[:16]

    @property
    def prompt(self) -> tuple[Mapping[str, Any], ...]:
        """All messages but the last."""
        return self.messages[:-1]

    @property
    def target(self) -> Mapping[str, Any]:
        """The assistant message that is to be learnt."""
        return self.messages[-1]

    @property
    def request(self) -> str:
        """The last thing the person said; empty if nobody did."""
        return next((text_of(m) for m in reversed(self.prompt) if m.get("role") == "user"), "")


def text_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message, text parts joined; empty if it has none."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else ()
    return "\n".join(
        str(p.get("text", "")) for p in parts if isinstance(p, Mapping) and p.get("type") == "text"
    )


def to_json(example: Example) -> str:
    """Return an example as one line of canonical JSON; the same example always gives the same bytes."""
    return _canonical(asdict(example)).decode()


def from_json(line: str) -> Example:
    """Return the example of such a line.

    Raises:
        ValueError: It is not one.
    """
    try:
        data = json.loads(line)
        return Example(
            **{
                **data,
                "messages": tuple(data["messages"]),
                "tools": tuple(data["tools"]),
                "passages": tuple(data["passages"]),
            }
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an example: {error}") from None


def _canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
