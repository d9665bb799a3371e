"""Collector: traces sent on to an OpenTelemetry collector (OTLP over HTTP, JSON), named by the standard environment variables.

OTEL_EXPORTER_OTLP_ENDPOINT                  base address; `/v1/traces` and `/v1/logs` are put behind it
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, _LOGS_   whole addresses, in place of the base
OTEL_EXPORTER_OTLP_HEADERS                   `name=value,name=value`, percent-encoded
OTEL_EXPORTER_OTLP_TIMEOUT                   milliseconds of one sending (10000)
OTEL_EXPORTER_OTLP_COMPRESSION               `gzip` or `none`
OTEL_EXPORTER_OTLP_CERTIFICATE               file of certificates to trust
OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES  who we are
OTEL_SDK_DISABLED=true                       nothing is sent
"""

from __future__ import annotations

import gzip
import logging
import queue
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import orjson

_LOG = logging.getLogger("rightfix.collector")
_BASE = "OTEL_EXPORTER_OTLP"
_PATHS = {"resourceSpans": ("TRACES", "/v1/traces"), "resourceLogs": ("LOGS", "/v1/logs")}
_REJECTED = {"resourceSpans": "rejectedSpans", "resourceLogs": "rejectedLogRecords"}
_WAITING = 2048
_BATCH = 256
_EVERY_S = 1.0
_AGAIN = frozenset({429, 502, 503, 504})
_TRIES = 5
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0

Export = Mapping[str, Any]


class Misdirected(ValueError):
    """The environment names no usable collector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where exports are sent, and how.

    Attributes:
        addresses: By the key of an export, `resourceSpans` or `resourceLogs`.
        headers: Sent along.
        timeout_s: Of one sending.
        packed: Whether bodies are compressed by gzip.
        certificates: File of certificates to trust; None for the system's.
    """

    addresses: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 10.0
    packed: bool = False
    certificates: str | None = None


def target_of(environment: Mapping[str, str]) -> Target | None:
    """Return what the standard variables name; None if they name none.

    Raises:
        Misdirected: They make no sense.
    """
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    base = environment.get(f"{_BASE}_ENDPOINT", "").rstrip("/")
    addresses = {
        key: environment.get(f"{_BASE}_{name}_ENDPOINT") or (base + path if base else "")
        for key, (name, path) in _PATHS.items()
    }
    addresses = {key: address for key, address in addresses.items() if address}
    if not addresses:
        return None
    for address in addresses.values():
        if not address.startswith(("http://", "https://")):
            raise Misdirected(f"a collector's address begins with http:// or https://, not {address!r}")
    if environment.get(f"{_BASE}_PROTOCOL", "").lower() == "grpc":
        raise Misdirected(f"{_BASE}_PROTOCOL is grpc; only OTLP over HTTP is spoken here (port 4318 of a collector)")  # fmt: skip
    told = environment.get(f"{_BASE}_TIMEOUT") or "10000"
    try:
        timeout_s = float(told) / 1000
    except ValueError:
        raise Misdirected(f"{_BASE}_TIMEOUT is a number of milliseconds, not {told!r}") from None
    return Target(
        addresses=addresses, headers=_pairs(environment.get(f"{_BASE}_HEADERS", "")), timeout_s=timeout_s,
        packed=environment.get(f"{_BASE}_COMPRESSION") == "gzip", certificates=environment.get(f"{_BASE}_CERTIFICATE") or None,
    )  # fmt: skip


def service_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes of this service that the standard variables name."""
    found = {"service.name": "rightfix", **_pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))}
    name = environment.get("OTEL_SERVICE_NAME")
    return found | ({"service.name": name} if name else {})


class Collector:
    """Sends exports on in batches, from a thread of its own; whoever hands one over never waits.

    Args:
        target: Where to.
        every_s: Seconds after which what waits is sent, if it is not a whole batch before.
        tries: How often a batch is sent before it is given up.

    Attributes:
        lost: Exports that were dropped since too many waited, or given up.
    """

    def __init__(self, target: Target, *, every_s: float = _EVERY_S, tries: int = _TRIES) -> None:
        self._target = target
        self._every = every_s
        self._tries = tries
        self._context = ssl.create_default_context(cafile=target.certificates)
        self._waiting: queue.Queue[Export | None] = queue.Queue(_WAITING)
        self._ended = threading.Event()
        self.lost = 0
        self._thread = threading.Thread(target=self._work, name="rightfix-collector", daemon=True)
        self._thread.start()

    def __call__(self, export: Export) -> None:
        """Hand an export over; dropped if too many wait."""
        try:
            self._waiting.put_nowait(export)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Send what waits, trying once, and end."""
        if self._thread.is_alive():
            self._ended.set()
            self._waiting.put(None)
            self._thread.join()

    def _work(self) -> None:
        while True:
            batch = [self._waiting.get()]
            until = time.monotonic() + self._every
            while batch[-1] is not None and len(batch) < _BATCH:
                try:
                    batch.append(self._waiting.get(timeout=max(0.0, until - time.monotonic())))
                except queue.Empty:
                    break
            self._sent([e for e in batch if e is not None])
            if batch[-1] is None:
                return

    def _sent(self, exports: Sequence[Export]) -> None:
        by_kind: dict[str, list[Any]] = defaultdict(list)
        for export in exports:
            for kind in self._target.addresses.keys() & export.keys():
                by_kind[kind].extend(export[kind])
        for kind, parts in by_kind.items():
            body = orjson.dumps({kind: parts})
            self._delivered(kind, body, len(parts))

    def _delivered(self, kind: str, body: bytes, count: int) -> None:
        for attempt in range(self._tries):
            try:
                self.lost += min(count, self._posted(kind, body))
                return
            except urllib.error.HTTPError as error:
                error.close()
                wait, told = _wait(error, attempt), f"answered {error.code}"
                if error.code not in _AGAIN:
                    break
            except (OSError, ValueError) as error:
                wait, told = _FIRST_WAIT_S * 2**attempt, str(error)
            if self._ended.is_set() or attempt == self._tries - 1:
                break
            self._ended.wait(min(wait, _LONGEST_WAIT_S))
        self.lost += count
        _LOG.warning("%d traces given up: %s %s", count, self._target.addresses[kind], told)

    def _posted(self, kind: str, body: bytes) -> int:
        """Send a body and return how much of it was rejected."""
        headers = {"Content-Type": "application/json", "User-Agent": "rightfix", **self._target.headers}
        if self._target.packed:
            body, headers["Content-Encoding"] = gzip.compress(body, 5), "gzip"
        request = urllib.request.Request(self._target.addresses[kind], data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=self._target.timeout_s, context=self._context) as answer:
            said = answer.read(2**16)
        try:
            partly = orjson.loads(said).get("partialSuccess") or {}
            return int(partly.get(_REJECTED[kind]) or 0)
        except (orjson.JSONDecodeError, AttributeError, TypeError):
            return 0


def _wait(error: urllib.error.HTTPError, attempt: int) -> float:
    told = error.headers.get("Retry-After", "")
    return float(told) if told.isdigit() else _FIRST_WAIT_S * 2**attempt


def _pairs(text: str) -> dict[str, str]:
    """Return `name=value,name=value`, percent-encoded, as the standard writes headers and attributes."""
    found = (part.partition("=") for part in text.split(",") if "=" in part)
    return {unquote(name).strip(): unquote(value).strip() for name, _, value in found}
