"""Models of Transformers with PEFT adapters, on a GPU or the CPU: `hf:FOLDER`, `hf:owner/name[@revision]`, `hf:smollm2`, each with `+ID`.

Requests that wait are answered together, also where each wants another adapter. One that comes while others are answered waits
for their end. Replies cannot be held to a schema while they are made.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers

from rag import local_models
from rag.tool_text import knows_tools, with_tools
from router.models import bridge, gguf
from router.models.growing import Asked, Row
from router.models.markers import defused
from router.models.port import (
    Completion,
    Delta,
    Messages,
    ModelError,
    ModelMissing,
    ModelRefused,
    ModelUnavailable,
)

_BASE = "__base__"
"""PEFT's name for no adapter."""


class Transformers:
    """A model of Transformers. All with the same base share its weights.

    Args:
        name: A folder with `config.json`, a GGUF file, `smollm2`, or `owner/name[@revision]` of the hub; with `+ID` behind it,
            with the adapter of that id.
        adapters: Folder of adapters, `<id>/adapter_model.safetensors` and `adapter_config.json`.
        four_bit: Whether the base is held in 4 bits (NF4, needs bitsandbytes); None: if the adapter was trained on such a one. On
            other weights than it was trained on, an adapter is worse.
        held: Most adapters in memory; the one used longest ago makes room.
        batch: Most requests answered at once.
        device: Where it runs, for instance `cuda:1`; None for a GPU if there is one, else the CPU.

    Raises:
        ModelMissing: A package, a file or the adapter is not there.
        ModelRefused: It cannot be loaded.
    """

    def __init__(
        self, name: str, *, adapters: Path | None = None, four_bit: bool | None = None, held: int = 8, batch: int = 8, device: str | None = None
    ) -> None:  # fmt: skip
        given, self._adapter = gguf.split(name)
        base = _place(given)
        self._folder = None if self._adapter is None else gguf.adapter_folder(adapters, self._adapter)
        if self._folder is not None:
            _check_adapter(self._folder, base)
            if four_bit is None:
                four_bit = (gguf.provenance(self._folder).get("recipe") or {}).get("weights") == "qlora"
        self._name = f"{given}+{self._adapter}" if self._adapter else given
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        cache = _cache() if adapters is None else adapters.parent / "bases"
        self._engine = _shared(
            _Settings(base=base, four_bit=bool(four_bit), held=held, batch=batch, device=place), cache
        )

    def complete(self, messages: Messages, **options: Any) -> Completion:
        """Return the next assistant message; see `ChatModel`."""
        last = Completion(text="")
        for delta in self._engine.deltas(self._asked(messages, **options)):
            last = delta.completion or last
        return last

    async def astream(self, messages: Messages, **options: Any) -> AsyncGenerator[Delta, None]:
        """Give the same piece by piece; see `ChatModel`."""
        asked = self._asked(messages, **options)

        def stop() -> None:
            asked.stopped = True

        async with aclosing(bridge.on_a_thread(lambda: self._engine.deltas(asked), stop)) as deltas:
            async for delta in deltas:
                yield delta

    def _asked(
        self,
        messages: Messages,
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        tools: Sequence[Mapping[str, Any]] | None = None,
        stop: Sequence[str] | None = None,
    ) -> Asked:
        if schema is not None:
            raise ModelRefused(
                "this engine cannot hold a reply to a schema while it is made",
                hint="llama.cpp (`local:`) can",
            )
        return Asked(
            ids=self._engine.prompt(messages, tools, max_tokens), adapter=self._folder, most=max_tokens, temperature=temperature,
            stop=tuple(stop or ()), name=self._name, tools=bool(tools),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What makes one engine another than the next; `base` is a path, or the name of a hub's model."""

    base: Path | str
    four_bit: bool
    held: int
    batch: int
    device: str


class _Engine:
    """One base with its adapters. Requests are queued, and answered in batches by a thread that lives as long as there are any."""

    def __init__(self, settings: _Settings, cache: Path) -> None:
        self._settings, self._cache = settings, cache
        self._tokenizer, self._model = _loaded(settings, cache)
        config = self._model.config
        self._context = int(getattr(config, "max_position_embeddings", None) or 2**31)
        self._ends = _ends(self._model, self._tokenizer)
        self._adapters: OrderedDict[Path, str] = OrderedDict()
        self._made = 0
        self._wrapped = False
        self._waiting: deque[Asked] = deque()
        self._working = False
        self._guard = threading.Lock()

    @property
    def held(self) -> list[str]:
        """Ids of the adapters in memory, the one used last at the end."""
        return [folder.name for folder in self._adapters]

    def prompt(self, messages: Messages, tools: Sequence[Mapping[str, Any]] | None, most: int) -> list[int]:
        """Return the tokens of a chat.

        Raises:
            ModelRefused: The chat does not fit, or the model's chat template cannot say it.
        """
        safe = defused(messages, known=self._tokenizer.all_special_tokens)
        told = [{**m, "content": m.get("content") or ""} for m in safe]
        given = [dict(t) for t in tools or ()]
        try:
            if not knows_tools(self._tokenizer.chat_template):
                told, given = with_tools(told, given), []
            text = self._tokenizer.apply_chat_template(
                told, tools=given or None, add_generation_prompt=True, tokenize=False
            )
        except Exception as error:  # templates are programs of others
            raise ModelRefused(f"the model's chat template refused the chat: {error}") from error
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) + most > self._context:
            raise ModelRefused(
                f"{len(ids)} tokens and {most} of answer exceed the model's context of {self._context}"
            )
        return ids

    def deltas(self, asked: Asked) -> Iterator[Delta]:
        """Answer a request piece by piece; the last piece holds the completion."""
        with self._guard:
            self._waiting.append(asked)
            idle, self._working = not self._working, True
        if idle:
            threading.Thread(target=self._work, name="rightfix-transformers", daemon=True).start()
        while True:
            item = asked.out.get()
            if isinstance(item, ModelError):
                raise item
            yield item
            if item.completion is not None:
                return

    def _work(self) -> None:
        while True:
            with self._guard:
                batch = self._batch()
                if not batch:
                    self._working = False
                    return
            try:
                self._answer(batch)
            except torch.OutOfMemoryError as error:
                self._fail(
                    batch, ModelUnavailable(f"out of memory: {error}", hint="ask for a smaller `batch`")
                )
            except Exception as error:  # whoever waits must not wait for ever
                self._fail(batch, ModelUnavailable(f"the model failed: {type(error).__name__}: {error}"))

    def _batch(self) -> list[Asked]:
        """Take as many as fit together, in order, with no more adapters than may be held."""
        taken: list[Asked] = []
        while self._waiting and len(taken) < self._settings.batch:
            folders = {a.adapter for a in (*taken, self._waiting[0]) if a.adapter is not None}
            if len(folders) > self._settings.held:
                break
            asked = self._waiting.popleft()
            if not asked.stopped:
                taken.append(asked)
        return taken

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _fail(self, batch: Sequence[Asked], error: ModelError) -> None:
        for asked in batch:
            asked.out.put(error)

    def _answer(self, batch: list[Asked]) -> None:
        names, ready = [], []
        for asked in batch:
            try:
                names.append(_BASE if asked.adapter is None else self._adapter(asked.adapter, batch))
            except ModelError as error:
                asked.out.put(error)
            else:
                ready.append(asked)
        if not ready:
            return
        longest = max(len(a.ids) for a in ready)
        pad = self._tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (longest - len(a.ids)) + a.ids for a in ready], device=self._model.device)
        mask = torch.tensor(
            [[0] * (longest - len(a.ids)) + [1] * len(a.ids) for a in ready], device=self._model.device
        )
        rows = [Row(a, self._decoded, self._ends) for a in ready]
        options: dict[str, Any] = {"adapter_names": names} if self._adapters else {}
        warm = any(a.temperature > 0 for a in ready)
        if warm:
            options["logits_processor"] = transformers.LogitsProcessorList(
                [_Temperatures([a.temperature for a in ready])]
            )
        with torch.inference_mode():
            self._model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=max(a.most for a in ready), do_sample=warm,
                temperature=1.0 if warm else None, top_p=1.0 if warm else None, top_k=0 if warm else None, pad_token_id=pad,
                stopping_criteria=transformers.StoppingCriteriaList([_Feeding(rows)]), **options,
            )  # fmt: skip
        for row in rows:
            row.end()

    def _adapter(self, folder: Path, batch: Sequence[Asked]) -> str:
        """Return PEFT's name of an adapter, loaded if it is not."""
        if folder in self._adapters:
            self._adapters.move_to_end(folder)
            return self._adapters[folder]
        # A name of our own: PEFT's may hold no dot.
        self._made += 1
        name = f"a{self._made}"
        try:
            if self._wrapped:
                self._model.load_adapter(str(folder), name, is_trainable=False)
            else:
                self._model = import_module("peft").PeftModel.from_pretrained(
                    self._model, str(folder), adapter_name=name, is_trainable=False
                )
        except Exception as error:
            self._without(name)
            raise ModelRefused(
                f"adapter {folder.name!r} cannot be loaded: {error}", hint="was it made for this base?"
            ) from error
        self._wrapped = True
        self._model.eval()
        self._adapters[folder] = name
        if len(self._adapters) > self._settings.held:
            # PEFT warns where the active one is deleted.
            self._model.set_adapter(name, inference_mode=True)
            needed = {a.adapter for a in batch}
            self._model.delete_adapter(self._adapters.pop(next(f for f in self._adapters if f not in needed)))
        return name

    def _without(self, name: str) -> None:
        """Take away what an adapter that could not be loaded may have left on the model."""
        if self._wrapped:
            with suppress(ValueError, KeyError):
                self._model.delete_adapter(name)
        else:
            _, self._model = _loaded(self._settings, self._cache)


