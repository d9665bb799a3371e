"""Sending: what happens around every answer, in ASGI's terms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from router.server.faults import Fault

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
_EVENTS = [
    (b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"),
]  # fmt: skip
_STILL_HERE = b": still here\n\n"
_PATIENCE_S = 10.0


class Gone(Exception):
    """The client left."""


async def sent(send: Send, status: int, body: bytes, headers: Headers | None = None) -> None:
    """Send an answer as a whole; JSON unless the headers say otherwise."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*(headers or [JSON]), length]})
    await send({"type": "http.response.body", "body": body})


async def part(send: Send, body: bytes, *, more: bool = True) -> None:
    """Send a part of an answer that was begun."""
    await send({"type": "http.response.body", "body": body, "more_body": more})


def refused(fault: Fault) -> tuple[int, bytes, Headers]:
    """Return status, body and headers of the answer to what gets none."""
    headers = [JSON]
    if fault.again_s is not None:
        headers.append((b"retry-after", str(max(1, round(fault.again_s))).encode()))
    if fault.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if fault.status in (408, 413):
        headers.append((b"connection", b"close"))
    return fault.status, orjson.dumps(fault.body()), headers


class Stream:
    """The beginning of a stream of events: what fails at once is told by status; who waits long is told that somebody is still here.

    Args:
        send: Sends.
        first: The first event.
    """

    def __init__(self, send: Send, first: bytes) -> None:
        self._send = send
        self._first = first
        self._begun = self._headed = False

    async def open(self) -> None:
        """Send head and first event if that was not done."""
        if not self._begun:
            await self._send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
            self._begun = True
        if not self._headed:
            await part(self._send, self._first)
            self._headed = True

    async def wait(self) -> None:
        """Say from time to time that somebody is still here, until it is cancelled."""
        while True:
            await asyncio.sleep(_PATIENCE_S)
            await self.open()
            await part(self._send, _STILL_HERE)


@asynccontextmanager
async def attended(receive: Receive, timeout_s: float) -> AsyncIterator[None]:
    """Break off what takes too long, or what nobody waits for any more.

    Args:
        receive: Receives, once the body was read.
        timeout_s: Longest time for what stands within.

    Raises:
        TimeoutError: It took longer.
        Gone: The client left.
    """
    left = False
    loop = asyncio.get_running_loop()

    async def attend() -> None:
        nonlocal left
        while (await receive())["type"] != "http.disconnect":
            pass
        left = True
        limit.reschedule(loop.time())

    try:
        async with asyncio.timeout(timeout_s) as limit:
            watcher = loop.create_task(attend())
            try:
                yield
            finally:
                # Before the limit is: an answer that is complete looks to the watcher as if the client had left.
                watcher.cancel()
    except TimeoutError:
        if left:
            raise Gone from None
        raise
