"""Whether a recipe is one that the provider takes; what it will be sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from finetune.catalog import Row
from finetune.recipe import Recipe
from finetune.vetting.faults import Fault, error

_SUFFIX = re.compile(r"[a-zA-Z0-9-]{1,64}")
_WORDS: Mapping[str, tuple[str, ...]] = {
    "epochs": ("n_epochs", "epochCount"),
    "batch_size": ("batch_size", "batchSize"),
    "learning_rate": ("learning_rate_multiplier", "learningRateMultiplier", "learningRate"),
}
"""A recipe's field to the providers' own words for it."""
_NOT_SETTINGS = (
    "grader",
    "region",
    "role_arn",
    "bucket",
    "kms_key",
    "vpc",
    "reasoning_effort",
    "integrations",
)
"""What `extra` may hold besides settings; a backend knows what to do with it."""
_LOCAL = (
    "accumulate",
    "alpha",
    "beta",
    "checkpointing",
    "dropout",
    "look_every",
    "packing",
    "patience",
    "processes",
    "sharded",
    "sharing",
    "tenant",
    "warmup",
)
"""What `extra` may hold where the training is on this machine."""


def settings(recipe: Recipe, row: Row) -> dict[str, float]:
    """Return what the provider is sent, in its own words, defaults filled in."""
    found = {s.name: s.default for s in row.settings if s.default is not None}
    for field, words in _WORDS.items():
        value = getattr(recipe, field)
        name = next((w for w in words if row.setting(w)), None)
        if value is not None and name is not None:
            found[name] = value
    found.update({k: v for k, v in recipe.extra.items() if row.setting(k) and isinstance(v, int | float)})
    return {n: int(v) if float(v).is_integer() and _whole(row, n) else float(v) for n, v in found.items()}


def epochs(recipe: Recipe, row: Row) -> float:
    """Return the epochs that will be trained, and paid."""
    sent = settings(recipe, row)
    return float(next((sent[w] for w in _WORDS["epochs"] if w in sent), recipe.epochs or 1.0))


def faults(recipe: Recipe, row: Row) -> Iterator[Fault]:
    """Yield what of a recipe the provider does not take."""
    if row.provider == "local":
        yield from _unknown(recipe, row, _LOCAL)
        return
    for name, value in settings(recipe, row).items():
        setting = row.setting(name)
        if setting is not None and not setting.takes(value):
            kind = "a whole number" if setting.whole else "a number"
            yield error("setting", f"`{name}` is {value:g}; {row.model} takes {kind} from {setting.low:g} to {setting.high:g}")  # fmt: skip
    for field, words in _WORDS.items():
        if getattr(recipe, field) is not None and not any(row.setting(w) for w in words):
            yield error("no_setting", f"{row.model} does not let `{field}` be set", hint="leave it out")
    if recipe.rank is not None:
        yield error("no_setting", f"{row.provider} does not let the rank be set", hint="leave it out")
    yield from _unknown(recipe, row, [*(s.name for s in row.settings), *_NOT_SETTINGS])
    yield from _named(recipe, row)
    yield from _graded(recipe, row)


def _unknown(recipe: Recipe, row: Row, known: Sequence[str]) -> Iterator[Fault]:
    for name in recipe.extra:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            whose = "a training on this machine" if row.provider == "local" else row.model
            yield error("unknown_setting", f"`{name}` is no setting of {whose}", hint=f"did you mean `{close[0]}`?" if close else f"known are {', '.join(known)}")  # fmt: skip


def _named(recipe: Recipe, row: Row) -> Iterator[Fault]:
    if recipe.suffix is None:
        return
    if row.provider == "mantle":
        yield error("suffix", f"{row.provider} takes no suffix", hint="leave it out")
    elif not _SUFFIX.fullmatch(recipe.suffix):
        yield error("suffix", f"the suffix {recipe.suffix!r} is not 1-64 letters, digits and -")


def _graded(recipe: Recipe, row: Row) -> Iterator[Fault]:
    grader: Any = recipe.extra.get("grader")
    if row.method == "reinforcement" and not (isinstance(grader, Mapping) and grader.get("type")):
        yield error("grader", "reinforcement tuning needs a grader", hint="extra={'grader': {'type': 'lambda', 'lambda': {'function': 'arn:...'}}}")  # fmt: skip
    if row.method != "reinforcement" and grader is not None:
        yield error("grader", f"a {row.method} job takes no grader", hint="leave it out")


def _whole(row: Row, name: str) -> bool:
    setting = row.setting(name)
    return setting is not None and setting.whole
