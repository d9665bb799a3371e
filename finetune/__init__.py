"""Training examples, recipes, jobs and adapters; of the other packages it knows `rag` only.

`finetune.start(examples, Recipe(base="local:smollm2")).wait()` trains, and gives the job with the tuned model's reference.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finetune.examples import Example
    from finetune.recipe import Recipe
    from finetune.starting import Running, start

__all__ = ["Example", "Recipe", "Running", "start"]

_HOME = {
    "Example": "finetune.examples",
    "Recipe": "finetune.recipe",
    "Running": "finetune.starting",
    "start": "finetune.starting",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'finetune' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
