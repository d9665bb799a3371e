"""App: the chatbot's addresses, as an ASGI application.

POST /v1/chat/completions   a reply, whole or as a stream of events
GET  /v1/models             what the key may ask: `live`, and the releases its routes name
POST /v1/feedback           thumb, comment, correction of a reply; on the disk before it is acknowledged
GET  /                      a chat in the browser
GET  /pages/SEALED          the page that a citation opens, for documents without an address of their own
GET  /healthz /readyz       alive; able to answer
GET  /metrics               for Prometheus
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope

from router.chatbot import Chatbot
from router.live import UnknownTenant
from router.models.port import ModelError
from router.replies import Citation, Reply
from router.server import wire
from router.server.faults import Fault, fault_of, too_large
from router.server.figures import Figures
from router.server.hosts import host_of, is_own
from router.server.keys import Key, Keys
from router.server.keys import Scope as Use
from router.server.limits import Limits
from router.server.pages import Page, chat, passage
from router.server.seal import Place, Seal
from router.server.sending import JSON, Gone, Headers, Send, Stream, attended, part, refused, sent
from router.server.settings import Settings

_LOG = logging.getLogger("rightfix.server")
_LAST_WORDS_S = 1.0
_LEFT = 499
_NEVER = "nobody"

Background = Callable[[], Awaitable[None]]
Made = tuple[int, Headers, bytes]
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
        Route("/pages/{sealed}", _answering(endpoints.page, parts.figures, "source"), methods=["GET"]),
        Route("/healthz", _answering(endpoints.health, parts.figures, "health"), methods=["GET"]),
        Route("/readyz", _answering(endpoints.ready, parts.figures, "ready"), methods=["GET"]),
        Route("/metrics", _answering(endpoints.metrics, parts.figures, "metrics"), methods=["GET"]),
    ]
    if parts.settings.title is not None:
        routes.append(
            Route("/", _answering(_fixed(chat(parts.settings.title)), parts.figures, "page"), methods=["GET"])
        )
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
            async with attended(request.receive, self._settings.timeout_s):
                if wanted.stream:
                    return await self._streamed(wanted, request, send)
                reply = self._linked(await self._bot.areply(wanted.messages, **asked), request)
                self._figures.replied(reply, streamed=False)
                await sent(send, 200, wire.completion(reply, wanted))
                return 200

    async def _streamed(self, wanted: wire.Wanted, request: Request, send: Send) -> int:
        chunks = wire.Chunks(wanted.asked["id"], int(time.time()), wanted)
        stream, reply = Stream(send, chunks.first()), None
        waiting = asyncio.get_running_loop().create_task(stream.wait())
        try:
            async with aclosing(self._bot.astream(wanted.messages, **wanted.asked)) as pieces:
                async for piece in pieces:
                    waiting.cancel()
                    reply = piece.reply
                    await stream.open()
                    if piece.text:
                        await part(send, chunks.words(piece.text))
        finally:
            waiting.cancel()
        if reply is None:
            raise RuntimeError("a stream ended without its reply")
        self._figures.replied(reply, streamed=True)
        await part(send, chunks.last(self._linked(reply, request)), more=False)
        return 200

    def _linked(self, reply: Reply, request: Request) -> Reply:
        """Give citations whose documents have no address on the web one here."""
        if not reply.citations or reply.index is None:
            return reply
        base, index = f"{request.url.scheme}://{request.url.netloc}", reply.index

        def link(c: Citation) -> str:
            if c.link is not None and c.link.startswith(("http://", "https://")):
                return c.link
            place = Place(index=index, document=c.document, start=c.start, end=c.end)
            return f"{base}/pages/{self._seal.page(place)}#passage"

        return replace(reply, citations=tuple(replace(c, link=link(c)) for c in reply.citations))

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

    async def page(self, request: Request) -> Made:
        # Whoever has the address was shown the passage, so a browser can open it without a key.
        self._from_here(request)
        place = self._seal.opened(request.path_params["sealed"])
        found = await asyncio.to_thread(self._bot.document, place.index, place.document) if place else None
        if place is None or found is None:
            raise Fault(
                404, "there is no such page any more", kind="invalid_request_error", code="page_not_found"
            )
        made = passage(found, place)
        return 200, made.headers, made.body

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
            self._from_here(request)
            return Key(id=_NEVER, tenant=None, digest="")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        key = self._keys.find(token.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise Fault(401, "no such key; send one as `Authorization: Bearer ...`", kind="authentication_error", code="invalid_api_key")  # fmt: skip
        if key.scope != use:
            raise Fault(403, f"this key is for {key.scope} only", kind="permission_error", code="wrong_scope")
        return key

    def _from_here(self, request: Request) -> None:
        """Refuse other names for a server without keys, which listens on this machine only: they are a web page's trick."""
        if not self._own or self._keys.all():
            return
        if not is_own(host_of(request.headers.get("host", ""))):
            raise Fault(403, "without keys this server answers as localhost only", kind="permission_error", code="wrong_host")  # fmt: skip

    async def _body(self, request: Request) -> bytes:
        most = self._settings.body_bytes
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            # A web page of somebody else's can send a form or plain text without being asked for leave, but no JSON.
            raise Fault(415, "send application/json", kind="invalid_request_error", code="wrong_content_type")
        told = request.headers.get("content-length", "")
        if told.isdigit() and int(told) > most:
            raise too_large(most)
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._settings.read_s), aclosing(request.stream()) as stream:
                async for part in stream:
                    size += len(part)
                    if size > most:
                        raise too_large(most)
                    parts.append(part)
        except TimeoutError:
            raise Fault(408, "the request came too slowly", kind="invalid_request_error", code="timeout") from None  # fmt: skip
        return b"".join(parts)


# What happens around every answer


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
                        await part(send, wire.broken(fault), more=False)
                    else:
                        await sent(send, *refused(fault))
        finally:
            self._figures.answered(self._name, status, time.perf_counter() - began)


def _answering(endpoint: Callable[[Request], Awaitable[Made]], figures: Figures, name: str) -> _Timed:
    async def sending(request: Request, send: Send) -> int:
        status, headers, body = await endpoint(request)
        await sent(send, status, body, headers)
        return status

    return _Timed(sending, figures, name)


def _told(error: Exception) -> Fault:
    fault = fault_of(error)
    if fault.status == 500:
        _LOG.error("a request failed", exc_info=error)
    elif fault.status > 500:
        _LOG.warning("%s: %s", type(error).__name__, error)
    return fault


def _fixed(page: Page) -> Callable[[Request], Awaitable[Made]]:
    async def sending(_: Request) -> Made:
        return 200, page.headers, page.body

    return sending


def _made(status: int, data: Mapping[str, Any]) -> Made:
    return status, [JSON], orjson.dumps(data)


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
