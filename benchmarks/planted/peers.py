"""Which gap a planted failure has, said by the advisor and by what a team would reach for instead; one run, same logs.

    python benchmarks/planted/peers.py [--judge local:smollm2]

* `advise`: ours, from the log and the pages.
* *model as judge*: a root-cause prompt in the manner of agent-evaluation tools: the exchange, the four causes in words, one
  label out (decoded so that nothing else can come out). The judge is the model given, so its figure holds for that model only.
* *two RAG metrics*: in the manner of RAGChecker, with lexical overlap in place of a model: a reply little of which stands in the
  passages, or a question little of which does, is a knowledge failure; anything else is one of form.
* *the commonest gap*: what a guess would score.

Only failures are shown to them, so none has to find them. Right: the gaps named are the gaps planted; for peers that can name but
one, one of them counts. 95 % intervals (Wilson).
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from advisor import Advisor
from advisor.exchange import Exchange
from advisor.logs import read
from rag.grounding.cover import plain, share, vocabulary
from rag.lexical import terms
from rag.statistics import share as proportion
from router.models import load

HERE = Path(__file__).parent
SHOP = HERE.parents[1] / "examples" / "shop"
GAPS = {
    "knowledge": "the reply lacks or gets wrong a fact that a page of the company should give",
    "style": "the reply knows the answer but breaks a rule of form: format, tone, length, a required line, JSON",
    "tool_call": "the call of a tool is missing, malformed, or the wrong one",
    "classification": "the reply is a label, and the wrong one",
}
_PROMPT = "You find the root cause of a failed reply of a chatbot. The causes are:\n" + "\n".join(
    f"- {name}: {words}" for name, words in GAPS.items()
)
_SCHEMA = {
    "type": "object",
    "properties": {"cause": {"type": "string", "enum": list(GAPS)}},
    "required": ["cause"],
    "additionalProperties": False,
}
Peer = Callable[[Exchange], tuple[str, ...]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--judge", default="local:smollm2")
    judge = parser.parse_args().judge
    truth = {t["id"]: t for t in map(json.loads, (HERE / "truth.jsonl").read_text("utf-8").splitlines())}
    failed = [
        (e, tuple(t["gaps"]))
        for e in read([str(SHOP / "logs")])
        for t in [next((truth[i] for i in e.ids if i in truth), None)]
        if t is not None and t["failed"]
    ]
    advisor = Advisor.from_config(SHOP / "advisor.yaml")
    commonest = Counter(gap for _, gaps in failed for gap in gaps[:1]).most_common(1)[0][0]
    peers: dict[str, Peer] = {
        "advise": lambda e: advisor.diagnose_one(e).named,
        f"model as judge ({judge})": _judged(judge),
        "two RAG metrics": _metrics,
        "the commonest gap": lambda e: (commonest,),
    }
    print("| who | n | gaps right | a knowledge failure called form, or the other way | seconds |")
    print("|---|---|---|---|---|")
    for name, peer in peers.items():
        start = time.perf_counter()
        said = [(peer(e), gaps) for e, gaps in failed]
        seconds = time.perf_counter() - start
        whole = name == "advise"
        right = sum(
            set(named) == set(gaps) if whole else bool(set(named) & set(gaps)) for named, gaps in said
        )
        swapped = sum(bool(named) and not set(named) & set(gaps) and ("knowledge" in named) != ("knowledge" in gaps) for named, gaps in said)  # fmt: skip
        shown = proportion(right, len(said)), proportion(swapped, len(said))
        cells = (f"{s.value:.2f} ({s.low:.2f}-{s.high:.2f})" for s in shown)
        print(f"| {name} | {len(said)} | {' | '.join(cells)} | {seconds:.1f} |", flush=True)


def _judged(reference: str) -> Peer:
    model = load(reference)

    def peer(e: Exchange) -> tuple[str, ...]:
        passages = "\n".join(p.text[:400] for p in (e.passages or ())[:2])
        calls = "\n".join(f"{c.name}({c.arguments})" for c in e.reply.tool_calls)
        shown = f"Instructions of the bot:\n{e.system[:600]}\n\nPassages:\n{passages or 'none'}\n\nRequest:\n{e.question[:400]}\n\nReply:\n{e.reply.content[:600]}\n{calls}"
        answer = model.complete(
            [{"role": "system", "content": _PROMPT}, {"role": "user", "content": shown}], schema=_SCHEMA, max_tokens=60
        )  # fmt: skip
        return (str(json.loads(answer.text)["cause"]),)

    return peer


def _metrics(e: Exchange) -> tuple[str, ...]:
    held = frozenset[str]().union(*(vocabulary(p.text) for p in e.passages or ()))
    said, asked = frozenset(terms(e.reply.content)), frozenset(terms(e.question))
    faithful = share(said - asked, held, plain) if said - asked else 1.0
    covered = share(asked, held, plain)
    return ("knowledge",) if e.passages and (faithful < 0.5 or covered < 0.5) else ("style",)


if __name__ == "__main__":
    main()
