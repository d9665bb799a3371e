"""Serving: an app on a port, from the first connection to the last word of the last stream."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from router.server.hosts import is_own
from router.server.keys import Keys
from router.server.settings import Settings

_LARGEST_HEAD = 64 * 1024
_BACKLOG = 2048
_IDLE_S = 75
"""Seconds that a connection may stay without a request: longer than clients keep theirs, or one is closed as the next request comes."""
_SWITCH_S = 0.0005
"""Seconds that a thread which writes traces or searches may keep the interpreter while a request waits for it."""


class Unprotected(ValueError):
    """The address is open to others and no key protects it."""


def listening(host: str, port: int, *, keys: Keys) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: Name or address.
        port: 0 for any free one.
        keys: Who may ask.

    Raises:
        Unprotected: Others than this machine could reach it, and there are no good keys.
        OSError: The address is not this machine's, or taken.
    """
    if not is_own(host) and not any(k.revoked is None for k in keys.all().values()):
        raise Unprotected(
            f"{host} can be reached by others; make a key first (`advise serve keys add TENANT`), or serve on 127.0.0.1"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(_BACKLOG)
    except BaseException:
        found.close()
        raise
    return found


class Serving:
    """An app that is served until a signal to end comes, or `stop` is called.

    Args:
        app: The ASGI application.
        listener: A socket that listens.
        settings: What is allowed.
    """

    def __init__(self, app: Any, listener: socket.socket, settings: Settings) -> None:
        config = uvicorn.Config(
            app, http=type("Patient", (_Patient,), {"read_s": settings.read_s}), ws="none", lifespan="on", log_config=None,
            access_log=False, server_header=False, log_level="critical", timeout_graceful_shutdown=max(1, round(settings.grace_s)),
            proxy_headers=False, timeout_keep_alive=_IDLE_S,
        )  # fmt: skip
        self._server = _Server(config)
        self._listener = listener

    def run(self, *, started: Callable[[], None]) -> None:
        """Serve; return once the last reply under way is out, or the grace for it is over.

        Args:
            started: Called once requests are taken.
        """
        self._server.tell = started
        before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        try:
            self._server.run(sockets=[self._listener])
        finally:
            sys.setswitchinterval(before)

    def stop(self) -> None:
        """Take no more connections and finish what is under way; for other threads than the one that runs."""
        self._server.should_exit = True


class _Server(uvicorn.Server):  # type: ignore[misc]
    should_exit: bool
    tell: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self.tell()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals to end as what they are meant, and do not raise them again once all is done."""
        before = {}

        def end(number: int, _: FrameType | None) -> None:
            self.force_exit = self.should_exit
            self.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                before[number] = signal.signal(number, end)
            except ValueError:  # not in the main thread, where somebody else sees to it
                break
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Patient(HttpToolsProtocol):  # type: ignore[misc]
    """uvicorn's protocol with an end to its patience: who sends a head byte by byte would hold a connection for ever."""

    read_s = 10.0
    _limit: asyncio.TimerHandle | None = None
    _head = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._limit is None and (self.cycle is None or self.cycle.response_complete):
            self._begin()
        self._head += len(data)
        super().data_received(data)
        if self._limit is not None and self._head > _LARGEST_HEAD:
            self._give_up()

    def on_headers_complete(self) -> None:
        self._end()
        super().on_headers_complete()

    def _begin(self) -> None:
        self._head = 0
        self._limit = self.loop.call_later(self.read_s, self._give_up)

    def _end(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _give_up(self) -> None:
        self._end()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
