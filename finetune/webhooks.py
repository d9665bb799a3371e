"""OpenAI's webhooks: believed only if signed, taken once, and never as the truth: they say that it is time to ask.

hooks = Webhooks(Ordering(Path(".advisor")).jobs, secret=os.environ["OPENAI_WEBHOOK_SECRET"])
told = hooks.receive(body, headers)        # in one's own backend; or `advise jobs --listen 8900`
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from finetune.backends.port import JobError
from finetune.jobs import Job, Jobs

_TOLERANCE_S = 300
_LARGEST = 1 << 20
_OURS = "fine_tuning.job."


class WebhookRefused(ValueError):
    """A message that is not the provider's, is too old, or cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of a message.

    Attributes:
        kind: The provider's word for it, for instance `fine_tuning.job.succeeded`.
        first: Whether it was not heard before.
        job: How the job stands now; None if it is not ours, or its sender has not learnt its id yet: the next look at it tells.
        late: Whether the provider's own answer does not say yet what the message says; the next look at the job tells.
    """

    kind: str
    first: bool
    job: Job | None
    late: bool = False


class Webhooks:
    """Receives the messages of one endpoint.

    Args:
        jobs: The jobs they are about.
        secret: `whsec_...`, as the provider shows it once.
        tolerance_s: Oldest message, and furthest ahead, that is believed.
    """

    def __init__(self, jobs: Jobs, secret: str, *, tolerance_s: float = _TOLERANCE_S) -> None:
        self._jobs = jobs
        self._tolerance_s = tolerance_s
        try:
            self._key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            raise WebhookRefused("the secret is not one: it is `whsec_` and base64") from None
        if not self._key:
            raise WebhookRefused("the secret is empty")

    def receive(self, body: bytes, headers: Mapping[str, str]) -> Told:
        """Take a message in, and ask after the job it is about.

        Args:
            body: As it came, byte by byte.
            headers: Names in any case.

        Raises:
            WebhookRefused: It is not believed.
        """
        id = self._believed(body, {k.lower(): v for k, v in headers.items()})
        try:
            message = json.loads(body)
            kind, provider_id = str(message["type"]), str((message.get("data") or {}).get("id", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise WebhookRefused("its body cannot be read") from None
        first = self._jobs.heard(id, kind, provider_id)
        known = self._jobs.at_provider(provider_id) if kind.startswith(_OURS) else None
        if known is None:
            return Told(kind=kind, first=first, job=None)
        try:
            job = self._jobs.poll(known.key)
        except JobError:
            job = self._jobs.get(known.key)
        return Told(kind=kind, first=first, job=job, late=not job.is_over)

    def _believed(self, body: bytes, headers: Mapping[str, str]) -> str:
        id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not id or not stamp.isdigit() or abs(time.time() - int(stamp)) > self._tolerance_s:
            raise WebhookRefused("it has no id, or its time is missing, too old or ahead")
        digest = hmac.new(self._key, f"{id}.{stamp}.".encode() + body, hashlib.sha256).digest()
        expected = base64.b64encode(digest).decode()
        # Several may stand there while a secret is being replaced.
        for one in headers.get("webhook-signature", "").split():
            version, _, given = one.partition(",")
            if version == "v1" and hmac.compare_digest(given.encode(), expected.encode()):
                return id
        raise WebhookRefused("its signature is wrong")


def listening(hooks: Webhooks, port: int, *, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """Return a small server for the messages; `serve_forever()` runs it. TLS belongs in front of it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > _LARGEST:
                self._answer(413)
                return
            try:
                hooks.receive(self.rfile.read(int(length)), dict(self.headers.items()))
            except WebhookRefused:
                self._answer(400)
                return
            self._answer(200)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing of what anybody may send."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return server
