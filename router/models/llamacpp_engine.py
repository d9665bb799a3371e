"""llama.cpp in a process of its own: started, spoken to, and started anew for adapters that it does not hold.

llama.cpp takes adapters only while it loads. So a process is loaded with as many of the registered ones as may be held, the ones
used last first, and any of them is switched to per request for nothing. One that is not held makes a second process take over;
what the first is answering it answers to the end. The weights of the base are mapped from its file, so both share them.
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from router.models import gguf
from router.models.port import ModelRefused, ModelUnavailable

_SCRIPT = Path(__file__).with_name("llamacpp_child.py")
_SILENCE_S = 600
"""Longest wait for the next word; a long prompt on a slow machine takes minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What makes one engine another than the next.

    Attributes:
        base: The GGUF file.
        adapters: Folder of adapters, None for none.
        context: Most tokens of prompt and answer together.
        slots: Requests answered at once; each has a context of its own. Further ones wait.
        held: Most adapters in memory.
        threads: CPU threads.
    """

    base: Path
    adapters: Path | None
    context: int
    slots: int
    held: int
    threads: int


@dataclass(slots=True, eq=False)
class _Slot:
    """What was answered last in a slot; a prompt that begins alike, with the same adapter, need not be read again."""

    adapter: str | None = None
    prompt: str = ""
    used: int = 0
    busy: bool = False


@dataclass(slots=True, eq=False, weakref_slot=True)
class Child:
    """A running llama.cpp.

    Attributes:
        ids: The adapters it holds; the place of one is its number there.
        users: Requests that are being answered.
        retired: Whether another has taken over.
    """

    process: subprocess.Popen[str]
    address: tuple[str, int]
    key: str
    ids: tuple[str, ...]
    slots: list[_Slot]
    users: int = 0
    retired: bool = False
    clock: int = 0
    freed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    @contextmanager
    def slot(self, adapter: str | None, prompt: str) -> Iterator[tuple[int, bool]]:
        """Wait for a free slot and give the number of the one where least has to be read anew, and whether that may be reused.

        What was read with one adapter must never be continued with another. llama.cpp forgets that where a request without an
        adapter follows on one with it, so the choice of the slot is not left to it.
        """
        with self.freed:
            self.freed.wait_for(lambda: any(not s.busy for s in self.slots))
            self.clock += 1
            best = max(
                (s for s in self.slots if not s.busy), key=lambda s: (_shared(s, adapter, prompt), -s.used)
            )
            same = best.adapter == adapter
            best.adapter, best.prompt, best.used, best.busy = adapter, prompt, self.clock, True
        try:
            yield self.slots.index(best), same
        finally:
            with self.freed:
                best.busy = False
                self.freed.notify()

    def close(self) -> None:
        """End the process."""
        _ended(self.process)


class Engine:
    """One base and its adapters. May be used by several threads at once; `shared` gives the one of this process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._child: Child | None = None
        self._recent: list[str] = []
        self._refused: set[str] = set()
        self._guard = threading.Lock()
        self._starting = threading.Lock()

    def ready(self, adapter: str | None = None) -> None:
        """Load what is needed, if it is not.

        Raises:
            ModelMissing: There is no such adapter.
            ModelRefused: llama.cpp cannot load the base or the adapter.
        """
        with self.lease(adapter):
            pass

    @contextmanager
    def lease(self, adapter: str | None) -> Iterator[Child]:
        """Give a process that holds an adapter; it stays while it is used. Raises what `ready` raises."""
        child = self._taken(adapter)
        if child is None:
            # One at a time starts a process; the others then find what they need, or start the next.
            with self._starting:
                child = self._taken(adapter)
                if child is None:
                    self._replace(self._started(adapter))
                    child = self._taken(adapter)
        if child is None:
            raise ModelUnavailable(
                f"llama.cpp ended as soon as it had started with {self.settings.base.name}"
            )
        try:
            yield child
        finally:
            with self._guard:
                child.users -= 1
                over = child.retired and not child.users
            if over:
                child.close()

    def close(self) -> None:
        """End the process; the next request starts one."""
        with self._guard:
            child, self._child = self._child, None
        if child is not None:
            child.close()

    @property
    def child(self) -> Child | None:
        """The process that takes requests, None before the first."""
        return self._child

    def _taken(self, adapter: str | None) -> Child | None:
        with self._guard:
            child = self._child
            if child is None or not child.alive or (adapter is not None and adapter not in child.ids):
                return None
            child.users += 1
            if adapter is not None:
                self._recent = [adapter, *(a for a in self._recent if a != adapter)][: self.settings.held]
            return child

    def _replace(self, child: Child) -> None:
        with self._guard:
            before, self._child = self._child, child
            if before is not None:
                before.retired = True
                over = not before.users
        if before is not None and over:
            before.close()

    def _started(self, adapter: str | None) -> Child:
        if adapter is None and not self._recent:
            return self._with([], asked=None)
        root, most = self.settings.adapters, self.settings.held
        first = [] if adapter is None else [adapter]
        if adapter is not None:
            gguf.check_base(gguf.adapter_folder(root, adapter), self.settings.base)
        known = gguf.adapter_ids(root)
        used = [a for a in self._recent if a != adapter and a in known]
        ours = [a for a in known if a not in {*first, *used, *self._refused} and self._fits(a)]
        try:
            return self._with([*first, *used, *ours][:most], asked=adapter)
        except ModelRefused:
            if not ours:
                raise
            # One that nobody asked for is broken; what somebody uses must not suffer from it.
            child = self._with([*first, *used][:most], asked=adapter)
            self._refused.update(ours)
            return child

    def _fits(self, adapter: str) -> bool:
        try:
            gguf.check_base(gguf.adapter_folder(self.settings.adapters, adapter), self.settings.base)
        except ModelRefused:
            return False
        return True

    def _with(self, ids: Sequence[str], *, asked: str | None) -> Child:
        given = self.settings
        files = [gguf.adapter_folder(given.adapters, a) / "adapter.gguf" for a in ids]
        key = secrets.token_hex(16)
        settings = {
            "model": str(given.base), "context": given.context, "slots": given.slots, "threads": given.threads,
            "adapters": [str(f) for f in files], "key": key,
        }  # fmt: skip
        # -P: the script's own folder holds modules named like packages.
        command = [sys.executable, "-P", str(_SCRIPT)]
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8",
                # Ctrl-C at the terminal is for the process that serves people; it ends this one when it is done.
                start_new_session=True,
            )  # fmt: skip
            said = _told(process, settings)
            if "address" not in said:
                _ended(process)
                raise _unloadable(given.base, asked, str(said.get("error", "")), _last_line(log))
        host, _, port = said["address"].partition("://")[2].rpartition(":")
        child = Child(
            process=process, address=(host, int(port)), key=key, ids=tuple(ids), slots=[_Slot() for _ in range(given.slots)]
        )  # fmt: skip
        weakref.finalize(child, _ended, process)
        return child


