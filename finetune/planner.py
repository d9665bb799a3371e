"""Planner: what training would take, before any weight is loaded: memory by part, time, sizes; which methods fit, and what to change if none does.

Memory in bytes, P weights, A of them trained (Dettmers et al. 2023, 2305.14314; Korthikanti et al. 2022, 2205.05198, for activations):

    full    16 P  (weights, gradients and AdamW's two moments in 32 bit), and in bf16 2 P for what each step computes with
    lora    w P + 16 A       w = 2 in bf16, 4 in float32
    qlora   (4 + 0.127) / 8 P' + w (P - P') + 16 A      P' the linear layers; 0.127 bit for doubly quantised constants
    activations   b s h L (34 + 5 a s / h) x w / 2;   with checkpointing 2 b s h L + one layer of the former
    last layer    6 b s V x w / 2

b sequences of s tokens a step, h width, L layers, a heads, V tokens in the vocabulary.

With n GPUs all of it is on each, but of the sequences the n-th part; sharded, of weights, gradients and optimiser too (full and lora).
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from typing import Literal

import numpy as np

from finetune.bases import Shape
from finetune.defaults import Settings, settle
from finetune.recipe import Recipe

Method = Literal["full", "lora", "qlora"]
METHODS: tuple[Method, ...] = ("full", "lora", "qlora")
GIB = 2**30
_SLACK = 1.1
"""For what is not counted: buffers, fragmentation."""

_PROCESS_GIB = {"cpu": 0.8, "cuda": 1.0, "mps": 1.0}
"""Libraries in memory, or the device's context."""

_SHARDED = ("weights", "gradients and AdamW")
"""Parts of the memory that are divided over several GPUs with `extra.sharded`."""

_NF4_BITS = 4 + 0.127
_EFFICIENCY = 0.45
"""Share of the speed of a bare matrix product that a step reaches; measured on SmolLM2-135M on two cores."""

_TOGETHER = 0.8
"""Share of n times the speed of one that n GPUs reach; assumed, not measured: they wait for each other, and each looks at all that is held out."""

_GPU_SIZE = 4096
"""Rows of the matrices whose product tells how fast a GPU is; 100 MB."""

