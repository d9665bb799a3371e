"""Kills a writer with SIGKILL at random moments and looks at what is left: never a broken or half-new index.

    python benchmarks/index_faults.py --work FOLDER [--kills 120] [--store memory]

After every kill another process's handle searches, the live version must hold either all of an update or none of it, and
the next update must go through. A second part lets two writers work at once.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from rag.documents import Document
from rag.index import Index

_PAGES = 12
_WRITER = """
import sys
from rag.documents import Document
from rag.index import Index
with Index(sys.argv[1]) as index:
    for round in range(int(sys.argv[2]), 1_000_000):
        text = "Page of round %d about parcels and boots. " % round * 30
        made = index.update(add=[Document(id=f"new{n}", title=f"New {n}", text=text) for n in range(%d)])
        print(made.id, flush=True)
""".replace("%d)])", f"{_PAGES})])")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--store", default="memory")
    args = parser.parse_args()
    folder = args.work / f"faults-{args.store}"
    base = [
        Document(id=f"old{n}", title=f"Old {n}", text=f"Old page {n} about tents and stoves.")
        for n in range(200)
    ]
    seen: Counter[str] = Counter()
    chance = random.Random(7)
    with Index(folder, embedder="static", store=args.store) as index:
        index.build(base)
        for kill in range(args.kills):
            before = index.live.version
            seen[killed(folder, kill, chance.uniform(0, 0.4))] += 1
            seen[found(index, before)] += 1
            index.update(add=[Document(id="after", title="", text=f"After kill {kill}.")])
            if kill % 10 == 9:
                index.gc(keep=2)
    print(
        f"store {args.store}, {args.kills} kills: " + ", ".join(f"{k} {n}" for k, n in sorted(seen.items()))
    )
    if seen["broken"]:
        sys.exit("an index was broken")


def killed(folder: Path, kill: int, delay: float) -> str:
    """Start a writer, wait for its first version, kill it a random moment later; say how often it had written."""
    command = [sys.executable, "-c", _WRITER, str(folder), str(1000 * kill)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as writer:
        if writer.stdout is None or not writer.stdout.readline():
            return "writer failed"
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    return "killed while writing"


def found(index: Index, before: str | None) -> str:
    """Search, and hold what is live against the rule: the new pages are all of one round."""
    old = index.search("old page about tents", k=3)
    new = index.search("parcels and boots", k=4 * _PAGES)
    rounds = Counter(h.text.split()[3] for h in new if h.document.startswith("new"))
    live = next(m for m in index.versions() if m.id == index.live.version)
    whole = (
        len(old) == 3
        and len(rounds) == 1
        and sum(d.startswith("new") for d in live.documents) == _PAGES
        and live.id != before
    )
    return "whole" if whole else "broken"


if __name__ == "__main__":
    main()
