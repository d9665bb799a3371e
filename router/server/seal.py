"""Seal: ids of replies that only this server can have made, so that it knows whose a reply is without looking it up."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

_BYTES = 32


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

    def _mark(self, tenant: str | None, unique: str) -> str:
        text = json.dumps(["reply", tenant, unique]).encode()
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()[:20]


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
