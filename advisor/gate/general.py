"""General abilities: a suite of small tasks that no training for a bot's own job may cost, judged by code."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Protocol

import yaml

from advisor.gate.decision import Pair
from router.abstention import abstains
from router.contract.checking import judge
from router.contract.rules import Rule
from router.models.port import Completion, Messages, ModelError

Tell = Callable[[int, int], None]
MOST_TOKENS = 80
_PARTS = ("instructions", "arithmetic", "extraction", "talk", "refusals")
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One task.

    Attributes:
        part: The ability: instructions, arithmetic, extraction, talk or refusals.
        rule: A rule that the reply must keep.
        number: The last number that the reply must state.
        has: Words of which the reply must hold one.
        declines: Whether the reply must decline.
    """

    id: str
    part: str
    ask: str
    rule: Mapping[str, Any] = field(default_factory=dict)
    number: int | None = None
    has: tuple[str, ...] = ()
    declines: bool = False

    def good(self, reply: str) -> bool:
        """Return whether a reply does the task."""
        if not reply.strip():
            return False
        if self.rule:
            params = {k: v for k, v in self.rule.items() if k != "kind"}
            verdict = judge(Rule(kind=str(self.rule["kind"]), params=params), reply, question=self.ask)
            return verdict is not None and verdict.held
        if self.number is not None:
            found = _NUMBER.findall(reply)
            return bool(found) and float(found[-1].replace(",", ".")) == self.number
        if self.declines:
            return abstains(reply) != "no"
        said = " ".join(_WORD.findall(reply.casefold()))
        return any(f" {word.casefold()} " in f" {said} " for word in self.has)


class Answering(Protocol):
    """What is asked: a chat model."""

    def complete(
        self, messages: Messages, *, max_tokens: int = 512, tools: Sequence[Mapping[str, Any]] | None = None
    ) -> Completion:
        """Return the next assistant message."""
        ...


@cache
def items() -> tuple[Item, ...]:
    """Return all items, in the order of the files."""
    found = []
    for part in _PARTS:
        text = resources.files("advisor.gate.suite").joinpath(f"{part}.yaml").read_text(encoding="utf-8")
        found += [
            Item(**{**row, "part": part, "has": tuple(row.get("has", ()))}) for row in yaml.safe_load(text)
        ]
    return tuple(found)


def sample(most: int, *, seed: int = 0) -> tuple[Item, ...]:
    """Return up to `most` items, each part in its share; the same seed gives the same ones."""
    every = items()
    if most >= len(every):
        return every
    by_part: dict[str, list[Item]] = defaultdict(list)
    for item in every:
        by_part[item.part].append(item)
    chance = random.Random(seed)
    chosen = {
        i.id for own in by_part.values() for i in chance.sample(own, round(most * len(own) / len(every)))
    }
    return tuple(i for i in every if i.id in chosen)


def asked(model: Answering, tasks: Sequence[Item], *, tell: Tell | None = None) -> dict[str, bool]:
    """Return how a model did each task, by id; one that got no answer is left out.

    The model is asked without any prompt, passages or contract: what it can do, not what is done for it.
    """
    found = {}
    for number, item in enumerate(tasks, 1):
        try:
            reply = model.complete([{"role": "user", "content": item.ask}], max_tokens=MOST_TOKENS)
        except ModelError:
            continue
        finally:
            if tell is not None:
                tell(number, len(tasks))
        found[item.id] = item.good(reply.text)
    return found


def pairs(tasks: Sequence[Item], before: Mapping[str, bool], after: Mapping[str, bool]) -> list[Pair]:
    """Return tasks before and after as pairs of the kind `general`."""
    return [
        Pair(id=i.id, group=i.id, kind="general", before=before.get(i.id), after=after.get(i.id), note=i.part)
        for i in tasks
    ]


def by_part(tasks: Sequence[Item], done: Mapping[str, bool]) -> dict[str, tuple[int, int]]:
    """Return how many of how many tasks of each part were done."""
    found: dict[str, tuple[int, int]] = {}
    for item in tasks:
        if item.id in done:
            good, n = found.get(item.part, (0, 0))
            found[item.part] = good + done[item.id], n + 1
    return found
