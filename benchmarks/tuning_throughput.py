"""Throughput: a training job here against a bare TRL script with the same settings, one after the other in one run, each in a fresh process.

    python benchmarks/tuning_throughput.py [--steps 12] [--rounds 2] [--tools]

Examples are the shop's questions with their pages or, with `--tools`, requests behind four tools that take 450 tokens each time, which is what a bot with
tools has; such a beginning we read once a batch. Counted are the steps after the second, without looks at the held-out loss; tokens are those that TRL counts. Order alternates between rounds.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import replace
from pathlib import Path
from statistics import mean

from planted.calls import requests
from tuning_common import cases, machine, split, trained
from tuning_tools import example as tools_example

from finetune import datasets
from finetune.datasets import Dataset
from finetune.examples import Example
from finetune.recipe import Recipe
from rag.tool_text import with_tools

BARE = """
import json, sys, time
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer
folder, data, out, steps = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
set_seed(0)
tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
rows = [json.loads(line) for line in open(data, encoding="utf-8")]
table = Dataset.from_list([{"prompt": r["messages"][:-1], "completion": r["messages"][-1:]} for r in rows])
marks = []
class Marks(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        marks.append(time.monotonic())
config = SFTConfig(output_dir=out, max_steps=steps, per_device_train_batch_size=4, learning_rate=1e-3, lr_scheduler_type="cosine", logging_steps=1, save_strategy="no",
    use_cpu=True, bf16=False, gradient_checkpointing=False, dataloader_pin_memory=False, report_to="none", disable_tqdm=True, max_length=2048)
trainer = SFTTrainer(model=model, args=config, train_dataset=table, processing_class=tokenizer, callbacks=[Marks()],
    peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))
trainer.train()
print(json.dumps({"a_step": (marks[-1] - marks[1]) / (len(marks) - 2), "tokens": trainer.state.log_history[-2]["num_tokens"], "steps": len(marks)}))
"""


def calls() -> tuple[Example, ...]:
    """Requests to the bot with tools, the tools and calls written as text, so that both read the same."""
    made = [tools_example(*r, n) for n, r in enumerate(requests(random.Random("teach"), 96))]
    return tuple(replace(e, messages=tuple(with_tools(e.messages, e.tools)), tools=()) for e in made)


def bare(state: Path, folder: Path, steps: int) -> dict[str, float]:
    unpacked = next(p for p in (state / "bases").iterdir() if not p.name.startswith("."))
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(BARE),
        str(unpacked),
        str(folder / "train.jsonl"),
        str(state / "bare"),
        str(steps),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def ours(state: Path, dataset: Dataset, steps: int, seed: int) -> dict[str, float]:
    recipe = Recipe(
        base="local:smollm2",
        batch_size=4,
        epochs=4 * steps / len(dataset.train),
        seed=seed,
        extra={"look_every": 10**6},
    )
    _, metrics = trained(dataset, recipe, state)
    # A share of an epoch is rounded up, which may be a step more.
    return {"a_step": metrics["step_seconds"], "tokens": metrics["trained_tokens"], "steps": metrics["steps"]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tools", action="store_true")
    args = parser.parse_args()
    state = Path(tempfile.mkdtemp())
    dataset = Dataset(train=calls() if args.tools else split(cases())[0].train)
    folder = datasets.save(dataset, state / "datasets")
    found: dict[str, list[float]] = {"ours": [], "bare": []}
    ours(state, dataset, 3, 99)  # unpacks the base
    for number in range(args.rounds):
        for name in ("ours", "bare") if number % 2 == 0 else ("bare", "ours"):
            told = (
                ours(state, dataset, args.steps, number)
                if name == "ours"
                else bare(state, folder, args.steps)
            )
            found[name].append(told["a_step"])
            print(
                f"{name}: {told['a_step']:.2f} s a step, {told['tokens'] / told['steps']:.0f} tokens a step, {told['steps']:.0f} steps",
                flush=True,
            )
    print(f"bare / ours: {mean(found['bare']) / mean(found['ours']):.2f}; {machine()}")


if __name__ == "__main__":
    main()
