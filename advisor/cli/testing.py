"""What `advise finetune` says of a training after it: base against tuned model on the held-out examples, kept beside the job.

In the job's folder, as `test.json`, or `test-<id>.json` of a weaker form: an adapter's own folder never changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from advisor import config as settings
from advisor.apply.releasing import contract_for
from advisor.gate import general, testing
from advisor.gate.general import Answering
from advisor.logs.files import InputError
from finetune import datasets
from finetune.adapters import Adapters
from finetune.backends.port import JobError
from finetune.jobs import Job, Jobs
from rag.files import write
from router import models
from router.models.port import ModelError
from router.prompts import Prompt


def job_of(key: str, config: settings.Config) -> tuple[Job, str | None]:
    """Return the job of a key or of an adapter's id, or the beginning of either, as it stands now, and the model that is meant.

    Raises:
        JobError: There is none, or more than one.
    """
    jobs, adapters, model = Jobs(config.state), Adapters(config.state / "adapters"), None
    try:
        job = jobs.get(key)
    except JobError:
        made = [p for p in adapters.all() if key and p.id.startswith(key)]
        if len(made) != 1:
            raise
        job, model = jobs.get(made[0].job), adapters.reference(made[0])
    job = jobs.poll(job.key) if job.backend == "local" else job
    return job, model or job.model


def tested(
    job: Job, model: str | None, config: settings.Config, *, tell: testing.Tell | None = None
) -> testing.Compared:
    """Test what a job made and keep what came of it.

    Args:
        job: One of this machine that succeeded, on a dataset with a held-out part.
        model: Reference of what it made, or of a weaker form of it.
        config: Contract, general tasks, margin and longest reply.
        tell: Called after each question.

    Raises:
        InputError: It cannot be tested; the mend is named.
        DatasetFailed: The dataset cannot be read.
    """
    dataset = _judging(job)
    head = job.recipe.weights == "head"
    tuned = _loaded(str(model), job, config)
    base: Answering = (
        testing.Always(testing.commonest((*dataset.train, *dataset.validation)))
        if head
        else _loaded(job.recipe.base, job, config)
    )
    found = testing.compare(dataset.held_out, base, tuned, _terms(job, config), tell=tell)
    data = {"job": job.key, "base": job.recipe.base, "tuned": model, "dataset": job.dataset.name, **found.data()}  # fmt: skip
    write(json.dumps(data, ensure_ascii=False, indent=2) + "\n", _file(job, model, config))
    return found


def can_be(job: Job) -> bool:
    """Whether there is something to test, and something to test it on."""
    return job.state == "succeeded" and job.backend == "local" and bool(datasets.load(job.dataset).held_out)


def kept(job: Job, model: str | None, config: settings.Config) -> Mapping[str, Any] | None:
    """Return what the last test of a model that a job made said; None if it was not tested."""
    with suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads(_file(job, model, config).read_text(encoding="utf-8"))
        return found
    return None


def _file(job: Job, model: str | None, config: settings.Config) -> Path:
    weaker = "" if model == job.model else f"-{str(model).rpartition('+')[2]}"
    return config.state / "jobs" / job.key / f"test{weaker}.json"


def _judging(job: Job) -> datasets.Dataset:
    if job.backend != "local":
        where = f": advise release make --model {job.model}" if job.model else ""
        raise InputError(f"job {job.key} was tuned at {job.backend}, where every answer costs money: `advise apply` tests what it trains there, or try it as a release{where}")  # fmt: skip
    if job.state != "succeeded":
        mend = f"`advise jobs {job.key} --wait` waits for it" if not job.is_over else "train it anew by `advise finetune run`, as before, with --again"  # fmt: skip
        raise InputError(f"job {job.key} has made nothing to test ({job.state}); {mend}")
    dataset = datasets.load(job.dataset)
    if not dataset.held_out:
        raise InputError(f"{job.dataset}: no example is held out, so nothing can judge job {job.key}; train on files with --held-out 0.2")  # fmt: skip
    return dataset


def _terms(job: Job, config: settings.Config) -> testing.Terms:
    most = 0 if job.recipe.weights == "head" else config.gate.general
    return testing.Terms(
        task="classification" if job.recipe.weights == "head" else job.recipe.task, contract=partial(_contract, config),
        tasks=general.sample(most), max_tokens=config.chat.max_tokens, margin=config.gate.margin,
    )  # fmt: skip


def _contract(config: settings.Config, system: str) -> Any:
    return contract_for(Prompt.of(system), config)


def _loaded(reference: str, job: Job, config: settings.Config) -> Answering:
    try:
        return models.load(reference, adapters=config.state / "adapters")
    except ModelError as error:
        mend = "" if reference != job.model else f"; if it was deleted, train it anew: advise finetune run {job.dataset} --again, as before"  # fmt: skip
        raise InputError(f"{reference} cannot be loaded to test job {job.key}: {error}{mend}") from error
