"""What the router adds to a bare model call: retrieval, contract and citations, tracing, and the rest; p50 and p99 in one run.

    python benchmarks/overhead.py [--real 40] [--rounds 400] [--embedder static]

The shop's questions over the shop's pages. First the packaged model (extra `local`), so that the shares can be seen; then a model that
answers at once, with and without traces in turn, so that what is added can be seen alone. Needs no network. Times in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from rag.index import Index
from rag.loading import load as load_pages
from router.chatbot import Chatbot
from router.contract.rules import Contract, Rule
from router.models.scripted import Scripted
from router.prompts import Prompt, Prompts
from router.releases import Generation, Release, Releases
from router.traces import TO_FILES

ROOT = Path(__file__).parents[1]
SHOP = ROOT / "examples" / "shop"
CLOSING = "Anything else I can help you with?"
CONTRACT = Contract(rules=(Rule(kind="ends_with", params={"text": CLOSING}), Rule(kind="cites", params={})))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--embedder", default="static")
    args = parser.parse_args()
    told = yaml.safe_load((ROOT / "benchmarks" / "planted" / "questions.yaml").read_text(encoding="utf-8"))
    items = [(question, item) for item in told["questions"] for question in item["ask"]]
    random.Random(1).shuffle(items)
    answers = {question: f"{item['answer']} [{item['page']}] {CLOSING}" for question, item in items}
    questions = [question for question, _ in items]
    print(
        f"{len(questions)} questions, embedder {args.embedder}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n"
    )
    print(
        "| model | n | "
        + " | ".join(f"{step} p50 / p99" for step in STEPS)
        + " |\n|---|---|"
        + "---|" * len(STEPS)
    )
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        prepared(state, args.embedder)
        with Chatbot(state, tracing=TO_FILES) as bot:
            row("SmolLM2-135M, 48 tokens", asyncio.run(asked(bot, questions, args.real)))
        quick = scripted(answers)
        with (
            Chatbot(state, tracing=TO_FILES, load=quick) as traced,
            Chatbot(state, tracing=None, load=quick) as plain,
        ):
            both: dict[str, list[dict[str, float]]] = {"traced": [], "not traced": []}
            for n in range(0, args.rounds, 20):
                for name, chatbot in (("traced", traced), ("not traced", plain)):
                    both[name] += asyncio.run(asked(chatbot, questions[n % len(questions) :] + questions, 20))
            for name, found in both.items():
                row(f"answers at once, {name}", found)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


STEPS = ("model", "retrieval", "contract and citations", "the rest", "added in all")


def prepared(state: Path, embedder: str) -> None:
    with Index(state / "index", embedder=embedder, store="memory") as index:
        version = index.build(load_pages(SHOP / "documents").documents).id
    prompt = Prompts(state).add(Prompt.of((SHOP / "prompts" / "answers.txt").read_text(encoding="utf-8")))
    release = Release(
        model="local:smollm2", prompt=prompt, index=version, contract=CONTRACT, generation=Generation(max_tokens=48, retries=0, stream="checked")
    )  # fmt: skip
    id = Releases(state).add(release)
    with Chatbot(state, tracing=None, load=scripted({})) as bot:
        bot.pointer.promote(id)


def scripted(answers: dict[str, str]) -> Callable[[str], Any]:
    def answer(messages: Any) -> str:
        asked_for = str(messages[-1]["content"]).rpartition("Question: ")[2]
        return answers.get(asked_for, "I do not know.")

    return lambda reference: Scripted(reference, outputs=answer)


async def asked(bot: Chatbot, questions: list[str], count: int) -> list[dict[str, float]]:
    found = []
    await bot.areply([{"role": "user", "content": questions[-1]}])
    for question in questions[:count]:
        began = time.perf_counter()
        reply = await bot.areply([{"role": "user", "content": question}])
        wall, took = time.perf_counter() - began, reply.timings
        rest = wall - took.generate - took.retrieve - took.hold
        seconds = (took.generate, took.retrieve, took.hold, rest, wall - took.generate)
        found.append(dict(zip(STEPS, (1e3 * s for s in seconds), strict=True)))
    return found


def row(name: str, found: list[dict[str, float]]) -> None:
    cells = []
    for step in STEPS:
        values = sorted(f[step] for f in found)
        cells.append(
            f"{values[len(values) // 2]:.2f} / {values[min(len(values) - 1, int(0.99 * len(values)))]:.2f}"
        )
    print(f"| {name} | {len(found)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