_DEQUANTISING = 1.6
"""How much longer a step takes on 4-bit weights; measured likewise (5.7 s against 3.6 s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where is trained.

    Attributes:
        device: `cpu`, `cuda` or `mps`.
        gib: Memory there, GiB; of one GPU, if there are several.
        bf16: Whether it computes in bf16 in hardware.
        flops: Floating-point operations a second of a bare matrix product; of one GPU, if there are several.
        count: GPUs that train together.
    """

    device: str
    gib: float
    bf16: bool
    flops: float
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One method on one base and one place.

    Attributes:
        trained: Weights that are trained.
        share: Of all weights, 0-1.
        memory: Part to GiB, on each GPU.
        fits: Whether all of it fits, with a slack of a tenth.
        seconds: For all steps, lower and upper end.
        adapter_gib: Size of what is made.
        disk_gib: On the disk on the way: unpacked base, checkpoints, what is made.
        batch_size: Sequences a step.
        checkpointing: Whether activations are computed twice to save memory.
    """

    method: Method
    trained: int
    share: float
    memory: Mapping[str, float]
    fits: bool
    seconds: tuple[float, float]
    adapter_gib: float
    disk_gib: float
    batch_size: int
    checkpointing: bool

    @property
    def gib(self) -> float:
        """Memory in all, GiB."""
        return sum(self.memory.values()) * _SLACK

    def __str__(self) -> str:
        low, high = (_time(s) for s in self.seconds)
        parts = ", ".join(f"{name} {_size(gib)}" for name, gib in self.memory.items())
        return (
            f"{self.method:<6} {'fits' if self.fits else 'does not fit'}: {_size(self.gib)} ({parts}); {self.share:.2%} of the weights trained, about {low} to {high}, "
            f"{_size(self.adapter_gib)} made, {_size(self.disk_gib)} on the disk"
        )


def plan(shape: Shape, recipe: Recipe, lengths: Sequence[int], place: Place) -> list[Option]:
    """Return what each method would take.

    Args:
        shape: Of the base.
        recipe: Its rank, batch size, epochs, `extra.checkpointing` and `extra.sharded` count; its method does not.
        lengths: Tokens of each example that is learnt.
        place: Where.
    """
    return [_option(m, shape, recipe, lengths, place) for m in METHODS]


def advice(shape: Shape, recipe: Recipe, lengths: Sequence[int], place: Place) -> str:
    """Return the least change with which something fits; empty if it does as it is, or what is wanting if nothing helps."""
    if any(o.fits for o in plan(shape, recipe, lengths, place)):
        return ""
    for told, changed, cut in _changes(recipe, lengths, place.count):
        fitting = [o for o in plan(shape, changed, cut, place) if o.fits]
        if fitting:
            return f"{told}: then {fitting[0].method} fits in {_size(fitting[0].gib)} of {place.gib:.0f} GiB"
    least = min(
        (o for _, c, cut in _changes(recipe, lengths, place.count) for o in plan(shape, c, cut, place)),
        key=lambda o: o.gib,
    )
    return f"nothing fits: the least is {least.method} with {_size(least.gib)}, and there are {place.gib:.0f} GiB; take a smaller base, or a larger machine"


def _changes(
    recipe: Recipe, lengths: Sequence[int], count: int
) -> Iterator[tuple[str, Recipe, Sequence[int]]]:
    also = ""
    if count > 1 and not recipe.extra.get("sharded"):
        recipe, also = replace(recipe, extra={**recipe.extra, "sharded": True}), "extra.sharded, "
        yield "set extra.sharded", recipe, lengths
    one = replace(recipe, batch_size=count)
    saving = replace(one, extra={**recipe.extra, "checkpointing": True})
    yield f"set {also}batch_size to {count}", one, lengths
    yield f"set {also}batch_size to {count} and extra.checkpointing", saving, lengths
    half = max(lengths, default=0) // 2
    yield (
        f"set {also}batch_size to {count} and extra.checkpointing, and leave out examples over {half} tokens",
        saving,
        [n for n in lengths if n <= half] or [half],
    )


def _option(method: Method, shape: Shape, recipe: Recipe, lengths: Sequence[int], place: Place) -> Option:
    own = replace(recipe, weights=method)
    settings = settle(own, parameters=shape.parameters, examples=max(1, len(lengths)))
    checkpointing = bool(recipe.extra.get("checkpointing", place.device == "cuda"))
    trained = shape.parameters if method == "full" else shape.adapter_parameters(settings.rank)
    total = shape.parameters + (0 if method == "full" else trained)
    memory = _memory(
        method,
        shape,
        (trained, math.ceil(settings.batch_size / place.count), max(lengths, default=1)),
        place,
        checkpointing=checkpointing,
    )
    if recipe.extra.get("sharded") and method != "qlora":
        memory |= {name: memory[name] / place.count for name in _SHARDED}
    made = trained * 4 / GIB if method != "full" else shape.parameters * 8.5 / 8 / GIB
    checkpoint = trained * (4 + 8) / GIB
    option = Option(
        method=method, trained=trained, share=trained / total, memory=memory, fits=False, adapter_gib=made, batch_size=settings.batch_size,
        seconds=_seconds(method, shape, settings, lengths, (place, checkpointing)), disk_gib=shape.parameters * 4 / GIB + 3 * checkpoint + 2 * made,
        checkpointing=checkpointing,
    )  # fmt: skip
    return replace(option, fits=option.gib <= place.gib)


def _memory(
    method: Method, shape: Shape, sizes: tuple[int, int, int], place: Place, *, checkpointing: bool
) -> dict[str, float]:
    trained, batch, length = sizes
    width = 2 if place.bf16 else 4
    linear = shape.layers * sum(i * o for i, o in shape.linears.values())
    weights = {
        "full": shape.parameters * (6 if place.bf16 else 4), "lora": shape.parameters * width,
        "qlora": linear * _NF4_BITS / 8 + (shape.parameters - linear) * width,
    }[method]  # fmt: skip
    training = trained * (12 if method == "full" else 16)
    a_layer = batch * length * shape.hidden * (34 + 5 * shape.heads * length / shape.hidden) * width / 2
    activations = (
        2 * batch * length * shape.hidden * shape.layers * width / 2 + a_layer
        if checkpointing
        else a_layer * shape.layers
    )
    last = 6 * batch * length * shape.vocabulary * width / 2
    parts = {
        "weights": weights,
        "gradients and AdamW": training,
        "activations": activations,
        "last layer": last,
    }
    return {
        **{name: size / GIB for name, size in parts.items()},
        "libraries": _PROCESS_GIB.get(place.device, 1.0),
    }


def _seconds(
    method: Method, shape: Shape, settings: Settings, lengths: Sequence[int], where: tuple[Place, bool]
) -> tuple[float, float]:
    place, checkpointing = where
    seen = sum(lengths) * settings.epochs
    # Forward 2, backward 2 for what is passed through and 2 more for what is trained; once more forward with checkpointing.
    passes = (6 if method == "full" else 4) + (2 if checkpointing else 0)
    again = _DEQUANTISING if method == "qlora" else 1.0
    speed = place.flops * _EFFICIENCY * (1 if place.count == 1 else place.count * _TOGETHER)
    middle = passes * shape.parameters * seen * again / speed
    return 0.6 * middle, 1.8 * middle


@cache
def flops(size: int = 1024) -> float:
    """Return the floating-point operations a second of a matrix product on this machine's processor, in about a tenth of a second."""
    chance = np.random.default_rng(0)
    a, b = (chance.normal(size=(size, size)).astype(np.float32) for _ in range(2))
    return _speed(lambda: a @ b, size)


def _speed(multiply: Callable[[], object], size: int) -> float:
    multiply()  # the first one is slow
    best = 0.0
    for _ in range(3):
        begun = time.perf_counter()
        multiply()
        best = max(best, 2 * size**3 / (time.perf_counter() - begun))
    return best


def here() -> Place:
    """Return this machine: its GPUs, if a driver says that it has some and the trainer is installed, else its processor and memory."""
    if shutil.which("nvidia-smi") and all(find_spec(name) for name in ("torch", "transformers", "peft")):
        from finetune import weights

        own = weights.machine()
        if own.device == "cuda":
            return Place(
                device="cuda", gib=own.gib, bf16=own.bf16, flops=_speed(weights.product(_GPU_SIZE), _GPU_SIZE), count=weights.gpus()
            )  # fmt: skip
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB if hasattr(os, "sysconf") else 8.0
    return Place(device="cpu", gib=total, bf16=False, flops=flops())


def _size(gib: float) -> str:
    return f"{gib:.1f} GiB" if gib >= 1 else f"{gib * 1024:.0f} MiB"


def _time(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.0f} h"
    )
