"""Datasets: examples in three parts that share no conversation, kept in files named by their content."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune.examples import Example, from_json, to_json
from rag.files import folder_once

PARTS = ("train", "validation", "held_out")
NEVER_HELD = frozenset({"replay", "generic"})
"""Origins that teach only not to forget."""


class DatasetFailed(RuntimeError):
    """A dataset that cannot be made or read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What is learnt from, what tells when to stop, and what judges.

    Attributes:
        train: Learnt from.
        validation: For early stopping; never learnt from.
        held_out: For the gate; neither learnt from nor looked at before.
        about: What a reader should know of how it was made, JSON-able: shares mixed in, what was left out and why.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...] = ()
    held_out: tuple[Example, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def validates(self) -> bool:
        """Whether the validation part has examples of every origin that teaches; if not, its loss says nothing of what it lacks, and a
        training must not stop by it."""
        own, told = ({e.origin for e in part} - NEVER_HELD for part in (self.train, self.validation))
        return bool(told) and own <= told

    @property
    def hash(self) -> str:
        """SHA-256 over the examples of the three parts in order, 16 hex digits; `about` does not count.

        Raises:
            DatasetFailed: An example holds what no file can.
        """
        digest = hashlib.sha256()
        for part in PARTS:
            digest.update(f"#{part}\n".encode())
            for example in getattr(self, part):
                digest.update(_line(example).encode())
        return digest.hexdigest()[:16]


def split(
    examples: Iterable[Example], *, validation: float = 0.1, held_out: float = 0.2, salt: str = ""
) -> Dataset:
    """Split by group, in the order given; which part a group goes to depends on its name and the salt only.

    So an example that comes later never moves another to a part that has already judged, or taught.

    Args:
        examples: Replay and generic examples always go to `train`.
        validation: Share of groups, 0-1.
        held_out: Share of groups, 0-1.
        salt: Other salts give other splits.

    Raises:
        DatasetFailed: The shares leave nothing to train on.
    """
    if not 0 <= validation + held_out < 1 or min(validation, held_out) < 0:
        raise DatasetFailed(
            f"{validation:.0%} for validation and {held_out:.0%} held out leave nothing to train on"
        )
    parts: dict[str, list[Example]] = {part: [] for part in PARTS}
    for example in examples:
        where = _place(example.group, salt)
        held = "held_out" if where < held_out else "validation" if where < held_out + validation else "train"
        parts["train" if example.origin in NEVER_HELD else held].append(example)
    return Dataset(
        train=tuple(parts["train"]), validation=tuple(parts["validation"]), held_out=tuple(parts["held_out"])
    )


def leaks(dataset: Dataset) -> tuple[str, ...]:
    """Return what stands in two parts: groups, and examples that are the same to the letter."""
    seen: dict[str, set[str]] = {}
    for part in PARTS:
        for example in getattr(dataset, part):
            if example.origin not in NEVER_HELD:
                seen.setdefault(f"group {example.group}", set()).add(part)
            seen.setdefault(f"example {example.hash}", set()).add(part)
    return tuple(
        f"{what} in {' and '.join(sorted(where))}" for what, where in sorted(seen.items()) if len(where) > 1
    )


def save(dataset: Dataset, folder: Path) -> Path:
    """Write a dataset to `folder/<hash>/` and return that path; what is there already is left as it is.

    The folder appears whole or not at all.

    Raises:
        OSError: It cannot be written.
        DatasetFailed: An example holds what no file can.
    """

    def make(draft: Path) -> None:
        for part in PARTS:
            (draft / f"{part}.jsonl").write_text(
                "".join(map(_line, getattr(dataset, part))), encoding="utf-8"
            )
        about = {
            "hash": dataset.hash,
            "counts": {part: len(getattr(dataset, part)) for part in PARTS},
            "origins": dict(sorted(Counter(e.origin for e in dataset.train).items())),
            "about": dict(dataset.about),
        }
        (draft / "dataset.json").write_text(
            json.dumps(about, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )

    return folder_once(folder / dataset.hash, make)


def load(folder: Path) -> Dataset:
    """Return the dataset in a folder.

    Raises:
        DatasetFailed: It cannot be read, or its content is not what its name says.
    """
    try:
        about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        parts = {
            # Texts hold signs that `splitlines` takes for ends of lines, such as U+2028; JSON writes only "\n" otherwise.
            part: tuple(
                from_json(line)
                for line in (folder / f"{part}.jsonl").read_text(encoding="utf-8").split("\n")
                if line
            )
            for part in PARTS
        }
    except (OSError, ValueError) as error:
        raise DatasetFailed(f"{folder}: cannot be read as a dataset ({error})") from None
    found = Dataset(**parts, about=about.get("about", {}))
    if found.hash != about.get("hash"):
        raise DatasetFailed(
            f"{folder}: its content has hash {found.hash}, not {about.get('hash')}; it was changed"
        )
    return found


def _line(example: Example) -> str:
    try:
        return to_json(example) + "\n"
    except UnicodeEncodeError:
        raise DatasetFailed(
            f"{example.source}: holds half a character (a lone surrogate), which no file can hold; remove it"
        ) from None


def _place(group: str, salt: str) -> float:
    return int.from_bytes(hashlib.sha256(f"{salt}/{group}".encode()).digest()[:8]) / 2**64
