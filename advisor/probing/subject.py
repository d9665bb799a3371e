"""Subject: the bot as it can be asked again, one thing at a time changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from advisor.exchange import Exchange, Message, Passage
from rag.hits import Hit
from rag.visibility import Filter
from router.bot import Searched
from router.contract.rules import Contract
from router.models.port import ChatModel, call_data
from router.prompts import Prompt
from router.releases import Generation, Release, Retrieving
from router.replies import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A bot as it is asked once: what answers, what it is told, what it searches.

    Attributes:
        searched: None for a bot without retrieval.
    """

    release: Release
    prompt: Prompt
    searched: Searched | None = None


class Subject(Protocol):
    """A bot that can be asked again."""

    @property
    def reference(self) -> str:
        """What a person calls it."""

    @property
    def model(self) -> ChatModel:
        """What answers."""

    @property
    def model_reference(self) -> str:
        """`provider:name` of that, and its address where it has one of its own; answers are kept under it."""

    @property
    def has_chance(self) -> bool:
        """Whether it may answer otherwise when it is asked the same again."""

    @property
    def open_to(self) -> frozenset[str]:
        """What can be changed: `settings`, `prompt`, `passages`; the bare question can always be asked."""

    def setup(self, exchange: Exchange) -> Setup:
        """Return it as it answered this exchange, unchanged."""
        ...


_ADDRESSES = {"openai": "OPENAI_BASE_URL", "azure": "AZURE_OPENAI_ENDPOINT"}
"""Provider to the variable that says where it is reached."""

EVERYTHING = frozenset({"settings", "prompt", "passages"})


class Logged:
    """The bot of a log, put together again: its own system prompt and passages as served, asked of a model.

    Args:
        reference: `provider:name` of the model, or what else a person calls it.
        model: The model.
        kept_under: What its answers are kept under; the reference if not given.
        max_tokens: Most tokens of a reply.
        temperature: As the bot has it; None where that cannot be seen.
        open_to: What can be changed; a bot that is only reached as a whole takes neither prompt nor passages.
    """

    def __init__(
        self,
        reference: str,
        model: ChatModel,
        *,
        kept_under: str | None = None,
        max_tokens: int = 512,
        temperature: float | None = 0.0,
        open_to: frozenset[str] = EVERYTHING,
    ) -> None:
        self.reference = reference
        self.model_reference = kept_under or reference
        self.model = model
        self.has_chance = temperature != 0
        self.open_to = open_to
        self._generation = Generation(
            max_tokens=max_tokens, temperature=temperature or 0.0, strict=False, retries=0
        )

    def setup(self, exchange: Exchange) -> Setup:
        """Return it as it answered this exchange; a bot reached as a whole composes its own prompt and finds its own passages."""
        own = "prompt" in self.open_to
        served = exchange.passages if "passages" in self.open_to else None
        release = Release(
            model=self.reference,
            prompt="",
            generation=self._generation,
            retrieving=Retrieving(k=max(1, len(served or ())), cite=False, grounded=False),
        )
        prompt = Prompt.of(exchange.system if own else "")
        return Setup(release=release, prompt=prompt, searched=Served(served) if served is not None else None)


class Released:
    """One of our own releases, asked as it is live.

    Args:
        release: The release.
        prompt: Its prompt.
        model: Its model.
        searched: Its version of the index; None without retrieval.
    """

    def __init__(
        self, release: Release, prompt: Prompt, model: ChatModel, searched: Searched | None = None
    ) -> None:
        self.reference = f"release {release.id}"
        self.model_reference = at_address(release.model)
        self.model = model
        self.has_chance = release.generation.temperature > 0
        self.open_to = EVERYTHING
        self._setup = Setup(release=release, prompt=prompt, searched=searched)

    def setup(self, exchange: Exchange) -> Setup:
        """Return it as it is live."""
        return self._setup


def at_address(model: str, base_url: str | None = None) -> str:
    """Return a `provider:name` with the address that it is reached at, so that two servers do not share answers."""
    url = base_url or os.environ.get(_ADDRESSES.get(model.partition(":")[0], ""))
    return f"{model} at {url}" if url else model


class Served:
    """Passages that are found whatever is searched for: those a log says were served, or those that hold the answer."""

    id = "served"

    def __init__(self, passages: Sequence[Passage], weigh: Callable[[str], float] | None = None) -> None:
        self._hits = tuple(_hit(n, p) for n, p in enumerate(passages, 1))
        self._weigh = weigh

    def search(self, query: str, *, k: int | None = None, filter: Filter | None = None) -> tuple[Hit, ...]:
        """Return them."""
        return self._hits[:k]

    def weigh(self, term: str) -> float:
        """Weigh every term the same, for want of documents to count in."""
        return 1.0 if self._weigh is None else self._weigh(term)


def request_of(exchange: Exchange) -> Request:
    """Return what was asked in an exchange, its system messages left out: they are the bot's."""
    messages = tuple(_message(m) for m in exchange.conversation if m.role != "system")
    tools = tuple(
        {
            "type": "function",
            "function": {
                "name": t.name,
                "description": t.description,
                "parameters": dict(t.parameters or {"type": "object"}),
            },
        }
        for t in exchange.tools
    )
    return Request(
        messages=messages,
        tools=tools,
        schema=exchange.response_format,
        tenant=exchange.tenant,
        conversation=exchange.conversation_id or exchange.id,
    )


def with_contract(setup: Setup, contract: Contract) -> Setup:
    """Return a bot that is held to a contract at run time: constrained decoding, mending, one retry, citations checked."""
    release = setup.release
    held = replace(
        release, contract=contract, generation=replace(release.generation, strict=True, retries=max(1, release.generation.retries)),
        retrieving=replace(release.retrieving, cite=True, grounded=True),
    )  # fmt: skip
    return replace(setup, release=held)


def _message(m: Message) -> Mapping[str, object]:
    found: dict[str, object] = {"role": m.role, "content": m.content}
    if m.tool_calls:
        found["tool_calls"] = call_data(m.tool_calls)
    if m.role == "tool":
        found["tool_call_id"] = m.tool_call_id or "call_0"
    return found


def _hit(number: int, p: Passage) -> Hit:
    return Hit(
        id=p.id or f"passage-{number}", document=p.id or f"passage-{number}", title=p.title or "", heading=(), text=p.text, start=0, end=len(p.text), uri=p.uri,
        place=None, code=_code(p), score=1.0 / number, similarity=None, bm25=0.0, rank_words=number, rank_meaning=None,
    )  # fmt: skip


def _code(p: Passage) -> str | None:
    """A passage's source code, if it is named by one: `SHIP-04` as its id or in its title."""
    title = (p.title or "").rpartition("[")[2].rstrip("] ") if "[" in (p.title or "") else ""
    return title or (
        p.id if p.id and len(p.id) <= 12 and any(c.isdigit() for c in p.id) and p.id.upper() == p.id else None
    )
