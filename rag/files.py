"""Writes a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write(text: str, path: str | os.PathLike[str]) -> Path:
    """Write text as UTF-8 so that a reader finds the old file or the new one, never half of one.

    Missing folders are made. Characters that UTF-8 has no form for are written as `?`.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, because replacing is atomic only within one file system.
    part = target.parent / f".{target.name[:60]}.{secrets.token_hex(4)}.part"
    try:
        with part.open("x", encoding="utf-8", errors="replace", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return target
