"""App: the chatbot's addresses, as an ASGI application.

POST /v1/chat/completions   a reply, whole or as a stream of events
GET  /v1/models             what the key may ask: `live`, and the releases its routes name
POST /v1/feedback           thumb, comment, correction of a reply; on the disk before it is acknowledged
GET  /healthz /readyz       alive; able to answer
GET  /metrics               for Prometheus
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from router.chatbot import Chatbot
from router.live import UnknownTenant
from router.models.port import ModelError
from router.server import wire
from router.server.faults import Fault, fault_of
from router.server.figures import Figures
from router.server.keys import Key, Keys
from router.server.keys import Scope as Use
from router.server.limits import Limits
from router.server.seal import Seal
from router.server.settings import Settings

_LOG = logging.getLogger("rightfix.server")
_JSON = (b"content-type", b"application/json")
_EVENTS = [
    (b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"),
]  # fmt: skip
_STILL_HERE = b": still here\n\n"
_PATIENCE_S = 10.0
_LAST_WORDS_S = 1.0
_LEFT = 499
_NEVER = "nobody"

Background = Callable[[], Awaitable[None]]
Made = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and body of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an app is made of.

    Attributes:
        chatbot: What answers.
        keys: Who may ask.
        own: Whether only this machine can reach the server; then anybody may ask as long as there are no keys.
        seal: Makes the ids of replies.
        settings: What is allowed.
        figures: What is counted.
        background: Run for as long as the app runs.
    """

    chatbot: Chatbot
    keys: Keys
    own: bool
    seal: Seal
    settings: Settings
    figures: Figures
    background: tuple[Background, ...] = ()


def app(parts: Parts) -> Starlette:
    """Return the application."""
    endpoints = _Endpoints(parts)
    routes = [
        Route("/v1/chat/completions", _Timed(endpoints.chat, parts.figures, "chat"), methods=["POST"]),
        Route("/v1/models", _answering(endpoints.models, parts.figures, "models"), methods=["GET"]),
        Route("/v1/feedback", _answering(endpoints.feedback, parts.figures, "feedback"), methods=["POST"]),
        Route("/healthz", _answering(endpoints.health, parts.figures, "health"), methods=["GET"]),
        Route("/readyz", _answering(endpoints.ready, parts.figures, "ready"), methods=["GET"]),
        Route("/metrics", _answering(endpoints.metrics, parts.figures, "metrics"), methods=["GET"]),
    ]
    origins = parts.settings.origins
    cors = Middleware(
        CORSMiddleware, allow_origins=list(origins), allow_methods=["GET", "POST"], allow_headers=["Authorization", "Content-Type"]
    )  # fmt: skip
    return Starlette(
        routes=routes, lifespan=_lifespan(parts), middleware=[cors] if origins else [],
        exception_handlers={HTTPException: _no_such_address, Exception: _failed},
    )  # fmt: skip


