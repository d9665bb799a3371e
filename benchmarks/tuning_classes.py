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
from collections.abc import Callable, Sequence
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
_MOST = 16


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
    system = f"You sort what customers of a bank write.\nReply with exactly one of these labels and nothing else: {', '.join(labels)}"

    examples = [_example(system, *row, n) for n, row in enumerate(taught)]
    chance.shuffle(examples)
    base = opened("local:smollm2", state)
    lora = Recipe(
        base="local:smollm2",
        task="classification",
        replay_share=args.share,
        epochs=args.epochs,
        seed=args.seed,
    )
    tenth = len(examples) // 10
    dataset = Dataset(train=tuple(examples[tenth:]), validation=tuple(examples[:tenth]))
    reference, metrics = trained(with_replay(dataset, args.share, base), lora, state)
    head, head_metrics = trained(
        Dataset(train=tuple(examples)),
        Recipe(base="local:minilm", task="classification", weights="head", replay_share=0.0),
        state,
    )
    tuned, classifier = (
        opened(reference, state),
        load(head),
    )
    # The same examples before every question: a model that keeps what it has read answers ten times as fast.
    keeping = opened("local:smollm2", state, reuse=True)
    shown = [m for label in labels for m in _shown(next(row for row in taught if row[1] == label))]

    def asking(model: ChatModel, before: Sequence[dict[str, str]], *, held: bool) -> Callable[[str], str]:
        schema = {
            "type": "object", "properties": {"label": {"type": "string", "enum": labels}}, "required": ["label"], "additionalProperties": False,
        }  # fmt: skip

        def ask(text: str) -> str:
            messages = [
                {"role": "system", "content": system},
                *before,
                {"role": "user", "content": text},
            ]
            said = model.complete(messages, schema=schema if held else None, max_tokens=3 * _MOST).text
            return str(json.loads(said)["label"]) if held else said.strip()

        return ask

    ways = {
        "the prompt alone, held": asking(keeping, [], held=True),
        "an example a class in the prompt, held": asking(keeping, shown, held=True),
        "adapter, as written": asking(tuned, [], held=False),
        "adapter, held": asking(tuned, [], held=True),
        "head on MiniLM": lambda text: classifier.complete([{"role": "user", "content": text}]).text.strip(),
    }
    print(
        f"{len(labels)} classes, {len(taught)} texts teach, {len(judged)} judge; adapter {metrics['steps']:.0f} steps, {metrics['process_seconds']:.0f} s, "
        f"head {head_metrics['process_seconds']:.0f} s; {reference}, {head}\n"
    )
    print(
        "| way | macro-F1 | accuracy | s a text | against the head, exact McNemar p |\n|---|---|---|---|---|"
    )
    found: dict[str, list[str]] = {}
    spent: dict[str, float] = {}
    for name, ask in reversed(ways.items()):
        start = time.monotonic()
        found[name] = [ask(text) for text, _ in judged]
        spent[name] = (time.monotonic() - start) / len(judged)
    right = {
        name: [s == label for s, (_, label) in zip(said, judged, strict=True)] for name, said in found.items()
    }
    for name in ways:
        n = share(sum(right[name]), len(judged))
        lost = sum(h and not o for h, o in zip(right["head on MiniLM"], right[name], strict=True))
        won = sum(o and not h for h, o in zip(right["head on MiniLM"], right[name], strict=True))
        print(
            f"| {name} | {_f1(found[name], judged, labels):.3f} | {n.value:.3f} [{n.low:.3f}, {n.high:.3f}] | {spent[name]:.3f} | {mcnemar(lost, won):.2g} |"
        )
    print(f"\n{time.monotonic() - begun:.0f} s in all; {machine()}")


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
