"""Training by TRL: SFT on assistant turns or DPO, all weights or an adapter; stopped early, resumed, told of as it goes."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset as Table
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from finetune import batches, sharing, weights
from finetune.bases import Base
from finetune.defaults import Settings
from finetune.examples import Example
from finetune.recipe import Recipe
from finetune.rows import Row, pair, row

_STATE = "trainer_state.json"
_KEPT = "eval_kept"
_BORNE = 1.25
"""What the held-out loss may be of its least so far for the later weights to be kept.

That loss is a poor guide to what a model replies: Ouyang et al. (2022, 2203.02155) trained 16 passes though it grew after one, since people liked the
replies better, and Zhou et al. (2023, 2305.11206) found no relation. Here the weights of its least got 37 of 69 tool calls right, and the last ones, whose loss was
0.8 % above, 62 (docs/benchmarks.md). So it only ends what has plainly gone wrong."""

_WARM = 2
"""Steps that do not count for the pace: the first ones are slow."""


class TrainingFailed(RuntimeError):
    """A training that cannot be done as it stands; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a training stands after a step.

    Attributes:
        tokens: Tokens learnt so far.
        left_s: Seconds left.
    """

    step: int
    steps: int
    loss: float | None
    held_loss: float | None
    tokens: int
    left_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training came to.

    Attributes:
        model: The tuned model, in memory.
        tokenizer: Its tokeniser.
        stopped: Whether it was asked to stop before its end.
        metrics: By name: losses, step at which it was best, seconds, tokens, most memory held.
    """

    model: Any
    tokenizer: Any
    stopped: bool
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Folders and hooks of one training.

    Attributes:
        folder: Checkpoints are kept here; a training found begun there is gone on with.
        cache: Where GGUF bases are kept unpacked.
        tell: Called after each step.
        stop: Asked after each step whether to save and stop; of several ranks only the first is asked, and all stop at that step.
        ranks: How many processes train together; this one's number is in the environment, as `torchrun` sets it.
    """

    folder: Path
    cache: Path
    tell: Callable[[Look], None]
    stop: Callable[[], bool]
    ranks: int = 1

    @property
    def first(self) -> bool:
        """Whether this is rank 0, the one that tells and decides."""
        return self.ranks == 1 or os.environ.get("RANK") == "0"


def train(
    base: Base,
    recipe: Recipe,
    settings: Settings,
    parts: tuple[Sequence[Example], Sequence[Example]],
    ways: Ways,
) -> Trained:
    """Train, or go on training.

    Args:
        base: What is trained.
        recipe: How.
        settings: The same with nothing left open.
        parts: Examples to learn, and examples that tell when to stop (may be empty).
        ways: Folders and hooks.

    Raises:
        TrainingFailed: An example is too long or cannot be rendered.
    """
    weights.seeded(recipe.seed)
    tokenizer = weights.tokenizer(base, cache=ways.cache)
    tables, longest = _tables(recipe, parts, tokenizer)
    sharded = _sharded(recipe, ways)
    full = recipe.weights == "full"
    loaded = weights.model(
        base, four_bit=recipe.weights == "qlora", exact=full, cache=ways.cache, on_device=not sharded
    )
    arguments = _arguments(recipe, settings, ways, longest, judged=len(tables[1]) > 0)
    checkpoint = _newest(ways.folder, clean=ways.first)
    if checkpoint is not None and _is_last(checkpoint):
        arguments["num_train_epochs"] = 0  # no step more: what was best is loaded
    adapter = (
        None if full else weights.lora(rank=settings.rank, alpha=settings.alpha, dropout=settings.dropout)
    )
    config = DPOConfig if recipe.objective == "dpo" else SFTConfig
    watch = _watch(ways)
    trainer = _maker(recipe, arguments, ways, tables[0], loaded)(
        model=loaded, args=_alone(config(**arguments), ways), train_dataset=tables[0], eval_dataset=tables[1] if len(tables[1]) else None,
        processing_class=tokenizer, peft_config=adapter, callbacks=_callbacks(settings, watch, judged=len(tables[1]) > 0),
    )  # fmt: skip
    if recipe.weights == "qlora":
        weights.in_float(trainer.model)
    begun = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    metrics = {"seconds": time.monotonic() - begun, **_metrics(trainer, watch)}
    stopped = watch.stopped and trainer.state.global_step < trainer.state.max_steps
    trained = trainer.model
    if sharded:
        # A collective: every rank hands over its part, and only the first keeps the whole, in the machine's memory.
        state = trainer.accelerator.get_state_dict(trainer.model)
        if ways.first and not stopped:
            empty = weights.model(base, exact=full, cache=ways.cache, on_device=False)
            trained = weights.gathered(trained, state, empty)
    if ways.ranks > 1:
        trainer.accelerator.end_training()
    return Trained(model=trained, tokenizer=tokenizer, stopped=stopped, metrics=metrics)


def _maker(recipe: Recipe, arguments: Mapping[str, Any], ways: Ways, table: Table, loaded: Any) -> Any:
    """Return TRL's trainer, so changed that ranks see the same batches, or that what rows begin alike with is read once."""
    maker = DPOTrainer if recipe.objective == "dpo" else SFTTrainer
    if ways.ranks > 1:
        return batches.alike(maker)
    if recipe.objective == "sft" and not arguments["packing"] and _shares(recipe, arguments, table, loaded):
        return sharing.sharing(maker, weights.collated)
    return maker