class _Endpoints:
    def __init__(self, parts: Parts) -> None:
        self._bot = parts.chatbot
        self._keys = parts.keys
        self._own = parts.own
        self._seal = parts.seal
        self._settings = s = parts.settings
        self._figures = parts.figures
        self._limits = Limits(at_once=s.at_once, tenant_at_once=s.tenant_at_once, per_minute=s.per_minute)
        parts.figures.under_way(lambda: self._limits.total)
        parts.figures.watch("rightfix_traces_lost", "Traces that could not be written.", lambda: self._bot.lost_traces)  # fmt: skip

    # The chatbot

    async def chat(self, request: Request, send: Send) -> int:
        key = self._admitted(request, "chat")
        with self._limits.enter(key.tenant):
            wanted = wire.wanted_of(await self._body(request))
            asked = wanted.asked
            asked["tenant"], asked["access"] = key.tenant, frozenset(key.access)
            asked["id"] = self._seal.reply_id(key.tenant)
            async with _attended(request.receive, self._settings.timeout_s):
                if wanted.stream:
                    return await self._streamed(wanted, send)
                reply = await self._bot.areply(wanted.messages, **asked)
                self._figures.replied(reply, streamed=False)
                await _sent(send, 200, wire.completion(reply, wanted))
                return 200

    async def _streamed(self, wanted: wire.Wanted, send: Send) -> int:
        chunks = wire.Chunks(wanted.asked["id"], int(time.time()), wanted)
        stream, reply = _Stream(send, chunks.first()), None
        waiting = asyncio.get_running_loop().create_task(stream.wait())
        try:
            async with aclosing(self._bot.astream(wanted.messages, **wanted.asked)) as pieces:
                async for piece in pieces:
                    waiting.cancel()
                    reply = piece.reply
                    await stream.open()
                    if piece.text:
                        await _part(send, chunks.words(piece.text))
        finally:
            waiting.cancel()
        if reply is None:
            raise RuntimeError("a stream ended without its reply")
        self._figures.replied(reply, streamed=True)
        await _part(send, chunks.last(reply), more=False)
        return 200

    async def models(self, request: Request) -> Made:
        key = self._admitted(request, "chat")
        self._limits.count(key.tenant)
        routes = self._bot.pointer.reach(key.tenant)
        tasks = sorted({n.partition("/")[2] for n in routes} - {""})
        names = [wire.LIVE] if any("/" not in n for n in routes) else []
        names += [f"{wire.LIVE}/{t}" for t in tasks]
        for route in routes.values():
            names += [r for r in (route.release, route.canary, *route.previous) if r is not None]
        listed = [
            {"id": n, "object": "model", "created": 0, "owned_by": "rightfix"} for n in dict.fromkeys(names)
        ]
        return _made(200, {"object": "list", "data": listed})

    async def feedback(self, request: Request) -> Made:
        key = self._admitted(request, "chat")
        self._limits.count(key.tenant)
        said = wire.said_of(await self._body(request))
        if not self._seal.is_of(said.reply, key.tenant):
            raise Fault(404, "there is no such reply", kind="invalid_request_error", code="reply_not_found", param="reply")  # fmt: skip
        await asyncio.to_thread(self._bot.feedback, said.reply, **said.given)
        self._figures.rated(said.given["thumb"])
        return _made(200, {"object": "feedback", "reply": said.reply, "kept": True})

    # About it

    async def health(self, request: Request) -> Made:
        return _made(200, {"status": "alive"})

    async def ready(self, request: Request) -> Made:
        try:
            await self._bot.warm()
        except (LookupError, ModelError) as error:
            _LOG.warning("not ready: %s", error)
            return _made(503, {"status": "not ready"})
        return _made(200, {"status": "ready"})

    async def metrics(self, request: Request) -> Made:
        self._admitted(request, "metrics")
        return 200, [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")], self._figures.text()

    # Parts of it

    def _admitted(self, request: Request, use: Use) -> Key:
        if self._own and not self._keys.all():
            return _anybody(request)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        key = self._keys.find(token.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise Fault(401, "no such key; send one as `Authorization: Bearer ...`", kind="authentication_error", code="invalid_api_key")  # fmt: skip
        if key.scope != use:
            raise Fault(403, f"this key is for {key.scope} only", kind="permission_error", code="wrong_scope")
        return key

    async def _body(self, request: Request) -> bytes:
        most = self._settings.body_bytes
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            # A web page of somebody else's can send a form or plain text without being asked for leave, but no JSON.
            raise Fault(415, "send application/json", kind="invalid_request_error", code="wrong_content_type")
        told = request.headers.get("content-length", "")
        if told.isdigit() and int(told) > most:
            raise _too_large(most)
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._settings.read_s), aclosing(request.stream()) as stream:
                async for part in stream:
                    size += len(part)
                    if size > most:
                        raise _too_large(most)
                    parts.append(part)
        except TimeoutError:
            raise Fault(408, "the request came too slowly", kind="invalid_request_error", code="timeout") from None  # fmt: skip
        return b"".join(parts)


# What happens around every answer


class _Stream:
    """The beginning of a stream: what fails at once is told by status; who waits long is told that somebody is still here."""

    def __init__(self, send: Send, first: bytes) -> None:
        self._send = send
        self._first = first
        self._begun = self._headed = False

    async def open(self) -> None:
        if not self._begun:
            await self._send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
            self._begun = True
        if not self._headed:
            await _part(self._send, self._first)
            self._headed = True

    async def wait(self) -> None:
        while True:
            await asyncio.sleep(_PATIENCE_S)
            await self.open()
            await _part(self._send, _STILL_HERE)


class Gone(Exception):
    """The client left."""


@asynccontextmanager
async def _attended(receive: Receive, timeout_s: float) -> AsyncIterator[None]:
    """Break off what takes too long, or what nobody waits for any more."""
    left = False
    loop = asyncio.get_running_loop()

    async def attend() -> None:
        nonlocal left
        while (await receive())["type"] != "http.disconnect":
            pass
        left = True
        limit.reschedule(loop.time())

    watcher = None
    try:
        async with asyncio.timeout(timeout_s) as limit:
            watcher = loop.create_task(attend())
            try:
                yield
            finally:
                # Before the limit is: an answer that is complete looks to the watcher as if the client had left.
                watcher.cancel()
    except TimeoutError:
        if left:
            raise Gone from None
        raise


class _Timed:
    """An endpoint that sends for itself."""

    def __init__(self, endpoint: Callable[[Request, Send], Awaitable[int]], figures: Figures, name: str) -> None:  # fmt: skip
        self._endpoint = endpoint
        self._figures = figures
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, begun, status = time.perf_counter(), False, _LEFT

        async def noted(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            status = await self._endpoint(Request(scope, receive, send), noted)
        except Gone:
            pass
        except Exception as error:
            fault = _told(error)
            status = fault.status
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    if begun:
                        await _part(send, wire.broken(fault), more=False)
                    else:
                        await _sent(send, *_fault(fault))
        finally:
            self._figures.answered(self._name, status, time.perf_counter() - began)


def _answering(endpoint: Callable[[Request], Awaitable[Made]], figures: Figures, name: str) -> _Timed:
    async def sending(request: Request, send: Send) -> int:
        status, headers, body = await endpoint(request)
        await _sent(send, status, body, headers)
        return status

    return _Timed(sending, figures, name)


def _told(error: Exception) -> Fault:
    fault = fault_of(error)
    if fault.status == 500:
        _LOG.error("a request failed", exc_info=error)
    elif fault.status > 500:
        _LOG.warning("%s: %s", type(error).__name__, error)
    return fault


def _fault(fault: Fault) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    headers = [_JSON]
    if fault.again_s is not None:
        headers.append((b"retry-after", str(max(1, round(fault.again_s))).encode()))
    if fault.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if fault.status in (408, 413):
        headers.append((b"connection", b"close"))
    return fault.status, orjson.dumps(fault.body()), headers


def _too_large(most: int) -> Fault:
    return Fault(413, f"a request has at most {most} bytes", kind="invalid_request_error", code="too_large")


def _anybody(request: Request) -> Key:
    """Whoever asks a server without keys, which listens on this machine only; other names for it are a web page's trick."""
    host = request.headers.get("host", "").rpartition("@")[2]
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    if name.lower() != "localhost" and not _is_loopback(name):
        raise Fault(403, "without keys this server answers as localhost only", kind="permission_error", code="wrong_host")  # fmt: skip
    return Key(id=_NEVER, tenant=None, digest="")


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


async def _sent(
    send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*(headers or [_JSON]), length]})
    await send({"type": "http.response.body", "body": body})


async def _part(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


def _made(status: int, data: Mapping[str, Any]) -> Made:
    return status, [_JSON], orjson.dumps(data)


async def _no_such_address(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    fault = Fault(status, f"no such address: {request.method} {request.url.path}", kind="invalid_request_error", code="unknown_url")  # fmt: skip
    return Response(orjson.dumps(fault.body()), status_code=status, media_type="application/json")


async def _failed(request: Request, error: Exception) -> Response:
    fault = fault_of(error)
    return Response(orjson.dumps(fault.body()), status_code=fault.status, media_type="application/json")


def _lifespan(parts: Parts) -> Callable[[Starlette], Any]:
    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        tasks = [
            asyncio.ensure_future(work()) for work in (lambda: _warmed(parts.chatbot), *parts.background)
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await parts.chatbot.settled()

    return running


async def _warmed(chatbot: Chatbot) -> None:
    try:
        await chatbot.warm()
    except (UnknownTenant, LookupError, ModelError) as error:
        _LOG.warning("not ready: %s", error)
