"""Seal: ids of replies and addresses of pages that only this server can have made, so that it need not look up whose they are."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A passage in a document of a version of the index; `start` and `end` count characters of its text."""

    index: str
    document: str
    start: int
    end: int


class Seal:
    """Makes and knows ids. The secret stands in the state folder, so all processes and restarts know the same.

    Args:
        state: The state folder; `seal.key` in it is made if it is not there.
    """

    def __init__(self, state: Path) -> None:
        self._secret = _secret(state / "seal.key")

    def reply_id(self, tenant: str | None) -> str:
        """Return a new id for a reply to a tenant."""
        unique = secrets.token_hex(12)
        return f"reply-{unique}-{self._mark(tenant, unique)}"

    def is_of(self, reply_id: str, tenant: str | None) -> bool:
        """Return whether a reply was given to a tenant, by this server or another one over the same state folder."""
        word, _, rest = reply_id.partition("-")
        unique, _, mark = rest.partition("-")
        good = hmac.compare_digest(mark.encode("utf-8", "replace"), self._mark(tenant, unique).encode())
        return word == "reply" and good

    def page(self, place: Place) -> str:
        """Return a text for an address that opens a passage, for whoever was given it; it cannot be guessed or changed."""
        data = json.dumps([place.index, place.document, place.start, place.end], ensure_ascii=False).encode()
        return f"{base64.urlsafe_b64encode(data).decode().rstrip('=')}.{self._sealed('page', data)}"

    def opened(self, text: str) -> Place | None:
        """Return the passage of such a text; None if it was made by somebody else."""
        coded, _, mark = text.partition(".")
        try:
            data = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(mark.encode("utf-8", "replace"), self._sealed("page", data).encode()):
            return None
        index, document, start, end = json.loads(data)
        place = Place(index=index, document=document, start=start, end=end)
        # Decoding passes over signs that it does not know; an address is taken as it was made, or not at all.
        return place if self.page(place) == text else None

    def _mark(self, tenant: str | None, unique: str) -> str:
        return self._sealed("reply", json.dumps([tenant, unique]).encode())[:20]

    def _sealed(self, kind: str, data: bytes) -> str:
        return hmac.new(self._secret, f"{kind}:".encode() + data, hashlib.sha256).hexdigest()[:40]


def _secret(file: Path) -> bytes:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    if not file.exists():
        with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as stream:  # noqa: PTH123
            stream.write(secrets.token_bytes(_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        try:
            # Linking, unlike renaming, leaves alone what another process made meanwhile.
            os.link(part, file)
        except FileExistsError:
            pass
        finally:
            part.unlink()
    return file.read_bytes()
