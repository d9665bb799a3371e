"""Tools: SmolLM2-135M learns the shop's four tools from generated requests and is judged on others and on the shop's own, calls and no calls.

    python benchmarks/tuning_tools.py [--state FOLDER]

Both are asked as they are served: the base, whose chat template knows no tools, through llama.cpp's own way for such models (a grammar that holds
it to calls or words), the tuned one with tools as text, as it learnt them. A reply is wrong if its call is malformed, breaks the schema, names another tool or other arguments, or is made or left out needlessly.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from planted.calls import requests
from tuning_common import HEAD, PLANTED, SHOP, machine, opened, row, trained, with_replay

from advisor.gate import general
from advisor.gate.decision import Pair, part
from advisor.gate.testing import asked, judged
from finetune.datasets import Dataset
from finetune.examples import Example
from finetune.recipe import Recipe
from router.models.port import ChatModel

TOOLS: list[dict[str, Any]] = json.loads((SHOP / "tools.json").read_text(encoding="utf-8"))
SYSTEM = (SHOP / "prompts" / "orders.txt").read_text(encoding="utf-8").strip()


def own() -> list[tuple[str, dict[str, Any] | None, str]]:
    """The shop's own requests, written apart from the generator."""
    rows = yaml.safe_load((PLANTED / "orders.yaml").read_text(encoding="utf-8"))
    return [(r["ask"], r["call"], r.get("say", "")) for r in rows]


def example(ask: str, call: dict[str, Any] | None, say: str, n: int) -> Example:
    reply: dict[str, Any] = {"role": "assistant", "content": say}
    if call is not None:
        function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
        reply = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": function}],
        }
    messages = ({"role": "system", "content": SYSTEM}, {"role": "user", "content": ask}, reply)
    return Example(
        messages=messages, tools=tuple(TOOLS), group=f"{ask}{n}", origin="written", source=f"generated:{n}"
    )


def measured(
    model: ChatModel, cases: list[tuple[str, dict[str, Any] | None, str]]
) -> dict[str, dict[str, bool]]:
    examples = [example(*case, n) for n, case in enumerate(cases)]
    replies = asked(model, examples, max_tokens=80)
    return {e.request: judged(e, r, "tools") for e, r in zip(examples, replies, strict=True) if r is not None}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=108)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--state", type=Path)
    args = parser.parse_args()
    state, begun = args.state or Path(tempfile.mkdtemp()), time.monotonic()
    # The tools take 450 tokens before every request: read once, a reply takes a fifth of the time.
    base = opened("local:smollm2", state, reuse=True)
    made = [example(*r, n) for n, r in enumerate(requests(random.Random("teach"), args.examples, 0, 2))]
    dataset = with_replay(Dataset(train=tuple(made[12:]), validation=tuple(made[:12])), args.share, base)
    reference, metrics = trained(
        dataset,
        # Many small steps: what is to be learnt is little, and each example is long.
        Recipe(base="local:smollm2", task="tools", replay_share=args.share, epochs=args.epochs, batch_size=2),
        state,
    )
    tuned = opened(reference, state, reuse=True)
    taught = {e.request for e in made}
    judging = {"generated, other values": requests(random.Random("judge"), 40, 1, 2), "the shop's own": own()}
    sets = {name: [r for r in cases if r[0] not in taught] for name, cases in judging.items()}
    print(
        f"{len(dataset.train)} examples, {metrics['steps']:.0f} steps, {metrics['process_seconds']:.0f} s; {machine()}\n\n{HEAD}"
    )
    for name, cases in sets.items():
        before, after = measured(base, cases), measured(tuned, cases)
        for what in ("valid call", "right call"):
            pairs = [
                Pair(id=a, group=a, kind="target", before=before[a][what], after=after[a][what])
                for a in before
                if a in after
            ]
            print(row(f"{name}: {what.removesuffix(' call')}", part(pairs)), flush=True)
    tasks = general.sample(args.tasks)
    print(
        row(
            "general abilities",
            part(general.pairs(tasks, general.asked(base, tasks), general.asked(tuned, tasks))),
        )
    )
    print(f"{time.monotonic() - begun:.0f} s in all")


if __name__ == "__main__":
    main()