class _Feeding(transformers.StoppingCriteria):  # type: ignore[misc]
    """Hands every row its next token, and says which rows are done."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __call__(self, input_ids: Any, scores: Any, **options: Any) -> Any:
        for row, token in zip(self._rows, input_ids[:, -1].tolist(), strict=True):
            row.feed(token)
        done = [row.reason is not None for row in self._rows]
        return torch.tensor(done, device=input_ids.device, dtype=torch.bool)


class _Temperatures(transformers.LogitsProcessor):  # type: ignore[misc]
    """A temperature for each row; at 0 only the likeliest token is left to be drawn."""

    def __init__(self, temperatures: Sequence[float]) -> None:
        self._temperatures = temperatures

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        warm = torch.tensor(self._temperatures, device=scores.device, dtype=scores.dtype).unsqueeze(1)
        likeliest = torch.full_like(scores, float("-inf")).scatter(1, scores.argmax(1, keepdim=True), 0.0)
        return torch.where(warm > 0, scores / warm.clamp(min=1e-3), likeliest)


_ENGINES: weakref.WeakValueDictionary[_Settings, _Engine] = weakref.WeakValueDictionary()
_GUARD = threading.Lock()


def _shared(settings: _Settings, cache: Path) -> _Engine:
    with _GUARD:
        engine = _ENGINES.get(settings)
        if engine is None:
            engine = _ENGINES[settings] = _Engine(settings, cache)
        return engine


def _place(name: str) -> Path | str:
    """Return the folder or GGUF file of a base, or a hub's name as it is."""
    if local_models.is_on_hub(name):
        return name
    return local_models.folder_of(name) or gguf.find(name)


