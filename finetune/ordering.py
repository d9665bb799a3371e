"""Ordering a fine-tune: looked over, priced, written down, sent, and waited for; from threads or from an event loop.

order = Ordering(Path(".advisor"))
job = order.write(recipe, dataset_folder, Terms(cap_usd=5.0))    # preflight; raises with all faults; nothing is sent
job = order.send(job.key)                                        # exactly one job there, faults of the network waited out
job = order.jobs.wait(job.key)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from finetune import datasets
from finetune.backends import load
from finetune.backends.port import Action, Backend, JobError, JobRefused, JobUnavailable, JobUncertain
from finetune.catalog import Life
from finetune.deployments import Deployments
from finetune.jobs import Job, Jobs
from finetune.preflight import Report, Terms, check, row_of
from finetune.recipe import Recipe

CATALOG = "catalog.yaml"
"""Name of the file of one's own rows in the state folder."""
_HOSTED = ("openai", "azure", "mantle", "bedrock")
_PATIENCE_S = 300.0
_SERVED_WITHIN_S = 1800.0
_PAUSES_S = (1.0, 60.0)


@runtime_checkable
class Lookup(Protocol):
    """A backend that can ask its provider how long a model lives."""

    def life(self, model: str) -> Life:
        """Return what the provider says of a model now."""
        ...


class Preflight(JobRefused):
    """A job that preflight forbids.

    Attributes:
        report: All that is wrong, and all else that is known.
    """

    def __init__(self, report: Report) -> None:
        first = next(f for f in report.faults if f.level == "error")
        errors = sum(f.level == "error" for f in report.faults)
        more = f" (and {errors - 1} more faults)" if errors > 1 else ""
        super().__init__(f"{first.message}{more}", hint=first.hint, code=first.code)
        self.report = report


class Ordering:
    """Fine-tunes of one state folder.

    Args:
        folder: The state folder. A file `catalog.yaml` in it holds rows of one's own.
        backends: Gives the backend of a name; the shipped ones unless given.
        open_cap_usd: Most that all open jobs may cost together.
    """

    def __init__(
        self,
        folder: Path,
        *,
        backends: Callable[[str], Backend] | None = None,
        open_cap_usd: float | None = None,
    ) -> None:
        own = folder / CATALOG
        self.catalog = own if own.exists() else None
        self._made = backends or self._load
        self.jobs = Jobs(folder, backends=self._made, open_cap_usd=open_cap_usd)

    def check(
        self,
        dataset: datasets.Dataset | Path,
        recipe: Recipe,
        terms: Terms,
        *,
        out: Path | None = None,
        ask: bool = False,
    ) -> Report:
        """Return what is known of a job beforehand; see `preflight.check`.

        Args:
            dataset: The examples, or the folder they were saved in.
            recipe: How.
            terms: Cap, use, and what is borne.
            out: Folder for a dry run.
            ask: Whether the provider is asked how long the model lives; one that cannot be asked is passed over.
        """
        known = replace(terms, catalog=terms.catalog or self.catalog)
        if ask and known.life is None:
            known = replace(known, life=self._life(recipe, known))
        return check(dataset, recipe, known, out=out)

    def write(self, recipe: Recipe, dataset: Path, terms: Terms, *, again: bool = False) -> Job:
        """Look a job over and write it down; nothing is sent.

        Raises:
            Preflight: Something forbids it.
        """
        report = self.check(dataset, recipe, terms, ask=True)
        if not report.ok:
            raise Preflight(report)
        return self.jobs.write(recipe, dataset, cap_usd=terms.cap_usd, estimate=report.estimate, again=again)

    def send(
        self, key: str, *, patience_s: float = _PATIENCE_S, told: Callable[[JobError], None] | None = None
    ) -> Job:
        """Send a job, trying again as long as nothing forbids it; exactly one exists afterwards.

        Args:
            key: The job.
            patience_s: Longest time to try.
            told: Called with every fault that is waited out.

        Raises:
            JobRefused: The provider will not do it.
            JobError: It could not be sent in that time; calling again is safe.
        """
        end = time.monotonic() + patience_s
        pause = _PAUSES_S[0]
        while True:
            try:
                return self.jobs.submit(key)
            except (JobUnavailable, JobUncertain) as error:
                wait = max(pause, getattr(error, "retry_after_s", None) or 0.0)
                if time.monotonic() + wait > end or not getattr(error, "passes", True):
                    raise
                if told is not None:
                    told(error)
                time.sleep(wait)
                pause = min(2 * pause, _PAUSES_S[1])

    def serving(self, region: str | None = None) -> Deployments:
        """Return what makes, lists and deletes what serves tuned models at Bedrock.

        Raises:
            JobError: Bedrock's package is not installed, or it cannot be asked.
        """
        backend: Any = self._made("bedrock")
        found: Deployments = backend.deployments(region)
        return found

    def serve(self, job: Job, *, timeout_s: float = _SERVED_WITHIN_S, every_s: float = 10.0) -> str:
        """Return the reference under which the model of a job answers; at Bedrock an on-demand deployment is made for it.

        Args:
            job: A job that succeeded.
            timeout_s: Longest wait for a deployment.
            every_s: Seconds between two looks at it.

        Raises:
            JobRefused: There is no model, or a person must say how it is to be served, as that costs money or is done elsewhere.
            JobError: It could not be deployed now; calling again is safe.
        """
        if job.model is None:
            raise JobRefused(f"job {job.key} has no model ({job.state})")
        if job.backend == "azure":
            raise JobRefused(f"{job.model} answers once it is deployed at Azure, which costs by the hour", hint="deploy it there, then: advise release make --model azure:DEPLOYMENT")  # fmt: skip
        if job.backend != "bedrock":
            return job.model
        served = self.serving(str(job.steps.get("region") or "") or None)
        made = served.make(job.model)
        end = time.monotonic() + timeout_s
        while served.status(made) != "Active":
            if time.monotonic() + every_s > end:
                raise JobUnavailable(f"the deployment {made.name} of {job.model} is not active yet", hint="`advise jobs --deployments` tells when it is")  # fmt: skip
            time.sleep(every_s)
        return made.reference

    def _load(self, name: str) -> Backend:
        return load(name, **({"catalog": self.catalog} if name in _HOSTED else {}))

    def _life(self, recipe: Recipe, terms: Terms) -> Life | None:
        row = row_of(recipe, terms.catalog)
        if row is None or row.provider == "local":
            return None
        try:
            backend = self._made(row.provider)
            return backend.life(row.model) if isinstance(backend, Lookup) else None
        except JobError:
            return None


