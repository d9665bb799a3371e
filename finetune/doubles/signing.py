"""Webhooks as OpenAI sends them: signed, perhaps twice, perhaps before the job's own answer knows of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
import urllib.error
import urllib.request


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a webhook: HMAC-SHA256 over `id.timestamp.body` with the key behind `whsec_`."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class Sender:
    """Sends events to an address, in threads of its own.

    Attributes:
        address: Where to; empty: nothing is sent.
        secret: `whsec_...`, made afresh.
        times: How often each event is sent.
        sent: Bodies that were sent, in order.
    """

    def __init__(self) -> None:
        self.address = ""
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        self.times = 1
        self.sent: list[bytes] = []
        self._threads: list[threading.Thread] = []

    def event(self, kind: str, job: str, *, at: int | None = None) -> tuple[bytes, dict[str, str]]:
        """Return body and headers of an event, signed for the time `at`."""
        now = int(time.time()) if at is None else at
        id = f"evt_{job}_{kind.rpartition('.')[2]}"
        body = json.dumps({"id": id, "object": "event", "created_at": now, "type": kind, "data": {"id": job}}).encode()  # fmt: skip
        return body, {
            "webhook-id": f"wh_{id}",
            "webhook-timestamp": str(now),
            "webhook-signature": sign(self.secret, f"wh_{id}", now, body),
            "content-type": "application/json",
        }

    def send(self, kind: str, job: str) -> None:
        """Send an event, as often as `times` says, without waiting."""
        if not self.address:
            return
        body, headers = self.event(kind, job)
        for _ in range(self.times):
            self.sent.append(body)
            thread = threading.Thread(target=self._post, args=(body, headers), daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Wait for what is still being sent."""
        for thread in self._threads:
            thread.join(5)

    def _post(self, body: bytes, headers: dict[str, str]) -> None:
        request = urllib.request.Request(self.address, data=body, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                answer.read()
        except (urllib.error.URLError, OSError):
            return
