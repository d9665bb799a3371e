"""The port that every chat model fills, what it gives back, and how it fails.

ModelError
├── ModelMissing      a package, a file or a key is not there; a person must mend it
├── ModelRefused      the provider answered that it will not: bad request, no permission, unknown model
└── ModelUnavailable  network, overload, rate limit, timeout; the same call may work later
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Messages = Sequence[Mapping[str, Any]]
"""Chat messages in OpenAI form."""


class ModelError(Exception):
    """A model gave no answer.

    Attributes:
        retryable: Whether the same call may work later.
        hint: What a person can do about it; empty if nothing is known.
    """

    def __init__(self, message: str, *, retryable: bool = False, hint: str = "") -> None:
        super().__init__(message)
        self.retryable = retryable
        self.hint = hint

    def __str__(self) -> str:
        return "; ".join(part for part in (super().__str__(), self.hint) if part)


class ModelMissing(ModelError):
    """A package, a file or a key is not there."""


class ModelRefused(ModelError):
    """The provider answered that it will not serve this request."""


class ModelUnavailable(ModelError):
    """The provider could not be reached or was too busy."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, retryable=True, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRequest:
    """A call the model wants made.

    Attributes:
        arguments: JSON text exactly as the model wrote it, where the provider hands that over.
    """

    name: str
    arguments: str
    id: str | None = None


class Call(Protocol):
    """A call, whoever keeps it; see `ToolRequest`."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def arguments(self) -> str: ...  # noqa: D102
    @property
    def id(self) -> str | None: ...  # noqa: D102


def call_data(calls: Iterable[Call]) -> list[dict[str, Any]]:
    """Return calls as a message in OpenAI form holds them; one without an id gets its place, so that its result can name it."""
    return [
        {
            "id": c.id or f"call_{n}",
            "type": "function",
            "function": {"name": c.name, "arguments": c.arguments},
        }
        for n, c in enumerate(calls)
    ]


def calls_in(message: Mapping[str, Any]) -> tuple[ToolRequest, ...]:
    """Return the calls that a message in OpenAI form holds; what has no function is none."""
    return tuple(
        ToolRequest(
            name=str(c["function"].get("name")),
            arguments=str(c["function"].get("arguments") or "{}"),
            id=c.get("id"),
        )
        for c in message.get("tool_calls") or ()
        if isinstance(c.get("function"), Mapping)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call, None where the provider does not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a model gave back.

    Attributes:
        finish_reason: As the provider wrote it.
        model: The model that answered, as the provider names it.
    """

    text: str
    tool_calls: tuple[ToolRequest, ...] = ()
    usage: Usage = field(default_factory=Usage)
    finish_reason: str | None = None
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of an answer on its way.

    Attributes:
        text: What comes next.
        completion: The whole answer; on the last piece only, whose text is empty.
    """

    text: str = ""
    completion: Completion | None = None


class ChatModel(Protocol):
    """A model that continues a chat. May be used by several threads and tasks at once."""

    def complete(
        self,
        messages: Messages,
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        tools: Sequence[Mapping[str, Any]] | None = None,
        stop: Sequence[str] | None = None,
    ) -> Completion:
        """Return the next assistant message.

        Args:
            messages: The chat so far.
            schema: JSON Schema of an object that `text` must hold; providers enforce it where they can.
            max_tokens: Most tokens of the answer.
            temperature: 0 for the likeliest words, 2 for the wildest.
            tools: Tools in OpenAI form that the model may call; not together with `schema`.
            stop: Texts before which the answer is cut.

        Raises:
            ModelError: No answer came.
        """
        ...

    def astream(
        self,
        messages: Messages,
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        tools: Sequence[Mapping[str, Any]] | None = None,
        stop: Sequence[str] | None = None,
    ) -> AsyncGenerator[Delta, None]:
        """Give the same answer piece by piece, without blocking the event loop; see `complete`.

        The last piece holds the whole completion; tool calls come with it and not before. Closing the iterator early ends
        the work for it.

        Raises:
            ModelError: No answer came, or it broke off.
        """
        ...
