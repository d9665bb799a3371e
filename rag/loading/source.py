"""A file to be loaded, and what loaders say and share about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.documents import day

_CODE = re.compile(r"\[([A-Z][A-Z0-9]{1,9}-\d{1,5})\]")
_METADATA_KEYS = 20
_METADATA_LENGTH = 200


class Unreadable(ValueError):
    """A file that is no document, with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file.

    Attributes:
        id: Of its document: the path below the folder that was given.
        url: Where the page stands on the web, if a sitemap says so.
        changed: ISO day of its last change, if a sitemap says so.
    """

    path: Path
    id: str
    url: str | None = None
    changed: str | None = None

    @property
    def uri(self) -> str:
        """URL, else path."""
        return self.url or str(self.path)

    def text(self) -> str:
        """Return the file as text.

        Raises:
            Unreadable: It is not UTF-8 or UTF-16 text.
        """
        data = self.path.read_bytes()
        utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        if b"\0" in data[:4096] and not utf16:
            raise Unreadable("is binary, not text")
        try:
            return data.decode("utf-16" if utf16 else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise Unreadable(f"is not UTF-8 text (byte {error.start}); save it as UTF-8") from None


def code_in(text: str) -> str | None:
    """Return the first source code such as `[SHIP-04]`, without brackets."""
    found = _CODE.search(text)
    return found[1] if found else None


def fields(named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a document that front matter, a row or a set of properties names; the rest as metadata.

    Raises:
        ValueError: A date is none.
    """
    given = {str(k).strip().lower().replace("-", "_"): v for k, v in named.items() if v not in (None, "", [])}
    found: dict[str, Any] = {}
    for name, keys in _KEYS.items():
        value = next((given.pop(k) for k in keys if k in given), None)
        if value is not None:
            found[name] = _READ.get(name, _text)(value)
    found["metadata"] = {
        k: str(v)[:_METADATA_LENGTH] for k, v in list(given.items())[:_METADATA_KEYS] if _plain(v)
    }
    return found


_KEYS: dict[str, tuple[str, ...]] = {
    "code": ("code", "source_code"),
    "uri": ("uri", "url", "canonical"),
    "language": ("language", "lang", "locale"),
    "valid_from": ("valid_from", "effective_from"),
    "valid_to": ("valid_to", "valid_until", "expires"),
    "tenant": ("tenant", "customer"),
    "access": ("access", "roles"),
}


def _text(value: Any) -> str:
    return str(value).strip()


def _tags(value: Any) -> tuple[str, ...]:
    parts = value if isinstance(value, list | tuple) else re.split(r"[,;\s]+", str(value))
    return tuple(sorted({str(p).strip() for p in parts if str(p).strip()}))


_READ: dict[str, Any] = {"valid_from": day, "valid_to": day, "access": _tags}


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool) or hasattr(value, "isoformat")
