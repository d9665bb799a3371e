"""What is wrong with examples together: too few, too many, repeated, contradicting, or in two parts at once."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from finetune.catalog import Row
from finetune.cleaning import first_asked
from finetune.datasets import NEVER_HELD, PARTS, Dataset
from finetune.examples import Example, text_of
from finetune.vetting.faults import Fault, error, warning

_MANY_ALIKE = 0.3
_ONE_AUTHOR = 0.5
_LEAST_FOR_SHARES = 20


def faults(dataset: Dataset, row: Row) -> Iterator[Fault]:
    """Yield what is wrong with a dataset as a whole."""
    yield from _counts(dataset, row)
    train, validation, held_out = (tuple(filter(sound, getattr(dataset, part))) for part in PARTS)
    whole = Dataset(train=train, validation=validation, held_out=held_out)
    yield from _repeated(whole.train)
    yield from _contradicting(whole.train)
    yield from _leaks(whole)
    # What is repeated on purpose, for weight, is still one person's word.
    yield from _one_sided(tuple({(e.hash, e.source): e for e in whole.train}.values()))


def sound(example: Example) -> bool:
    """Whether it can be compared with others; why it cannot is told where examples are looked at alone."""
    try:
        return bool(example.messages and example.hash)
    except (UnicodeEncodeError, TypeError):
        return False


def _counts(dataset: Dataset, row: Row) -> Iterator[Fault]:
    count = len(dataset.train)
    if not count:
        yield error("empty", "there is nothing to train on")
    elif count < row.least_examples:
        yield error("too_few", f"{count} examples; {row.model} takes {row.least_examples} at least")
    used = count + (len(dataset.validation) if row.validation else 0)
    if row.most_examples is not None and used > row.most_examples:
        yield error("too_many", f"{used:,} examples; {row.model} takes {row.most_examples:,} at most, validation included")  # fmt: skip
    if dataset.validation and not row.validation:
        yield warning("validation_ignored", f"{row.model} ignores the validation set", hint="it is not sent")


def _repeated(examples: Sequence[Example]) -> Iterator[Fault]:
    if not examples:
        return
    seen: dict[str, str] = {}
    again = []
    for example in examples:
        first = seen.setdefault(example.hash, example.source)
        if first != example.source:
            again.append(f"{example.source} = {first}")
    if again:
        yield warning("duplicate", "examples are repeated to the letter; every copy is paid for", places=again)  # fmt: skip
    said = ["\n".join(text_of(m) for m in e.messages if m.get("role") != "system") for e in examples]
    alike = first_asked(said)
    near = [
        f"{examples[i].source} ~ {examples[first].source}"
        for i, first in enumerate(alike)
        if i != first and examples[i].hash != examples[first].hash
    ]
    if near and len(near) >= _MANY_ALIKE * len(examples):
        yield warning("near_duplicate", f"{len(near)} of {len(examples)} examples nearly repeat others", hint="more of the same teaches little", places=near)  # fmt: skip


def _contradicting(examples: Sequence[Example]) -> Iterator[Fault]:
    answers: dict[str, dict[str, str]] = defaultdict(dict)
    for example in examples:
        asked = json.dumps(example.prompt, sort_keys=True, default=str)
        answers[asked].setdefault(json.dumps(example.target, sort_keys=True, default=str), example.source)
    places = [" against ".join(found.values()) for found in answers.values() if len(found) > 1]
    if places:
        yield warning("contradiction", "the same question has different answers", hint="keep the right one", places=places)  # fmt: skip


def _leaks(dataset: Dataset) -> Iterator[Fault]:
    same: dict[str, dict[str, str]] = defaultdict(dict)
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    asked: dict[str, dict[str, str]] = defaultdict(dict)
    for part in PARTS:
        for example in getattr(dataset, part):
            same[example.hash].setdefault(part, example.source)
            question = " ".join(example.request.casefold().split())
            if question:
                asked[question].setdefault(part, example.source)
            if example.origin not in NEVER_HELD:
                groups[example.group].setdefault(part, example.source)
    for code, found, message in (
        ("leak", same, "an example stands in two parts, so what judges was learnt"),
        ("group_leak", groups, "parts of one conversation stand in two parts"),
    ):
        places = [" and ".join(f"{p} {s}" for p, s in parts.items()) for parts in found.values() if len(parts) > 1]  # fmt: skip
        if places:
            yield error(code, message, hint="split by conversation", places=places)
    repeated = [" and ".join(f"{p} {s}" for p, s in parts.items()) for parts in asked.values() if len(parts) > 1]  # fmt: skip
    if repeated:
        yield warning("question_leak", "the same question stands in two parts", hint="held-out figures may look better than they are", places=repeated)  # fmt: skip


def _one_sided(examples: Sequence[Example]) -> Iterator[Fault]:
    if len(examples) < _LEAST_FOR_SHARES:
        return
    authors: dict[str, int] = defaultdict(int)
    answers: dict[str, int] = defaultdict(int)
    for example in examples:
        authors[example.author or ""] += 1
        answers[text_of(example.target).strip()] += 1
    most = max((n for a, n in authors.items() if a), default=0)
    if most > _ONE_AUTHOR * len(examples):
        yield warning("one_author", f"one person's words or votes made {most} of {len(examples)} examples", hint="look at some")  # fmt: skip
    same = max(answers.values())
    if len(answers) > 1 and same > _ONE_AUTHOR * len(examples) and not any(e.label for e in examples):
        yield warning("one_answer", f"{same} of {len(examples)} examples have the same answer")
    elif len(answers) == 1:
        yield error("one_answer", "all examples have the same answer; the model would learn to say nothing else")  # fmt: skip
