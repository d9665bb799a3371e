"""Batches over several ranks: every step learns what one process would have learnt, whatever the number of ranks.

Left alone, the trainer fills the last, incomplete batch of an epoch and of the validation part with examples from the beginning, which
then count twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from accelerate.data_loader import SeedableRandomSampler
from accelerate.utils import broadcast, broadcast_object_list


def accumulation(batch_size: int, ranks: int, least: int) -> int:
    """Return over how many parts each rank adds a step up, so that ranks x parts x examples a part is the batch size.

    Args:
        batch_size: Examples a step over all ranks; `ranks` divides it.
        ranks: How many.
        least: What is asked for; the next larger number that divides a rank's share is taken, or each example alone.
    """
    share = batch_size // ranks
    return next(n for n in range(min(max(1, least), share), share + 1) if share % n == 0)


def agreed(value: bool) -> bool:
    """Return what rank 0 says, on all ranks; each must ask at the same point."""
    found = [value]
    broadcast_object_list(found)
    return found[0]


def alike(maker: Any) -> Any:
    """Return a trainer of TRL that takes the same steps over several ranks as over one.

    Args:
        maker: `SFTTrainer` or `DPOTrainer`.
    """

    class Alike(maker):  # type: ignore[misc]
        """See `alike`."""

        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            self._whole = self.args.train_batch_size * self.accelerator.num_processes
            table: Any = self.train_dataset
            self._real: int = len(table)
            self.train_dataset: Any = _filled(table, -self._real % self._whole)

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return _Order(self._real, -self._real % self._whole, seed=self.args.data_seed, epoch=self._epoch)

        def _epoch(self) -> int:
            steps: int = math.ceil(self._real / (self._whole * self.args.gradient_accumulation_steps))
            return int(self.state.global_step) // steps

        def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
            # Every rank looks at the whole validation part: its loss is a mean of means, which another division would change.
            loader = super().get_eval_dataloader(eval_dataset)
            shard = loader.batch_sampler
            shard.num_processes, shard.process_index, shard.even_batches = 1, 0, False
            return loader

        def evaluation_loop(self, *given: Any, **named: Any) -> Any:
            self.gather_function = (
                self._first
            )  # set anew for each look: the loop puts its own back at its end
            return super().evaluation_loop(*given, **named)

        def _first(self, values: Any) -> Any:
            # Early stopping is decided on this, and must be decided alike: rounding may differ between two GPUs.
            found = broadcast(values)
            state = self.accelerator.gradient_state
            return found[: state.remainder] if state.end_of_dataloader and state.remainder > 0 else found

        def compute_loss(self, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:
            found = super().compute_loss(model, inputs, *more, **named)
            # Tokens are counted over all ranks by the trainer itself; pairs are not, and a blank one, whose loss is log 2 and has no
            # gradient, counts like any other.
            last = self.accelerator.sync_gradients and self.accelerator.gradient_state.end_of_dataloader
            if self.model.training and last and "labels" not in inputs and self._real % self._whole:
                scale = self._whole / (self._real % self._whole)
                return scale * found - (scale - 1) * math.log(2)
            return found

        def _save_rng_state(self, output_dir: str) -> None:
            super()._save_rng_state(output_dir)
            # A checkpoint is whole once its state is written, which rank 0 does next.
            self.accelerator.wait_for_everyone()

    return Alike


class _Order:
    """The order of an epoch as one process has it, and what fills its last batch.

    It asks which epoch it is: the trainer tells samplers, but does not reach one of several ranks in a training that was resumed.
    """

    def __init__(self, real: int, blank: int, *, seed: int, epoch: Callable[[], int]) -> None:
        self._epoch = epoch
        self._shuffled = SeedableRandomSampler(range(real), data_seed=seed)
        self._blank = range(real, real + blank)

    def __len__(self) -> int:
        return len(self._shuffled) + len(self._blank)

    def __iter__(self) -> Iterator[int]:
        self._shuffled.set_epoch(self._epoch())
        yield from self._shuffled
        yield from self._blank


def _filled(table: Any, blank: int) -> Any:
    from datasets import concatenate_datasets

    more = [_blank(table[0])] * blank
    return concatenate_datasets([table, type(table).from_list(more, features=table.features)]) if more else table  # fmt: skip


def _blank(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of one token of which nothing is learnt: it does not count, or what is chosen is what is rejected."""
    short = {name: value[:1] for name, value in row.items()}
    if "chosen_ids" in row:
        return {**short, "rejected_ids": short["chosen_ids"]}
    return {**short, "labels": [-100], **({"seq_lengths": [1]} if "seq_lengths" in row else {})}
