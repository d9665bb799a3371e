"""Traces: what was asked, answered and said of it, as lines of OTLP JSON in rotating files, which `advise` reads as logs."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from router.spans import Shown, as_they_are

Line = Callable[[], Mapping[str, Any]]
"""Makes an export when it is written, so that whoever answers need not wait for that."""

_WAITING = 10_000
_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """What is traced, and where to.

    Attributes:
        folder: Of the files; `traces` in the state folder unless given.
        shown: What is done to words before they are written: `as_they_are`, `masked`, or None to leave all words out.
        service: Attributes of this service, as OpenTelemetry names them.
        most_bytes: Size of a file from which on a new one is begun.
        keep: Files kept; None keeps all.
        onward: Gets every export too, to send it on.
    """

    folder: Path | None = None
    shown: Shown | None = as_they_are
    service: Mapping[str, str] = field(default_factory=lambda: {"service.name": "rightfix"})
    most_bytes: int = 64 * 2**20
    keep: int | None = None
    onward: Callable[[Mapping[str, Any]], None] | None = None

    def opened(self, state: Path) -> TraceLog:
        """Return the log, opened, of a state folder."""
        return TraceLog(
            self.folder or state / "traces", most_bytes=self.most_bytes, keep=self.keep, onward=self.onward
        )


TO_FILES = Tracing()
"""Everything as it is, to files in the state folder."""


class TraceLog:
    """Writes exports to files `<folder>/<time>-<pid>-<n>.jsonl`, from any thread, in the background.

    What was handed over when the process is killed may be lost, except where `kept` was called.

    Args:
        folder: Made if it is not there.
        most_bytes: Size from which on a new file is begun.
        keep: Files kept; the oldest are deleted. None keeps all.
        onward: Gets every export too, to send it on.
    """

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int = 64 * 2**20,
        keep: int | None = None,
        onward: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        self._folder = folder
        self._most = most_bytes
        self._keep = keep
        self._onward = onward
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._size = 0
        self._count = 0
        self.lost = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._waiting: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._work, name="rightfix-traces", daemon=True)
        self._thread.start()

    def write(self, line: Line) -> None:
        """Hand a line over; if ten thousand wait already it is dropped and counted in `lost`, since a reply must not wait for its trace."""
        if self._waiting.qsize() < _WAITING:
            self._waiting.put(line)
        else:
            self.lost += 1

    def kept(self, line: Line) -> None:
        """Write a line behind all that was handed over, and return when it is on the disk.

        Raises:
            OSError: It could not be written.
        """
        # What is said of a reply is worth little without the reply.
        self.flush()
        with self._lock:
            self._append(line())
            file = self._opened()
            file.flush()
            os.fsync(file.fileno())

    def flush(self) -> None:
        """Return when all that was handed over is in the files."""
        done = threading.Event()

        def last() -> Mapping[str, Any]:
            done.set()
            return {}

        self._waiting.put(last)
        self._hurry.set()
        done.wait()
        with self._lock:
            if self._file is not None:
                self._file.flush()

    def close(self) -> None:
        """Write what waits and close the file."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._hurry.set()
            self._thread.join()
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _work(self) -> None:
        going = True
        while going:
            batch = [self._waiting.get()]
            # Many at a time: whoever answers is interrupted a few times a second and not by every line.
            self._hurry.wait(_EVERY_S)
            self._hurry.clear()
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            for line in batch:
                self._written(line)
            going = None not in batch
            with self._lock, suppress(OSError):
                if self._file is not None:
                    self._file.flush()

    def _written(self, line: Line | None) -> None:
        if line is None:
            return
        try:
            export = line()
            if export:
                with self._lock:
                    self._append(export)
        except (OSError, ValueError, TypeError):
            # A full disk must not end the thread; the line is gone and counted.
            self.lost += 1

    def _append(self, export: Mapping[str, Any]) -> None:
        data = _line(export)
        if self._file is not None and self._size + len(data) > self._most:
            self._file.close()
            self._file = None
        self._opened().write(data)
        self._size += len(data)
        if self._onward is not None:
            self._onward(export)

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._count += 1
            name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}-{self._count:04d}.jsonl"
            self._file = (self._folder / name).open("ab")
            self._size = self._file.tell()
            self._discard()
        return self._file

    def _discard(self) -> None:
        files = sorted(self._folder.glob("*.jsonl"))
        for file in files[: max(0, len(files) - self._keep)] if self._keep is not None else ():
            file.unlink(missing_ok=True)


def _line(export: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(export, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # halves of surrogate pairs, for which UTF-8 has no form
        text = json.dumps(export, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace") + b"\n"
