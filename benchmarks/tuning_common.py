"""What the benchmarks of training share: the shop's questions as examples, held out by page, and replies measured."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from advisor.gate.decision import Pair, Part, part
from finetune.datasets import Dataset
from finetune.examples import Example
from finetune.mixing import mixed
from finetune.recipe import Recipe
from finetune.starting import start
from rag.loading import load as load_pages
from router.models import load
from router.models.port import ChatModel

ROOT = Path(__file__).parents[1]
SHOP = ROOT / "examples" / "shop"
PLANTED = ROOT / "benchmarks" / "planted"
CLOSING = "Anything else I can help you with?"
SYSTEM = (SHOP / "prompts" / "answers.txt").read_text(encoding="utf-8").strip()
HELD_OUT = ("SHIP-03", "SHIP-05", "RET-02", "PAY-02", "LOY-01", "RENT-01", "CARE-01", "WAR-01")
_VALIDATING = ("GIFT-01", "HOUR-01")


def pages() -> dict[str, str]:
    """Code to text of the shop's pages."""
    return {d.code: d.text.strip() for d in load_pages(SHOP / "documents").documents if d.code}


class Case:
    """A question with the page that holds its answer, or with another page only."""

    def __init__(self, item: Mapping[str, Any], ask: str, page: str, *, holds: bool) -> None:
        self.item, self.ask, self.page, self.holds = item, ask, page, holds
        self.id = f"{item['page']}/{ask}/{'held' if holds else 'not held'}"

    def messages(self, texts: Mapping[str, str]) -> list[dict[str, str]]:
        """Return what the bot is sent."""
        return [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": f"{texts[self.page]}\n\nQuestion: {self.ask}"},
        ]

    @property
    def right(self) -> str:
        """The reply as it should be."""
        text = self.item["answer"] if self.holds else "I am sorry, I do not know that."
        return f"{text} [{self.page}] {CLOSING}"


def cases() -> list[Case]:
    """Return all questions, each with its page, and every third also with a page that does not hold its answer."""
    asked = yaml.safe_load((PLANTED / "questions.yaml").read_text(encoding="utf-8"))["questions"]
    codes = sorted({i["page"] for i in asked})
    found = []
    for n, (item, ask) in enumerate((i, a) for i in asked for a in i["ask"]):
        found.append(Case(item, ask, item["page"], holds=True))
        if n % 3 == 0:
            # A page of the same side of the split, so that no page is both learnt and judged by.
            side = [c for c in codes if (c in HELD_OUT) == (item["page"] in HELD_OUT) and c != item["page"]]
            found.append(Case(item, ask, side[(5 * n) % len(side)], holds=False))
    return found


def split(found: Sequence[Case]) -> tuple[Dataset, list[Case]]:
    """Return the dataset of the pages that teach, and the cases of those that judge."""
    texts = pages()
    teaching = [c for c in found if c.item["page"] not in HELD_OUT]
    train, validation = (
        tuple(_example(c, texts) for c in teaching if (c.item["page"] in _VALIDATING) is held)
        for held in (False, True)
    )
    return Dataset(train=train, validation=validation), [c for c in found if c.item["page"] in HELD_OUT]


def _example(case: Case, texts: Mapping[str, str]) -> Example:
    messages = (*case.messages(texts), {"role": "assistant", "content": case.right})
    return Example(
        messages=messages,
        passages=(texts[case.page],),
        group=case.item["page"],
        origin="written",
        source=f"questions.yaml:{case.ask}",
    )


def measured(model: ChatModel, judged: Sequence[Case]) -> dict[str, dict[str, bool]]:
    """Return for each case whether form, code, content and refusal are right; what does not apply is left out."""
    texts, found = pages(), {}
    for case in judged:
        reply = model.complete(case.messages(texts), max_tokens=80).text.strip()
        found[case.id] = {
            "form": bool(re.search(rf"\[[A-Z]+-\d+\]\s+{re.escape(CLOSING)}$", reply)), "code": f"[{case.page}]" in reply,
            **({"content": case.item["fact"] in reply} if case.holds else {"declines": bool(re.search(r"do not know|don't know|cannot|not (?:mention|state|provide)", reply))}),
        }  # fmt: skip
    return found


def compared(
    before: Mapping[str, Mapping[str, bool]], after: Mapping[str, Mapping[str, bool]], name: str
) -> Part:
    """Compare one measure, cases clustered by page."""
    return part(
        [
            Pair(id=id, group=id.partition("/")[0], kind="target", before=was[name], after=after[id][name])
            for id, was in before.items()
            if name in was and id in after
        ]
    )


def row(name: str, p: Part) -> str:
    """Return one line of a table."""
    return f"| {name} | {p.n} | {p.before.value:.3f} | {p.after.value:.3f} | {p.difference:+.3f} [{p.low:+.3f}, {p.high:+.3f}] | {p.p:.2g} |"


HEAD = "| measure | n | base | tuned | change (95 % interval, by page) | exact McNemar p |\n|---|---|---|---|---|---|"


def base_reply(model: ChatModel) -> Callable[[str], str]:
    """Return what asks the base for replay."""
    return lambda ask: model.complete([{"role": "user", "content": ask}], max_tokens=80).text


def trained(dataset: Dataset, recipe: Recipe, state: Path) -> tuple[str, dict[str, float]]:
    """Train and return the model's reference and its metrics, seconds of the whole process among them."""
    from finetune import datasets

    begun = time.monotonic()
    job = start(datasets.save(dataset, state / "datasets"), recipe, state=state).wait(every_s=0.5)
    if job.model is None:
        raise SystemExit(f"training {job.state}: {job.message}")
    return job.model, {**job.metrics, "process_seconds": time.monotonic() - begun}


def opened(reference: str, state: Path, *, reuse: bool = False) -> ChatModel:
    """Return a model whose replies do not depend on what was asked before; with `reuse`, one that need not read the same beginning again."""
    return load(reference, adapters=state / "adapters", reuse=reuse)


def with_replay(dataset: Dataset, share: float, base: ChatModel) -> Dataset:
    """Mix replay in."""
    return mixed(dataset, share, reply=base_reply(base)) if share else dataset


def machine() -> str:
    """One line about where this ran."""
    load_now = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return f"{os.cpu_count()} cores, load {load_now:.1f} at the end"


def dumped(data: object, out: Path | None) -> None:
    """Write the figures as JSON, if wanted."""
    if out is not None:
        out.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
