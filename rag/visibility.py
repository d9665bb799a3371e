"""Who may see a chunk, and what a search asks for.

Chunks that are equal in this form one class, so that a filter is a set of classes and is applied before ranking.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date

from rag.documents import Document, day


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """What filters look at; see `Document` for the fields."""

    tenant: str | None = None
    access: tuple[str, ...] = ()
    language: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """Name of the class, the same in every index."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """Return it as canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True, default=str)

    @classmethod
    def from_json(cls, text: str) -> Visibility:
        """Return the one of such a text."""
        data = json.loads(text)
        return cls(
            tenant=data["tenant"], access=tuple(data["access"]), language=data["language"], valid_from=day(data["valid_from"]),
            valid_to=day(data["valid_to"]), metadata=tuple((k, v) for k, v in data["metadata"]),
        )  # fmt: skip

    @classmethod
    def of(cls, document: Document, filterable: Iterable[str]) -> Visibility:
        """Return a document's, with those of its metadata that searches may filter by."""
        return cls(
            tenant=document.tenant, access=document.access, language=document.language, valid_from=document.valid_from,
            valid_to=document.valid_to, metadata=tuple((k, document.metadata[k]) for k in sorted(filterable) if k in document.metadata),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Who asks, and for what.

    Attributes:
        tenant: The customer who asks; None sees only what is for all.
        access: Tags the asker holds.
        language: Keep to documents in this language or of none; `de` takes `de-AT` as well. None: any.
        on: Keep to what holds on that day; today unless given.
        where: Metadata that must have this value; the keys must be among the index's `filterable`.
    """

    tenant: str | None = None
    access: frozenset[str] = frozenset()
    language: str | None = None
    on: date | None = None
    where: Mapping[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.tenant, self.access, self.language, self.on, tuple(sorted(self.where.items()))))

    def admits(self, seen: Visibility, today: date) -> bool:
        """Return whether such a chunk may be found."""
        on = self.on or today
        return (
            seen.tenant in (None, self.tenant)
            and (not seen.access or not self.access.isdisjoint(seen.access))
            and (seen.valid_from is None or seen.valid_from <= on)
            and (seen.valid_to is None or on <= seen.valid_to)
            and self._speaks(seen.language)
            and self.where.items() <= dict(seen.metadata).items()
        )

    def _speaks(self, language: str | None) -> bool:
        if self.language is None or language is None:
            return True
        return f"{language.lower()}-".startswith(f"{self.language.lower()}-")
