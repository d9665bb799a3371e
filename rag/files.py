"""Writes a file or a folder whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def write(text: str, path: str | os.PathLike[str]) -> Path:
    """Write text as UTF-8 so that a reader finds the old file or the new one, never half of one.

    Missing folders are made. Characters that UTF-8 has no form for are written as `?`.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    target = Path(path)
    with whole(target) as part:
        part.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    return target


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Give a path to write a file to; it takes the target's place at the end, or is gone if something was raised.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, because replacing is atomic only within one file system.
    part = _part(target)
    try:
        yield part
        sync(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def folder_once(target: Path, make: Callable[[Path], object]) -> Path:
    """Return a folder, made if it is not there; readers find all of it or nothing.

    Args:
        target: The folder, named by what is in it: where two make it at a time, the first one's stays.
        make: Fills an empty folder. What it raises is raised, and nothing is left.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    if target.is_dir():
        return target
    part = _part(target)
    part.mkdir(parents=True)
    try:
        make(part)
        settle(part, target)
    except OSError:
        # Another was first.
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def settle(part: Path, target: Path) -> None:
    """Move a complete folder to its place within one file system, in one step that a crash cannot halve.

    Raises:
        OSError: Another folder is there already, or it cannot be written to.
    """
    for path in part.rglob("*"):
        if path.is_file():
            sync(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part.rename(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Raises:
        OSError: They cannot be written.
    """
    if os.name == "nt" and path.is_dir():
        return
    # Windows flushes only what is open for writing.
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _part(target: Path) -> Path:
    return target.parent / f".{target.name[:60]}.{secrets.token_hex(4)}.part"
