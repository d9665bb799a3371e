"""Fine-tuning in Python without anything else of this package: `finetune.start(examples, recipe).wait()`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from finetune import datasets
from finetune.examples import Example
from finetune.jobs import Estimate, Job, Jobs
from finetune.ordering import Ordering
from finetune.preflight import Terms
from finetune.recipe import Recipe

_PATIENCE_S = 60.0
"""Longest time that a provider that cannot take a job now is asked again; after that the caller decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A job that was sent. Dropping this object ends nothing; `Jobs(state).get(key)` finds the job again."""

    jobs: Jobs
    key: str

    @property
    def job(self) -> Job:
        """How it stands now.

        Raises:
            JobError: It could not be asked.
        """
        return self.jobs.poll(self.key)

    def wait(
        self,
        *,
        timeout_s: float | None = None,
        every_s: float = 2.0,
        on_change: Callable[[Job], None] | None = None,
    ) -> Job:
        """Wait until it is over or paused, or the time is; see `Jobs.wait`."""
        return self.jobs.wait(self.key, timeout_s=timeout_s, every_s=every_s, on_change=on_change)

    def cancel(self) -> Job:
        """Stop it for good."""
        return self.jobs.control(self.key, "cancel")


def start(
    examples: Iterable[Example] | Path, recipe: Recipe, *, state: Path = Path(".advisor"), cap_usd: float = 0.0, estimate: Estimate | None = None, again: bool = False, open_cap_usd: float | None = None
) -> Running:  # fmt: skip
    """Write a job down and send it; the same examples with the same recipe are the same job, however often this is called.

    Args:
        examples: Examples, or the folder of a dataset. They are taken as they are: nothing is masked, left out or mixed in (`finetune.cleaning` and
            `finetune.mixing.prepared` do that), and of examples a tenth of the conversations is for validation.
        recipe: How.
        state: The state folder.
        cap_usd: Most it may cost; training here costs nothing.
        estimate: What it is expected to cost, as `preflight.check` tells; without one, a job at a provider is checked here.
        again: Whether to train anew even if the same was trained before.
        open_cap_usd: Most that all jobs that are sent and not over may cost together.

    Raises:
        JobError: It could not be sent; what to change is in the message.
        DatasetFailed: There is nothing to train on.
    """
    folder = (
        examples
        if isinstance(examples, Path)
        else datasets.save(datasets.split(examples, held_out=0.0), state / "datasets")
    )
    order = Ordering(state, open_cap_usd=open_cap_usd)
    if estimate is None and not recipe.base.startswith("local:"):
        # What costs money is looked over first, whoever asks for it.
        job = order.write(recipe, folder, Terms(cap_usd=cap_usd), again=again)
    else:
        job = order.jobs.write(recipe, folder, cap_usd=cap_usd, estimate=estimate, again=again)
    if not job.is_over:
        job = (
            order.send(job.key, patience_s=_PATIENCE_S)
            if job.backend != "local"
            else order.jobs.submit(job.key)
        )
    return Running(jobs=order.jobs, key=job.key)