def _alone(arguments: Any, ways: Ways) -> Any:
    """Keep a single process to one GPU; it would split its batches over all that it sees (DataParallel), other than planned and refused."""
    if ways.ranks == 1 and arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments


def _shares(recipe: Recipe, arguments: Mapping[str, Any], table: Table, model: Any) -> bool:
    """Whether what examples begin alike with is to be read once for each batch: where that saves enough, and this model gives the same loss."""
    if not recipe.extra.get("sharing", True) or recipe.extra.get("dropout"):
        return False  # what is dropped would be dropped for all that share
    rows = [Row(ids=r["input_ids"], labels=r["labels"]) for r in table]
    tried = sharing.saving(model.config, rows, arguments["per_device_train_batch_size"])
    return bool(tried) and weights.same_together(model, tried)


def _metrics(trainer: Any, watch: Any) -> dict[str, float]:
    own, total = weights.trained_share(trainer.model)
    steps, peak = trainer.state.global_step, weights.peak_memory()
    held = [e["eval_loss"] for e in trainer.state.log_history if "eval_loss" in e]
    # Each step's, also those before a resume, which the trainer's own mean leaves out.
    learnt = [e["loss"] for e in trainer.state.log_history if "loss" in e]
    return {
        **({"train_loss": sum(learnt) / len(learnt)} if learnt else {}),
        "steps": float(steps), "best_step": float(trainer.state.best_global_step or steps), "trained_parameters": float(own), "parameters": float(total),
        "trained_tokens": float(watch.tokens), "spared_tokens": float(getattr(trainer, "spared", 0)), "step_seconds": watch.pace.seconds,
        **({"held_loss": _held_at(trainer.state), "first_held_loss": held[0]} if held else {}),
        **({"peak_memory_bytes": float(peak)} if peak is not None else {}),
    }  # fmt: skip


def _held_at(state: Any) -> float:
    """The held-out loss of the weights that are kept."""
    looks = {e["step"]: float(e["eval_loss"]) for e in state.log_history if "eval_loss" in e}
    return looks.get(state.best_global_step, min(looks.values()))


def _sharded(recipe: Recipe, ways: Ways) -> bool:
    return ways.ranks > 1 and bool(recipe.extra.get("sharded", False))


