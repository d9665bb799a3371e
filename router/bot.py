"""Bot: one release, opened. Retrieves, asks the model, holds the reply to its contract, cites; piece by piece if wanted."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from rag.hits import Hit
from rag.lexical import terms
from rag.visibility import Filter
from router import citing
from router.abstention import abstains
from router.composing import compose, labels
from router.contract.checking import breaches, call_breaches
from router.contract.mending import mends_at_end
from router.holding import Demands, Draft, complaint, draft_of, hold, with_request, without_sources
from router.models.port import ChatModel, Completion, Delta, ModelRefused, ToolRequest, Usage
from router.prompts import Prompt
from router.releases import Release
from router.replies import Intervention, Piece, Reply, Request, Timings, words_of
from router.retrieving import holds_answer, is_small_talk, query_of


class Searched(Protocol):
    """What a bot searches; a snapshot of an index is one."""

    @property
    def id(self) -> str:
        """What it is called in replies and traces."""

    def search(self, query: str, *, k: int | None = None, filter: Filter | None = None) -> Sequence[Hit]:
        """Return the best chunks, best first."""
        ...

    def weigh(self, term: str) -> float:
        """Return the weight of a search term."""
        ...


@dataclass(slots=True)
class _Run:
    """What happens during one request."""

    request: Request
    demands: Demands
    messages: tuple[Mapping[str, Any], ...] = ()
    hits: tuple[Hit, ...] | None = None
    started: float = field(default_factory=time.perf_counter)
    time: float = field(default_factory=time.time)
    retrieve: float = 0.0
    generate: float = 0.0
    hold: float = 0.0
    first: float | None = None
    usages: list[Usage] = field(default_factory=list)
    answered_by: str = ""


class Bot:
    """One release, opened. May be used by several threads and tasks at once.

    Args:
        release: What answers.
        prompt: Its prompt.
        model: Its model.
        snapshot: Its version of the index; None for a bot without retrieval.
    """

    def __init__(
        self, release: Release, prompt: Prompt, model: ChatModel, snapshot: Searched | None = None
    ) -> None:
        self.release = release
        self.prompt = prompt
        self._model = model
        self._snapshot = snapshot
        self._takes_schema = True
        self._id = release.id

    async def astream(self, request: Request) -> AsyncGenerator[Piece, None]:
        """Answer piece by piece; the last piece holds the whole reply.

        Words come as they are made if whatever the contract wants can still be mended at the end, else all at once.

        Raises:
            ModelError: The model gave no answer.
            EmbedderFailed: The question could not be embedded.
            StoreFailed: The vector store could not search.
        """
        run = await self._prepared(request)
        if run.hits is not None and not self._answerable(run):
            draft = hold(Draft(text=self.prompt.no_answer), replace(run.demands, grounded=False))
            done = Intervention(kind="declined", note="Nothing that was retrieved holds the answer.")
            reply = self._reply(
                run, replace(draft, interventions=(done, *draft.interventions)), declined=True
            )
            yield Piece(text=reply.text)
            yield Piece(reply=reply)
            return
        if self._goes_live(run.demands):
            async with aclosing(self._live(run)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        reply = await self._checked(run)
        if reply.text:
            yield Piece(text=reply.text)
        yield Piece(reply=reply)

    async def areply(self, request: Request) -> Reply:
        """Answer; see `astream`. The reply is checked as a whole, with retries, also where a stream would go live."""
        run = await self._prepared(request)
        if run.hits is not None and not self._answerable(run):
            async with aclosing(self.astream(request)) as pieces:
                return [p.reply async for p in pieces if p.reply is not None][-1]
        return await self._checked(run)

    # Before the model

    async def _prepared(self, request: Request) -> _Run:
        contract = with_request(self.release.contract, request.schema)
        how = self.release.retrieving
        demands = Demands(
            contract=contract, question=request.question, said=tuple(words_of(m) for m in request.messages), prompt=self.prompt.system, tools=request.tools,
            cite=how.cite, grounded=how.grounded,
        )  # fmt: skip
        run = _Run(request=request, demands=demands)
        query = self._query(request)
        if query is not None and self._snapshot is not None:
            began = time.perf_counter()
            asker = Filter(tenant=request.tenant, access=request.access)
            run.hits = tuple(await asyncio.to_thread(self._snapshot.search, query, k=how.k, filter=asker))
            run.retrieve = time.perf_counter() - began
            run.demands = replace(demands, named=labels(run.hits), weigh=self._snapshot.weigh)
        elif self._snapshot is not None:
            run.demands = replace(demands, contract=without_sources(contract))
        # A model that cites by itself says so; its citations are checked like any other's.
        documents = how.cite and bool(getattr(self._model, "takes_documents", False))
        run.messages = compose(self.prompt, request.messages, run.demands.named, documents=documents)
        return run

    def _query(self, request: Request) -> str | None:
        """Return what to search for; None if the request needs no passages."""
        last = request.messages[-1] if request.messages else {}
        if self._snapshot is None or last.get("role") == "tool" or is_small_talk(request.question):
            return None
        query = query_of(request.messages)
        return query if terms(query) else None

    def _answerable(self, run: _Run) -> bool:
        return holds_answer(
            query_of(run.request.messages),
            run.hits or (),
            least=self.release.retrieving.decline_below,
            weigh=run.demands.weigh,
        ) or bool(run.request.tools)

    def _goes_live(self, demands: Demands) -> bool:
        how = self.release.generation.stream
        if how != "auto":
            return how == "live"
        mendable = all(mends_at_end(r) for r in demands.contract.rules) and not demands.contract.labels
        # A figure without support cannot be taken back once it was shown.
        return mendable and not demands.tools and not (demands.grounded and demands.named is not None)

    # The model, checked as a whole

    async def _checked(self, run: _Run) -> Reply:
        messages: Sequence[Mapping[str, Any]] = run.messages
        best: Draft | None = None
        extra: tuple[Intervention, ...] = ()
        for attempt in range(self.release.generation.retries + 1):
            completion = await self._asked(run, messages)
            began = time.perf_counter()
            draft = hold(draft_of(completion, run.demands), run.demands)
            run.hold += time.perf_counter() - began
            best = draft if best is None or len(draft.breaches) < len(best.breaches) else best
            if not best.breaches:
                break
            if attempt < self.release.generation.retries:
                extra = (
                    *extra,
                    *(Intervention(kind="retried", rule=b.rule, note=b.note) for b in draft.breaches),
                )
                messages = (*run.messages, *_rejected(completion, complaint(draft.breaches)))
        if best is None:
            raise ValueError("a release must ask its model at least once; set retries to 0 or more")
        best = replace(best, interventions=(*self._strictness(run), *extra, *best.interventions))
        return self._reply(run, self._last_resort(best, run.demands))

    def _last_resort(self, draft: Draft, demands: Demands) -> Draft:
        """Replace what must not leave: wrong calls, figures without support, and what breaks the contract if there is a fallback."""
        if not draft.breaches:
            return draft
        if draft.calls:
            good = tuple(c for c in draft.calls if not call_breaches([c], demands.tools))
            dropped = tuple(
                Intervention(kind="call_dropped", rule=b.rule, note=b.note) for b in draft.breaches
            )
            kept = replace(draft, calls=good, interventions=(*draft.interventions, *dropped))
            return (
                kept
                if good or draft.text
                else self._replaced(kept, demands, self.release.fallback or self.prompt.no_answer, "fallback")
            )
        if draft.grounds:
            return self._replaced(draft, demands, self.prompt.no_answer, "declined")
        if self.release.fallback is not None:
            return self._replaced(draft, demands, self.release.fallback, "fallback")
        return draft

    def _replaced(self, draft: Draft, demands: Demands, text: str, kind: str) -> Draft:
        why = Intervention(
            kind="declined" if kind == "declined" else "fallback",
            rule=draft.breaches[0].rule,
            note=draft.breaches[0].note,
        )
        # A fallback is the operator's own word; it is mended to the contract, and said also if it cannot be.
        held = hold(Draft(text=text), replace(demands, grounded=False))
        return replace(held, interventions=(*draft.interventions, why, *held.interventions))

    async def _asked(self, run: _Run, messages: Sequence[Mapping[str, Any]]) -> Completion:
        began = time.perf_counter()
        schema = self._schema(run.demands)
        try:
            completion = await _collected(self._model.astream(messages, **self._options(run, schema)))
        except ModelRefused:
            if schema is None:
                raise
            # An engine that cannot hold a reply to a schema is asked without; the contract is checked all the same.
            completion = await _collected(self._model.astream(messages, **self._options(run, None)))
            self._takes_schema = False
        run.generate += time.perf_counter() - began
        run.usages.append(completion.usage)
        run.answered_by = completion.model
        return completion

    def _schema(self, demands: Demands) -> Mapping[str, Any] | None:
        strict = self.release.generation.strict and self._takes_schema and not demands.tools
        return demands.schema if strict else None

    def _strictness(self, run: _Run) -> tuple[Intervention, ...]:
        if self._schema(run.demands) is None:
            return ()
        return (
            Intervention(
                kind="strict",
                rule="label" if run.demands.contract.labels else "json",
                note="The engine held the reply to its schema.",
            ),
        )

    def _options(self, run: _Run, schema: Mapping[str, Any] | None) -> dict[str, Any]:
        how, asked = self.release.generation, run.request
        most = how.max_tokens if asked.max_tokens is None else min(asked.max_tokens, how.max_tokens)
        temperature = how.temperature if asked.temperature is None else asked.temperature
        options: dict[str, Any] = {"schema": schema, "max_tokens": most, "temperature": temperature}
        return options | {"tools": run.demands.tools or None, "stop": (*how.stop, *asked.stop) or None}

    # The model, shown as it speaks

    async def _live(self, run: _Run) -> AsyncGenerator[Piece, None]:
        began = time.perf_counter()
        demands = run.demands
        running = citing.Running(
            demands.named or {}, question=demands.question, closing=demands.closing, told=demands.told, weigh=demands.weigh
        )  # fmt: skip
        shown, completion = "", None
        async with aclosing(
            self._model.astream(run.messages, **self._options(run, self._schema(demands)))
        ) as deltas:
            async for delta in deltas:
                completion = delta.completion or completion
                text = running.feed(delta.text) if delta.text and demands.cite else delta.text
                text = text if shown else text.lstrip()
                if text:
                    run.first = run.first or time.perf_counter() - run.started
                    shown += text
                    yield Piece(text=text)
        shown += (rest := running.end())
        run.generate = time.perf_counter() - began
        completion = completion or Completion(text=shown)
        run.usages.append(completion.usage)
        run.answered_by = completion.model
        began = time.perf_counter()
        raw = Draft(text=shown, calls=completion.tool_calls, finish_reason=completion.finish_reason)
        held = hold(raw, replace(demands, cite=False))
        if demands.cite and demands.named and not running.citations and demands.wants_citation:
            held = hold(raw, demands)
        # What was shown stays; only what is added behind it can still be said.
        base = shown.rstrip()
        ending = held.text[len(base) :] if held.text.startswith(base) else ""
        ending = ending.lstrip() if base != shown else ending
        if rest + ending:
            yield Piece(text=rest + ending)
        text = shown + ending
        left = breaches(text, demands.contract, question=demands.question, finish_reason=raw.finish_reason)
        run.hold = time.perf_counter() - began
        yield Piece(
            reply=self._reply(
                run,
                replace(
                    held, text=text, breaches=(*left, *(b for b in held.breaches if b.kind in ("grounded", "tool_call"))),
                    citations=tuple(dict.fromkeys((*running.citations, *held.citations))), interventions=(*running.interventions, *held.interventions),
                ),
            )
        )  # fmt: skip

    # The reply

    def _reply(self, run: _Run, draft: Draft, *, declined: bool = False) -> Reply:
        usage = Usage(
            input_tokens=_sum(u.input_tokens for u in run.usages),
            output_tokens=_sum(u.output_tokens for u in run.usages),
        )
        timings = Timings(
            retrieve=run.retrieve,
            generate=run.generate,
            hold=run.hold,
            first=run.first,
            total=time.perf_counter() - run.started,
        )
        return Reply(
            id=run.request.id or f"reply-{uuid.uuid4().hex[:24]}", text=draft.text, tool_calls=_identified(draft.calls), citations=draft.citations, passages=run.hits,
            declined=declined or any(i.kind == "declined" for i in draft.interventions) or (bool(run.hits) and abstains(draft.text) == "fully"),
            interventions=draft.interventions, breaches=draft.breaches, finish_reason=draft.finish_reason, model=self.release.model,
            answered_by=run.answered_by, release=self._id, prompt=self.release.prompt, index=self._snapshot.id if self._snapshot else None,
            calls=len(run.usages), usage=usage, cost_usd=self.release.cost(usage.input_tokens, usage.output_tokens), timings=timings, time=run.time,
        )  # fmt: skip


async def _collected(deltas: AsyncGenerator[Delta, None]) -> Completion:
    completion, text = None, []
    async with aclosing(deltas) as pieces:
        async for delta in pieces:
            completion = delta.completion or completion
            text.append(delta.text)
    return completion or Completion(text="".join(text))


def _rejected(completion: Completion, told: str) -> tuple[Mapping[str, Any], ...]:
    """Return a draft and what is wrong with it as the next messages."""
    said = completion.text or json.dumps(
        [{"name": c.name, "arguments": c.arguments} for c in completion.tool_calls], ensure_ascii=False
    )
    return ({"role": "assistant", "content": said}, {"role": "user", "content": told})


def _identified(calls: Sequence[ToolRequest]) -> tuple[ToolRequest, ...]:
    """Every call needs an id that its result can name."""
    return tuple(c if c.id else replace(c, id=f"call_{uuid.uuid4().hex[:16]}") for c in calls)


def _sum(values: Any) -> int | None:
    found = [v for v in values if v is not None]
    return sum(found) if found else None
