"""Batches whose examples begin alike: the beginning is read once, and each rest is learnt as if it had been read before it.

A bot's examples share its system prompt, its tools and what it is shown. A token of a decoder sees only what stands before it, so a common
beginning is the same for all of them, gradients included: a batch becomes one sequence of beginnings and rests, and a mask lets each
rest see its own beginning and itself. The loss is that of the examples one by one, of fewer tokens (as Prefix Grouper does for the
samples of one prompt; Liu et al. 2025, 2506.05433).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from finetune.rows import IGNORED, Row

_LEAST = 0.2
"""Share of the work that must be saved."""

_CLOSE = 1e-3
_CLOSE_BF16 = 5e-2
"""Most that the loss of one token may differ."""


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


def collated(batch: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """Return a batch of rows (`input_ids`, `labels`) as one sequence of n tokens: ids, positions and labels of shape (1, n), a mask of
    shape (1, 1, n, n), and the tokens that the rows have apart, shape (1,)."""
    rows = [Row(ids=list(b["input_ids"]), labels=list(b["labels"])) for b in batch]
    ids: list[int] = []
    places: list[int] = []
    labels: list[int] = []
    group_of: list[int] = []
    branch_of: list[int] = []
    for number, group in enumerate(_groups(rows)):
        parts = [(0, range(group.common), group.rows[0])]
        parts += [(n, range(group.common, len(row.ids)), row) for n, row in enumerate(group.rows, 1)]
        for branch, span, row in parts:
            ids += [row.ids[i] for i in span]
            labels += [row.labels[i] for i in span]
            places += span
            group_of += [number] * len(span)
            branch_of += [branch] * len(span)
    groups, branches = torch.tensor(group_of), torch.tensor(branch_of)
    before = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
    own = groups[:, None] == groups[None, :]
    seen = (branches[None, :] == 0) | (branches[:, None] == branches[None, :])
    return {
        "input_ids": torch.tensor([ids]), "position_ids": torch.tensor([places]), "labels": torch.tensor([labels]),
        "attention_mask": (before & own & seen)[None, None], "apart": torch.tensor([sum(len(r.ids) for r in rows)]),
    }  # fmt: skip


def saves(model: Any, rows: Sequence[Row], batch_size: int) -> bool:
    """Return whether batches of rows, taken in their order, are a fifth less work together, and mean the same to a model.

    That is tried on the batch that shares most. Models that see by windows, carry a state from token to token or choose experts are left alone.

    Args:
        model: A causal language model of Transformers.
        rows: To be learnt.
        batch_size: Rows that are read at once.
    """
    config = model.config
    kinds = set(getattr(config, "layer_types", None) or ())
    if (
        getattr(config, "_attn_implementation", "") != "sdpa"
        or kinds - {"full_attention"}
        or (getattr(config, "sliding_window", None) and "full_attention" not in kinds)
        or hasattr(config, "output_router_logits")
    ):
        return False
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    spared = [_tokens(batch) - sum(g.tokens for g in _groups(batch)) for batch in batches]
    apart = sum(_work(config, len(r.ids)) for r in rows)
    together = sum(_work(config, sum(g.tokens for g in _groups(batch))) for batch in batches)
    if not rows or 1 - together / apart < _LEAST:
        return False
    return _alike_to(model, batches[spared.index(max(spared))])


def _tokens(rows: Sequence[Row]) -> int:
    return sum(len(r.ids) for r in rows)


def _work(config: Any, tokens: int) -> float:
    """Of one layer on a sequence, up to a factor: its matrices, and attention of all tokens to all."""
    wide = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * wide)
    return tokens * (4 * wide * wide + 3 * wide * inner) + 2 * wide * tokens * tokens


def _alike_to(model: Any, rows: Sequence[Row]) -> bool:
    training, near = model.training, _CLOSE if model.dtype == torch.float32 else _CLOSE_BF16
    model.eval()
    try:
        apart = torch.cat([_losses(model, [row]) for row in rows])
        together = _losses(model, rows)
    except Exception:
        return False  # whatever it raises, it takes no such mask
    finally:
        model.train(training)
    # Groups may change the order of rows.
    return bool(torch.allclose(apart.sort().values, together.sort().values, rtol=near, atol=near))


def sharing(maker: Any) -> Any:
    """Return a trainer of TRL whose batches share beginnings.

    Args:
        maker: `SFTTrainer`.
    """

    class Sharing(maker):  # type: ignore[misc]
        """See `sharing`."""

        _total_train_tokens: int
        spared = 0
        """Tokens learnt from and not read, since this process began."""

        def __init__(self, **given: Any) -> None:
            super().__init__(data_collator=collated, **given)

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


def _losses(model: Any, rows: Sequence[Row]) -> torch.Tensor:
    """Losses of all tokens that are learnt, rows together if there are several."""
    if len(rows) == 1:
        given = {"input_ids": torch.tensor([rows[0].ids])}
        labels = torch.tensor([rows[0].labels])
    else:
        given = collated([{"input_ids": r.ids, "labels": r.labels} for r in rows])
        labels = given.pop("labels")
        given.pop("apart")
    with torch.no_grad():
        logits = model(**{k: v.to(model.device) for k, v in given.items()}, use_cache=False).logits
    wanted = labels[0, 1:].to(model.device)
    found = torch.nn.functional.cross_entropy(
        logits[0, :-1].float(), wanted, ignore_index=IGNORED, reduction="none"
    )
    return found[wanted != IGNORED]
