"""Weights: bases and adapters loaded with Transformers and PEFT, merged, and asked; the one place that knows torch.

What was measured and is held to here: a GGUF is loaded dequantised, so that the adapter learns on the very numbers that llama.cpp serves;
without hardware for bf16 everything stays in float32, which is ten times faster there; an adapter that learnt on 4-bit weights is merged
into those weights made float again, since merging into 4-bit weights rounds it away without a word.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GgufConfig,
    set_seed,
)

from finetune import sharing
from finetune.bases import Base
from finetune.rows import IGNORED, Row
from rag import local_models

_CLOSE = 1e-3
_CLOSE_BF16 = 5e-2
"""Most that the loss of one token may differ where rows share a beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What this machine can do.

    Attributes:
        device: `cuda`, `mps` or `cpu`.
        bf16: Whether it computes in bf16 in hardware.
        gib: Memory of the device, GiB; 0 if not known.
    """

    device: str
    bf16: bool
    gib: float


def machine() -> Machine:
    """Return what this machine can do."""
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory / 2**30
        return Machine(device="cuda", bf16=torch.cuda.is_bf16_supported(), gib=total)
    if torch.backends.mps.is_available():
        return Machine(device="mps", bf16=False, gib=0.0)
    total = (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0.0
    )
    return Machine(device="cpu", bf16=False, gib=total)


def gpus() -> int:
    """Return how many GPUs this machine has."""
    return int(torch.cuda.device_count()) or (1 if torch.backends.mps.is_available() else 0)


def product(size: int) -> Callable[[], float]:
    """Return what multiplies two square matrices on the device that trains, in the precision it trains in, and waits until it is done."""
    own = machine()
    a, b = (
        torch.ones(size, size, dtype=torch.bfloat16 if own.bf16 else torch.float32, device=own.device)
        for _ in range(2)
    )
    return lambda: float((a @ b)[0, 0])


def peak_memory() -> int | None:
    """Return the most memory that this process held so far, bytes: of the GPU where there is one; None where that cannot be told."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def seeded(seed: int) -> None:
    """Set every source of chance."""
    set_seed(seed)


def tokenizer(base: Base, *, cache: Path | None = None) -> Any:
    """Return the tokeniser of a base, with its chat template and the base's context as its limit."""
    place, more = _place(base, cache)
    found = AutoTokenizer.from_pretrained(place, **more)
    # A GGUF's tokeniser comes without a limit, and a folder's may have another than the weights.
    config = AutoConfig.from_pretrained(place, **more).get_text_config()
    found.model_max_length = getattr(config, "max_position_embeddings", None) or found.model_max_length
    if found.pad_token is None:
        found.pad_token = found.eos_token
    return found


def model(
    base: Base,
    *,
    four_bit: bool = False,
    exact: bool = False,
    cache: Path | None = None,
    on_device: bool = True,
) -> Any:
    """Return a base's weights, in bf16 where the machine computes so, else float32.

    Args:
        base: The base.
        four_bit: NF4 with double quantisation (QLoRA).
        exact: float32 on any machine, for weights that are to be changed: small changes are lost in bf16. The trainer computes in bf16 all the same.
        cache: Folder in which a GGUF's weights are kept unpacked: 1 s instead of 25 s to load.
        on_device: Whether they go to this rank's GPU where there is one; no if they are to be sharded, as they may not fit there whole.
    """
    own = machine()
    dtype = torch.bfloat16 if own.bf16 and not exact else torch.float32
    options: dict[str, Any] = {"dtype": dtype}
    if four_bit:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    if own.device == "cuda" and on_device:
        options["device_map"] = {"": int(os.environ.get("LOCAL_RANK", 0))}
    place, more = _place(base, cache)
    if "gguf_file" in more:
        if four_bit:
            raise ValueError("4-bit weights are loaded from an unpacked folder; name a cache")
        options["quantization_config"] = GgufConfig(dequantize=True)
    found = AutoModelForCausalLM.from_pretrained(place, **more, **options)
    if four_bit and own.device == "cpu":
        _exactly(found)
    return found


