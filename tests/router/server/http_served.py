"""A real server on a real port, in a thread, with a scripted model behind it."""

import asyncio
import json
import re
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from router.chatbot import Chatbot
from router.models.port import Completion, Delta
from router.models.scripted import Scripted
from router.prompts import Prompt, Prompts
from router.releases import Release, Releases
from router.server.keys import Keys
from router.server.seal import Seal
from router.server.settings import Settings


def release(state, **more):
    prompt = Prompts(state).add(Prompt.of("You help."))
    return Releases(state).add(Release(**{"model": "scripted:a", "prompt": prompt, **more}))


class Slow:
    """Says its words one by one, each after a pause or when it is let; tells how many answers are under way."""

    def __init__(self, words="one two three", pause=0.0, gate=None):
        self.words, self.pause, self.gate = words, pause, gate
        self.under_way = self.done = self.dropped = 0

    async def astream(self, messages, **options):
        self.under_way += 1
        try:
            for word in re.findall(r"\s*\S+", self.words):
                while self.gate is not None and not self.gate.is_set():
                    await asyncio.sleep(0.01)
                await asyncio.sleep(self.pause)
                yield Delta(text=word)
            self.done += 1
            yield Delta(completion=Completion(text=self.words, finish_reason="stop"))
        except (asyncio.CancelledError, GeneratorExit):
            self.dropped += 1
            raise
        finally:
            self.under_way -= 1


@dataclass
class Served:
    """A running server, and requests to it without any client library."""

    address: str
    bot: Chatbot
    keys: Keys
    server: object = None
    tokens: dict = field(default_factory=dict)

    def ask(self, path, body=None, *, token=None, headers=None, method=None, timeout=20):
        """Return status, headers and body; a body that is no bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} if data is not None else {}
        given |= {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(
            self.address + path, data=data, headers=given | (headers or {}), method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def chat(self, question="Hi", *, token=None, **more):
        body = {"model": "live", "messages": [{"role": "user", "content": question}], **more}
        status, headers, text = self.ask("/v1/chat/completions", body, token=token)
        return status, headers, json.loads(text)


@contextmanager
def serving(state, *, model=None, settings=None, host="127.0.0.1", own=True, **options):
    app = pytest.importorskip("router.server.app")
    from router.server import figures
    from router.server import serving as http

    load = model if callable(model) else lambda reference: model or Scripted(outputs=lambda m: "Hello you.")
    settings = settings or Settings(per_minute=None)
    with Chatbot(state, load=load, **options) as bot:
        keys = Keys(state)
        with http.listening(host, 0, keys=keys) as listener:
            parts = app.Parts(
                chatbot=bot,
                keys=keys,
                own=own,
                seal=Seal(state),
                settings=settings,
                figures=figures.Figures(),
            )
            server = http.Serving(app.app(parts), listener, settings)
            up = threading.Event()
            thread = threading.Thread(target=server.run, kwargs={"started": up.set})
            address = f"http://{host}:{listener.getsockname()[1]}"
            thread.start()
            assert up.wait(20)
            try:
                yield Served(address, bot, keys, server)
            finally:
                server.stop()
                thread.join(40)
                assert not thread.is_alive()