_ENGINES: weakref.WeakValueDictionary[Settings, Engine] = weakref.WeakValueDictionary()
_GUARD = threading.Lock()


def shared(settings: Settings) -> Engine:
    """Return the engine of this process with these settings; it ends once nobody holds it any more."""
    with _GUARD:
        engine = _ENGINES.get(settings)
        if engine is None:
            engine = _ENGINES[settings] = Engine(settings)
        return engine


class Call:
    """One request to a process, answered by server-sent events."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._stopped = False

    def events(self, child: Child, body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield the events of the answer.

        Raises:
            ModelRefused: The request cannot be answered.
            ModelUnavailable: The process failed.
        """
        host, port = child.address
        connection = http.client.HTTPConnection(host, port, timeout=_SILENCE_S)
        try:
            connection.connect()
            # Kept here, because the library hands it to the response, where it is out of reach.
            self._socket = connection.sock
            if self._stopped:
                return
            headers = {
                "Authorization": f"Bearer {child.key}",
                "Content-Type": "application/json",
                "Connection": "close",
            }
            connection.request("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
            response = connection.getresponse()
            if response.status != 200:
                raise _error(response.read())
            yield from _events(response)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if self._stopped:
                return
            ended = "" if child.alive else " because it ended; the next request starts it anew"
            raise ModelUnavailable(f"llama.cpp broke off{ended}: {error or type(error).__name__}") from error
        finally:
            connection.close()

    def stop(self) -> None:
        """Break off, from any thread; llama.cpp sees that nobody listens any more and frees the slot."""
        self._stopped = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _events(response: http.client.HTTPResponse) -> Iterator[Mapping[str, Any]]:
    for raw in response:
        name, _, data = raw.decode("utf-8", "replace").strip().partition(": ")
        if name == "error":
            raise _error(data.encode())
        if name != "data":
            continue
        if data == "[DONE]":
            return
        event = json.loads(data)
        if "error" in event:
            raise _error(data.encode())
        yield event
    raise http.client.IncompleteRead(b"")


def _error(body: bytes) -> ModelRefused | ModelUnavailable:
    try:
        told = json.loads(body)
    except ValueError:
        told = {}
    told = told.get("error", told) if isinstance(told, Mapping) else {}
    said, code = (
        (told.get("message", "no reason given"), told.get("code", 500))
        if isinstance(told, Mapping)
        else (told, 500)
    )
    if isinstance(code, int) and (code < 500 or "not supported" in str(said)):
        return ModelRefused(f"llama.cpp refused the request: {said}")
    return ModelUnavailable(f"llama.cpp failed: {said}")


def _shared(slot: _Slot, adapter: str | None, prompt: str) -> int:
    """Characters that need not be read again."""
    if slot.adapter != adapter or not slot.used:
        return 0
    return next(
        (i for i, (a, b) in enumerate(zip(slot.prompt, prompt, strict=False)) if a != b),
        min(len(slot.prompt), len(prompt)),
    )


def _told(process: subprocess.Popen[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        if process.stdin is None or process.stdout is None:
            raise BrokenPipeError
        process.stdin.write(json.dumps(settings) + "\n")
        process.stdin.flush()
        said = json.loads(process.stdout.readline() or "{}")
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _unloadable(base: Path, adapter: str | None, said: str, logged: str) -> ModelRefused:
    why = "; ".join(part for part in (said, logged) if part)
    if adapter is None:
        return ModelRefused(f"{base}: llama.cpp cannot load it ({why})", hint="is it a whole GGUF file?")
    return ModelRefused(
        f"llama.cpp cannot load {base.name} with adapter {adapter!r} ({why})",
        hint="was it made for this base?",
    )


def _last_line(log: IO[str]) -> str:
    log.seek(0)
    lines = [line.strip() for line in log.read()[-8000:].splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _ended(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    # It keeps nothing that could be lost.
    process.kill()
    process.wait()