def _check_adapter(folder: Path, base: Path | str) -> None:
    gguf.check_base(folder, base)
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        if not (folder / file).is_file():
            raise ModelMissing(
                f"adapter {folder.name!r} has no {file}",
                hint="weights in other formats may hold code and are not read",
            )
    if find_spec("peft") is None:
        raise ModelMissing("adapters need the package 'peft'", hint="pip install 'rightfix[train]'")


def _loaded(settings: _Settings, cache: Path) -> tuple[Any, Any]:
    options: dict[str, Any] = {"dtype": _dtype(settings.device), "device_map": {"": settings.device}}
    if settings.four_bit:
        if find_spec("bitsandbytes") is None:
            raise ModelMissing(
                "4-bit weights need the package 'bitsandbytes'", hint="pip install 'rightfix[train]'"
            )
        options["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=options["dtype"]
        )  # fmt: skip
    source: dict[str, Any] = {}
    place: Path | str = settings.base
    try:
        if isinstance(place, str):
            place, _, revision = place.partition("@")
            source = {"revision": revision or "main"}
        elif place.is_file():
            place = local_models.unpacked(place, cache)
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, **source)
        model = transformers.AutoModelForCausalLM.from_pretrained(place, **source, **options)
    except ImportError as error:
        raise ModelMissing(
            f"{settings.base}: {str(error).strip().splitlines()[0]}", hint="pip install 'rightfix[train]'"
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelRefused(f"{settings.base} cannot be loaded: {str(error).splitlines()[0][:300]}") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.eval()
    return tokenizer, model


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rightfix" / "bases"


def _dtype(device: str) -> Any:
    """Without hardware for it, bf16 is many times slower than float32."""
    return torch.bfloat16 if device.startswith("cuda") and torch.cuda.is_bf16_supported() else torch.float32


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    told = getattr(model.generation_config, "eos_token_id", None)
    several = told if isinstance(told, list) else [told]
    return frozenset(e for e in (*several, tokenizer.eos_token_id) if e is not None)
