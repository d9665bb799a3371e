"""Style: SmolLM2-135M learns the shop's form (source code and closing line) from 14 pages and is judged on 8 others, with general abilities.

    python benchmarks/tuning_style.py [--state FOLDER]                               # the recipe as it is
    python benchmarks/tuning_style.py --weights lora qlora full                      # methods side by side
    python benchmarks/tuning_style.py --share 0 0.1 0.2 0.4 --seed 0 1               # what replay does to forgetting

Base and tuned model are asked alike, through llama.cpp. `content`: the fact stands in the reply; `declines`: it says that it does not know where the
page does not hold the answer. One setting is told in full; several are told a line each, all against the same replies of the base.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tuning_common import HEAD, cases, compared, machine, measured, opened, row, split, trained, with_replay

from advisor.gate import general
from advisor.gate.decision import Part, part
from advisor.gate.tuning import parity
from finetune.adapters import Adapters
from finetune.recipe import Recipe

_MEASURES = ("form", "code", "content", "declines")
_SHORT = (
    "| weights | replay | seed | steps | seconds | s a step | memory (MB) | made (MB) | form | content | general: base, tuned | change (95 %) | gained, lost |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One setting, trained and judged."""

    recipe: Recipe
    reference: str
    metrics: dict[str, float]
    measures: dict[str, Part]
    general: Part
    parts: list[str]
    parity: str
    made: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, nargs="+", default=[0.2])
    parser.add_argument("--tasks", type=int, default=277)
    parser.add_argument("--weights", nargs="+", default=["lora"])
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--state", type=Path)
    args = parser.parse_args()
    state, begun = args.state or Path(tempfile.mkdtemp()), time.monotonic()
    bench = Bench(state, args.tasks)
    print(
        f"{len(bench.dataset.train)} examples before replay, {len(bench.judged)} cases, {len(bench.tasks)} general tasks",
        flush=True,
    )
    found = []
    for weights, share, seed in itertools.product(args.weights, args.share, args.seed):
        recipe = Recipe(
            base="local:smollm2", weights=weights, replay_share=share, seed=seed, epochs=args.epochs
        )
        found.append(bench.outcome(recipe))
        print(f"{short(found[-1])}   {time.monotonic() - begun:.0f} s", flush=True)
    print()
    print(told(found[0]) if len(found) == 1 else "\n".join([_SHORT, *map(short, found)]))
    print(f"\n{time.monotonic() - begun:.0f} s in all; {machine()}")


class Bench:
    """The cases, and how the base does on them, asked once."""

    def __init__(self, state: Path, tasks: int) -> None:
        self.state = state
        self.dataset, self.judged = split(cases())
        self.tasks = general.sample(tasks)
        self.base = opened("local:smollm2", state)
        self._before = measured(self.base, self.judged)
        self._was = general.asked(self.base, self.tasks)

    def outcome(self, recipe: Recipe) -> Outcome:
        """Train and judge one setting."""
        dataset = with_replay(self.dataset, recipe.replay_share, self.base)
        reference, metrics = trained(dataset, recipe, self.state)
        tuned, adapters = opened(reference, self.state), Adapters(self.state / "adapters")
        after, now = measured(tuned, self.judged), general.asked(tuned, self.tasks)
        id = reference.partition("+")[2] or Path(reference.partition(":")[2]).parent.name
        was = general.by_part(self.tasks, self._was)
        return Outcome(
            recipe=recipe, reference=reference, metrics=metrics, measures={m: compared(self._before, after, m) for m in _MEASURES},
            general=part(general.pairs(self.tasks, self._was, now)), parity=str(parity(tuned, self.base, adapters.probes(id))),
            parts=[f"{name}: {was[name][0]} to {good} of {n}" for name, (good, n) in general.by_part(self.tasks, now).items()],
            made=sum(f.stat().st_size for f in adapters.path(id).iterdir() if f.suffix == ".gguf"),
        )  # fmt: skip


def short(o: Outcome) -> str:
    """Return a setting as one line."""
    form, content, kept, m = o.measures["form"], o.measures["content"], o.general, o.metrics
    return (
        f"| {o.recipe.weights} | {o.recipe.replay_share:.2f} | {o.recipe.seed} | {m['steps']:.0f} | {m['process_seconds']:.0f} | {m['step_seconds']:.2f} | "
        f"{m['peak_memory_bytes'] / 1e6:,.0f} | {o.made / 1e6:.0f} | {form.before.value:.3f} to {form.after.value:.3f} | "
        f"{content.before.value:.3f} to {content.after.value:.3f} | {kept.before.value:.3f}, {kept.after.value:.3f} | "
        f"{kept.difference:+.3f} [{kept.low:+.3f}, {kept.high:+.3f}] | {kept.gained}, {kept.lost} |"
    )


def told(o: Outcome) -> str:
    """Return a setting in full."""
    rows = [row(name, measure) for name, measure in o.measures.items()]
    return "\n".join(
        [HEAD, *rows, row("general abilities", o.general), *(f"  {p}" for p in o.parts), f"parity: {o.parity}", f"model {o.reference}"]
    )  # fmt: skip


if __name__ == "__main__":
    main()
