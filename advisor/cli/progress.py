"""Progress on stderr: what is being done, how fast, and about how long it will take."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from advisor.logs.reading import Counts

_EVERY = 0.2


class Line:
    """One line on stderr that rewrites itself; nothing at all if `show` is false."""

    def __init__(self, *, show: bool) -> None:
        self._show = show
        self._last = 0.0
        self._begun: dict[str, float] = {}

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._show:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def due(self) -> bool:
        """Return whether it is time to show something again: five times a second at most."""
        now = time.monotonic()
        if not self._show or now - self._last < _EVERY:
            return False
        self._last = now
        return True

    def show(self, text: str) -> None:
        """Show a text."""
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def tell(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage has come, and about how long it will take."""
        seconds = time.monotonic() - self._begun.setdefault(stage, time.monotonic())
        if not self.due():
            return
        rate = done / seconds if seconds > 0 else 0.0
        left = f", about {_duration((total - done) / rate)} left" if rate and total > done else ""
        self.show(f"{stage}: {done:,} of {total:,}{left}")


class Progress:
    """The progress of a run over logs."""

    def __init__(self, *, show: bool) -> None:
        self._line = Line(show=show)
        self._begun = time.monotonic()
        self._first: float | None = None

    def __enter__(self) -> Progress:
        self._line.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.__exit__(kind, error, trace)

    def tell(self, counts: Counts, done: int) -> None:
        """Show the state."""
        if self._line.due():
            self._line.show(self._text(counts, done, time.monotonic()))

    def _text(self, counts: Counts, done: int, now: float) -> str:
        if not done:
            rate = counts.records / max(1e-9, now - self._begun)
            return f"reading: {counts.records:,} records, {rate:,.0f}/s"
        self._first = self._first or now
        rate = done / max(0.05, now - self._first)
        left = max(0, counts.calls - done) / rate
        return f"diagnosing: {done:,} exchanges, {rate:,.0f}/s, at most {_duration(left)} left"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
