"""Mixing: what is new repeated until it can be heard; generic tasks and the base's own good replies against forgetting.

How much is a question without a general answer (2601.16979); small models that are trained to their limits forget most (2605.26097). The share is
therefore a setting, stands in the recipe, and the gate judges what came of it; what was measured tells none, a tenth and a fifth not apart (docs/benchmarks.md).
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from finetune.datasets import Dataset, split
from finetune.examples import Example, text_of
from finetune.recipe import Recipe
from rag.lexical import terms

Reply = Callable[[str], str]
"""The base asked one thing; empty if it gave no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A generic task.

    Attributes:
        answer: What to reply; None for an open task, which only the base itself can answer.
    """

    ask: str
    answer: str | None


_TELLING = frozenset({"correction", "repaired", "file"})
"""Origins of replies that the bot did not give itself."""


def prepared(
    examples: Iterable[Example],
    recipe: Recipe,
    *,
    reply: Reply | None = None,
    own: Sequence[Example] = (),
    held_out: float = 0.0,
) -> Dataset:
    """Return the dataset that a recipe trains on: what judges is held out before anything else, then what is new is repeated, and replay mixed in by the recipe's share.

    Args:
        examples: Cleaned ones; see `finetune.cleaning`.
        recipe: How.
        reply: Asks the base, for replay of its own.
        own: Replies of the base that only teach, of origin `replay`: what it does rightly as it is.
        held_out: Share of the groups, 0-0.9, that only judges what came of it; what asks the same as one of them is not taught either.

    Raises:
        DatasetFailed: The share leaves nothing to train on.
    """
    dataset = split(examples, held_out=held_out)
    if recipe.weights == "head":
        dataset = _without_what_judges(_labels_kept(dataset))
    else:
        dataset = emphasised(_without_what_judges(dataset))
    if own:
        dataset = replace(dataset, train=(*dataset.train, *own), about={**dataset.about, "its own": len(own)})
    return mixed(dataset, recipe.replay_share, reply=reply, seed=recipe.seed)


def _labels_kept(dataset: Dataset) -> Dataset:
    """A head needs two texts of each label: groups that hold a label with fewer teach and do not judge."""
    taught = Counter(e.label for e in (*dataset.train, *dataset.validation))
    back = {e.group for e in dataset.held_out if e.label and taught[e.label] < 2}
    held, given = ([e for e in dataset.held_out if (e.group in back) is there] for there in (False, True))
    return replace(dataset, train=(*dataset.train, *given), held_out=tuple(held))


def _without_what_judges(dataset: Dataset) -> Dataset:
    """Leave out of what is learnt whatever asks the same as a held-out example, by its words in any order: a group is told by its name only."""
    judging = {_asked(e) for e in dataset.held_out}
    train, validation = (
        tuple(e for e in part if _asked(e) not in judging) for part in (dataset.train, dataset.validation)
    )
    lost = len(dataset.train) + len(dataset.validation) - len(train) - len(validation)
    about = {**dataset.about, **({"left_out": {"asks what judges": lost}} if lost else {})}
    return replace(dataset, train=train, validation=validation, about=about)


def _asked(example: Example) -> object:
    said = [text_of(m) for m in example.prompt if m.get("role") == "user"]
    return asks(said) if said else example.hash


def asks(said: Iterable[str]) -> object:
    """Return what a person asks, by the words of all that was said, in any order and form and without passages put before it; the same if it asks the same."""
    text = " ".join(t.rpartition("Question: ")[2] for t in said)
    return frozenset(terms(text)) or " ".join(text.casefold().split())


def emphasised(dataset: Dataset, *, share: float = 1 / 3, most: int = 4) -> Dataset:
    """Return a dataset whose training part repeats what the bot did not say by itself until that is a share of it.

    An approved reply is what the model says already. Of SmolLM2-135M, five corrections among 44 examples mended 12 of 18 held-out failures,
    and all 18 once they were repeated (docs/benchmarks.md).

    Args:
        dataset: The examples, before replay is mixed in.
        share: Of the training part, 0-1, that corrections, repaired replies and the operator's own examples are to be.
        most: Most copies of one, itself included.
    """
    telling = [e for e in dataset.train if e.origin in _TELLING]
    known = len(dataset.train) - len(telling)
    times = min(most, math.ceil(share * known / ((1 - share) * len(telling)))) if telling else 1
    if times < 2:
        return dataset
    about = {**dataset.about, "repeated": {"examples": len(telling), "times": times}}
    return replace(dataset, train=(*dataset.train, *telling * (times - 1)), about=about)


@cache
def tasks() -> tuple[Task, ...]:
    """Return the shipped generic tasks, in the order of the file."""
    text = resources.files("finetune").joinpath("generic.jsonl").read_text(encoding="utf-8")
    return tuple(Task(**json.loads(line)) for line in text.splitlines())


def mixed(dataset: Dataset, share: float, *, reply: Reply | None = None, seed: int = 0) -> Dataset:
    """Return a dataset with replay mixed into its training part; validation and held-out parts stay as they are.

    Args:
        dataset: The examples.
        share: Of the training part that is replay afterwards, 0 to 0.9.
        reply: Asks the base; where it is given, half of the replay is the base's own replies.
        seed: Of the choice and of the order.

    Raises:
        ValueError: The share is not within 0 and 0.9.
    """
    if not 0 <= share <= 0.9:
        raise ValueError(f"a share of {share} cannot be mixed in; 0 to 0.9 can")
    wanted = round(len(dataset.train) * share / (1 - share))
    chance = random.Random(seed)
    replayed = list(_replayed(wanted // 2, reply, chance))
    known = [t for t in tasks() if t.answer is not None]
    generic = [
        _example(t.ask, t.answer or "", "generic", n)
        for n, t in enumerate(_drawn(known, wanted - len(replayed), chance))
    ]
    train = [*dataset.train, *replayed, *generic]
    chance.shuffle(train)
    about = {**dataset.about, "replay": {"share": share, "generic": len(generic), "own": len(replayed)}}
    return replace(dataset, train=tuple(train), about=about)


def _replayed(count: int, reply: Reply | None, chance: random.Random) -> Iterable[Example]:
    """The base's replies to open tasks; one that breaks off or says nothing is left out."""
    if reply is None or count <= 0:
        return
    opens = [t for t in tasks() if t.answer is None]
    chance.shuffle(opens)
    made = 0
    for task in opens:
        if made == count:
            return
        said = reply(task.ask).strip()
        if said and said[-1] in ".!?”\"')":
            yield _example(task.ask, said, "replay", made)
            made += 1


def _drawn(pool: Sequence[Task], count: int, chance: random.Random) -> list[Task]:
    """So many tasks; all of them before any comes twice."""
    found: list[Task] = []
    while len(found) < count and pool:
        found += chance.sample(list(pool), k=min(len(pool), count - len(found)))
    return found


def _example(ask: str, answer: str, origin: str, number: int) -> Example:
    messages = ({"role": "user", "content": ask}, {"role": "assistant", "content": answer})
    return Example(
        messages=messages, group=f"{origin}:{ask[:60]}", origin="replay" if origin == "replay" else "generic", source=f"{origin}:{number}"
    )  # fmt: skip
