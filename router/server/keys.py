"""Keys: who may ask, as which tenant. Only hashes are kept, so a copy of the file opens nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rag.files import write
from router.watched import Watched

_FORMAT = "rightfix-keys-1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}\Z")
_NOBODY = hashlib.sha256(b"").hexdigest()

Scope = Literal["chat", "metrics"]


class KeysDamaged(ValueError):
    """The file of keys cannot be read, or what is wanted of it makes no sense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key, without the secret.

    Attributes:
        id: Names the key in lists; no secret.
        tenant: Whom its requests are from; None for nobody in particular.
        scope: What it opens: the chatbot, or the metrics.
        access: Tags of documents that not everybody may see.
        note: For people.
        made: Seconds since the epoch.
        digest: SHA-256 of the secret, hex. The secret has 256 random bits, so a slow hash would add nothing.
        revoked: Seconds since the epoch; None if it is good.
    """

    id: str
    tenant: str | None
    digest: str
    scope: Scope = "chat"
    access: tuple[str, ...] = ()
    note: str = ""
    made: float = 0.0
    revoked: float | None = None


class Keys:
    """The keys of a state folder, `keys.json`. What is added or revoked holds from the next request on,
    in other processes 50 ms later.

    Args:
        state: The state folder.
    """

    def __init__(self, state: Path) -> None:
        self._file = state / "keys.json"
        self._watched: Watched[Mapping[str, Key]] = Watched(self._file, _read, empty={})

    def all(self) -> Mapping[str, Key]:
        """Return all keys by id, revoked ones too.

        Raises:
            KeysDamaged: The file cannot be read.
        """
        return self._watched.get()

    def find(self, token: str) -> Key | None:
        """Return the good key of a token; None if there is none. Takes as long for every token of one length."""
        id = token[3:11] if token.startswith("rf-") else ""
        key = self.all().get(id)
        known = key.digest if key is not None else _NOBODY
        same = hmac.compare_digest(hashlib.sha256(token.encode("utf-8", "replace")).hexdigest(), known)
        return key if same and key is not None and key.revoked is None else None

    def add(
        self, tenant: str | None, *, scope: Scope = "chat", access: tuple[str, ...] = (), note: str = ""
    ) -> tuple[Key, str]:
        """Make a key and return it with its token, which is told this once.

        Raises:
            KeysDamaged: The tenant's name is none, or the file cannot be read.
        """
        if tenant is not None and not _NAME.match(tenant):
            raise KeysDamaged(f"a tenant is named with 1 to 64 letters, digits and _ . @ -, not {tenant!r}")
        id = secrets.token_hex(4)
        token = f"rf-{id}-{secrets.token_urlsafe(32)}"
        digest = hashlib.sha256(token.encode()).hexdigest()
        key = Key(
            id=id, tenant=tenant, digest=digest, scope=scope, access=access, note=note, made=time.time()
        )
        self._changed(lambda keys: {**keys, id: key})
        return key, token

    def revoke(self, id: str) -> Key:
        """Make a key good for nothing.

        Raises:
            KeysDamaged: There is none of that id, or the file cannot be read.
        """

        def change(keys: Mapping[str, Key]) -> Mapping[str, Key]:
            if id not in keys:
                raise KeysDamaged(f"no key {id!r}; `advise serve keys list` shows them")
            return {**keys, id: replace(keys[id], revoked=keys[id].revoked or time.time())}

        return self._changed(change)[id]

    def _changed(self, change: Callable[[Mapping[str, Key]], Mapping[str, Key]]) -> Mapping[str, Key]:
        with self._watched.changing() as before:
            keys = change(before)
            data = {"format": _FORMAT, "keys": [asdict(k) for k in keys.values()]}
            write(json.dumps(data, ensure_ascii=False, indent=2) + "\n", self._file).chmod(0o600)
            return keys


def _read(file: Path) -> Mapping[str, Key]:
    try:
        data: Any = json.loads(file.read_text(encoding="utf-8"))
        if data["format"] != _FORMAT:
            raise ValueError(f"its format is {data['format']!r}")
        return {k["id"]: Key(**{**k, "access": tuple(k["access"])}) for k in data["keys"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KeysDamaged(f"{file}: cannot be read ({error}); restore it, or delete it and make new keys") from None  # fmt: skip
