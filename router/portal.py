"""Portal: one event loop on a thread of its own, through which code without one uses what is asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class Portal:
    """Runs coroutines for threads that have no event loop. The thread starts with the first call and ends with the process."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._guard = threading.Lock()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and return what it returns, or raise what it raises."""
        return asyncio.run_coroutine_threadsafe(work, self.loop()).result()

    def iterate(self, pieces: AsyncGenerator[T, None]) -> Iterator[T]:
        """Yield what an asynchronous generator yields; stopping early closes it."""
        try:
            while True:
                try:
                    yield self.call(_next(pieces))
                except StopAsyncIteration:
                    return
        finally:
            self.call(pieces.aclose())

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop, running."""
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="rightfix-portal", daemon=True).start()
            return self._loop


async def _next(pieces: AsyncGenerator[T, None]) -> T:
    return await anext(pieces)


PORTAL = Portal()
"""The one of this process."""
