"""The estimated price of a fine-tune against what the double of OpenAI bills, over generated datasets.

    python benchmarks/tuning_prices.py [--sets 60]

The double bills the tokens of what was uploaded, in o200k_base with OpenAI's chat form, by code of its own; it is not OpenAI.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from datetime import date
from pathlib import Path

from finetune import datasets
from finetune.backends import load
from finetune.datasets import Dataset
from finetune.doubles.openai import OpenAIDouble
from finetune.encodings import counter
from finetune.examples import Example
from finetune.jobs import Estimate, Jobs
from finetune.preflight import Terms, check
from finetune.recipe import Recipe

WORDS = "order parcel Größe straße возврат 退款 返品 naïve refund invoice émigré 12,50 SKU-8841 https://shop.example/a?b=c 🚚 ok".split()
TOOL = {"type": "function", "function": {"name": "find_order", "parameters": {"type": "object", "properties": {"id": {"type": "string"}}}}}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=60)
    args = parser.parse_args()
    errors: dict[str, list[float]] = {"text alone": [], "with tools": []}
    inside: dict[str, int] = dict.fromkeys(errors, 0)
    with OpenAIDouble(count=counter("o200k_base")) as double:
        os.environ.update(OPENAI_BASE_URL=double.url, OPENAI_API_KEY="any")
        for seed in range(args.sets):
            for kind in errors:
                estimate, bill = one(double, seed, tools=kind == "with tools")
                middle = (estimate.low + estimate.high) / 2 if estimate.exact else estimate.low / 0.8
                errors[kind].append(abs(middle - bill) / bill)
                inside[kind] += estimate.low <= bill <= estimate.high
    print("| dataset | n | largest error | mean error | bill inside the interval |\n|---|---|---|---|---|")
    for kind, found in errors.items():
        print(f"| {kind} | {len(found)} | {max(found):.2%} | {sum(found) / len(found):.2%} | {inside[kind]} of {len(found)} |")  # fmt: skip


def one(double: OpenAIDouble, seed: int, *, tools: bool) -> tuple[Estimate, float]:
    draw = random.Random(seed)
    examples = [made(draw, n, tools=tools) for n in range(draw.randint(12, 60))]
    recipe = Recipe(base="openai:gpt-4.1-mini", epochs=draw.randint(1, 5), seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        data = datasets.save(Dataset(train=tuple(examples)), Path(folder))
        report = check(data, recipe, Terms(cap_usd=1e6, day=date(2026, 10, 1)))
        before = double.bill_usd
        jobs = Jobs(Path(folder) / "state", backends=lambda name: load(name))
        jobs.wait(jobs.submit(jobs.write(recipe, data, cap_usd=1e6).key).key, every_s=0)
        return report.estimate, double.bill_usd - before


def made(draw: random.Random, number: int, *, tools: bool) -> Example:
    def text(most: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(3, most)))

    messages = [{"role": "system", "content": text(60)}] if draw.random() < 0.7 else []
    for _ in range(draw.randint(1, 3)):
        messages += [{"role": "user", "content": text(40)}, {"role": "assistant", "content": text(80)}]
    return Example(messages=tuple(messages), tools=(TOOL,) if tools else (), group=f"g{number}", origin="file", source=f"f:{number}")  # fmt: skip


if __name__ == "__main__":
    main()
