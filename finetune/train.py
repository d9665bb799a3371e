"""The trainer's process: `python -m finetune.train JOB` trains what `JOB/job.json` says, or goes on where it stopped.

One process at a time: it holds `JOB/train.lock` while it lives. How it stands is in `JOB/progress.json`. SIGTERM makes it save
and stop; with a file `JOB/cancel` it stops for good. With several GPUs it is rank 0 and starts one process more for each of the others,
`python -m finetune.train JOB RANK`, which computes with it, ends with it, and tells nobody anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from finetune import bases, datasets, ranks
from finetune import recipe as recipes
from finetune.adapters import ADAPTER, MODEL, PROBES, Adapters
from finetune.backends.port import JobError
from finetune.datasets import Dataset
from finetune.defaults import Settings, settle
from finetune.examples import Example
from finetune.progress import CANCEL, Progress, Stage, read, tell
from finetune.recipe import Recipe
from finetune.rows import prompted
from rag.files import write
from rag.locks import Locked, exclusive, make
from rag.tool_text import knows_tools

LOCK = "train.lock"
_PROBES = 16
_PROBE_TOKENS = 40
_PATIENCE_S = 10.0
_LOST_S = 60.0
"""Longest time in which a rank that is gone is noticed by who watches it."""


def write_job(folder: Path, *, key: str, recipe: Recipe, dataset: Path, adapters: Path) -> Path:
    """Write down what a trainer is to do and return the file; what is there already is left as it is."""
    file = folder / "job.json"
    if not file.exists():
        data = {
            "key": key,
            "recipe": recipes.to_data(recipe),
            "dataset": str(dataset.resolve()),
            "adapters": str(adapters.resolve()),
        }
        write(json.dumps(data, indent=2, sort_keys=True) + "\n", file)
    if not (folder / LOCK).exists():
        make(folder / LOCK)
    return file


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trainer; 0 if it ended as it should, 1 if it failed."""
    given = list(sys.argv[1:] if argv is None else argv)
    if len(given) not in (1, 2) or not (Path(given[0]) / "job.json").is_file():
        print("usage: python -m finetune.train JOB   (a folder with job.json)", file=sys.stderr)  # noqa: T201
        return 2
    folder = Path(given[0])
    if len(given) == 2:
        return _followed(folder)
    try:
        with exclusive(folder / LOCK, wait_s=_PATIENCE_S):
            (folder / "pid").write_text(str(os.getpid()), encoding="utf-8")
            return _done(folder)
    except Locked:
        return 0  # another process trains it


def _done(folder: Path) -> int:
    before = read(folder)
    if before is not None and before.stage in ("succeeded", "failed", "cancelled"):
        return 0
    stopping: list[int] = []
    before_us = signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    begun = replace(before or Progress(stage="starting"), stage="starting", message="", left_s=None)
    tell(folder, begun)
    try:
        last = _trained(folder, job, stopping)
    except (datasets.DatasetFailed, JobError) as error:
        last = Progress(stage="failed", message=str(error))
    except Exception as error:
        # Whatever a library raises ends this job and is told to whoever asks after it; the trace goes to the log.
        traceback.print_exc()
        now = read(folder) or begun
        last = replace(now, stage="failed", message=_advice(error), left_s=None)
    finally:
        signal.signal(signal.SIGTERM, before_us)
    tell(folder, last)
    return 1 if last.stage == "failed" else 0


def _trained(folder: Path, job: Mapping[str, Any], stopping: list[int]) -> Progress:
    recipe = recipes.from_data(job["recipe"])
    dataset = datasets.load(Path(job["dataset"]))
    if not dataset.train:
        raise datasets.DatasetFailed(f"{job['dataset']}: nothing to train on")
    return (_headed if recipe.weights == "head" else _tuned)(folder, job, (recipe, dataset), stopping)


