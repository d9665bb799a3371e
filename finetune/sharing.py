"""Batches whose examples begin alike: the beginning is read once, and each rest is learnt as if it had been read before it.

A bot's examples share its system prompt, its tools and what it is shown. A token of a decoder sees only what stands before it, so a common
beginning is the same for all of them, gradients included: a batch becomes one sequence of beginnings and rests, and a mask lets each
rest see its own beginning and itself. The loss is that of the examples one by one, of fewer tokens (as Prefix Grouper does for the
samples of one prompt; Liu et al. 2025, 2506.05433).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune.rows import IGNORED, Row

_LEAST = 0.2
"""Share of the work that must be saved."""


@dataclass(slots=True, eq=False)
class _Group:
    """Rows with a common beginning.

    Attributes:
        rows: The rows.
        common: Tokens that all begin with; never a token that is learnt, nor the one before the first that is.
    """

    rows: list[Row]
    common: int

    @property
    def tokens(self) -> int:
        """Tokens that are read."""
        return self.common + sum(len(r.ids) - self.common for r in self.rows)

    def saved_with(self, row: Row) -> tuple[int, int]:
        """Return how many tokens are saved if a row joins, and the beginning that would be common then."""
        common = min(_alike(self.rows[0].ids, row.ids), self.common, _read_only(row))
        # What it has in common is read once more for nothing; what the others had in common beyond that must be read for each.
        lost = (len(self.rows) - 1) * (self.common - common)
        return common - lost, common


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """A batch as one sequence of beginnings and rests; all lists have one entry a token that is read.

    Attributes:
        ids: Tokens.
        labels: The same where a token is learnt, else `IGNORED`.
        places: Position of a token in its row.
        groups: Number of the rows with a common beginning.
        branches: 0 for the beginning, else the number of the row in its group: a token sees the beginning and its own branch.
        apart: Tokens of the rows one by one.
    """

    ids: list[int]
    labels: list[int]
    places: list[int]
    groups: list[int]
    branches: list[int]
    apart: int


def laid(rows: Sequence[Row]) -> Laid:
    """Lay a batch out as one sequence."""
    found = Laid(ids=[], labels=[], places=[], groups=[], branches=[], apart=_tokens(rows))
    for number, group in enumerate(_groups(rows)):
        parts = [(0, range(group.common), group.rows[0])]
        parts += [(n, range(group.common, len(row.ids)), row) for n, row in enumerate(group.rows, 1)]
        for branch, span, row in parts:
            found.ids.extend(row.ids[i] for i in span)
            found.labels.extend(row.labels[i] for i in span)
            found.places.extend(span)
            found.groups.extend([number] * len(span))
            found.branches.extend([branch] * len(span))
    return found


def saving(config: Any, rows: Sequence[Row], batch_size: int) -> Sequence[Row]:
    """Return the batch that shares most, to try a model on; none if batches, taken in their order, are not a fifth less work together.

    Models that see by windows, carry a state from token to token or choose experts get none either.

    Args:
        config: Of a causal language model of Transformers.
        rows: To be learnt.
        batch_size: Rows that are read at once.
    """
    kinds = set(getattr(config, "layer_types", None) or ())
    if (
        getattr(config, "_attn_implementation", "") != "sdpa"
        or kinds - {"full_attention"}
        or (getattr(config, "sliding_window", None) and not kinds)
        or hasattr(config, "output_router_logits")
    ):
        return ()
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    read = [sum(g.tokens for g in _groups(batch)) for batch in batches]
    apart = sum(_work(config, len(r.ids)) for r in rows)
    if not rows or 1 - sum(_work(config, n) for n in read) / apart < _LEAST:
        return ()
    return max(zip(batches, read, strict=True), key=lambda b: _tokens(b[0]) - b[1])[0]


def _tokens(rows: Sequence[Row]) -> int:
    return sum(len(r.ids) for r in rows)


def _work(config: Any, tokens: int) -> float:
    """Of one layer on a sequence, up to a factor: its matrices, and attention of all tokens to all."""
    wide = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * wide)
    return tokens * (4 * wide * wide + 3 * wide * inner) + 2 * wide * tokens * tokens


def sharing(maker: Any, collate: Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]) -> Any:
    """Return a trainer of TRL whose batches share beginnings.

    Args:
        maker: `SFTTrainer`.
        collate: Makes tensors of a batch (`finetune.weights.collated`).
    """

    class Sharing(maker):  # type: ignore[misc]
        """See `sharing`."""

        _total_train_tokens: int
        spared = 0
        """Tokens learnt from and not read, since this process began."""

        def __init__(self, **given: Any) -> None:
            super().__init__(data_collator=collate, **given)

        def compute_loss(self, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:
            apart, before = int(inputs.pop("apart").sum()), self._total_train_tokens
            read = int(inputs["input_ids"].shape[1])
            found = super().compute_loss(model, inputs, *more, **named)
            if self.model.training:
                self.spared += apart - read
            # Left alone, it would count the pairs of the mask.
            self._total_train_tokens = before + (apart if self.model.training else 0)
            self._metrics["train" if self.model.training else "eval"]["num_tokens"] = [self._total_train_tokens]  # fmt: skip
            return found

    return Sharing


def _groups(rows: Sequence[Row]) -> list[_Group]:
    """Put each row where it saves most, or by itself."""
    found: list[_Group] = []
    for row in rows:
        best, most, common = None, 0, 0
        for group in found:
            saved, shared = group.saved_with(row)
            if saved > most:
                best, most, common = group, saved, shared
        if best is None:
            found.append(_Group(rows=[row], common=_read_only(row)))
        else:
            best.rows.append(row)
            best.common = common
    return found


def _read_only(row: Row) -> int:
    """Tokens at the beginning that may be shared: the last token before what is learnt tells it, so it must stand right before it."""
    learnt = next((i for i, label in enumerate(row.labels) if label != IGNORED), len(row.labels))
    return max(0, learnt - 1)


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))  # fmt: skip
