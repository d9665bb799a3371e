"""The HTTP half of a double: routes, scripts of faults, and a record of what was asked and answered."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
import urllib.parse
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from finetune.doubles.faults import NONE, Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as a route gets it.

    Attributes:
        path: Without the query, and without the prefix of an API version.
        parts: What the route's `{...}` matched, unquoted.
        query: Names to values, the last of each.
    """

    method: str
    path: str
    parts: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            Answered: It is none; the answer is 400.
        """
        try:
            return json.loads(self.body or b"{}")
        except ValueError:
            raise Answered(400, {"message": "We could not parse the JSON body of your request."}) from None


class Answered(Exception):
    """What a route answers in place of a result."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and what was answered; `answer` is None where the connection was broken first."""

    route: str
    request: Request
    status: int
    answer: Any


Route = Callable[[Request], Any]


class Double:
    """A local server with routes. Routes are called one at a time.

    Attributes:
        exchanges: What was asked and answered, in order.
    """

    prefixes: tuple[str, ...] = ("",)

    def __init__(self, *, port: int = 0) -> None:
        self.exchanges: list[Exchange] = []
        self._lock = threading.RLock()
        self._scripts: dict[str, deque[Fault]] = defaultdict(deque)
        self._routes = [(name, _pattern(name), route) for name, route in self.routes().items()]
        double = self

        class Handler(_Handler):
            owner = double

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def routes(self) -> Mapping[str, Route]:
        """Return `METHOD /path/{part}` to what answers it; nothing unless a double says otherwise."""
        return {}

    @property
    def address(self) -> str:
        """`http://127.0.0.1:port`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(5)
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def script(self, route: str, faults: Iterable[Fault]) -> None:
        """Say what goes wrong with the next requests of a route, in order, `METHOD /path/{part}` as in `routes`.

        Raises:
            KeyError: There is no such route.
        """
        if route not in {name for name, _, _ in self._routes}:
            raise KeyError(route)
        with self._lock:
            self._scripts[route].extend(faults)

    def asked(self, route: str) -> int:
        """Return how often a route was asked."""
        return sum(e.route == route for e in self.exchanges)

    # Called by the handler

    def find(self, method: str, path: str) -> tuple[str, Route, Mapping[str, str]] | None:
        """Return the route of a path, and what its parts matched."""
        for prefix in sorted(self.prefixes, key=len, reverse=True):
            if path.startswith(prefix):
                path = path[len(prefix) :]
                break
        for name, pattern, route in self._routes:
            found = pattern.fullmatch(path)
            if found and name.startswith(f"{method} "):
                return name, route, {k: urllib.parse.unquote(v) for k, v in found.groupdict().items()}
        return None

    def next_fault(self, route: str) -> Fault:
        """Return what goes wrong with this request."""
        with self._lock:
            waiting = self._scripts[route]
            return waiting.popleft() if waiting else NONE

    def serve(self, name: str, route: Route, request: Request) -> tuple[int, Any, Mapping[str, str]]:
        """Do what is asked, and return status, answer and headers."""
        with self._lock:
            try:
                self.admit(request)
                answer = route(request)
                status, headers = 200, {}
                if isinstance(answer, Answered):
                    status, answer, headers = answer.status, answer.body, answer.headers
            except Answered as told:
                status, answer, headers = told.status, self.error(told.status, told.body), told.headers
            except Exception as fault:
                # A fault of the double's own must not look like one of the network.
                status, answer, headers = (
                    500,
                    self.error(500, {"message": f"the double failed: {fault!r}"}),
                    {},
                )
            self.exchanges.append(Exchange(route=name, request=request, status=status, answer=answer))
            return status, answer, {"x-request-id": f"req_{len(self.exchanges)}", **headers}

    def admit(self, request: Request) -> None:
        """Turn away who may not ask; everybody may unless a double says otherwise."""

    def error(self, status: int, body: Any) -> Any:
        """Return an error in the provider's form."""
        return body


class _Handler(BaseHTTPRequestHandler):
    owner: Double
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        split = urllib.parse.urlsplit(self.path)
        found = self.owner.find(self.command, split.path)
        length = int(self.headers.get("Content-Length") or 0)
        if found is None:
            self.rfile.read(length)
            self._send(404, self.owner.error(404, {"message": f"Invalid URL ({self.command} {split.path})"}), {})  # fmt: skip
            return
        name, route, parts = found
        fault = self.owner.next_fault(name)
        if fault.kind == "cut":
            self.rfile.read(min(fault.bytes, length))
            self._reset()
            return
        body = self.rfile.read(length)
        if fault.kind in ("refused", "answer"):
            self._reset() if fault.kind == "refused" else self._send(fault.status, fault.body, fault.headers)
            return
        time.sleep(fault.seconds)
        request = Request(
            method=self.command, path=split.path, parts=parts, query=dict(urllib.parse.parse_qsl(split.query)),
            headers={k.lower(): v for k, v in self.headers.items()}, body=body,
        )  # fmt: skip
        status, answer, headers = self.owner.serve(name, route, request)
        if fault.kind == "lost":
            self._reset()
        elif fault.kind == "malformed":
            self._write(status, json.dumps(answer).encode()[:-3], {**headers, "Content-Type": "application/json"})  # fmt: skip
        else:
            self._send(status, answer, headers)

    do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _answer

    def _send(self, status: int, answer: Any, headers: Mapping[str, str]) -> None:
        if isinstance(answer, bytes):
            self._write(status, answer, {"Content-Type": "application/octet-stream", **headers})
        else:
            body = json.dumps(answer, ensure_ascii=False).encode()
            self._write(status, body, {"Content-Type": "application/json", **headers})

    def _write(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        try:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            # Who asked has gone, for instance after a timeout of its own.
            self.close_connection = True

    def _reset(self) -> None:
        """Break the connection the hard way, so that the other side gets no orderly end."""
        self.close_connection = True
        try:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RD)
            self.connection.close()
        except OSError:
            return

    def finish(self) -> None:
        """End a request; a connection that was broken on purpose has nothing left to flush."""
        try:
            super().finish()
        except (OSError, ValueError):
            return

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing; `exchanges` is the record."""


def _pattern(name: str) -> re.Pattern[str]:
    path = name.partition(" ")[2]
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))
