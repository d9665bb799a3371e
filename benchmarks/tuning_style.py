"""Style: SmolLM2-135M learns the shop's form (source code and closing line) from 14 pages and is judged on 8 others, with general abilities.

    python benchmarks/tuning_style.py [--share 0.2] [--tasks 277] [--state FOLDER]

Base and tuned model are asked alike, through llama.cpp. `content`: the fact stands in the reply; `declines`: it says that it does not know where the
page does not hold the answer.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tuning_common import HEAD, cases, compared, machine, measured, opened, row, split, trained, with_replay

from advisor.gate import general
from advisor.gate.decision import part
from advisor.gate.tuning import parity
from finetune.adapters import Adapters
from finetune.recipe import Recipe


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--tasks", type=int, default=277)
    parser.add_argument("--weights", default="lora")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path)
    args = parser.parse_args()
    state = args.state or Path(tempfile.mkdtemp())
    begun = time.monotonic()
    dataset, judged = split(cases())
    base = opened("local:smollm2", state)
    mixed = with_replay(dataset, args.share, base)
    recipe = Recipe(
        base="local:smollm2",
        weights=args.weights,
        replay_share=args.share,
        seed=args.seed,
        epochs=args.epochs,
    )
    reference, metrics = trained(mixed, recipe, state)
    tuned = opened(reference, state)
    before, after = measured(base, judged), measured(tuned, judged)
    tasks = general.sample(args.tasks)
    was, now = general.asked(base, tasks), general.asked(tuned, tasks)
    print(
        f"{len(dataset.train)} examples, {len(mixed.train)} with replay, {metrics['steps']:.0f} steps, {metrics['process_seconds']:.0f} s; {len(judged)} cases; {machine()}\n"
    )
    print(HEAD)
    for name in ("form", "code", "content", "declines"):
        print(row(name, compared(before, after, name)))
    print(row("general abilities", part(general.pairs(tasks, was, now))))
    for name, (good, n) in general.by_part(tasks, now).items():
        print(f"  {name}: {general.by_part(tasks, was)[name][0]} to {good} of {n}")
    probes = Adapters(state / "adapters").probes(reference.partition("+")[2]) if "+" in reference else []
    print(
        f"parity: {parity(tuned, base, probes)}\n{time.monotonic() - begun:.0f} s in all, model {reference}"
    )


if __name__ == "__main__":
    main()
