"""Chatbot: whatever is live answers, whom it is meant for; every reply leaves a trace.

bot = Chatbot.live()
reply = bot.reply([{"role": "user", "content": "Do you ship to Canada?"}], tenant="acme")
bot.feedback(reply.id, thumb="down", correction="Yes, for 24 euros.")
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack
from weakref import WeakValueDictionary

from rag.documents import Document
from rag.embedders.port import EmbedderFailed
from rag.index import Index, IndexMissing
from rag.snapshot import Snapshot
from rag.stores.port import StoreFailed
from rag.versions import UnknownVersion
from router import models
from router.bot import Bot
from router.live import Choice, Live, NothingLive
from router.models.port import ChatModel, ModelError
from router.outcomes import Outcomes
from router.portal import PORTAL
from router.prompts import Prompt, Prompts
from router.releases import Releases
from router.replies import Piece, Reply, Request
from router.spans import feedback_line, reply_lines
from router.traces import TO_FILES, Tracing

Messages = Sequence[Mapping[str, Any]]
Thumb = Literal["up", "down"]


class Asked(TypedDict, total=False):
    """What may be said of a request beside its messages; see `Request`."""

    tools: Sequence[Mapping[str, Any]]
    schema: Mapping[str, Any] | None
    tenant: str | None
    task: str | None
    conversation: str
    user: str | None
    access: frozenset[str]
    max_tokens: int | None
    temperature: float | None
    stop: tuple[str, ...]
    release: str | None
    id: str


_FAULTS = (ModelError, EmbedderFailed, StoreFailed, LookupError, OSError)
"""What a release may fail of."""


class Chatbot:
    """Answers with what is live in a state folder. May be used by several threads and tasks at once.

    Args:
        state: The state folder: `live.json`, `releases/`, `prompts/`, `index/`, `adapters/`.
        index: Folder of the index; `index` in the state folder unless given.
        unknown: What a tenant gets whom no route names: what is for anybody, or a refusal (`UnknownTenant`).
        tracing: What is traced, and where to; None for nothing.
        load: Gives the model of a reference; `router.models.load` unless one's own are to be used.
        open_bots: Releases kept open at once; the one that was used longest ago is closed.
    """

    def __init__(
        self, state: str | os.PathLike[str] = ".advisor", *, index: Path | None = None, unknown: Literal["default", "refuse"] = "default",
        tracing: Tracing | None = TO_FILES, load: Callable[[str], ChatModel] | None = None, open_bots: int = 8,
    ) -> None:  # fmt: skip
        folder = Path(state)
        self._prompts, self._releases = Prompts(folder), Releases(folder)
        self.pointer = Live(folder, unknown=unknown)
        self._index = Index(index or folder / "index")
        self._load = load or (lambda reference: models.load(reference, adapters=folder / "adapters"))
        self._tracing = tracing or Tracing()
        self._traces = self._tracing.opened(folder) if tracing is not None else None
        self.outcomes = Outcomes(folder)
        self._bots: OrderedDict[str, Bot] = OrderedDict()
        self._most = open_bots
        # Those that a bot holds open; nothing is held here.
        self._snapshots: WeakValueDictionary[str, Snapshot] = WeakValueDictionary()
        self._guard = threading.Lock()
        self._aside: set[asyncio.Task[None]] = set()

    @classmethod
    def live(cls, state: str | os.PathLike[str] = ".advisor", **options: Any) -> Chatbot:
        """Return the chatbot of a state folder; see the class for the options."""
        return cls(state, **options)

    # Asking

    def reply(self, messages: Messages, **asked: Unpack[Asked]) -> Reply:
        """Answer a conversation.

        Args:
            messages: In OpenAI form; the last one is the person's, or a tool's result.
            asked: See `Request`.

        Raises:
            NothingLive: No release is live for the tenant.
            UnknownTenant: No route names the tenant, and such are refused.
            UnknownRelease: A release was asked for that no route of the tenant names.
            ModelError: The model gave no answer.
        """
        return PORTAL.call(self.areply(messages, **asked))

    def stream(self, messages: Messages, **asked: Unpack[Asked]) -> Iterator[Piece]:
        """Answer piece by piece; the last piece holds the whole reply. Raises what `reply` raises."""
        return PORTAL.iterate(self.astream(messages, **asked))

    async def areply(self, messages: Messages, **asked: Unpack[Asked]) -> Reply:
        """Answer a conversation; see `reply`."""
        request = _request(messages, asked)
        for choice in self._choices(request):
            try:
                bot = await self._bot(choice.release)
                reply = await bot.areply(request)
            except _FAULTS as error:
                self._failed(request, choice, error)
                if choice.arm != "canary":
                    raise
                continue
            return self._done(request, choice, bot, reply)
        raise AssertionError("what is live answers or raises")

    async def astream(self, messages: Messages, **asked: Unpack[Asked]) -> AsyncGenerator[Piece, None]:
        """Answer piece by piece; see `stream`. Closing it early ends the model's work."""
        request, shown = _request(messages, asked), False
        for choice in self._choices(request):
            try:
                bot = await self._bot(choice.release)
                async with aclosing(bot.astream(request)) as pieces:
                    async for piece in pieces:
                        shown = True
                        done = None if piece.reply is None else self._done(request, choice, bot, piece.reply)
                        yield piece if done is None else Piece(reply=done)
                return
            except _FAULTS as error:
                self._failed(request, choice, error)
                if choice.arm != "canary" or shown:
                    raise

    def feedback(
        self, reply_id: str, *, thumb: Thumb | None = None, comment: str = "", correction: str | None = None
    ) -> None:
        """Keep what somebody says of a reply; it is on the disk when this returns.

        Args:
            reply_id: Of the reply.
            thumb: `up` or `down`.
            comment: In their words.
            correction: What should have been said.

        Raises:
            ValueError: Nothing is said, or the thumb is neither.
            OSError: It could not be written.
        """
        if thumb is None and not comment and correction is None:
            raise ValueError("feedback needs a thumb, a comment or a correction")
        if thumb not in (None, "up", "down"):
            raise ValueError(f"a thumb is `up` or `down`, not {thumb!r}")
        at = time.time()
        if self._traces is not None:
            self._traces.kept(
                lambda: feedback_line(
                    reply_id,
                    time=at,
                    thumb=thumb,
                    comment=comment,
                    correction=correction,
                    resource=self._tracing.service,
                    shown=self._tracing.shown,
                )
            )
        if thumb is not None:
            self.outcomes.rate(reply_id, 1 if thumb == "up" else -1)
            self.outcomes.flush()

    def as_runnable(self, **asked: Unpack[Asked]) -> Any:
        """Return the chatbot as a LangChain Runnable from messages (or a text) to an AI message; needs langchain-core."""
        return import_module("router.runnable").runnable(self, asked)

    def close(self) -> None:
        """Write what waits and let go of the index."""
        if self._traces is not None:
            self._traces.close()
        self.outcomes.close()
        self._index.close()

    def __enter__(self) -> Chatbot:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def document(self, index: str, id: str) -> Document | None:
        """Return a document as a version of the index holds it; None if the version or the document is gone.

        Whether an asker may see it is not looked at.
        """
        known = self._snapshots.get(index)
        if known is not None:
            return known.document(id)
        try:
            with closing(self._index.at(index)) as snapshot:
                return snapshot.document(id)
        except (UnknownVersion, IndexMissing):
            return None

    @property
    def lost_traces(self) -> int:
        """Traces that could not be written so far."""
        return self._traces.lost if self._traces is not None else 0

    async def warm(self) -> None:
        """Open what is live, what is tried and what would be taken back to, so that no request waits for that.

        Raises:
            NothingLive: Nothing is live, or the pointer is damaged.
            ModelError: A model cannot be loaded.
            LookupError: A release, prompt or index version is not there.
        """
        routes = self.pointer.routes().values()
        if not routes:
            raise NothingLive("nothing is live yet; promote a release with `advise release promote`")
        wanted = (
            [r.release for r in routes]
            + [r.canary for r in routes]
            + [p for r in routes for p in r.previous[:1]]
        )
        for release in list(dict.fromkeys(w for w in wanted if w is not None))[: self._most]:
            await self._bot(release)

    async def settled(self) -> None:
        """Return when all shadow replies are done."""
        while self._aside:
            await asyncio.gather(*self._aside, return_exceptions=True)

    def flush(self) -> None:
        """Return when all traces and outcomes are in their files."""
        if self._traces is not None:
            self._traces.flush()
        self.outcomes.flush()

    # Parts of it

    def _choices(self, request: Request) -> Iterator[Choice]:
        """Yield what answers; behind a canary what is live, since nobody is to lose an answer to a trial."""
        choice = self.pointer.choose(
            tenant=request.tenant, task=request.task, conversation=request.conversation, release=request.release
        )  # fmt: skip
        yield choice
        if choice.arm == "canary":
            yield replace(choice, release=self.pointer.routes()[choice.route].release, arm="live")

    async def _bot(self, release: str) -> Bot:
        with self._guard:
            known = self._bots.get(release)
            if known is not None:
                self._bots.move_to_end(release)
                return known
        # A model may take seconds to load; nobody else waits for it meanwhile.
        opened = await asyncio.to_thread(self._opened, release)
        with self._guard:
            bot = self._bots.setdefault(release, opened)
            while len(self._bots) > self._most:
                self._bots.popitem(last=False)
            return bot

    def _opened(self, id: str) -> Bot:
        release = self._releases.get(id)
        snapshot = self._index.at(release.index) if release.index else None
        if snapshot is not None:
            self._snapshots[snapshot.id] = snapshot
        return Bot(release, self._prompts.get(release.prompt), self._load(release.model), snapshot)

    def _done(self, request: Request, choice: Choice, bot: Bot, reply: Reply) -> Reply:
        reply = replace(reply, route=choice.route, arm=choice.arm)
        self._noted(request, bot, reply)
        if choice.shadow is not None and choice.shadow != choice.release:
            task = asyncio.get_running_loop().create_task(self._shadowed(request, choice, choice.shadow))
            self._aside.add(task)
            task.add_done_callback(self._aside.discard)
        return reply

    async def _shadowed(self, request: Request, choice: Choice, release: str) -> None:
        try:
            bot = await self._bot(release)
            # What was shown has the id that was asked for; what is not shown needs one of its own.
            reply = await bot.areply(replace(request, id=""))
        except (ModelError, LookupError):
            return  # nobody sees a shadow, so nobody is told of its faults
        self._noted(request, bot, replace(reply, route=choice.route, arm="shadow"))

    def _noted(self, request: Request, bot: Bot, reply: Reply) -> None:
        self.outcomes.add(reply, conversation=request.conversation)
        if self._traces is not None:
            how, prompt = self._tracing, bot.prompt
            self._traces.write(
                lambda: reply_lines(request, reply, prompt, resource=how.service, shown=how.shown)
            )

    def _failed(self, request: Request, choice: Choice, error: Exception) -> None:
        with self._guard:
            bot = self._bots.get(choice.release)
        reply = Reply(
            id=request.id or f"reply-{uuid.uuid4().hex[:24]}", text="", model=bot.release.model if bot else "", release=choice.release,
            prompt=bot.release.prompt if bot else "", route=choice.route, arm=choice.arm, time=time.time(),
        )  # fmt: skip
        if choice.arm == "canary":
            # What is live answers under that id.
            reply = replace(reply, id=f"reply-{uuid.uuid4().hex[:24]}")
        self.outcomes.add(reply, conversation=request.conversation, failed=True)
        if self._traces is not None:
            how, prompt, told = self._tracing, bot.prompt if bot else Prompt.of(""), str(error)
            self._traces.write(
                lambda: reply_lines(request, reply, prompt, resource=how.service, shown=how.shown, error=told)
            )


def _request(messages: Messages, asked: Asked) -> Request:
    given: dict[str, Any] = dict(asked)
    request = Request(**{**given, "messages": tuple(messages), "tools": tuple(given.get("tools") or ())})
    return (
        request
        if request.conversation
        else replace(request, conversation=_conversation(request), untold=True)
    )


def _conversation(request: Request) -> str:
    """A conversation is told by its tenant, user and first message, so that its later turns are known to belong to it."""
    first = next((m for m in request.messages if m.get("role") == "user"), {})
    text = json.dumps([request.tenant, request.user, first], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