def _tables(
    recipe: Recipe, parts: tuple[Sequence[Example], Sequence[Example]], tokenizer: Any
) -> tuple[tuple[Table, Table], int]:
    """Return both parts as TRL takes them, and the length of the longest example, tokens."""
    try:
        if recipe.objective == "dpo":
            pairs = [[pair(e, tokenizer) for e in part] for part in parts]
            longest = max(
                len(tokenizer(p["prompt"] + p[k])["input_ids"])
                for p in pairs[0]
                for k in ("chosen", "rejected")
            )
            made: list[Table] = [Table.from_list(p) for p in pairs]
        else:
            rows = [[row(e, tokenizer) for e in part] for part in parts]
            longest = max(len(r.ids) for part in rows for r in part)
            made = [
                Table.from_list([{"input_ids": r.ids, "labels": r.labels} for r in part]) for part in rows
            ]
    except ValueError as error:
        raise TrainingFailed(str(error)) from error
    _refuse_longer(recipe, longest, tokenizer)
    return (made[0], made[1]), longest


def _refuse_longer(recipe: Recipe, longest: int, tokenizer: Any) -> None:
    context = tokenizer.model_max_length
    if longest <= min(recipe.max_tokens or context, context):
        return
    limit, mend = (
        (f"{recipe.max_tokens} of max_tokens", "raise max_tokens, or take long examples out")
        if longest <= context
        else (f"{context} of the base's context", "take long examples out, or a base with a longer context")
    )
    raise TrainingFailed(
        f"the longest example has {longest} tokens, more than the {limit}; it is not cut, since a cut reply teaches to break off: {mend}"
    )


def _arguments(
    recipe: Recipe, settings: Settings, ways: Ways, longest: int, *, judged: bool
) -> dict[str, Any]:
    own = weights.machine()
    packed = (
        own.device == "cuda"
        and own.bf16
        and recipe.objective == "sft"
        and bool(recipe.extra.get("packing", False))
    )
    # Every step of the optimiser sees the whole batch at once where memory is plenty, as one needs for the same result everywhere.
    spread = batches.accumulation(settings.batch_size, ways.ranks, int(recipe.extra.get("accumulate", 1)))
    found: dict[str, Any] = {
        "output_dir": str(ways.folder), "seed": recipe.seed, "data_seed": recipe.seed, "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": settings.batch_size // ways.ranks // spread, "gradient_accumulation_steps": spread,
        "per_device_eval_batch_size": settings.batch_size, "learning_rate": settings.learning_rate, "lr_scheduler_type": "cosine",
        "warmup_steps": max(1, round(settings.warmup * settings.steps)), "weight_decay": 0.0, "max_grad_norm": 1.0, "logging_steps": 1, "logging_nan_inf_filter": False,
        "save_strategy": "steps", "save_steps": settings.look_every, "save_total_limit": 2, "restore_callback_states_from_checkpoint": True,
        "eval_strategy": "steps" if judged else "no", "eval_steps": settings.look_every if judged else None,
        "load_best_model_at_end": judged, "metric_for_best_model": _KEPT if judged else None, "greater_is_better": True if judged else None,
        "use_cpu": own.device == "cpu", "bf16": own.bf16, "gradient_checkpointing": bool(recipe.extra.get("checkpointing", own.device == "cuda")),
        "dataloader_pin_memory": own.device == "cuda", "report_to": "none", "disable_tqdm": True, "max_length": longest,
    }  # fmt: skip
    if recipe.objective == "dpo":
        found["beta"] = settings.beta
    else:
        found["packing"] = packed
    if ways.ranks > 1:
        # Every weight that is trained is in every step, so nobody need look for those that are not.
        found |= {"ddp_find_unused_parameters": False, "average_tokens_across_devices": True}
    if _sharded(recipe, ways):
        # Sharding by layers has a way of its own to compute activations twice.
        twice = found.pop("gradient_checkpointing")
        found |= {"gradient_checkpointing": False, "fsdp": True, "fsdp_config": sharding(twice=twice)}
    return found