class AsyncOrdering:
    """The same for an event loop: every call runs in a thread, waiting in between does not.

    Args:
        order: What does the work.
    """

    def __init__(self, order: Ordering) -> None:
        self._order = order

    async def check(self, dataset: datasets.Dataset | Path, recipe: Recipe, terms: Terms, **more: Any) -> Report:  # fmt: skip
        """Return what is known of a job beforehand; see `Ordering.check`."""
        return await asyncio.to_thread(self._order.check, dataset, recipe, terms, **more)

    async def write(self, recipe: Recipe, dataset: Path, terms: Terms, *, again: bool = False) -> Job:
        """Look a job over and write it down; see `Ordering.write`."""
        return await asyncio.to_thread(self._order.write, recipe, dataset, terms, again=again)

    async def send(self, key: str, *, patience_s: float = _PATIENCE_S) -> Job:
        """Send a job; see `Ordering.send`."""
        return await asyncio.to_thread(self._order.send, key, patience_s=patience_s)

    async def poll(self, key: str) -> Job:
        """Ask after a job; see `Jobs.poll`."""
        return await asyncio.to_thread(self._order.jobs.poll, key)

    async def control(self, key: str, action: Action) -> Job:
        """Cancel, pause or resume a job; see `Jobs.control`."""
        return await asyncio.to_thread(self._order.jobs.control, key, action)

    async def wait(self, key: str, *, timeout_s: float | None = None, every_s: float = 5.0) -> Job:
        """Wait until a job is over or paused, or the time is; see `Jobs.wait`. Giving up waiting leaves the job as it is."""
        looks = self._order.jobs.looks(key, every_s=every_s, timeout_s=timeout_s)
        while (look := await asyncio.to_thread(next, looks, None)) is not None:
            job, pause = look
            await asyncio.sleep(pause)
        return job
