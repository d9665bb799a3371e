"""Defaults: what a recipe leaves open, set by the size of the base, the method and the number of examples.

Sources: adapters on all linear layers, learning rate about ten times that of full tuning, rank of little matter on small sets
(Schulman et al. 2025, "LoRA Without Regret"); alpha = 2 x rank, rates within 1e-5 to 5e-4 (Biderman et al. 2024, 2405.09673); 2e-4 to 13B
and 1e-4 above with NF4 and double quantisation (Dettmers et al. 2023, 2305.14314, table 9). Below 0.5B: measured here on
SmolLM2-135M, where 2e-4 learnt nothing in 24 steps and 1e-3 was stable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from finetune.recipe import Recipe

_SIZES = ((0.5e9, 8, 1e-3), (3e9, 16, 3e-4), (15e9, 16, 2e-4), (math.inf, 16, 1e-4))
"""(Fewer parameters than, rank, learning rate of an adapter)."""

_FULL = 0.1
_PREFERENCE = 0.1
_LEAST_STEPS = 24
"""Fewest steps worth taking: formats were learnt in 12 to 24."""

_MOST_EPOCHS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A recipe with nothing left open.

    Attributes:
        rank: Of the adapter; 0 where all weights are trained.
        alpha: Scale of the adapter times its rank.
        dropout: Of the adapter's input.
        learning_rate: Peak.
        warmup: Share of the steps, 0-1.
        epochs: Passes over the training part.
        batch_size: Examples a step.
        steps: Of the optimiser, all epochs together.
        look_every: Steps between two looks at the held-out loss; a checkpoint is kept at each.
        patience: Looks in a row at which the held-out loss is plainly above its least, after which training stops.
        beta: Of DPO.
    """

    rank: int
    alpha: float
    dropout: float
    learning_rate: float
    warmup: float
    epochs: float
    batch_size: int
    steps: int
    look_every: int
    patience: int
    beta: float


def settle(recipe: Recipe, *, parameters: int, examples: int) -> Settings:
    """Return the settings of a recipe.

    Args:
        recipe: What is given in it stands.
        parameters: Of the base.
        examples: In the training part.
    """
    rank, rate = next((r, lr) for most, r, lr in _SIZES if parameters < most)
    if recipe.weights == "full":
        rank, rate = 0, rate * _FULL
    if recipe.objective == "dpo":
        rate *= _PREFERENCE
    batch = recipe.batch_size or min(4 if examples < 400 else 8, max(1, examples))
    a_pass = max(1, math.ceil(examples / batch))
    epochs = recipe.epochs or min(
        _MOST_EPOCHS, max(1 if examples >= 2000 else 2, math.ceil(_LEAST_STEPS / a_pass))
    )
    steps = max(1, math.ceil(epochs * a_pass))
    rank = 0 if recipe.weights == "full" else recipe.rank or rank
    looks = 4 if recipe.weights == "full" else 8
    return Settings(
        rank=rank, alpha=float(recipe.extra.get("alpha", 2 * rank)), dropout=float(recipe.extra.get("dropout", 0.0)),
        learning_rate=recipe.learning_rate or rate, warmup=float(recipe.extra.get("warmup", 0.1)), epochs=epochs, batch_size=batch, steps=steps,
        look_every=max(1, int(recipe.extra.get("look_every", math.ceil(steps / looks)))), patience=int(recipe.extra.get("patience", 3)),
        beta=float(recipe.extra.get("beta", 0.1)),
    )  # fmt: skip
