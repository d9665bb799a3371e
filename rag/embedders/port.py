"""What an embedder is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""Shape (texts, dimension); every row has length 1 where the identity says normalised."""

Kind = Literal["passage", "query"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What must be the same for two vectors to be comparable.

    Attributes:
        model: Its reference, such as `minilm` or `openai:text-embedding-3-small`.
        dimension: Numbers in a vector.
        normalised: Whether vectors have length 1.
        fingerprint: Hash of the weights, None where they are not here to be hashed.
    """

    model: str
    dimension: int
    normalised: bool = True
    fingerprint: str | None = None

    def __str__(self) -> str:
        print_ = f", weights {self.fingerprint[:8]}" if self.fingerprint else ""
        return f"{self.model} ({self.dimension} dimensions, {'normalised' if self.normalised else 'not normalised'}{print_})"


class Embedder(Protocol):
    """Texts to vectors."""

    identity: Identity
    max_tokens: int
    """Longest text it reads, in its own tokens without markers; what is longer it would cut in silence."""

    def count(self, text: str) -> int:
        """Return the number of tokens of a text, without markers."""
        ...

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Vectors:
        """Return a vector for every text.

        Raises:
            EmbedderFailed: It could not.
        """
        ...


class EmbedderMissing(LookupError):
    """An embedder that is unknown or cannot be loaded."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(f"{message}; {hint}")
        self.hint = hint


class EmbedderFailed(RuntimeError):
    """An embedder that gave no vectors.

    Attributes:
        retryable: Whether the same call may work later.
    """

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


def unit(vectors: Vectors) -> Vectors:
    """Return the vectors with length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    found: Vectors = (vectors / lengths).astype(np.float32)
    return found
