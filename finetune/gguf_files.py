"""GGUF files: an adapter or whole weights written so that llama.cpp serves them, by the library `gguf`.

Layouts follow llama.cpp's converters (`convert_hf_to_gguf.py`, `convert_lora_to_gguf.py`): rows of queries and keys of the Llama family are
stored in another order than Transformers has them, and names are `blk.N.attn_q.weight` where Transformers has
`model.layers.N.self_attn.q_proj.weight`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_PARTS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_BLOCK = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")
_ARCHITECTURES = ("llama",)
_LEAST_COSINE = 0.15
"""Below this, what is stored has little to do with what was learnt. On SmolLM2-135M with a small adapter, Q8_0 (0.20 in the worst matrix) gave
the adapter's very replies and Q4_1 (0.06) the base's."""


class ExportFailed(RuntimeError):
    """Weights cannot be written as GGUF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How much of what was learnt is left once merged weights are stored.

    Attributes:
        cosine: Between the change that was learnt and the one that is stored, the least of all matrices; 1 if all is kept.
        worst: Name of that matrix.
    """

    cosine: float
    worst: str

    @property
    def is_lost(self) -> bool:
        """Whether too little is left to be served as what was trained."""
        return self.cosine < _LEAST_COSINE


def metadata(path: Path) -> dict[str, Any]:
    """Return the numbers and short texts in a file's head, and under `tensors` the tensors' names."""
    reader = gguf.GGUFReader(path)
    found = {
        name: field.contents()
        for name, field in reader.fields.items()
        if not field.types or field.types[0] != gguf.GGUFValueType.ARRAY
    }
    return {**found, "tensors": {t.name for t in reader.tensors}}


def check(base: Path) -> None:
    """Make sure that weights of a base can be written as GGUF.

    Raises:
        ExportFailed: Its architecture is not known.
    """
    _known(base)


def write_adapter(weights: Mapping[str, Array], base: Path, target: Path, *, alpha: float) -> Path:
    """Write a LoRA adapter for a GGUF base.

    Args:
        weights: As PEFT saves them: `base_model.model.model.layers.N....lora_A.weight` [rank, inputs] and `lora_B.weight`
            [outputs, rank].
        base: GGUF file of the base.
        target: File to write.
        alpha: Scale times rank.

    Raises:
        ExportFailed: The base's architecture is not known, or a layer has no name in it.
    """
    about = _known(base)
    draft = target.with_name(f".{target.name}.part")
    writer = gguf.GGUFWriter(draft, arch=about["general.architecture"])
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for name, value in sorted(weights.items()):
        inner = name.removeprefix("base_model.model.")
        layer, _, half = inner.removesuffix(".weight").rpartition(".")
        own = _name(f"{layer}.weight")
        if half not in ("lora_A", "lora_B") or own is None:
            raise ExportFailed(f"{name} has no name in a GGUF file")
        stored = _reordered(own, value, about) if half == "lora_B" else value
        writer.add_tensor(f"{own}.{half.lower()}", np.ascontiguousarray(stored, dtype=np.float32))
    _finish(writer, draft, target)
    return target


def write_model(
    weights: Mapping[str, Array],
    base: Path,
    target: Path,
    *,
    quantisation: str = "Q8_0",
    added: Mapping[str, tuple[Array, Array]] | None = None,
) -> Kept:
    """Write whole weights as the base's file with other numbers: same tokeniser, same template, same names.

    Args:
        weights: As Transformers names them, all of the base's.
        base: GGUF file whose head is taken over.
        target: File to write.
        quantisation: `F32`, `F16`, `Q8_0` or a smaller one that the library can write; vectors stay F32.
        added: What an adapter added to matrices by these names, each as two whose product it is. None: what was learnt is the difference to the
            base's file. (What an adapter of 4-bit weights is merged into is not that file: its rounding would pass for learnt.)

    Raises:
        ExportFailed: The architecture is not known, or a tensor of the base is missing.
    """
    about = _known(base)
    reader = gguf.GGUFReader(base)
    draft = target.with_name(f".{target.name}.part")
    writer = gguf.GGUFWriter(draft, arch=about["general.architecture"])
    _copy_head(reader, writer, quantisation)
    own = {tensor: (name, value) for name, value in weights.items() if (tensor := _name(name)) is not None}
    kind = gguf.GGMLQuantizationType[quantisation]
    least = Kept(cosine=1.0, worst="")
    for tensor in reader.tensors:
        if tensor.name not in own:
            raise ExportFailed(f"{tensor.name} of the base is not among the weights")
        name, value = own[tensor.name]
        stored = _reordered(tensor.name, np.asarray(value, dtype=np.float32), about)
        if stored.ndim < 2:
            writer.add_tensor(tensor.name, stored)
            continue
        packed = gguf.quants.quantize(stored, kind)
        writer.add_tensor(tensor.name, packed, raw_dtype=kind)
        if added is None:
            learnt = stored - gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        elif name in added:
            learnt = _reordered(tensor.name, added[name][0] @ added[name][1], about)
        else:
            continue
        cosine = _cosine(learnt, stored, gguf.quants.dequantize(packed, kind))
        least = min(least, Kept(cosine=cosine, worst=tensor.name), key=lambda k: k.cosine)
    _finish(writer, draft, target)
    return least


def _cosine(learnt: Array, meant: Array, stored: Array) -> float:
    """Between what a matrix was to gain and what it gained as it is stored; 1 where it was to gain nothing."""
    gained = (stored - (meant - learnt)).ravel()
    size = float(np.linalg.norm(learnt))
    if size <= 1e-6 * float(np.linalg.norm(meant)):
        return 1.0
    norm = size * float(np.linalg.norm(gained))
    return float(learnt.ravel() @ gained) / norm if norm else 0.0


def _known(base: Path) -> dict[str, Any]:
    about = metadata(base)
    kind = about.get("general.architecture")
    if kind not in _ARCHITECTURES:
        raise ExportFailed(
            f"{base}: architecture {kind!r} is not one of {', '.join(_ARCHITECTURES)}; use llama.cpp's convert_lora_to_gguf.py"
        )
    return about


def _name(name: str) -> str | None:
    stem, _, end = name.rpartition(".")
    if stem in _WHOLE:
        return f"{_WHOLE[stem]}.{end}"
    found = _BLOCK.fullmatch(name)
    if found is None or found[2] not in _PARTS:
        return None
    return f"blk.{found[1]}.{_PARTS[found[2]]}.{found[3]}"


def _reordered(tensor: str, value: Array, about: Mapping[str, Any]) -> Array:
    """Return rows of queries and keys in llama.cpp's order: the halves of each head's rotation side by side."""
    kind = about["general.architecture"]
    heads = int(about[f"{kind}.attention.head_count"])
    if ".attn_k." in tensor:
        heads = int(about.get(f"{kind}.attention.head_count_kv", heads))
    elif ".attn_q." not in tensor:
        return value
    half = value.shape[0] // heads // 2
    turned: Array = value.reshape(heads, 2, half, *value.shape[1:]).swapaxes(1, 2).reshape(value.shape)
    return turned


def _copy_head(reader: gguf.GGUFReader, writer: gguf.GGUFWriter, quantisation: str) -> None:
    for name, field in _fields(reader):
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=inner)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{quantisation}" if quantisation != "F32" else "ALL_F32"])


def _fields(reader: gguf.GGUFReader) -> Iterator[tuple[str, Any]]:
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "general.file_type"):
            yield name, field


def _finish(writer: gguf.GGUFWriter, draft: Path, target: Path) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    draft.replace(target)
