"""Limits: how much of the server each tenant may have at a time and in a minute."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable

from router.server.faults import Fault

_MINUTE = 60.0
_SOON_S = 1.0


class Limits:
    """Counts what is under way. For one event loop.

    Args:
        at_once: Replies in the making at a time.
        tenant_at_once: Likewise of one tenant.
        per_minute: Requests a minute of one tenant, any of them at once; None for any number.
        clock: Seconds that only grow.
    """

    def __init__(
        self, *, at_once: int, tenant_at_once: int, per_minute: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:  # fmt: skip
        self._at_once = at_once
        self._each = tenant_at_once
        self._per_minute = per_minute
        self._clock = clock
        self._under_way: Counter[str | None] = Counter()
        self._left: dict[str | None, tuple[float, float]] = {}
        self.total = 0

    def enter(self, tenant: str | None) -> Slot:
        """Take a place; it must be left again.

        Raises:
            Fault: 429, with the seconds to wait.
        """
        if self.total >= self._at_once:
            raise _too_many("too many replies are in the making", _SOON_S, "overloaded")
        if self._under_way[tenant] >= self._each:
            told = f"at most {self._each} replies of one tenant at a time"
            raise _too_many(told, _SOON_S, "concurrency_limit_exceeded")
        self.count(tenant)
        self.total += 1
        self._under_way[tenant] += 1
        return Slot(self, tenant)

    def count(self, tenant: str | None) -> None:
        """Count a request that takes no place.

        Raises:
            Fault: 429, with the seconds to wait.
        """
        if self._per_minute is None:
            return
        now = self._clock()
        left, at = self._left.get(tenant, (float(self._per_minute), now))
        left = min(self._per_minute, left + (now - at) * self._per_minute / _MINUTE)
        if left < 1:
            wait = (1 - left) * _MINUTE / self._per_minute
            raise _too_many(f"at most {self._per_minute} requests a minute", wait, "rate_limit_exceeded")
        self._left[tenant] = left - 1, now

    def leave(self, tenant: str | None) -> None:
        """Give a place back."""
        self.total -= 1
        self._under_way[tenant] -= 1
        if not self._under_way[tenant]:
            del self._under_way[tenant]


class Slot:
    """A place that was taken."""

    def __init__(self, limits: Limits, tenant: str | None) -> None:
        self._limits: Limits | None = limits
        self._tenant = tenant

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._limits is not None:
            self._limits.leave(self._tenant)
            self._limits = None


def _too_many(told: str, wait: float, code: str) -> Fault:
    return Fault(429, told, kind="rate_limit_error", code=code, again_s=math.ceil(wait))
