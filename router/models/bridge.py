"""Answers that are made on a thread or on another event loop, handed over piece by piece."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from typing import TypeAlias

from router.models.port import Delta
from router.portal import PORTAL

_Queue: TypeAlias = "asyncio.Queue[Delta | BaseException | None]"


async def on_a_thread(
    deltas: Callable[[], Iterator[Delta]], stop: Callable[[], None]
) -> AsyncGenerator[Delta, None]:
    """Give what an iterator yields that runs on a thread of its own.

    Args:
        deltas: Makes the iterator; called on the thread.
        stop: Ends the iterator's work from outside, called once this generator ends, for whatever reason.

    Raises:
        ModelError: What the iterator raises.
    """
    queue, put = _mailbox()

    def work() -> None:
        try:
            for delta in deltas():
                put(delta)
            put(None)
        except BaseException as error:  # raised where it is awaited
            put(error)

    threading.Thread(target=work, name="rightfix-model", daemon=True).start()
    try:
        async for delta in _opened(queue):
            yield delta
    finally:
        stop()


async def on_one_loop(deltas: Callable[[], AsyncGenerator[Delta, None]]) -> AsyncGenerator[Delta, None]:
    """Give what an asynchronous generator yields that runs on the portal's loop, whichever loop asks.

    Vendors' clients keep connections that belong to the loop on which they were opened, and fail on any other.

    Args:
        deltas: Makes the generator; it is closed early if this one is.

    Raises:
        ModelError: What the generator raises.
    """
    if asyncio.get_running_loop() is PORTAL.loop():
        async with aclosing(deltas()) as own:
            async for delta in own:
                yield delta
        return
    queue, put = _mailbox()

    async def work() -> None:
        try:
            async with aclosing(deltas()) as own:
                async for delta in own:
                    put(delta)
            put(None)
        except Exception as error:  # raised where it is awaited
            put(error)

    task = asyncio.run_coroutine_threadsafe(work(), PORTAL.loop())
    try:
        async for delta in _opened(queue):
            yield delta
    finally:
        task.cancel()


def _mailbox() -> tuple[_Queue, Callable[[Delta | BaseException | None], None]]:
    """Return a queue of this loop, and what fills it from any thread."""
    loop = asyncio.get_running_loop()
    queue: _Queue = asyncio.Queue()

    def put(item: Delta | BaseException | None) -> None:
        # The loop is closed when somebody let go of a stream without waiting for its end.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, item)

    return queue, put


async def _opened(queue: _Queue) -> AsyncGenerator[Delta, None]:
    while (item := await queue.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item