def sharding(*, twice: bool) -> dict[str, Any]:
    """Return the settings of FSDP: weights, gradients and optimiser in equal parts on all ranks, put together layer by layer.

    Args:
        twice: Whether activations are computed twice to save memory.
    """
    return {
        "version": 2, "reshard_after_forward": True, "auto_wrap_policy": "TRANSFORMER_BASED_WRAP", "state_dict_type": "FULL_STATE_DICT",
        "activation_checkpointing": twice,
    }  # fmt: skip


def _newest(folder: Path, *, clean: bool) -> Path | None:
    """Return the newest whole checkpoint; one that was being written when the process died has no state yet and is removed if `clean`."""
    found = []
    for path in folder.glob("checkpoint-*"):
        try:
            found.append((int(_state(path)["global_step"]), path))
        except (OSError, ValueError, KeyError):
            if clean:
                shutil.rmtree(path)
    return max(found)[1] if found else None


def _is_last(checkpoint: Path) -> bool:
    """Whether a training had ended with a checkpoint, by itself or by early stopping, of which the trainer forgets that it stopped."""
    state = _state(checkpoint)
    stopping = state.get("stateful_callbacks", {}).get("EarlyStoppingCallback")
    return bool(state["global_step"] >= state["max_steps"]) or (
        stopping is not None
        and stopping["attributes"]["early_stopping_patience_counter"]
        >= stopping["args"]["early_stopping_patience"]
    )


def _state(checkpoint: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))
    return found


class _Pace:
    """Steps timed, for the time that is left."""

    def __init__(self) -> None:
        self._marks: list[tuple[int, float]] = []

    def left(self, step: int, steps: int) -> float | None:
        self._marks.append((step, time.monotonic()))
        marks = self._marks[_WARM:]
        if len(marks) < 2:
            return None
        return self.seconds * (steps - step)

    @property
    def seconds(self) -> float:
        """Seconds a step, without the first ones; 0 if there are too few to tell."""
        marks = self._marks[_WARM - 1 :]
        if len(marks) < 2:
            return 0.0
        (first, then), (last, now) = marks[0], marks[-1]
        return (now - then) / (last - first)


def _watch(ways: Ways) -> Any:
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]
        """Tells of each step, and stops when asked to."""

        def __init__(self) -> None:
            self.stopped = False
            self.tokens = 0
            self.pace = _Pace()
            self._loss: float | None = None
            self._held: float | None = None
            self._left: float | None = None

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            self._loss = (logs or {}).get("loss", self._loss)
            self._held = (logs or {}).get("eval_loss", self._held)
            self.tokens = int((logs or {}).get("num_tokens", self.tokens))

            self._told(state)

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
            least = min(e["eval_loss"] for e in state.log_history if "eval_loss" in e)
            # The later of two that are both well is the better: it is what early stopping and the choice at the end go by.
            metrics[_KEPT] = float(state.global_step if metrics["eval_loss"] <= _BORNE * least else -1)

        def _told(self, state: Any) -> None:
            if not ways.first:
                return
            ways.tell(
                Look(
                    step=state.global_step, steps=state.max_steps, loss=self._loss, held_loss=self._held, tokens=self.tokens, left_s=self._left
                )
            )  # fmt: skip

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self._left = self.pace.left(state.global_step, state.max_steps)
            self._told(state)
            # What one rank hears another may hear a step later: the first decides for all, or some would wait for the others for ever.
            if batches.agreed(ways.first and ways.stop()):
                self.stopped = control.should_training_stop = control.should_save = True

    return Watch()


def _callbacks(settings: Settings, watch: Any, *, judged: bool) -> list[Any]:
    from transformers import EarlyStoppingCallback

    return [watch, *([EarlyStoppingCallback(early_stopping_patience=settings.patience)] if judged else [])]
