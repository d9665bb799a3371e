"""Replies: what the chatbot gives back, and what it did to get there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rag.hits import Hit
from router.contract.checking import Breach
from router.models.port import ToolRequest, Usage

InterventionKind = Literal[
    "strict",
    "mended",
    "retried",
    "fallback",
    "declined",
    "citation_dropped",
    "citation_moved",
    "citation_added",
    "call_dropped",
]
"""What was done so that a reply holds: the engine held it to a schema, it was mended, asked for again, replaced, or declined
because nothing retrieved held the answer; a citation that nothing supports was taken out or moved; one that was missing was added; a
call that must not leave was taken out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervention:
    """Something the router had to do to a reply; many of one kind are a reason to tune the model.

    Attributes:
        rule: Id of the rule it was about; empty if it was about none.
        note: What was wrong, in one sentence.
    """

    kind: InterventionKind
    rule: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A passage that a reply names and that supports what it is named for.

    Attributes:
        label: How the reply names it, for instance `SHIP-04` or `2`.
        chunk: Id of the chunk.
        document: Id of the document.
        start: Where the chunk begins in the document's text.
        end: Where it ends.
        link: Address that opens it; None if the document has none.
        sentence: The sentence of the reply that it supports.
        quote: The part of the passage that does.
    """

    label: str
    chunk: str
    document: str
    title: str
    start: int
    end: int
    link: str | None
    sentence: str
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds that the steps of a reply took.

    Attributes:
        retrieve: Search of the index.
        generate: Model calls, all of them.
        hold: Contract and citations.
        first: Until the first word was there to be shown; None if nothing was shown before the end.
        total: All of it.
    """

    retrieve: float = 0.0
    generate: float = 0.0
    hold: float = 0.0
    first: float | None = None
    total: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply.

    Attributes:
        id: Unique; feedback names it.
        text: What the person reads.
        tool_calls: Calls that name an offered tool and keep its schema.
        citations: Checked ones.
        passages: What was retrieved, best first; None if nothing was looked for.
        declined: Whether it says that the answer is not known.
        interventions: What was done so that it holds.
        breaches: Rules it breaks all the same.
        finish_reason: As the model gave it.
        model: Reference of the model.
        answered_by: The model as the provider names it.
        release: Id of the release.
        prompt: Id of the prompt.
        index: Version of the index; None without retrieval.
        route: Route that was followed; empty outside a chatbot.
        arm: `live`, `canary`, `shadow` or `pinned` (the request named the release).
        calls: Model calls it took.
        cost_usd: Price of all of them; None if the price is not known.
        time: When the request came, seconds since the epoch.
    """

    id: str
    text: str
    tool_calls: tuple[ToolRequest, ...] = ()
    citations: tuple[Citation, ...] = ()
    passages: tuple[Hit, ...] | None = None
    declined: bool = False
    interventions: tuple[Intervention, ...] = ()
    breaches: tuple[Breach, ...] = ()
    finish_reason: str | None = None
    model: str = ""
    answered_by: str = ""
    release: str = ""
    prompt: str = ""
    index: str | None = None
    route: str = ""
    arm: Literal["live", "canary", "shadow", "pinned"] = "live"
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    timings: Timings = field(default_factory=Timings)
    time: float = 0.0

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        data: dict[str, Any] = asdict(self)
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of a reply on its way.

    Attributes:
        text: What comes next.
        reply: The whole reply; on the last piece only.
    """

    text: str = ""
    reply: Reply | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of the chatbot.

    Attributes:
        messages: The conversation in OpenAI form; the last one is the person's, or a tool's result.
        tools: Tools the model may call, in OpenAI form.
        schema: JSON Schema the reply must fit; `{}` for any JSON, None for no demand.
        tenant: Who asks.
        task: What for, if routes tell tasks apart.
        conversation: Id of the conversation; made of its first message unless given.
        untold: Whether it was so made: good enough to answer a talk alike throughout, but other people may begin alike.
        user: Who in the tenant asks; only a hash of it is kept.
        access: Tags the asker holds, for documents that not everybody may see.
        max_tokens: Most tokens of this reply; the release's own unless given, and never more.
        temperature: In place of the release's.
        stop: Texts before which the reply is cut, beside the release's.
        release: Id of the release that is to answer, of those that a route of the tenant names; None for whatever is live.
        id: Of the reply; made unless given.
    """

    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    schema: Mapping[str, Any] | None = None
    tenant: str | None = None
    task: str | None = None
    conversation: str = ""
    untold: bool = False
    user: str | None = None
    access: frozenset[str] = frozenset()
    max_tokens: int | None = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    release: str | None = None
    id: str = ""

    @property
    def question(self) -> str:
        """The last thing the person said; empty if nobody said anything."""
        return next((words_of(m) for m in reversed(self.messages) if m.get("role") == "user"), "")


def words_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message in OpenAI form, its text parts joined."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else ()
    return "\n".join(
        str(p.get("text", "")) for p in parts if isinstance(p, Mapping) and p.get("type") == "text"
    )