def _headed(
    folder: Path, job: Mapping[str, Any], what: tuple[Recipe, Dataset], stopping: list[int]
) -> Progress:
    from finetune import head

    recipe, dataset = what
    tell(folder, Progress(stage="training"))
    name = recipe.base.removeprefix("local:")
    texts, labels = head.texts_of((*dataset.train, *dataset.validation))
    outside = [e.request for e in dataset.train if e.label is None and e.origin == "generic"]
    fitted_head = head.train(texts, labels, embedder=name or None, outside=outside, seed=recipe.seed)
    adapters = Adapters(Path(job["adapters"]))
    print_ = hashlib.sha256(fitted_head.embedder.encode()).hexdigest()
    about = _about(job, (recipe, dataset), print_, fitted_head.metrics)
    found = adapters.add(fitted_head.save(folder / "made"), about)
    return Progress(stage="succeeded", model=adapters.reference(found), metrics=found.metrics)


def _tuned(
    folder: Path, job: Mapping[str, Any], what: tuple[Recipe, Dataset], stopping: list[int]
) -> Progress:
    from finetune import gguf_files, training, weights

    recipe, dataset = what
    base, settings = _settled(recipe, dataset)
    if base.path is not None and base.kind == "gguf":
        gguf_files.check(base.path)  # before hours are spent on what could not be served
    count = ranks.count(recipe, batch_size=settings.batch_size, gpus=weights.gpus())
    adapters = Adapters(Path(job["adapters"]))
    now = Progress(stage="loading")
    tell(folder, now)

    def told(look: training.Look) -> None:
        nonlocal now
        now = Progress(
            stage="training", step=look.step, steps=look.steps, left_s=look.left_s, loss=look.loss, held_loss=look.held_loss, tokens=look.tokens
        )  # fmt: skip
        tell(folder, now)

    def stop() -> bool:
        return bool(stopping) or (folder / CANCEL).exists()

    def lost(message: str) -> None:
        # From a thread: the main one may wait for the lost rank for ever. Killed, it is like this process killed: resumed from its checkpoint.
        if message:
            tell(folder, replace(now, stage="failed", message=message, left_s=None))
        os._exit(1)

    ways = training.Ways(folder=folder / "checkpoints", cache=_cache(job), tell=told, stop=stop, ranks=count)
    weights.unpack(base, ways.cache)
    with ranks.together(count, (sys.executable, "-m", "finetune.train", str(folder)), lost):
        try:
            done = training.train(base, recipe, settings, _parts(dataset), ways)
        except Exception as error:
            if count > 1 and weights.is_peer_lost(error):
                time.sleep(_LOST_S)
            raise
    if done.stopped:
        stage: Stage = "cancelled" if (folder / CANCEL).exists() else "paused"
        if stage == "cancelled":
            shutil.rmtree(ways.folder, ignore_errors=True)
        return replace(now, stage=stage, message="stopped as asked", left_s=None)
    tell(folder, replace(now, stage="saving", left_s=None))
    about = _about(job, what, base.hash, done.metrics)
    about["tools_in_text"] = any(e.tools for e in dataset.train) and not knows_tools(
        done.tokenizer.chat_template
    )
    made = _saved(folder / "made", done, base)
    _probed(made, done, (*dataset.validation, *dataset.train))
    found = adapters.add(made, about)
    shutil.rmtree(ways.folder, ignore_errors=True)
    return replace(
        now, stage="succeeded", left_s=None, model=adapters.reference(found), metrics=found.metrics, files={n: str(adapters.folder / found.id / n) for n in found.files}
    )  # fmt: skip


def _followed(folder: Path) -> int:
    """Train beside rank 0; what it fails of is printed in one line, for rank 0 to tell."""
    from finetune import training, weights

    ranks.follow()
    # What libraries print is for the log, which standard error goes to.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
            recipe = recipes.from_data(job["recipe"])
            dataset = datasets.load(Path(job["dataset"]))
            base, settings = _settled(recipe, dataset)
            ways = training.Ways(
                folder=folder / "checkpoints", cache=_cache(job), tell=lambda _: None, stop=lambda: False, ranks=int(os.environ["WORLD_SIZE"])
            )  # fmt: skip
            training.train(base, recipe, settings, _parts(dataset), ways)
            return 0
        except Exception as error:
            traceback.print_exc()
            told = "" if weights.is_peer_lost(error) else _advice(error)
    print(told, flush=True)  # noqa: T201
    return 1


