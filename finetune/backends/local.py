"""Tuning on this machine: a process of its own for each job, which lives on when whoever started it does not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from finetune import bases, ranks
from finetune.backends.port import (
    DIED,
    FINAL,
    Action,
    JobRefused,
    JobUnavailable,
    Note,
    Order,
    Standing,
    State,
)
from finetune.progress import CANCEL, Progress, read, tell
from finetune.train import LOCK, write_job
from rag.embedders import EMBEDDERS
from rag.locks import Locked, exclusive

_NEEDS = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "gguf")
_DETACH = (
    "import subprocess, sys\n"
    "log = open(sys.argv[1], 'ab')\n"
    "subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)\n"
)
"""Starts the trainer and goes: the trainer then belongs to nobody who could end with it."""

_STATES: dict[str, State] = {
    "starting": "running", "loading": "running", "training": "running", "saving": "running",
    "succeeded": "succeeded", "failed": "failed", "paused": "paused", "cancelled": "cancelled",
}  # fmt: skip


_BEGINS_S = 30.0


class Local:
    """Trains in `python -m finetune.train`, one process a job.

    Args:
        command: What is started with the job's folder behind it; the trainer unless given.
    """

    def __init__(self, *, command: Sequence[str] | None = None) -> None:
        self._command = command

    def submit(self, order: Order, *, steps: Mapping[str, Any], note: Note, perhaps_sent: bool) -> str:
        """Start the trainer, unless it runs or has run; see `Backend`. One that failed goes on from its checkpoint. The id is the order's key."""
        if self._command is None:
            _check(order)
        write_job(
            order.workdir, key=order.key, recipe=order.recipe, dataset=order.dataset, adapters=order.workdir.parent.parent / "adapters"
        )  # fmt: skip
        now = read(order.workdir)
        if (now is None and not _alive(order.workdir)) or (now is not None and now.stage == "failed"):
            self._start(order.workdir)
        return order.key

    def poll(self, order: Order, provider_id: str, *, steps: Mapping[str, Any], note: Note) -> Standing:
        """Return how the training stands; see `Backend`. One whose process died is paused: resume it."""
        now = read(order.workdir) or Progress(stage="starting")
        state = _STATES[now.stage]
        if state == "running" and not _begins(now) and not _alive(order.workdir):
            # It may have ended between the two looks.
            now = read(order.workdir) or now
            state = _STATES[now.stage]
            if state == "running":
                return _standing(now, "paused", raw=DIED, message=_death(order.workdir, now))
        return _standing(now, state, raw=now.stage, message=now.message)

    def control(self, order: Order, provider_id: str, action: Action) -> None:
        """Cancel, pause or resume; see `Backend`."""
        now = read(order.workdir)
        if now is not None and _STATES[now.stage] in FINAL:
            if now.stage == "cancelled" and action == "cancel":
                return
            raise JobRefused(f"the job is over: {now.stage}")
        if action == "resume":
            if not _alive(order.workdir):
                self._start(order.workdir)
            return
        if action == "cancel":
            (order.workdir / CANCEL).touch()
            if not self._signalled(order.workdir):
                _cancelled(order.workdir, now)
            return
        self._signalled(order.workdir)

    def _start(self, folder: Path) -> None:
        tell(
            folder,
            replace(read(folder) or Progress(stage="starting"), stage="starting", message="", left_s=None),
        )
        command = [*(self._command or (sys.executable, "-m", "finetune.train")), str(folder.resolve())]
        # Threads that spin while they wait for each other bring a busy machine to a halt.
        quiet = {"OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "false", **os.environ}
        environment = {**quiet, "PYTHONPATH": os.pathsep.join(p or str(Path.cwd()) for p in sys.path)}
        detached = [sys.executable, "-c", _DETACH, str(folder / "train.log"), *command]
        subprocess.run(detached, check=True, env=environment, stdin=subprocess.DEVNULL)

    @staticmethod
    def _signalled(folder: Path) -> bool:
        """Tell the trainer to save and stop; False if none runs."""
        try:
            pid = int((folder / "pid").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        # The number may be another process's by now: it is the trainer's only while the lock is held.
        if not _alive(folder):
            return False
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return False
        return True


def _check(order: Order) -> None:
    if order.recipe.weights == "head":
        name = order.recipe.base.removeprefix("local:").partition(":")[0]
        if name not in EMBEDDERS:
            raise JobRefused(f"no embedder {name!r} for a head", hint=f"known are {', '.join(EMBEDDERS)}")
        return
    missing = [name for name in _NEEDS if find_spec(name) is None]
    if order.recipe.weights == "qlora" and find_spec("bitsandbytes") is None:
        missing.append("bitsandbytes")
    if missing:
        raise JobRefused(f"training here needs {', '.join(missing)}", hint="pip install 'rightfix[train]'")
    if order.recipe.weights not in ("lora", "qlora", "full") or order.recipe.objective not in ("sft", "dpo"):
        raise JobRefused(
            f"this machine does not train {order.recipe.weights} by {order.recipe.objective}",
            hint="weights lora, qlora or full; objective sft or dpo",
        )
    ranks.asked(order.recipe)
    bases.find(order.recipe.base)


def _begins(now: Progress) -> bool:
    """Whether the trainer may still be on its way to its lock."""
    return now.stage == "starting" and time.time() - now.updated < _BEGINS_S


def _alive(folder: Path) -> bool:
    try:
        with exclusive(folder / LOCK, wait_s=0):
            return False
    except Locked:
        return True


def _cancelled(folder: Path, now: Progress | None) -> None:
    """Write down that a training is over whose process is not there any more."""
    try:
        with exclusive(folder / LOCK, wait_s=0):
            last = Progress(
                stage="cancelled",
                step=now.step if now else 0,
                steps=now.steps if now else 0,
                message="stopped as asked",
            )
            tell(folder, last)
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    except Locked:
        raise JobUnavailable("the trainer is just starting", hint="cancel again") from None


def _death(folder: Path, now: Progress) -> str:
    """Why the process is gone, as far as it can be told."""
    try:
        lines = (folder / "train.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    last = f": {lines[-1][:200]}" if lines and ("Error" in lines[-1] or "Killed" in lines[-1]) else ""
    return f"its process died at step {now.step} (killed, or out of memory?){last}; `advise finetune resume` goes on from the last checkpoint"


def _standing(now: Progress, state: State, *, raw: str, message: str) -> Standing:
    measured = {
        "loss": now.loss,
        "held_loss": now.held_loss,
        "step": now.step or None,
        "steps": now.steps or None,
    }
    return Standing(
        state=state, raw=raw, message=message, model=now.model, trained_tokens=now.tokens or None, cost_usd=0.0,
        metrics={**{k: float(v) for k, v in measured.items() if v is not None}, **now.metrics},
        progress=now.step / now.steps if now.steps else None, left_s=now.left_s, files={n: Path(p) for n, p in now.files.items()},
    )  # fmt: skip
