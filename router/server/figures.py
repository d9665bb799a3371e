"""Figures: what the server did, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from router.replies import Reply

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Figures:
    """Counters of one server. No tenant, user or word stands in them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        r = self._registry
        self._requests = Counter("rightfix_requests", "Answered requests.", ["endpoint", "status"], registry=r)  # fmt: skip
        self._seconds = Histogram(
            "rightfix_request_seconds", "From the head of a request to the end of its answer.", ["endpoint"], buckets=_SECONDS, registry=r
        )  # fmt: skip
        self._first = Histogram("rightfix_first_word_seconds", "Until the first word of a stream.", buckets=_SECONDS, registry=r)  # fmt: skip
        self._replies = Counter("rightfix_replies", "Replies by how they ended.", ["release", "arm", "ended"], registry=r)  # fmt: skip
        self._interventions = Counter("rightfix_interventions", "What was done so that replies hold.", ["kind"], registry=r)  # fmt: skip
        self._tokens = Counter("rightfix_tokens", "Tokens of all model calls.", ["kind"], registry=r)
        self._feedback = Counter("rightfix_feedback", "Feedback that was kept.", ["thumb"], registry=r)
        self._canaries = Counter("rightfix_canaries_ended", "Canaries that the watch ended.", ["verdict"], registry=r)  # fmt: skip
        self._under_way = Gauge("rightfix_under_way", "Replies in the making.", registry=r)

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Note an answered request; the status is 499 where the client left first."""
        self._requests.labels(endpoint, str(status)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def replied(self, reply: Reply, *, streamed: bool) -> None:
        """Note a reply."""
        ended = "declined" if reply.declined else "breached" if reply.breaches else "held"
        self._replies.labels(reply.release, reply.arm, ended).inc()
        for kind in {i.kind for i in reply.interventions}:
            self._interventions.labels(kind).inc()
        self._tokens.labels("input").inc(reply.usage.input_tokens or 0)
        self._tokens.labels("output").inc(reply.usage.output_tokens or 0)
        if streamed and reply.timings.first is not None:
            self._first.observe(reply.timings.first)

    def rated(self, thumb: str | None) -> None:
        """Note feedback."""
        self._feedback.labels(thumb or "none").inc()

    def ended(self, verdict: str) -> None:
        """Note that a canary was taken back or up."""
        self._canaries.labels(verdict).inc()

    def under_way(self, count: Callable[[], int]) -> None:
        """Name what counts the replies in the making."""
        self._under_way.set_function(count)

    def watch(self, name: str, told: str, count: Callable[[], int]) -> None:
        """Show a count that somebody else keeps and that only grows."""
        self._registry.register(_Kept(name, told, count))

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        text: bytes = generate_latest(self._registry)
        return text


class _Kept(Collector):  # type: ignore[misc]
    def __init__(self, name: str, told: str, count: Callable[[], int]) -> None:
        self._about = name, told
        self._count = count

    def collect(self) -> list[CounterMetricFamily]:
        name, told = self._about
        return [CounterMetricFamily(name, told, value=self._count())]
