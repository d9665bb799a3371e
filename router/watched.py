"""A small file that every request asks and hardly anybody changes."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from rag.locks import exclusive, make

_FRESH_S = 0.05
_WAIT_S = 30.0

T = TypeVar("T")


class Watched(Generic[T]):
    """What a file says: looked at every 50 ms at most, read again only if it changed. May be asked by several threads.

    Args:
        file: The file. It must be replaced as a whole, see `rag.files.write`.
        read: Makes of the file what it says.
        empty: What is said where there is no file.
    """

    def __init__(self, file: Path, read: Callable[[Path], T], *, empty: T) -> None:
        self._file, self._read, self._empty = file, read, empty
        self._said = empty
        self._stamp: tuple[int, int, int] | None = None
        self._looked = -math.inf
        # Also held while looking: what was read before a change must not pass for fresh after it.
        self._guard = threading.Lock()

    def get(self) -> T:
        """Return what the file says.

        Raises:
            Exception: What `read` raises; the next call reads again.
        """
        with self._guard:
            now = time.monotonic()
            if now - self._looked < _FRESH_S:
                return self._said
            try:
                found = self._file.stat()
            except FileNotFoundError:
                # Not remembered: who waits for the first one finds it at once.
                return self._empty
            # Taken before reading: of what comes in between, the stamp is another.
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                self._said, self._stamp = self._read(self._file), stamp
            self._looked = now
            return self._said

    def forget(self) -> None:
        """Read the file anew when next asked, however it looks."""
        with self._guard:
            self._stamp, self._looked = None, -math.inf

    @contextmanager
    def changing(self) -> Iterator[T]:
        """Hold the right to change the file, before all other processes, and give what it says now.

        Raises:
            Locked: Somebody else held it for half a minute.
            Exception: What `read` raises.
        """
        lock = self._file.with_suffix(".lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        if not lock.exists():
            make(lock)
        with exclusive(lock, wait_s=_WAIT_S):
            self.forget()
            try:
                yield self.get()
            finally:
                self.forget()
