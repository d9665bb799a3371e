"""Opening logs: paths, globs, stdin; compression and encoding told from the bytes."""

from __future__ import annotations

import codecs
import glob
import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

SNIFF = 65_536
_MAGIC_GZIP, _MAGIC_ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
UNREADABLE = (OSError, EOFError, zlib.error, zstandard.ZstdError, UnicodeError)


class InputError(ValueError):
    """A path on the command line that cannot be read at all."""


def expand(paths: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    """Yield the files under paths, folders and globs, sorted, each once; `-` is stdin.

    Raises:
        InputError: A path names nothing.
    """
    seen: set[str] = set()
    for path in paths:
        for name in _one(str(os.fspath(path))):
            key = name if name == "-" else os.path.realpath(name)
            if key not in seen:
                seen.add(key)
                yield name


def _one(raw: str) -> list[str]:
    if raw == "-":
        return ["-"]
    try:
        path = Path(raw)
        if path.is_dir():
            return sorted(str(p) for p in path.rglob("*") if p.is_file() and not _hidden(p.relative_to(path)))
        if path.exists():
            return [raw]
        # Path.glob takes no absolute pattern.
        matches = sorted(m for m in glob.glob(raw, recursive=True) if Path(m).is_file())  # noqa: PTH207
    except OSError as error:
        raise InputError(f"{raw[:200]}: {error.strerror or error}") from error
    if not matches:
        raise InputError(f"{raw}: no such file or folder")
    return matches


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


class _Filled(io.RawIOBase):
    """A source that fills what it is given as far as it goes.

    A pipe or a decompressor gives little pieces, too little to tell a table by. And a file cut off in the middle gives
    what it held before it says that it is broken.
    """

    def __init__(self, source: Any, *, owned: tuple[Any, ...] = ()) -> None:
        self._owned = owned
        self._read: Callable[[int], bytes] = getattr(source, "read1", source.read)
        self._error: Exception | None = None

    def close(self) -> None:
        """Close what was opened for this."""
        for stream in self._owned:
            stream.close()
        super().close()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, return how many bytes were got; 0 at the end."""
        if self._error is not None:
            raise self._error
        view, at = memoryview(buffer), 0
        while at < len(view):
            try:
                piece = self._read(len(view) - at)
            except UNREADABLE as error:
                if not at:
                    raise
                self._error = error
                break
            if not piece:
                break
            view[at : at + len(piece)] = piece
            at += len(piece)
        return at


def open_bytes(name: str) -> BinaryIO:
    """Open a file for reading, decompressed; the position is at the start.

    Raises:
        OSError: It cannot be opened.
    """
    source: Any = sys.stdin.buffer if name == "-" else Path(name).open("rb", buffering=SNIFF)  # noqa: SIM115
    if name == "-":
        source = io.BufferedReader(_Filled(source), SNIFF)
    head = source.peek(4)[:4]
    if head[:2] == _MAGIC_GZIP:
        unpacked: Any = gzip.GzipFile(fileobj=source)
        source = io.BufferedReader(_Filled(unpacked, owned=(unpacked, source)), SNIFF)
    elif head == _MAGIC_ZSTD:
        unpacked = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
        source = io.BufferedReader(_Filled(unpacked, owned=(unpacked, source)), SNIFF)
    return cast(BinaryIO, source)


def encoding_of(head: bytes) -> str:
    """Return the text encoding of a file by its first bytes: a byte order mark, else UTF-8, else Windows-1252."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return name
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=False)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


class Chunks:
    """A file-like face on an iterator of bytes, for ijson."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes."""
        if not self._rest:
            self._rest = next(self._chunks, b"")
        size = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


class PushedBack:
    """A stream with one line pushed back."""

    def __init__(self, first: bytes, stream: BinaryIO) -> None:
        self._first, self._stream = first, stream

    def readline(self, limit: int = -1) -> bytes:
        """Return the next line."""
        first, self._first = self._first, b""
        return first or self._stream.readline(limit)
