"""Weakening: a trained adapter at a part of its strength, as an adapter of its own.

Weights between those of the base and the tuned ones keep what was learnt longer than what was lost: WiSE-FT (Wortsman et al. 2022, 2109.01903). Of a LoRA
adapter that is its scale, so nothing is trained anew and nothing is added to what a reply costs.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from finetune import bases
from finetune.adapters import ADAPTER, PROBES, Adapters, Provenance
from finetune.backends.port import JobRefused
from finetune.examples import Example
from finetune.rows import prompted
from rag.quiet import quietly

_TAKEN = ("id", "versions", "files", "made")
"""Fields of a provenance that an adapter gets when it is kept."""


def weakened(adapters: Adapters, id: str, strength: float) -> Provenance:
    """Keep an adapter whose every change to the base is `strength` times that of another, and return where it came from.

    Args:
        adapters: Where both are kept.
        id: Of an adapter as it was trained; it stays as it is.
        strength: Above 0, below 1.

    Raises:
        AdapterMissing: There is none.
        JobRefused: It is no LoRA adapter, or its files or its base are not those of its training.
        ValueError: The strength is outside its range.
    """
    if not 0 < strength < 1:
        raise ValueError(f"a strength of {strength} does not weaken; above 0 and below 1 does")
    found = adapters.get(id)
    faults = adapters.faults(found.id)
    if not found.is_adapter or faults:
        raise JobRefused(f"{found.id} cannot be weakened: {faults[0] if faults else 'it is no adapter'}")
    base = bases.find(found.base)
    if base.hash != found.base_sha256:
        raise JobRefused(f"{found.base} is not the base that {found.id} was trained on")
    known = next((p for p in adapters.all() if (p.of, p.strength) == (found.id, strength)), None)
    if known is not None:
        return known
    with TemporaryDirectory(dir=adapters.folder, prefix=".weaker") as draft:
        made = Path(draft)
        four_bit = found.recipe.get("weights") == "qlora"
        _written(adapters.path(found.id), made, strength, base, four_bit=four_bit)
        about = {k: v for k, v in asdict(found).items() if k not in _TAKEN}
        return adapters.add(made, {**about, "strength": strength, "of": found.id})


def _written(source: Path, target: Path, strength: float, base: bases.Base, *, four_bit: bool) -> None:
    """Write the files of an adapter with another scale, and what its weights reply."""
    from finetune import gguf_files, weights

    shutil.copyfile(source / "adapter_model.safetensors", target / "adapter_model.safetensors")
    config = json.loads((source / "adapter_config.json").read_text(encoding="utf-8"))
    config["lora_alpha"] *= strength
    (target / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if base.kind == "gguf" and base.path is not None:
        arrays, alpha = weights.adapter_arrays(target)
        gguf_files.write_adapter(arrays, base.path, target / ADAPTER, alpha=alpha)
    if (source / PROBES).is_file():
        asked = json.loads((source / PROBES).read_text(encoding="utf-8"))
        told = _replies(asked, target, base, source.parent.parent / "bases", four_bit=four_bit)
        text = json.dumps(
            [{**a, "reply": reply} for a, reply in zip(asked, told, strict=True)],
            ensure_ascii=False,
            indent=1,
        )
        (target / PROBES).write_text(text + "\n", encoding="utf-8")


def _replies(
    asked: Sequence[Mapping[str, Any]], adapter: Path, base: bases.Base, cache: Path, *, four_bit: bool
) -> list[str]:
    from finetune import weights

    blank = {"role": "assistant", "content": ""}
    # What libraries warn each other of is nothing to whoever watches this.
    with quietly(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights.unpack(base, cache)
        tokenizer = weights.tokenizer(base, cache=cache)
        loaded = weights.with_adapter(weights.model(base, four_bit=four_bit, cache=cache), adapter)
        prompts = [
            prompted(Example(messages=(*a["messages"], blank), tools=tuple(a["tools"] or ()), group="", origin="written", source=PROBES), tokenizer)
            for a in asked
        ]  # fmt: skip
        return weights.replies(loaded, tokenizer, prompts, most=max(a["most"] for a in asked))
