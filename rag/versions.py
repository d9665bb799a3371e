"""The folder of an index: immutable versions, one pointer to the live one, and a place for what is being written.

live.json       which version is live, and which ones were before
versions/ID/    one version, complete from the moment it stands there
staging/        what is being written, or was when a process died
embeddings/     vectors by the hash of their text
writer.lock     held by the one process that writes
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rag import locks, manifest
from rag.files import settle, sync, write
from rag.locks import Locked, exclusive
from rag.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Where the pointer points.

    Attributes:
        version: The live version, None before the first build.
        previous: Versions that were live before, the latest first.
        since: ISO time, UTC, of the last move.
    """

    version: str | None = None
    previous: tuple[str, ...] = ()
    since: str | None = None


class UnknownVersion(LookupError):
    """A version that is not there."""


class Versions:
    """The folder of an index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pointer = folder / "live.json"

    @property
    def staging(self) -> Path:
        """Where versions are written."""
        return self.folder / "staging"

    def path(self, id: str) -> Path:
        """Return the folder of a version."""
        return self.folder / "versions" / id

    def live(self) -> Live:
        """Return where the pointer points."""
        try:
            data = json.loads(self._pointer.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Live()
        return Live(version=data["version"], previous=tuple(data["previous"]), since=data["since"])

    def stamp(self) -> tuple[int, int, int]:
        """Return what changes whenever the pointer moves; quick."""
        try:
            found = self._pointer.stat()
        except FileNotFoundError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_ino, found.st_size)

    def point(self, id: str, *, back: bool = False) -> None:
        """Make a version the live one, in one step that a crash cannot halve; `back` forgets what was live since."""
        now = self.live()
        if now.version == id:
            return
        # Going back takes the steps after it off the list, so that going back twice goes back two steps.
        before = (now.version, *now.previous)
        previous = (
            now.previous[now.previous.index(id) + 1 :] if back else tuple(p for p in before if p and p != id)
        )
        data = {"version": id, "previous": previous, "since": datetime.now(UTC).isoformat(timespec="seconds")}
        write(json.dumps(data), self._pointer)
        sync(self.folder)

    def ids(self) -> list[str]:
        """Return all versions, the oldest first."""
        return sorted(self._names(), key=lambda id: (self.manifest(id).created, id))

    def _names(self) -> list[str]:
        folder = self.folder / "versions"
        return (
            sorted(p.name for p in folder.iterdir() if (p / "manifest.json").exists())
            if folder.exists()
            else []
        )

    def find(self, wanted: str) -> str:
        """Return the version whose id, or beginning of id, this is.

        Raises:
            UnknownVersion: None or several match.
        """
        fits = [n for n in self._names() if n.startswith(wanted)] if wanted else []
        if len(fits) != 1:
            known = ", ".join(self._names()[:8]) or "none"
            raise UnknownVersion(
                f"{'several versions fit' if fits else 'no version'} {wanted!r}; there are: {known}"
            )
        return fits[0]

    def manifest(self, id: str) -> Manifest:
        """Return the manifest of a version.

        Raises:
            UnknownVersion: It is damaged, or of a newer format.
        """
        path = self.path(id) / "manifest.json"
        try:
            return manifest.read(path)
        except (ValueError, KeyError, TypeError) as error:
            raise UnknownVersion(f"{path}: cannot be read ({error}); roll back, or build again") from error

    @contextmanager
    def writing(self, *, wait_s: float) -> Iterator[None]:
        """Hold the right to write.

        Raises:
            Locked: Another process held it all the time.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with exclusive(self.folder / "writer.lock", wait_s=wait_s):
            yield

    def draft(self) -> Path:
        """Return a folder that is not there yet, to write a version into."""
        self.staging.mkdir(parents=True, exist_ok=True)
        return self.staging / uuid.uuid4().hex

    def publish(self, draft: Path, made: Manifest) -> None:
        """Move a complete draft to its place, in one step."""
        manifest.write(made, draft / "manifest.json")
        locks.make(draft / "lease")
        settle(draft, self.path(made.id))

    def withdraw(self, id: str) -> Path | None:
        """Take a version away into the staging folder and return where it lies now; None if somebody reads it."""
        path = self.path(id)
        try:
            with exclusive(path / "lease", wait_s=0):
                target = self.draft()
                path.rename(target)
        except Locked:
            return None
        return target

    def drafts(self) -> list[Path]:
        """Return what was being written, or taken away, when a process died."""
        return sorted(self.staging.iterdir()) if self.staging.exists() else []

    @staticmethod
    def discard(draft: Path) -> None:
        """Delete a draft."""
        shutil.rmtree(draft, ignore_errors=True)
