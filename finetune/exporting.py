"""Exporting: an adapter, or its base with the adapter merged, as a GGUF file of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

from finetune import bases
from finetune.adapters import ADAPTER, MODEL, Adapters, Provenance
from finetune.backends.port import JobError, JobRefused
from rag.files import whole


class ChangeLost(JobError):
    """What was learnt is not in the weights as they would be stored; no file was written."""


def export(
    adapters: Adapters, id: str, out: Path, *, merged: bool = False, quantisation: str = "Q8_0"
) -> str:
    """Write a GGUF file and return what a person should know of it; empty if nothing.

    Args:
        adapters: Where the adapter is kept.
        id: Of the adapter.
        out: The file to write.
        merged: Whether the base goes in.
        quantisation: Of the merged file: F32, F16, Q8_0 or Q4_1.

    Raises:
        AdapterMissing: There is no such adapter.
        JobRefused: Its files were changed, its base is another than it was trained on, or no GGUF can be made.
        ChangeLost: The quantisation is too coarse for what was learnt; what lay at `out` is as it was.
    """
    found = adapters.get(id)
    faults = adapters.faults(found.id)
    if faults:
        raise JobRefused(f"adapter {found.id} is not what was trained: {faults[0]}", hint="train it again")
    folder = adapters.path(found.id)
    out.parent.mkdir(parents=True, exist_ok=True)
    ready = folder / (ADAPTER if found.is_adapter and not merged else MODEL)
    if ready.is_file():
        shutil.copyfile(ready, out)
        return (
            "serve it on its own base only: on a base that holds it already it would count twice"
            if ready.name == ADAPTER
            else ""
        )
    if not found.is_adapter or not merged:
        raise JobRefused(
            f"{found.id} has no GGUF form, because its base {found.base} has none",
            hint="use llama.cpp's converters",
        )
    return _merged(found, folder, out, (quantisation, adapters.folder.parent / "bases"))


def _merged(found: Provenance, adapter: Path, out: Path, how: tuple[str, Path]) -> str:
    from finetune import gguf_files, weights

    quantisation, cache = how
    reference, hash = found.base, found.base_sha256
    base = bases.find(reference)
    if base.hash != hash:
        raise JobRefused(
            f"{reference} is not the base it was trained on: {base.hash[:12]} now, {hash[:12]} then"
        )
    if base.kind != "gguf" or base.path is None:
        raise JobRefused(
            f"{reference} is no GGUF file", hint="merge with PEFT and use llama.cpp's convert_hf_to_gguf.py"
        )
    try:
        gguf_files.check(base.path)
        loaded = weights.merged(base, adapter, four_bit=found.recipe.get("weights") == "qlora", cache=cache)
        with whole(out) as part:
            kept = gguf_files.write_model(
                weights.arrays_of(loaded),
                base.path,
                part,
                quantisation=quantisation,
                added=weights.added(adapter),
            )
            if kept.is_lost:
                raise ChangeLost(
                    f"not written: what was learnt is lost in {quantisation} (the change stored in {kept.worst} has cosine {kept.cosine:.2f} with the one learnt)",
                    hint="store it as F16, or serve the adapter on its base",
                )
    except gguf_files.ExportFailed as error:
        raise JobRefused(str(error)) from error
    return f"the change stored is the one learnt, within {quantisation} (least cosine {kept.cosine:.2f}, {kept.worst or 'all'})"
