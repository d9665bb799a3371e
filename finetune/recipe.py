"""Recipe: how a model is trained, apart from what on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Task = Literal["style", "tools", "classification"]
Objective = Literal["sft", "dpo", "rft"]
Weights = Literal["lora", "qlora", "full", "hosted", "head"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a job does. None means what the backend thinks best, which the job's row then says.

    Attributes:
        base: `provider:name`, for instance `local:smollm2`, `openai:gpt-4.1-mini-2025-04-14`, `bedrock:amazon.nova-micro-v1:0:128k`.
        task: What is to be learnt; kept with what was made.
        objective: Supervised, preference (pairs), or reinforcement with a grader.
        weights: What is trained: an adapter, an adapter on 4-bit weights, all weights, what the provider trains, or a
            logistic head on frozen embeddings.
        epochs: Passes over the training part.
        learning_rate: Peak; for hosted models a multiplier of the provider's own, where it wants one.
        batch_size: Examples a step, on all GPUs together.
        rank: Of the adapter.
        max_tokens: Longest example; longer ones are refused, not cut.
        replay_share: Share of the training part that is generic data and the base's own good outputs, 0-1; `finetune.mixing.prepared` makes it so.
        seed: Of everything random.
        suffix: In the name of the tuned model, where the provider takes one.
        extra: Further settings of one backend by name, for instance `beta` of DPO, the grader of reinforcement tuning, or here
            `processes` and `sharded` for several GPUs.
    """

    base: str
    task: Task = "style"
    objective: Objective = "sft"
    weights: Weights = "lora"
    epochs: float | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    rank: int | None = None
    max_tokens: int | None = None
    replay_share: float = 0.0
    seed: int = 0
    suffix: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """SHA-256 of all its fields, 16 hex digits."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_data(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as JSON-able data."""
    return asdict(recipe)


def from_data(data: Mapping[str, Any]) -> Recipe:
    """Return the recipe of such data.

    Raises:
        TypeError: It holds a field that no recipe has.
    """
    return Recipe(**data)