def _settled(recipe: Recipe, dataset: Dataset) -> tuple[bases.Base, Settings]:
    base = bases.find(recipe.base)
    return base, settle(recipe, parameters=_parameters(base), examples=len(_parts(dataset)[0]))


def _parts(dataset: Dataset) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """What is learnt, and what tells when to stop; where that cannot tell, it is learnt too."""
    if dataset.validates:
        return dataset.train, dataset.validation
    return (*dataset.train, *dataset.validation), ()


def _cache(job: Mapping[str, Any]) -> Path:
    return Path(job["adapters"]).parent / "bases"


def _about(
    job: Mapping[str, Any], what: tuple[Recipe, Dataset], base: str, metrics: Mapping[str, float]
) -> dict[str, Any]:
    recipe, dataset = what
    return {
        "base": recipe.base, "base_sha256": base, "dataset": dataset.hash, "recipe": job["recipe"], "recipe_hash": recipe.hash,
        "job": job["key"], "tenant": recipe.extra.get("tenant"), "metrics": dict(metrics),
    }  # fmt: skip


def _parameters(base: bases.Base) -> int:
    try:
        return bases.shape(base).parameters
    except JobError:
        return 7_000_000_000  # a hub's model whose size is not known yet: the careful learning rate


def _probed(target: Path, done: Any, examples: Sequence[Example]) -> None:
    """Write down what the trained weights reply to a few prompts, for whoever serves them to hold it against."""
    from finetune import weights

    asked = _spread(examples)[:_PROBES]
    rendered = [prompted(e, done.tokenizer) for e in asked]
    replies = weights.replies(done.model, done.tokenizer, rendered, most=_PROBE_TOKENS)
    data = [
        {"messages": e.prompt, "tools": e.tools, "reply": reply, "most": _PROBE_TOKENS}
        for e, reply in zip(asked, replies, strict=True)
    ]
    (target / PROBES).write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _spread(examples: Sequence[Example]) -> list[Example]:
    """Examples in turn from each origin, so that a few hold what was to be learnt and not only what was known."""
    seen: Counter[str] = Counter()
    placed = []
    # What is repeated for weight would tell the same again.
    for example in {e.hash: e for e in examples}.values():
        placed.append((seen[example.origin], example))
        seen[example.origin] += 1
    return [example for _, example in sorted(placed, key=lambda p: p[0])]


def _saved(target: Path, done: Any, base: bases.Base) -> Path:
    """Write what was trained into a folder: an adapter as safetensors and GGUF, whole weights as GGUF."""
    from finetune import gguf_files, weights

    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    source = base.path if base.kind == "gguf" else None
    if weights.is_adapter(done.model):
        for config in done.model.peft_config.values():
            config.base_model_name_or_path = (
                base.name
            )  # not the folder of this machine that it was loaded from
        # Left to itself, PEFT asks the hub whether the base's vocabulary grew; it is never changed here.
        done.model.save_pretrained(target, safe_serialization=True, save_embedding_layers=False)
        if source is not None:
            arrays, alpha = weights.adapter_arrays(target)
            gguf_files.write_adapter(arrays, source, target / ADAPTER, alpha=alpha)
        return target
    if source is None:
        done.model.save_pretrained(target / "model", safe_serialization=True)
        done.tokenizer.save_pretrained(target / "model")
        return target
    arrays = weights.arrays_of(done.model)
    # The smallest that keeps what was learnt: nothing else is left of it once this process ends.
    for quantisation in ("Q8_0", "F16", "F32"):
        if not gguf_files.write_model(arrays, source, target / MODEL, quantisation=quantisation).is_lost:
            break
    return target


def _advice(error: BaseException) -> str:
    from finetune import weights

    text = " ".join(str(error).split())[:400]
    if weights.is_out_of_memory(error):
        return (
            f"out of memory: {text}. Halve batch_size (and set extra.accumulate to 2 for the same result), set extra.checkpointing, shorten "
            "max_tokens, train lora instead of full, or qlora instead of lora"
        )
    return text if isinstance(error, RuntimeError) and text else f"{type(error).__name__}: {text}"


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    sys.exit(main())
