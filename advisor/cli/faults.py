"""Faults of the parts, told as wrong input: one line, no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from advisor.logs.files import InputError
from rag.embedders.port import EmbedderFailed, EmbedderMissing
from rag.index import IndexFailed, IndexMissing
from rag.snapshot import UnknownFilter
from rag.stores.port import StoreFailed, StoreMissing
from rag.versions import UnknownVersion
from router.live import Moved, NothingLive, UnknownTenant
from router.models.port import ModelError
from router.prompts import PromptMissing
from router.releases import ReleaseMissing

_FAULTS = (
    IndexFailed, IndexMissing, EmbedderMissing, EmbedderFailed, StoreMissing, StoreFailed, UnknownVersion, UnknownFilter,
    Moved, NothingLive, UnknownTenant, PromptMissing, ReleaseMissing, ModelError,
)  # fmt: skip


@contextmanager
def told() -> Iterator[None]:
    """Raise what the index and the chatbot can raise as `InputError`."""
    try:
        yield
    except _FAULTS as error:
        raise InputError(str(error)) from error
