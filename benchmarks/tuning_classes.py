"""Ten classes: the head, a LoRA adapter and a prompt with examples, taught and judged on the same texts of Banking77.

    python benchmarks/tuning_classes.py DATA [--texts 12] [--judged 20] [--state FOLDER]

DATA is a folder with banking77_train.jsonl and banking77_test.jsonl (text, intent). "Held" is a model that can give nothing but one of the labels,
as `advise serve` holds a bot with labels; "as written" is what it says by itself. No text is taught and judged.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tuning_common import machine, opened, trained, with_replay

from finetune.datasets import Dataset
from finetune.examples import Example
from finetune.head import macro_f1
from finetune.recipe import Recipe
from rag.statistics import mcnemar, share
from router.models import load
from router.models.port import ChatModel

_CLASSES = 10
_MOST = 48
_HEAD = "head on MiniLM"
Ask = Callable[[str], str]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--texts", type=int, default=12, help="texts a class that teach")
    parser.add_argument("--judged", type=int, default=20, help="texts a class that judge")
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path)
    args = parser.parse_args()
    state, begun = args.state or Path(tempfile.mkdtemp()), time.monotonic()
    chance = random.Random(args.seed)
    taught, judged = _drawn(args.data, chance, args.texts, args.judged)
    labels = sorted({label for _, label in taught})
    print(f"{len(labels)} classes, {len(taught)} texts teach, {len(judged)} judge", flush=True)
    recipe = Recipe(
        base="local:smollm2", task="classification", replay_share=args.share, epochs=args.epochs, seed=args.seed
    )  # fmt: skip
    system = f"You sort what customers of a bank write.\nReply with exactly one of these labels and nothing else: {', '.join(labels)}"
    found, spent = {}, {}
    for name, ask in _ways(system, labels, taught, recipe, chance, state).items():
        start = time.monotonic()
        found[name] = [ask(text) for text, _ in judged]
        spent[name] = (time.monotonic() - start) / len(judged)
    print(_table(found, spent, judged, labels))
    print(f"\n{time.monotonic() - begun:.0f} s in all; {machine()}")


def _ways(
    system: str, labels: Sequence[str], taught: Sequence[tuple[str, str]], recipe: Recipe, chance: random.Random, state: Path
) -> dict[str, Ask]:  # fmt: skip
    """Train the adapter and the head, and return what gives a label to a text, by name."""
    examples = [_example(system, *row, n) for n, row in enumerate(taught)]
    chance.shuffle(examples)
    tenth = len(examples) // 10
    dataset = Dataset(train=tuple(examples[tenth:]), validation=tuple(examples[:tenth]))
    dataset = with_replay(dataset, recipe.replay_share, opened("local:smollm2", state))
    reference, metrics = trained(dataset, recipe, state)
    own = Recipe(base="local:minilm", task="classification", weights="head", replay_share=0.0)
    head, head_metrics = trained(Dataset(train=tuple(examples)), own, state)
    print(
        f"adapter {metrics['steps']:.0f} steps, {metrics['process_seconds']:.0f} s, head {head_metrics['process_seconds']:.0f} s; {reference}, {head}\n"
    )
    # The same examples before every question: a model that keeps what it has read answers ten times as fast.
    keeping, tuned, classifier = (
        opened("local:smollm2", state, reuse=True),
        opened(reference, state),
        load(head),
    )
    shown = [m for label in labels for m in _shown(next(row for row in taught if row[1] == label))]
    return {
        "the prompt alone, held": _asking(keeping, system, [], labels),
        "an example a class in the prompt, held": _asking(keeping, system, shown, labels),
        "adapter, as written": _asking(tuned, system, []),
        "adapter, held": _asking(tuned, system, [], labels),
        _HEAD: lambda text: classifier.complete([{"role": "user", "content": text}]).text.strip(),
    }


def _asking(
    model: ChatModel, system: str, before: Sequence[dict[str, str]], labels: Sequence[str] = ()
) -> Ask:
    """Ask a model for a label; it can say nothing else where labels are given."""
    schema = {
        "type": "object", "properties": {"label": {"type": "string", "enum": list(labels)}}, "required": ["label"], "additionalProperties": False,
    }  # fmt: skip

    def ask(text: str) -> str:
        messages = [{"role": "system", "content": system}, *before, {"role": "user", "content": text}]
        said = model.complete(messages, schema=schema if labels else None, max_tokens=_MOST).text
        return str(json.loads(said)["label"]) if labels else said.strip()

    return ask


def _table(
    found: Mapping[str, Sequence[str]], spent: Mapping[str, float], judged: Sequence[tuple[str, str]], labels: Sequence[str]
) -> str:  # fmt: skip
    right = {n: [s == label for s, (_, label) in zip(said, judged, strict=True)] for n, said in found.items()}
    lines = [
        "| way | macro-F1 | accuracy | s a text | against the head, exact McNemar p |",
        "|---|---|---|---|---|",
    ]
    for name in found:
        n, both = share(sum(right[name]), len(judged)), list(zip(right[_HEAD], right[name], strict=True))
        p = mcnemar(both.count((True, False)), both.count((False, True)))
        lines.append(
            f"| {name} | {_f1(found[name], judged, labels):.3f} | {n.value:.3f} [{n.low:.3f}, {n.high:.3f}] | {spent[name]:.3f} | {p:.2g} |"
        )
    return "\n".join(lines)


def _drawn(data: Path, chance: random.Random, texts: int, judged: int) -> tuple[list[tuple[str, str]], ...]:
    parts = []
    for part in ("train", "test"):
        by_class = defaultdict(list)
        for line in (data / f"banking77_{part}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            by_class[row["intent"]].append(row["text"])
        parts.append(by_class)
    labels = chance.sample(sorted(parts[0]), _CLASSES)
    return tuple(
        [(text, label) for label in labels for text in chance.sample(part[label], count)]
        for part, count in zip(parts, (texts, judged), strict=True)
    )


def _shown(row: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": "user", "content": row[0]}, {"role": "assistant", "content": row[1]}]


def _example(system: str, text: str, label: str, n: int) -> Example:
    messages = ({"role": "system", "content": system}, *_shown((text, label)))
    return Example(messages=messages, label=label, group=f"{n}", origin="written", source=f"banking77:{n}")


def _f1(said: Sequence[str], judged: Sequence[tuple[str, str]], labels: Sequence[str]) -> float:
    known = {label: n for n, label in enumerate(labels)}
    right = np.array([known[label] for _, label in judged])
    return macro_f1(right, np.array([known.get(s, len(labels)) for s in said]), len(labels))


if __name__ == "__main__":
    main()