def _exactly(loaded: Any) -> None:
    """Keep bitsandbytes from packing 4-bit weights for bf16 products at the first look at them, as it does on processors with AVX512-BF16 only:
    what comes after would be rounded, and a training that was looked at or resumed be another than one that was not."""
    for module in loaded.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def unpack(base: Base, cache: Path) -> Path | None:
    """Unpack a GGUF into `cache/<hash>/` for later loads and return that folder; None for what is not a GGUF."""
    if base.kind != "gguf" or base.path is None:
        return None
    return local_models.unpacked(base.path, cache)


def _place(base: Base, cache: Path | None) -> tuple[str, dict[str, Any]]:
    if base.kind == "hub":
        name, _, revision = base.name.partition("@")
        return name, {"revision": revision} if revision else {}
    if base.path is None:
        raise ValueError(f"{base.name} has no path")
    if base.kind == "folder":
        return str(base.path), {}
    folder = cache / base.hash[:16] if cache is not None else None
    if folder is not None and (folder / "config.json").exists():
        return str(folder), {}
    return str(base.path.parent), {"gguf_file": base.path.name}


def lora(*, rank: int, alpha: float, dropout: float) -> LoraConfig:
    """Return the adapter that is trained: LoRA on every linear layer."""
    return LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def collated(batch: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """Return rows (`input_ids`, `labels`) as one sequence of n tokens (`finetune.sharing`): ids, positions and labels of shape (1, n), a mask of
    shape (1, 1, n, n), and the tokens that the rows have apart, shape (1,)."""
    found = sharing.laid([Row(ids=list(b["input_ids"]), labels=list(b["labels"])) for b in batch])
    groups, branches = torch.tensor(found.groups), torch.tensor(found.branches)
    before = torch.ones(len(found.ids), len(found.ids), dtype=torch.bool).tril()
    seen = (branches[None, :] == 0) | (branches[:, None] == branches[None, :])
    return {
        "input_ids": torch.tensor([found.ids]), "position_ids": torch.tensor([found.places]), "labels": torch.tensor([found.labels]),
        "attention_mask": (before & (groups[:, None] == groups[None, :]) & seen)[None, None], "apart": torch.tensor([found.apart]),
    }  # fmt: skip


def same_together(model: Any, rows: Sequence[Row]) -> bool:
    """Return whether a model gives every token of rows the same loss when they share a beginning as when they are read one by one."""
    training, near = model.training, _CLOSE if model.dtype == torch.float32 else _CLOSE_BF16
    model.eval()
    try:
        apart = torch.cat(
            [_losses(model, {"input_ids": torch.tensor([r.ids])}, torch.tensor([r.labels])) for r in rows]
        )
        given = collated([{"input_ids": r.ids, "labels": r.labels} for r in rows])
        labels, _ = given.pop("labels"), given.pop("apart")
        together = _losses(model, given, labels)
    except Exception:
        return False  # whatever it raises, it takes no such mask
    finally:
        model.train(training)
    # Groups may change the order of rows.
    return bool(torch.allclose(apart.sort().values, together.sort().values, rtol=near, atol=near))


def _losses(model: Any, given: Mapping[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits = model(**{k: v.to(model.device) for k, v in given.items()}, use_cache=False).logits
    wanted = labels[0, 1:].to(model.device)
    found = torch.nn.functional.cross_entropy(
        logits[0, :-1].float(), wanted, ignore_index=IGNORED, reduction="none"
    )
    return found[wanted != IGNORED]


def trained_share(trained: Any) -> tuple[int, int]:
    """Return how many weights are trained, and how many there are."""
    own, total = 0, 0
    for parameter in trained.parameters():
        # Two 4-bit weights lie in one byte.
        count = parameter.numel() * (2 if parameter.__class__.__name__ == "Params4bit" else 1)
        total += count
        own += count if parameter.requires_grad else 0
    return own, total


def in_float(trained: Any) -> None:
    """Make the trained weights float32 again: TRL makes them bf16 beside 4-bit ones, in which small updates are lost."""
    for parameter in trained.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)


def gathered(trained: Any, state: Mapping[str, Any], loaded: Any) -> Any:
    """Return a model on one device with the weights of one that was sharded over several.

    Args:
        trained: The sharded model, whose adapter, if it has one, is taken over.
        state: All its weights.
        loaded: Its base.
    """
    found = (
        get_peft_model(loaded, next(iter(trained.peft_config.values()))) if is_adapter(trained) else loaded
    )
    found.load_state_dict(state)
    return found


def is_adapter(trained: Any) -> bool:
    """Whether an adapter was trained, and not all weights."""
    return hasattr(trained, "peft_config")


def with_adapter(loaded: Any, folder: Path) -> Any:
    """Return a loaded base with the adapter in a folder on it."""
    return PeftModel.from_pretrained(loaded, folder).eval()


def adapter_arrays(folder: Path) -> tuple[dict[str, Any], float]:
    """Return an adapter's matrices by name, float32, and its alpha."""
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    return _arrays(folder / "adapter_model.safetensors"), float(config["lora_alpha"])


def _arrays(file: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: value.to(torch.float32).numpy() for name, value in load_file(file).items()}


def merged(base: Base, adapter: Path, *, four_bit: bool = False, cache: Path | None = None) -> Any:
    """Return the base with an adapter merged into it, in float32.

    Args:
        base: The base.
        adapter: Folder of the adapter.
        four_bit: Whether it learnt on 4-bit weights; it is then merged into those made float again, on which it was trained.
        cache: Where GGUF bases are kept unpacked.
    """
    if four_bit and cache is not None:
        unpack(base, cache)
    loaded = model(base, four_bit=four_bit, exact=True, cache=cache)
    found = with_adapter(loaded.dequantize() if four_bit else loaded, adapter)
    return found.merge_and_unload()


def arrays_of(loaded: Any) -> dict[str, Any]:
    """Return a model's weights as float32 arrays, by their names."""
    return {name: value.to(torch.float32).cpu().numpy() for name, value in loaded.state_dict().items()}


def added(adapter: Path) -> dict[str, tuple[Any, Any]]:
    """Return what an adapter adds to matrices by their names, each as two matrices whose product it is: scaled B [outputs, rank], A [rank, inputs]."""
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    scale = config["lora_alpha"] / config["r"]
    found = _arrays(adapter / "adapter_model.safetensors")
    return {
        name.removeprefix("base_model.model.").replace(".lora_A.", "."): (
            scale * found[name.replace("lora_A", "lora_B")],
            value,
        )
        for name, value in found.items()
        if ".lora_A." in name
    }


def replies(loaded: Any, tok: Any, prompts: Sequence[str], *, most: int = 96, batch: int = 8) -> list[str]:
    """Return the likeliest continuation of each rendered prompt, at most `most` tokens, without special tokens."""
    side, tok.padding_side = tok.padding_side, "left"
    found: list[str] = []
    try:
        for start in range(0, len(prompts), batch):
            given = tok(
                list(prompts[start : start + batch]),
                return_tensors="pt",
                padding=True,
                add_special_tokens=False,
            )
            given = given.to(loaded.device)
            with torch.no_grad(), _quiet(loaded):
                made = loaded.generate(
                    **given,
                    max_new_tokens=most,
                    do_sample=False,
                    pad_token_id=tok.pad_token_id,
                    eos_token_id=tok.eos_token_id,
                )
            found += tok.batch_decode(made[:, given["input_ids"].shape[1] :], skip_special_tokens=True)
    finally:
        tok.padding_side = side
    return [text.strip() for text in found]


@contextmanager
def _quiet(loaded: Any) -> Iterator[None]:
    """Switch what only training needs off for a while."""
    was = loaded.training
    loaded.eval()
    try:
        yield
    finally:
        loaded.train(was)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is at its end, on a device or in the machine."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def is_peer_lost(error: BaseException) -> bool:
    """Whether an error only says that another rank is gone, and not why."""
    told = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
    return isinstance(error, torch.distributed.DistError) or any(t in str(error) for t in told)
