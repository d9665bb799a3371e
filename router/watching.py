"""Watching: canaries are looked at while they run; a bad one is taken back, a good one taken up if that is wished."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from rag.locks import Locked
from router.comparison import Comparison, Verdict, compare
from router.live import Live, NothingLive, whose
from router.outcomes import Outcomes

_LOG = logging.getLogger("rightfix.watching")


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was seen of a canary, and done.

    Attributes:
        route: Name of its route.
        canary: Its release.
        seen: How it compares with what is live.
        done: Whether it was ended, one way or the other.
    """

    route: str
    canary: str
    seen: Comparison
    done: bool


class Watch:
    """Looks at the canaries of a state folder. Several may: what one has done, another leaves as it is.

    Args:
        pointer: Says what is live and what is tried.
        outcomes: Says how replies fared.
        promote: Whether a canary that is no worse is made live; else it runs on until a person decides.
        told: Called with what was done.
    """

    def __init__(
        self,
        pointer: Live,
        outcomes: Outcomes,
        *,
        promote: bool = False,
        told: Callable[[Looked], None] = lambda looked: None,
    ) -> None:
        self._pointer = pointer
        self._outcomes = outcomes
        self._promote = promote
        self._told = told

    def look(self) -> list[Looked]:
        """Look at every canary once and do what that says.

        Raises:
            NothingLive: The pointer is damaged.
            sqlite3.Error: The outcomes cannot be read.
            Locked: Another process holds the pointer.
        """
        found = []
        for name, route in self._pointer.routes().items():
            if route.canary is None:
                continue
            # What is live is judged by the same days as the canary.
            live, canary = (
                self._outcomes.tally(route=name, release=r, since=route.since)
                for r in (route.release, route.canary)
            )
            seen = compare(live, canary)
            looked = Looked(route=name, canary=route.canary, seen=seen, done=self._done(name, route.canary, seen))  # fmt: skip
            found.append(looked)
            if looked.done:
                _LOG.warning("canary %s on %s: %s: %s", route.canary, name, seen.verdict, seen.reason)
                self._told(looked)
        return found

    async def run(self, every_s: float) -> None:
        """Look every so many seconds until cancelled; what goes wrong is logged and tried again."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await asyncio.to_thread(self.look)
            except (NothingLive, Locked, OSError, sqlite3.Error) as error:
                _LOG.warning("canaries could not be looked at: %s", error)

    def _done(self, name: str, canary: str, seen: Comparison) -> bool:
        tenant, task = whose(name)
        verdict: Verdict = seen.verdict
        if verdict == "return":
            self._pointer.stop_canary(tenant=tenant, task=task, release=canary, why=seen.reason)
            return True
        if verdict == "promote" and self._promote:
            self._pointer.promote(canary, tenant=tenant, task=task, why=seen.reason, tried=True)
            return True
        return False
