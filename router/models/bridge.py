"""Answers that are made on a thread, handed to an event loop piece by piece."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress

from router.models.port import Delta


async def astream(
    deltas: Callable[[], Iterator[Delta]], stop: Callable[[], None]
) -> AsyncGenerator[Delta, None]:
    """Give what an iterator yields that runs on a thread of its own.

    Args:
        deltas: Makes the iterator; called on the thread.
        stop: Ends the iterator's work from outside, called once this generator ends, for whatever reason.

    Raises:
        ModelError: What the iterator raises.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Delta | BaseException | None] = asyncio.Queue()

    def put(item: Delta | BaseException | None) -> None:
        # The loop is closed when somebody let go of a stream without waiting for its end.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def work() -> None:
        try:
            for delta in deltas():
                put(delta)
            put(None)
        except BaseException as error:  # raised where it is awaited
            put(error)

    threading.Thread(target=work, name="rightfix-model", daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop()
