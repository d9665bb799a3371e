"""Intent: a head on frozen MiniLM embeddings on Banking77 at 1, 5, 20 texts a class and all, judged on its test set.

    python benchmarks/tuning_intent.py DATA        # a folder with banking77_train.jsonl and banking77_test.jsonl (text, intent)

Few-shot rows are means over three draws, with the least and the most.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from finetune.head import macro_f1, train
from rag import embedders
from rag.statistics import share


class Once:
    """Embeds every text once; the same texts are asked for again and again."""

    def __init__(self, name: str, texts: list[str]) -> None:
        self.identity = (model := embedders.load(name)).identity
        begun = time.monotonic()
        vectors = model.embed(texts, kind="query")
        self.seconds = time.monotonic() - begun
        self._known = dict(zip(texts, vectors, strict=True))

    def embed(self, texts: list[str], *, kind: str) -> np.ndarray:
        return np.stack([self._known[t] for t in texts])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--embedder", default="minilm")
    args = parser.parse_args()
    parts = {}
    for part in ("train", "test"):
        rows = [
            json.loads(line)
            for line in (args.data / f"banking77_{part}.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        parts[part] = [(r["text"], r["intent"]) for r in rows]
    once = Once(args.embedder, sorted({t for rows in parts.values() for t, _ in rows}))
    embedders.load = lambda name, **_: once
    texts, labels = zip(*parts["test"], strict=True)
    vectors = once.embed(list(texts), kind="query")
    print(
        f"{args.embedder}: {len(parts['train'])} texts to train on, {len(texts)} to judge, {len(set(labels))} classes; embedding all took {once.seconds:.0f} s\n"
    )
    print("| texts a class | accuracy | macro-F1 | draws | training, s |\n|---|---|---|---|---|")
    for shots in (1, 5, 20, None):
        found = []
        for draw in range(3 if shots else 1):
            drawn = _drawn(parts["train"], shots, draw)
            begun = time.monotonic()
            # A class with one text cannot be cross-validated by itself; it is given twice, which changes no decision boundary.
            drawn = drawn * 2 if shots == 1 else drawn
            head = train([t for t, _ in drawn], [label for _, label in drawn], embedder=args.embedder)
            seconds = time.monotonic() - begun
            known = {label: n for n, label in enumerate(head.labels)}
            right = np.array([known.get(label, -1) for label in labels])
            said = head.probabilities(vectors).argmax(axis=1)
            found.append((float((right == said).mean()), macro_f1(right, said, len(known)), seconds))
        accuracy, f1, seconds = (float(np.mean(column)) for column in zip(*found, strict=True))
        interval = share(round(accuracy * len(texts)), len(texts))
        spread = f"{min(a for a, _, _ in found):.3f} to {max(a for a, _, _ in found):.3f}" if shots else "all"
        print(
            f"| {shots or 'all'} | {accuracy:.3f} [{interval.low:.3f}, {interval.high:.3f}] | {f1:.3f} | {spread} | {seconds:.1f} |"
        )


def _drawn(rows: list[tuple[str, str]], shots: int | None, seed: int) -> list[tuple[str, str]]:
    if shots is None:
        return rows
    by_class = defaultdict(list)
    for text, label in rows:
        by_class[label].append((text, label))
    chance = random.Random(seed)
    return [pair for own in by_class.values() for pair in chance.sample(own, min(shots, len(own)))]


if __name__ == "__main__":
    main()
