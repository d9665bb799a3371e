"""Observing: exchanges handed over as they happen, from inside a chatbot's backend, and diagnosed behind its back.

advisor = Advisor.from_config("advisor.yaml")
advisor.on_issue(lambda issue: page_somebody(issue.title))
advisor.observe(exchange)          # returns at once, never raises
"""

from __future__ import annotations

import os
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from advisor.grouping import group
from advisor.issues import Issue, Member
from advisor.ledger import likeness
from advisor.tally import member_of

if TYPE_CHECKING:
    from advisor.diagnosis import Diagnosis
    from advisor.exchange import Exchange

OnIssue = Callable[[Issue], None]
OnDiagnosis = Callable[["Exchange", "Diagnosis"], None]

_WAITING = 10_000
_MEMBERS = 2_000
_LEAST = 3
"""Failures of a kind from which on they are told of."""


class Observer:
    """Takes exchanges from any thread and diagnoses them on one of its own, which starts with the first of them.

    In a forked process it begins with nothing waiting; what the parent was handed, the parent diagnoses.

    Args:
        diagnose: Says what is wrong with one exchange.
        every: Failures after which they are grouped again.

    Attributes:
        dropped: Exchanges that were not taken because ten thousand waited.
        faults: Exchanges or callbacks that raised, and threads that could not start; the last one's text is `fault`.
    """

    def __init__(self, diagnose: Callable[[Exchange], Diagnosis], *, every: int = 10) -> None:
        self._diagnose = diagnose
        self._every = every
        self._members: deque[Member] = deque(maxlen=_MEMBERS)
        self._known: list[Issue] = []
        self._on_issue: list[OnIssue] = []
        self._on_diagnosis: list[OnDiagnosis] = []
        self._since = 0
        self._total = 0
        self.dropped = 0
        self.faults = 0
        self.fault = ""
        self._begin()
        _OBSERVERS.add(self)

    def _begin(self) -> None:
        self._waiting: queue.Queue[Exchange | threading.Event | None] = queue.Queue(_WAITING)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def _started(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="rightfix-observer", daemon=True)
                thread.start()
                self._thread = thread

    def observe(self, exchange: Exchange) -> None:
        """Hand an exchange over; returns at once and never raises."""
        try:
            self._started()
            self._waiting.put_nowait(exchange)
        except queue.Full:
            self.dropped += 1
        except Exception as error:  # the host's reply must not fail because no thread can start
            self._noted(error)

    def on_issue(self, call: OnIssue) -> None:
        """Call back with every issue that was not known before, on the observer's thread."""
        self._on_issue.append(call)

    def on_diagnosis(self, call: OnDiagnosis) -> None:
        """Call back with every diagnosis, on the observer's thread."""
        self._on_diagnosis.append(call)

    def flush(self, timeout_s: float = 60.0) -> bool:
        """Return when all that was handed over is diagnosed and grouped; False if that took too long."""
        done = threading.Event()
        self._started()
        self._waiting.put(done)
        return done.wait(timeout_s)

    def close(self) -> None:
        """Diagnose what waits and end the thread."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._waiting.put(None)
            thread.join()

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            if isinstance(item, threading.Event):
                self._guarded(self._group)
                item.set()
            else:
                exchange = item
                self._guarded(lambda e=exchange: self._seen(e))  # type: ignore[misc]
        self._guarded(self._group)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # whatever is wrong here must not end the host's thread of ours
            self._noted(error)

    def _noted(self, error: Exception) -> None:
        self.faults += 1
        self.fault = repr(error)

    def _seen(self, exchange: Exchange) -> None:
        diagnosis = self._diagnose(exchange)
        self._total += 1
        if diagnosis.is_failure:
            self._members.append(member_of(exchange, diagnosis))
            self._since += 1
        for call in self._on_diagnosis:
            self._guarded(lambda c=call: c(exchange, diagnosis))  # type: ignore[misc]
        if self._since >= self._every:
            self._group()

    def _group(self) -> None:
        if not self._since:
            return
        self._since = 0
        now = int(time.time() // 3600)
        for issue in group(
            list(self._members), total=max(self._total, len(self._members)), clock={now: self._total}
        ):
            if issue.rate.count < _LEAST or any(likeness(issue, known) > 0 for known in self._known):
                continue
            self._known.append(issue)
            for call in self._on_issue:
                self._guarded(lambda c=call, i=issue: c(i))  # type: ignore[misc]


_OBSERVERS: weakref.WeakSet[Observer] = weakref.WeakSet()


def _forked() -> None:
    # Threads do not come along, and a queue's locks come as they were held at that moment.
    for observer in _OBSERVERS:
        observer._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
