"""The 2x2 on the shop: base or tuned model, without or with retrieval; contract pass rate, answer accuracy, citation precision of each cell.

    python benchmarks/tuned_and_retrieval.py --state FOLDER [--adapter ID] [--limit N]

The tuned model is SmolLM2-135M with an adapter that learnt the form of replies (source code, closing line) from pages of which none is asked
about here; with `--adapter`, one in `FOLDER/adapters/`, else one is trained (extras `local`, `train`; minutes). Each cell is shown as the
model wrote it and as it was served, held to the contract by the router. `accuracy`: the fact stands in the reply; `citations`: share of the
cited codes that are the page that holds it. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rag.index import Index
from rag.loading import load as load_pages
from rag.statistics import wilson
from router.bot import Bot
from router.composing import compose, labels
from router.contract.checking import breaches
from router.contract.rules import Contract, Rule
from router.models import load
from router.prompts import Prompt
from router.releases import Generation, Release, Retrieving
from router.replies import Request

ROOT = Path(__file__).parents[1]
SHOP = ROOT / "examples" / "shop"
CLOSING = "Anything else I can help you with?"
CONTRACT = Contract(rules=(Rule(kind="ends_with", params={"text": CLOSING}), Rule(kind="cites", params={})))
PROMPT = Prompt.of((SHOP / "prompts" / "answers.txt").read_text(encoding="utf-8"))
HELD_OUT = ("SHIP-03", "SHIP-05", "RET-02", "PAY-02", "LOY-01", "RENT-01", "CARE-01", "WAR-01")
"""Pages that no training of this repository's benchmarks sees."""
_CODE = re.compile(r"\[([A-Z]+-\d+)\]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--adapter")
    parser.add_argument("--limit", type=int, default=10**6)
    args = parser.parse_args()
    told = yaml.safe_load((ROOT / "benchmarks" / "planted" / "questions.yaml").read_text(encoding="utf-8"))
    items = [(question, item) for item in told["questions"] for question in item["ask"]]
    judged = [(q, item) for q, item in items if item["page"] in HELD_OUT][: args.limit]
    with Index(args.state / "index-of-2x2", embedder="static", store="memory") as index:
        snapshot = index.at(index.build(load_pages(SHOP / "documents").documents).id)
        adapter = args.adapter or trained(
            [(q, i) for q, i in items if i["page"] not in HELD_OUT], snapshot, args.state
        )
        found = sum(any(h.code == i["page"] for h in snapshot.search(q, k=1)) for q, i in judged)
        print(
            f"{len(judged)} questions about {len(HELD_OUT)} pages; the right page is found for {found}; adapter {adapter}; {machine()}\n"
        )
        print(
            "| model | retrieval | reply | contract kept | accuracy | citations right | s a reply |\n|---|---|---|---|---|---|---|"
        )
        for name in ("base", "tuned"):
            model = load(
                "local:smollm2" + (f"+{adapter}" if name == "tuned" else ""),
                adapters=args.state / "adapters",
                reuse=False,
            )
            for retrieves in (False, True):
                for served in (False, True):
                    bot = Bot(release(served), PROMPT, model, snapshot if retrieves else None)
                    cell(
                        f"| {name} | {'yes' if retrieves else 'no'} | {'served' if served else 'as written'}",
                        bot,
                        judged,
                    )
    print(f"\n{machine()}")


def release(served: bool) -> Release:
    return Release(
        model="local:smollm2", prompt=PROMPT.id, contract=CONTRACT if served else Contract(read_prompts=False),
        generation=Generation(max_tokens=80, retries=1 if served else 0, stream="checked"),
        retrieving=Retrieving(k=1, cite=served, grounded=served),
    )  # fmt: skip


def cell(name: str, bot: Bot, judged: Sequence[tuple[str, Any]]) -> None:
    kept, right, cited, cited_right = 0, 0, 0, 0
    began = time.perf_counter()
    for question, item in judged:
        reply = asyncio.run(bot.areply(Request(messages=({"role": "user", "content": question},))))
        kept += not breaches(reply.text, CONTRACT, question=question, finish_reason=reply.finish_reason)
        right += item["fact"].casefold() in reply.text.casefold()
        codes = set(_CODE.findall(reply.text))
        cited += len(codes)
        cited_right += item["page"] in codes
    seconds = (time.perf_counter() - began) / len(judged)
    print(
        f"{name} | {share(kept, len(judged))} | {share(right, len(judged))} | {share(cited_right, cited)} | {seconds:.1f} |",
        flush=True,
    )


def share(count: int, of: int) -> str:
    if not of:
        return "none cited"
    low, high = wilson(count, of)
    return f"{count / of:.2f} [{low:.2f}, {high:.2f}] (n = {of})"


def trained(items: Sequence[tuple[str, Any]], snapshot: Any, state: Path) -> str:
    """Train an adapter on prompts as the bot serves them and return its id."""
    from finetune import datasets
    from finetune.examples import Example
    from finetune.recipe import Recipe
    from finetune.starting import start

    examples = []
    for question, item in items:
        hits = [h for h in snapshot.search(question, k=3) if h.code == item["page"]][:1]
        if hits:
            asked = compose(PROMPT, [{"role": "user", "content": question}], labels(hits))
            said = {"role": "assistant", "content": f"{item['answer']} [{item['page']}] {CLOSING}"}
            passages = tuple(h.text for h in hits)
            examples.append(
                Example(
                    messages=(*asked, said),
                    passages=passages,
                    group=item["page"],
                    origin="written",
                    source=question,
                )
            )
    dataset = datasets.save(datasets.split(examples, held_out=0.0), state / "datasets")
    began = time.monotonic()
    job = start(dataset, Recipe(base="local:smollm2", replay_share=0.0), state=state).wait()
    if job.model is None:
        raise SystemExit(f"training {job.state}: {job.message}")
    print(f"trained on {len(examples)} examples in {time.monotonic() - began:.0f} s: {job.model}")
    return job.model.partition("+")[2]


def machine() -> str:
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
