"""Adapters: what was tuned, kept in folders named by content with where it came from; safetensors and GGUF only.

`<state>/adapters/<id>/` holds `adapter_model.safetensors`, `adapter_config.json`, `adapter.gguf` and `provenance.json`; a model all of whose
weights were trained has `model.gguf` in place of the first three, or a folder `model/` where its base is no GGUF. Nothing in such a folder
changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from rag.local_models import sha256_of

ADAPTER = "adapter.gguf"
MODEL = "model.gguf"
PROBES = "probes.json"
"""What the trained weights replied to a few prompts; what is served must reply alike."""

_KINDS = {".safetensors", ".json", ".gguf", ".jinja", ".txt", ".npz"}
"""What is kept of what a training made: nothing that can run."""

_PACKAGES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "gguf")


class AdapterMissing(LookupError):
    """No adapter has this id, or more than one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where an adapter came from.

    Attributes:
        id: Its name: 12 hex digits of a hash over its files.
        base: Reference of the base, for instance `local:smollm2`.
        base_sha256: SHA-256 of the base's weights.
        dataset: Hash of the dataset.
        recipe: All its fields.
        recipe_hash: Hash of them.
        job: Key of the job that made it.
        tenant: Customer whose adapter it is; None for all.
        tools_in_text: Whether it learnt tools as text, since its base's chat template knows none (`rag.tool_text`).
        versions: Package to version.
        metrics: Losses, steps, seconds.
        files: Name to SHA-256.
        made: Seconds since the epoch.
        strength: Share of what was learnt that it adds to its base, above 0 to 1 (`finetune.weakening`).
        of: The adapter whose change it adds a share of; None for one as it was trained.
    """

    id: str
    base: str
    base_sha256: str
    dataset: str
    recipe: Mapping[str, Any]
    recipe_hash: str
    job: str
    tenant: str | None = None
    tools_in_text: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    made: float = 0.0
    strength: float = 1.0
    of: str | None = None

    @property
    def is_adapter(self) -> bool:
        """Whether it is served on its base, and not in place of it."""
        return "adapter_model.safetensors" in self.files


class Adapters:
    """The adapters of one state folder.

    Args:
        folder: `<state>/adapters`; it appears with the first adapter.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, files: Path, about: Mapping[str, Any]) -> Provenance:
        """Keep the files in a folder as an adapter; the same files of the same job are kept once.

        Args:
            files: Folder with what training made; its files are moved.
            about: Fields of `Provenance` without id, versions, files and time.
        """
        made = sorted(p for p in files.rglob("*") if p.is_file() and p.suffix in _KINDS)
        hashes = {p.relative_to(files).as_posix(): sha256_of(p) for p in made}
        name = json.dumps(
            [hashes, about["base_sha256"], about["dataset"], about["recipe_hash"]], sort_keys=True
        )
        id = hashlib.sha256(name.encode()).hexdigest()[:12]
        target = self.folder / id
        if (target / "provenance.json").is_file():
            return self.get(id)
        found = Provenance(id=id, versions=versions(), files=hashes, made=time.time(), **about)
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{id}.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        for file in hashes:
            (draft / file).parent.mkdir(exist_ok=True)
            shutil.move(files / file, draft / file)
        text = json.dumps(asdict(found), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
        (draft / "provenance.json").write_text(text, encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
        return found

    def get(self, id: str) -> Provenance:
        """Return the adapter of an id or its beginning.

        Raises:
            AdapterMissing: None has it, or more than one.
        """
        fitting = [p for p in self.all() if p.id.startswith(id)] if id else []
        exact = [p for p in fitting if p.id == id] or fitting
        if len(exact) != 1:
            told = "no adapter" if not exact else f"{len(exact)} adapters"
            raise AdapterMissing(f"{told} {id!r} in {self.folder}; `advise finetune list` shows them")
        return exact[0]

    def all(self) -> list[Provenance]:
        """Return all adapters, the oldest first."""
        found = []
        for path in self.folder.glob("*/provenance.json"):
            if not path.parent.name.startswith("."):
                try:
                    found.append(Provenance(**json.loads(path.read_text(encoding="utf-8"))))
                except (TypeError, ValueError):
                    continue  # put there by hand; it may be served, and nothing is known of it
        return sorted(found, key=lambda p: (p.made, p.id))

    def path(self, id: str) -> Path:
        """Return the folder of an adapter.

        Raises:
            AdapterMissing: There is none.
        """
        return self.folder / self.get(id).id

    def reference(self, found: Provenance) -> str:
        """Return what a release names as its model: `base+id`, or the file or folder of a model that stands alone."""
        if found.is_adapter:
            return f"{found.base}+{found.id}"
        if "head.npz" in found.files:
            return f"head:{(self.folder / found.id).resolve()}"
        whole = MODEL if MODEL in found.files else "model"
        return f"local:{(self.folder / found.id / whole).resolve()}"

    def probes(self, id: str) -> list[dict[str, Any]]:
        """Return what the trained weights replied to a few prompts; none where that was not written down."""
        file = self.path(id) / PROBES
        if not file.is_file():
            return []
        found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        return found

    def faults(self, id: str) -> list[str]:
        """Return the files of an adapter that are not what its provenance says; none if all is well.

        Raises:
            AdapterMissing: There is none.
        """
        found = self.get(id)
        folder = self.folder / found.id
        wrong = [
            n for n, h in found.files.items() if not (folder / n).is_file() or sha256_of(folder / n) != h
        ]
        return [f"{folder / name} is missing or was changed" for name in wrong]

    def delete(self, id: str) -> Provenance:
        """Delete an adapter for good and return what it was. Releases that name it no longer work.

        Raises:
            AdapterMissing: There is none.
        """
        found = self.get(id)
        target = self.folder / found.id
        gone = self.folder / f".{found.id}.gone"
        target.rename(gone)
        shutil.rmtree(gone)
        return found


def versions() -> dict[str, str]:
    """Return the versions of the packages that shape what is trained."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
