"""Embedders of OpenAI and of every server that speaks its API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import openai

from rag import wordpieces
from rag.embedders.port import EmbedderFailed, EmbedderMissing, Identity, Kind, Vectors, unit

_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
_MAX_TOKENS = 8191
_INPUTS = 256
_TOKENS = 100_000
"""Of one request; the API takes 2,048 inputs and 300,000 tokens, and word pieces are not its tokens."""


class OpenAI:
    """An embedding model of the OpenAI API.

    Args:
        model: For instance `text-embedding-3-small`.
        dimension: Shorten vectors to this (text-embedding-3 only).
        base_url: Another server with the same API.
        api_key: `OPENAI_API_KEY` unless given.

    Raises:
        EmbedderMissing: There is no key, or the model's dimension is not known and not given.
    """

    max_tokens = _MAX_TOKENS

    def __init__(
        self, model: str = "text-embedding-3-small", *, dimension: int | None = None, base_url: str | None = None, api_key: str | None = None,
    ) -> None:  # fmt: skip
        try:
            self._client = openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=4)
        except openai.OpenAIError as error:
            raise EmbedderMissing(f"openai:{model}: {error}", hint="set OPENAI_API_KEY") from None
        self._model = model
        self._shortened = dimension is not None
        known = dimension or _DIMENSIONS.get(model) or len(self._asked(["dimension"])[0])
        self.identity = Identity(model=f"openai:{model}", dimension=known)

    def count(self, text: str) -> int:
        """Return the number of word pieces, a little more than the API's own tokens for most text."""
        return wordpieces.count(text)

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Vectors:
        """Return a vector of length 1 for every text."""
        rows = [row for batch in _batches(texts) for row in self._asked(batch)]
        found = np.asarray(rows, dtype=np.float32).reshape(len(texts), self.identity.dimension)
        return unit(found)

    def _asked(self, batch: list[str]) -> list[list[float]]:
        more: dict[str, Any] = {"dimensions": self.identity.dimension} if self._shortened else {}
        try:
            # An empty input is an error of the API; a space is none.
            answer = self._client.embeddings.create(
                model=self._model, input=[t or " " for t in batch], encoding_format="float", **more
            )
        except openai.APIConnectionError as error:
            raise EmbedderFailed(f"openai:{self._model}: no connection ({error})", retryable=True) from error
        except openai.APIStatusError as error:
            again = error.status_code in (408, 409, 429) or error.status_code >= 500
            raise EmbedderFailed(
                f"openai:{self._model}: {error.status_code} {error.message[:200]}", retryable=again
            ) from error
        rows = [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
        if len(rows) != len(batch):
            raise EmbedderFailed(
                f"openai:{self._model}: {len(rows)} vectors for {len(batch)} texts", retryable=True
            )
        return rows


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        tokens = wordpieces.count(text)
        if batch and (len(batch) == _INPUTS or size + tokens > _TOKENS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += tokens
    if batch:
        yield batch
