"""Adapters of random weights for SmolLM2, as GGUF files; the same seed gives the same file."""

import json
from pathlib import Path

import gguf
import numpy as np

from rag.local_models import sha256_of
from router.models.gguf import find

_SOME = {"attn_q": (576, 576), "attn_v": (576, 192), "ffn_down": (1536, 576)}
_REST = {"attn_k": (576, 192), "attn_output": (576, 576), "ffn_gate": (576, 1536), "ffn_up": (576, 1536)}
"""Inputs and outputs of SmolLM2-135M's linear layers."""


def random_adapter(
    folder: Path, *, seed: int, layers: int = 30, all_linear: bool = False, rank: int = 8, size: float = 0.3
) -> str:
    """Write `<folder>/<id>/adapter.gguf` and return the id."""
    place = folder / f"made-{seed}"
    place.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(place / "adapter.gguf"), "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(2 * rank))
    for layer in range(layers):
        for name, (ins, outs) in (_SOME | _REST if all_linear else _SOME).items():
            a = rng.normal(0, 1 / np.sqrt(ins), (rank, ins)).astype(np.float16)
            b = rng.normal(0, size / np.sqrt(rank), (outs, rank)).astype(np.float16)
            writer.add_tensor(f"blk.{layer}.{name}.weight.lora_a", a)
            writer.add_tensor(f"blk.{layer}.{name}.weight.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    about = {"base_sha256": sha256_of(find("smollm2"))}
    (place / "provenance.json").write_text(json.dumps(about), encoding="utf-8")
    return place.name
