"""A small classifier as a chat model: logistic regression over a frozen sentence embedding; answers with a label, in milliseconds.

A folder holds `head.npz` (`weight`, float32, [classes, dimension]; `bias`, [classes]) and `head.json`:

    {"labels": ["billing", "other"], "embedder": "minilm", "threshold": 0.4, "fallback": "other"}

`labels` are in the order of the rows, `embedder` is a reference of `rag.embedders`, which reads texts as queries. Below `threshold` (a
probability, 0 if it is not there) it answers with `fallback`, or with nothing if there is none.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rag import embedders
from rag.embedders.port import EmbedderFailed, EmbedderMissing, Vectors
from router.models.port import (
    Completion,
    Delta,
    Messages,
    ModelMissing,
    ModelRefused,
    ModelUnavailable,
    Usage,
)


class Embeds(Protocol):
    """What turns a text into a vector."""

    def count(self, text: str) -> int:
        """Return the number of tokens of a text."""
        ...

    def embed(self, texts: Sequence[str], *, kind: Any) -> Vectors:
        """Return a vector for every text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """What the files of a head say."""

    labels: tuple[str, ...]
    embedder: str
    threshold: float
    fallback: str | None
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


class Head:
    """A classifier. It reads the last message of the person, and nothing before it.

    Args:
        name: Its folder.

    Raises:
        ModelMissing: The folder, or the embedder, is not there.
        ModelRefused: The files are not those of a head.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._files = _read(Path(name).expanduser())
        try:
            self._embedder: Embeds = embedders.load(self._files.embedder)
        except EmbedderMissing as error:
            raise ModelMissing(f"head {name}: {error}") from error
        width = self._vector("a").shape[0]
        if width != self._files.weight.shape[1]:
            raise ModelRefused(
                f"head {name} was trained on vectors of {self._files.weight.shape[1]} numbers; {self._files.embedder!r} gives {width}",
                hint="train it again with the embedder that is used now",
            )

    def complete(
        self, messages: Messages, *, schema: Mapping[str, Any] | None = None, **options: Any
    ) -> Completion:
        """Return the likeliest label; see `ChatModel`. With a schema, the likeliest that it allows, in its form."""
        asked = next((m for m in reversed(messages) if m.get("role") == "user"), None)
        if asked is None:
            raise ModelRefused("a classifier needs a message of the person")
        text = _text(asked.get("content"))
        chances = self.probabilities(text)
        place, allowed = (
            _allowed(schema, self._files.labels) if schema is not None else (None, self._files.labels)
        )
        best = max(allowed, key=lambda label: chances[label])
        label: str | None = best if chances[best] >= self._files.threshold else self._files.fallback
        usage = Usage(input_tokens=self._embedder.count(text), output_tokens=1)
        said = (
            ""
            if label is None
            else label
            if place is None
            else json.dumps({place: label}, ensure_ascii=False)
        )
        return Completion(text=said, usage=usage, finish_reason="stop", model=f"head:{Path(self._name).name}")

    async def astream(self, messages: Messages, **options: Any) -> AsyncGenerator[Delta, None]:
        """Give the label in one piece; see `ChatModel`."""
        completion = await asyncio.to_thread(self.complete, messages, **options)
        if completion.text:
            yield Delta(text=completion.text)
        yield Delta(completion=completion)

    def probabilities(self, text: str) -> dict[str, float]:
        """Return the probability of each label."""
        scores = self._files.weight @ self._vector(text) + self._files.bias
        powers = np.exp(scores - scores.max())
        return dict(zip(self._files.labels, (powers / powers.sum()).tolist(), strict=True))

    def _vector(self, text: str) -> NDArray[np.float32]:
        try:
            vector: NDArray[np.float32] = self._embedder.embed([text], kind="query")[0]
        except EmbedderFailed as error:
            raise (ModelUnavailable if error.retryable else ModelRefused)(
                f"head {self._name}: {error}"
            ) from error
        return vector


def _read(folder: Path) -> _Files:
    about, arrays = folder / "head.json", folder / "head.npz"
    if not about.is_file() or not arrays.is_file():
        raise ModelMissing(f"no classifier head in {folder}", hint="its folder holds head.json and head.npz")
    try:
        told = json.loads(about.read_text(encoding="utf-8"))
        # Without pickles: arrays cannot hold code.
        with np.load(arrays, allow_pickle=False) as found:
            weight, bias = found["weight"].astype(np.float32), found["bias"].astype(np.float32)
        files = _Files(
            labels=tuple(str(label) for label in told["labels"]), embedder=str(told["embedder"]), threshold=float(told.get("threshold", 0.0)),
            fallback=told.get("fallback"), weight=weight, bias=bias,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelRefused(f"{folder}: is no classifier head ({error!r})") from error
    if (
        weight.ndim != 2
        or len(files.labels) < 2
        or weight.shape[0] != len(files.labels)
        or bias.shape != (len(files.labels),)
    ):
        raise ModelRefused(
            f"{folder}: {len(files.labels)} labels, weights {weight.shape}, biases {bias.shape} do not fit together"
        )
    return files


def _allowed(schema: Mapping[str, Any], labels: Sequence[str]) -> tuple[str, list[str]]:
    """Return the property of a schema that takes a label, and the labels it takes."""
    for name, told in (schema.get("properties") or {}).items():
        allowed = [label for label in labels if label in (told.get("enum") or ())]
        if allowed and set(schema.get("required") or ()) <= {name}:
            return name, allowed
    raise ModelRefused("a classifier can only hold a reply to a schema that takes one of its labels")


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(str(p.get("text", "")) for p in content or () if isinstance(p, Mapping))
