"""Fine-tuning in Python without anything else of this package: `finetune.start(examples, recipe).wait()`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from finetune import datasets
from finetune.backends.port import JobUnavailable
from finetune.examples import Example
from finetune.jobs import Estimate, Job, Jobs
from finetune.ordering import Ordering
from finetune.preflight import Terms
from finetune.recipe import Recipe

_PATIENCE_S = 60.0
"""Longest time that a provider that cannot take a job now is asked again; after that the caller decides."""
_DEATHS = 3
"""Times that a training on this machine is taken up again after its process died."""


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
        """Wait until it is over, or the time is; a training here whose process was killed is taken up again.

        Args:
            timeout_s: Longest wait; None for no end.
            every_s: Seconds between two looks.
            on_change: Called after every look.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        deaths = 0
        while True:
            pause = every_s
            try:
                job = self.jobs.poll(self.key)
            except JobUnavailable as error:
                job, pause = self.jobs.get(self.key), max(every_s, error.retry_after_s or 0.0)
            if on_change is not None:
                on_change(job)
            if job.is_over or (end is not None and time.monotonic() + pause > end):
                return job
            if job.state == "paused":
                if job.raw != "died" or deaths == _DEATHS:
                    return job
                deaths += 1
                self.jobs.control(self.key, "resume")
            time.sleep(pause)

    def cancel(self) -> Job:
        """Stop it for good."""
        return self.jobs.control(self.key, "cancel")


def start(
    examples: Iterable[Example] | Path, recipe: Recipe, *, state: Path = Path(".advisor"), cap_usd: float = 0.0, estimate: Estimate | None = None, again: bool = False, open_cap_usd: float | None = None
) -> Running:  # fmt: skip
    """Write a job down and send it; the same examples with the same recipe are the same job, however often this is called.

    Args:
        examples: Examples, which are split here by conversation, or the folder of a dataset.
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
        else datasets.save(datasets.split(examples), state / "datasets")
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
