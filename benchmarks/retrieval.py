"""Words, meaning, and both together, side by side on one index: hit@5 and MRR@5 on questions whose pages are known.

    python benchmarks/retrieval.py DATA --work FOLDER [--embedder minilm] [--names mtrag_govt mtrag_clapnq feedbackqa]

DATA holds `corpora/NAME.jsonl` ({"id", "title", "text"}) and `retrieval/NAME.jsonl` ({"query", "gold_ids",
"gold_in_corpus", "gold_held_out"}). `NAME_holdout.jsonl` in corpora are pages left out at first: the questions that
only they answer are asked before and after they are added.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

from advisor.apply.retrieval_fixes import LADDER, Target, judged
from advisor.apply.verification import Trial
from rag.index import Index
from rag.loading import load
from rag.measure import Comparison, Question, compare, score
from rag.settings import Retrieval, Settings
from rag.statistics import share

K = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for the indexes; kept, so that a second run is quick"
    )
    parser.add_argument("--embedder", default="minilm")
    parser.add_argument("--names", nargs="+", default=["mtrag_govt", "mtrag_clapnq", "feedbackqa"])
    args = parser.parse_args()
    print(
        "| set | n | words (BM25) | meaning | both | both - words | both - meaning |\n|---|---|---|---|---|---|---|"
    )
    for name in args.names:
        side_by_side(args.data, name, args.work / f"{name}-{args.embedder}", args.embedder)
    for name in args.names:
        if (args.data / "corpora" / f"{name}_holdout.jsonl").exists():
            pages_added(args.data, name, args.work / f"{name}-{args.embedder}-added", args.embedder)
            fixes(args.data, name, args.work / f"{name}-{args.embedder}-added", args.embedder)


def rows(data: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (data / "retrieval" / f"{name}.jsonl").open()]


def side_by_side(data: Path, name: str, folder: Path, embedder: str) -> None:
    paths = [
        p
        for p in (data / "corpora" / f"{name}.jsonl", data / "corpora" / f"{name}_holdout.jsonl")
        if p.exists()
    ]
    documents = load(*paths).documents
    questions = [
        Question(text=r["query"], documents=frozenset(r["gold_ids"]))
        for r in rows(data, name)
        if r["gold_ids"]
    ]
    runs = []
    with Index(folder, embedder=embedder) as index:
        for dense in (0.0, 1.0, None):
            index.build(documents, settings=Settings(retrieval=Retrieval(dense=dense)))
            runs.append(score(index.search, questions, k=K))
    cells = [f"{share(sum(s.hit for s in run), len(run)).value:.3f} / {mrr(run):.3f}" for run in runs]
    words, meaning = (compare(run, runs[2], k=K) for run in runs[:2])
    print(
        f"| {name} | {len(questions)} | {' | '.join(cells)} | {change(words)} | {change(meaning)} |",
        flush=True,
    )


def pages_added(data: Path, name: str, folder: Path, embedder: str) -> None:
    corpus = load(data / "corpora" / f"{name}.jsonl").documents
    extra = load(data / "corpora" / f"{name}_holdout.jsonl").documents
    asked = rows(data, name)
    groups = {
        "only the added pages answer": [r for r in asked if r["gold_held_out"] and not r["gold_in_corpus"]],
        "answered by old pages": [r for r in asked if r["gold_in_corpus"]],
    }
    with Index(folder, embedder=embedder) as index:
        index.build(corpus, settings=Settings(retrieval=Retrieval()))
        before = {g: ask(index, rs) for g, rs in groups.items()}
        started = time.monotonic()
        made = index.update(add=extra)
        seconds = time.monotonic() - started
        after = {g: ask(index, rs) for g, rs in groups.items()}
    print(
        f"\n{name}: {len(extra)} pages added in {seconds:.1f} s ({made.embedded} texts embedded, {made.reused} reused)"
    )
    for group in groups:
        c = compare(before[group], after[group], k=K)
        print(f"- {group} (n = {c.n}): hit@5 {c.before.value:.3f} -> {c.after} , change {change(c)}")


def fixes(data: Path, name: str, folder: Path, embedder: str) -> None:
    """The ladder of retrieval fixes on questions that old pages answer and BM25 alone misses or finds alike."""
    corpus = load(data / "corpora" / f"{name}.jsonl").documents
    asked = [r for r in rows(data, name) if r["gold_in_corpus"]]
    own = {d.id: d for d in corpus}
    with Index(folder, embedder=embedder) as index:
        index.build(corpus, settings=Settings(retrieval=Retrieval()))
        words = Settings(retrieval=Retrieval(dense=0.0))
        index.update(settings=words)
        targets = []
        for r in asked:
            document = own[r["gold_in_corpus"][0]]
            question = Question(text=r["query"], documents=frozenset(r["gold_ids"]))
            # Halves by the question, so that other questions to the same page stand on the other side, as in a real log.
            held_out = int(hashlib.sha256(r["qid"].encode()).hexdigest()[:8], 16) % 2 == 1
            targets.append(
                Target(question=question, document=document.id, text=document.text, held_out=held_out)
            )
        live = index.snapshot()
        print(
            f"\n{name}: retrieval fixes one by one, from words alone (BM25), judged on the half that did not suggest them"
        )
        print("| fix | n | before | after | change | MRR |\n|---|---|---|---|---|---|")
        teaching = [t for t in targets if not t.held_out]
        judging = Trial(targets=tuple(t.question for t in targets if t.held_out), old=(), unrelated=())
        for rung in LADDER:
            for fix in rung(live, teaching):
                tried = judged(index, live, fix, judging)
                if tried.verification is None:
                    print(f"| {fix.name} | - | - | - | not tried: {tried.why_not[:80]} | - |")
                    continue
                c = tried.verification.targets
                print(
                    f"| {fix.name} | {c.n} | {c.before.value:.3f} | {c.after.value:.3f} | {change(c)} | {c.mrr[0]:.3f} to {c.mrr[1]:.3f} |",
                    flush=True,
                )


def ask(index: Index, asked: list[dict]) -> list:
    return score(
        index.search, [Question(text=r["query"], documents=frozenset(r["gold_ids"])) for r in asked], k=K
    )


def mrr(run: list) -> float:
    return sum(1 / s.rank for s in run if s.rank) / max(1, len(run))


def change(c: Comparison) -> str:
    return f"{c.difference:+.3f} [{c.low:+.3f}, {c.high:+.3f}]"


if __name__ == "__main__":
    main()
