"""Models in GGUF files on this machine, with or without an adapter, run by llama.cpp (package `xllamacpp`)."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rag import local_models
from rag.tool_text import parted, with_tools
from router.models import bridge, gguf
from router.models.llamacpp_engine import Call, Settings, shared
from router.models.markers import defused
from router.models.port import ChatModel, Completion, Delta, Messages, ModelMissing, ToolRequest, Usage


def local(name: str, **options: Any) -> ChatModel:
    """Return the model of a name with the engine that can run it: llama.cpp a GGUF file, Transformers a folder or a hub's model."""
    base, _ = gguf.split(name)
    if local_models.folder_of(base) is not None or local_models.is_on_hub(base):
        made: ChatModel = import_module("router.models").load(f"hf:{name}", **options)
        return made
    return LlamaCpp(name, **options)


class LlamaCpp:
    """A GGUF model. All with the same base and settings share one process, which holds the base once.

    Args:
        name: Path of a GGUF file, the name of one in the folder `RIGHTFIX_MODELS`, or `smollm2`; with `+ID` behind it, with the
            adapter of that id.
        adapters: Folder of adapters, `<id>/adapter.gguf`.
        context: Most tokens of prompt and answer together; None for what `RIGHTFIX_CONTEXT` says, else 4096.
        slots: Requests answered at once, each with a context of its own; None for `RIGHTFIX_SLOTS`, else 4.
        held: Most adapters in memory; the one used longest ago makes room. None for `RIGHTFIX_ADAPTERS`, else 32.
        threads: CPU threads; None for `RIGHTFIX_THREADS`, else one a core but one, which is left to whoever asks. llama.cpp's threads
            wait for one another spinning, so that a single one which must share its core slows all of them down many times.
        reuse: Whether the beginning of a prompt that was read before is not read again. Faster, but rounding
            then depends on what was asked before, so that the same question may get another answer.

    Raises:
        ModelMissing: The package, the file or the adapter is not there.
        ModelRefused: llama.cpp cannot load it.
    """

    def __init__(
        self, name: str, *, adapters: Path | None = None, context: int | None = None, slots: int | None = None, held: int | None = None,
        threads: int | None = None, reuse: bool = True,
    ) -> None:  # fmt: skip
        if find_spec("xllamacpp") is None:
            raise ModelMissing(
                "llama.cpp needs the package 'xllamacpp'", hint="pip install 'rightfix[local]'"
            )
        base, self._adapter = gguf.split(name)
        path = gguf.find(base)
        folder = None if self._adapter is None else gguf.adapter_folder(adapters, self._adapter)
        self._tools_in_text = gguf.tools_in_text(path, folder)
        self._name = path.stem if self._adapter is None else f"{path.stem}+{self._adapter}"
        self._reuse = reuse
        self._engine = shared(
            Settings(
                base=path.resolve(), adapters=adapters.resolve() if adapters is not None else None, context=context or _set("RIGHTFIX_CONTEXT", 4096), slots=slots or _set("RIGHTFIX_SLOTS", 4),
                held=held or _set("RIGHTFIX_ADAPTERS", 32), threads=threads or _set("RIGHTFIX_THREADS", max(1, (os.cpu_count() or 1) - 1)),
            )
        )  # fmt: skip
        self._engine.ready(self._adapter)

    def complete(self, messages: Messages, **options: Any) -> Completion:
        """Return the next assistant message; see `ChatModel`. The schema is enforced by a grammar."""
        last = Completion(text="")
        for delta in self._deltas(Call(), messages, **options):
            last = delta.completion or last
        return last

    async def astream(self, messages: Messages, **options: Any) -> AsyncGenerator[Delta, None]:
        """Give the same piece by piece; see `ChatModel`."""
        call = Call()
        async with aclosing(
            bridge.on_a_thread(lambda: self._deltas(call, messages, **options), call.stop)
        ) as deltas:
            async for delta in deltas:
                yield delta

    def _deltas(
        self, call: Call, messages: Messages, *, tools: Sequence[Mapping[str, Any]] | None = None, **options: Any
    ) -> Iterator[Delta]:  # fmt: skip
        body = _body(messages, tools=None if self._tools_in_text else tools, **options)
        if self._tools_in_text:
            # After marks were made harmless in what others wrote: these are ours.
            body["messages"] = with_tools(body["messages"], tools or ())
        prompt = json.dumps(body["messages"], ensure_ascii=False)
        with self._engine.lease(self._adapter) as child, child.slot(self._adapter, prompt) as (slot, same):
            lora = [] if self._adapter is None else [{"id": child.ids.index(self._adapter), "scale": 1.0}]
            given = {**body, "lora": lora, "id_slot": slot, "cache_prompt": self._reuse and same}
            found = _gathered(call.events(child, given), self._name)
            yield from _with_calls(found) if tools and self._tools_in_text else found


def _set(variable: str, default: int) -> int:
    """Return what an environment variable says, a whole number from 1 on."""
    told = os.environ.get(variable, "")
    if not told:
        return default
    if not told.isdecimal() or not int(told):
        raise ModelMissing(f"{variable} is {told!r}, which is no whole number from 1 on")
    return int(told)


def _body(
    messages: Messages,
    *,
    schema: Mapping[str, Any] | None = None,
    max_tokens: int = 512,
    temperature: float = 0.0,
    tools: Sequence[Mapping[str, Any]] | None = None,
    stop: Sequence[str] | None = None,
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "messages": defused(messages),
        "max_tokens": max_tokens,
        "temperature": temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "reply", "schema": dict(schema)},
        }
    if tools:
        body["tools"] = [dict(t) for t in tools]
    if stop:
        body["stop"] = list(stop)
    return body


def _gathered(events: Iterator[Mapping[str, Any]], name: str) -> Iterator[Delta]:
    """Yield text as it comes and, last, the completion."""
    text: list[str] = []
    calls: dict[int, dict[str, str]] = {}
    reason: str | None = None
    usage: Mapping[str, Any] = {}
    for event in events:
        usage = event.get("usage") or usage
        for choice in event.get("choices", ()):
            reason = choice.get("finish_reason") or reason
            delta = choice.get("delta", {})
            for part in delta.get("tool_calls") or ():
                _add(calls, part)
            if piece := delta.get("content"):
                text.append(piece)
                yield Delta(text=piece)
    yield Delta(
        completion=Completion(
            text="".join(text),
            tool_calls=tuple(
                ToolRequest(name=c["name"], arguments=c["arguments"], id=c["id"] or None) for _, c in sorted(calls.items())
            ),
            usage=Usage(input_tokens=usage.get("prompt_tokens"), output_tokens=usage.get("completion_tokens")),
            finish_reason=reason,
            model=name,
        )
    )  # fmt: skip


def _with_calls(deltas: Iterator[Delta]) -> Iterator[Delta]:
    """Read the calls out of an answer; what is text and what a call is known at its end."""
    for delta in deltas:
        if delta.completion is not None:
            text, found = parted(delta.completion.text)
            calls = tuple(ToolRequest(**c) for c in found)
            reason = "tool_calls" if calls else delta.completion.finish_reason
            if text:
                yield Delta(text=text)
            yield Delta(completion=replace(delta.completion, text=text, tool_calls=calls, finish_reason=reason))  # fmt: skip


def _add(calls: dict[int, dict[str, str]], part: Mapping[str, Any]) -> None:
    call = calls.setdefault(int(part.get("index", 0)), {"name": "", "arguments": "", "id": ""})
    function = part.get("function", {})
    call["id"] = part.get("id") or call["id"]
    call["name"] += function.get("name") or ""
    call["arguments"] += function.get("arguments") or ""
