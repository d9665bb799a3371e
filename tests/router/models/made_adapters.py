"""Adapters of random weights for SmolLM2, as GGUF files; the same seed gives the same file."""

import json
from pathlib import Path

import gguf
import numpy as np

from router.models.gguf import find


def random_adapter(
    folder: Path, *, seed: int, rank: int = 8, size: float = 0.3, base: str = "smollm2", layers: int = 30
) -> str:
    """Write `<folder>/<id>/adapter.gguf` and return the id."""
    return written(folder / f"made-{seed}", seed=seed, rank=rank, size=size, base=base, layers=layers)


def written(place: Path, *, seed: int, rank: int, size: float, base: str, layers: int) -> str:
    place.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(place / "adapter.gguf"), "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(2 * rank))
    shapes = {"attn_q": (576, 576), "attn_v": (576, 192), "ffn_down": (1536, 576)}
    for layer in range(layers):
        for name, (ins, outs) in shapes.items():
            a = rng.normal(0, 1 / np.sqrt(ins), (rank, ins)).astype(np.float16)
            b = rng.normal(0, size / np.sqrt(rank), (outs, rank)).astype(np.float16)
            writer.add_tensor(f"blk.{layer}.{name}.weight.lora_a", a)
            writer.add_tensor(f"blk.{layer}.{name}.weight.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    from router.models.gguf import sha256_of

    (place / "provenance.json").write_text(
        json.dumps({"base_sha256": sha256_of(find(base))}), encoding="utf-8"
    )
    return place.name
