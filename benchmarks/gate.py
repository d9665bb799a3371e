"""How often the gate lets through what it should not, and stops what it should not: simulated remedies, many seeds.

    python benchmarks/gate.py [--seeds 1000] [--only NAME]

Held-out failures, good replies and items of the general suite are drawn in conversations of one to four turns that share
their luck, without noise (temperature 0) and with it: each reply, asked again, is judged otherwise with 5 %. As in a real
trial, a good reply that is bad when asked again is left out, for it cannot be broken; with noise it is chosen by one answer and
compared on another. Five kinds of remedy:
nothing changes; only noise in three issues at once; the target is mended and one in ten good replies is broken; it is
mended and the general abilities fall by ten points; it is mended and nothing else changes. "Let through" is a promotion or a
canary. 95 % intervals (Wilson).
"""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import product
from random import Random

from advisor.gate.decision import Kind, Pair, decide
from rag.statistics import share

FLIPS = 0.0, 0.05
SIZES = ((20, 60, 100), (60, 150, 300))
"""Held-out failures, good replies, and items of the general suite."""

KINDS = {
    "does nothing": (0.0, 0.0, 0.0, 1),
    "does nothing, three issues": (0.0, 0.0, 0.0, 3),
    "mends 60 %, breaks 10 % of the good": (0.6, 0.1, 0.0, 1),
    "mends 60 %, general abilities fall by 10 points": (0.6, 0.0, 0.1, 1),
    "mends 60 %, breaks nothing": (0.6, 0.0, 0.0, 1),
}
"""Share of failures that it mends, share of good replies and of general items that it breaks, and over how many issues."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--only", default="", help="kinds of remedy whose name holds this")
    args = parser.parse_args()
    seeds = args.seeds
    print(
        "| remedy | noise | failures, good, general | promoted | canary | let through | refused | not enough evidence |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, (mends, breaks, harms, issues) in KINDS.items():
        if args.only not in name:
            continue
        for flip, sizes in product(FLIPS, SIZES):
            seen = Counter(
                decide(
                    _drawn(Random(f"{name} {sizes} {seed}"), sizes, (mends, breaks, harms), issues, flip)
                ).verdict
                for seed in range(seeds)
            )
            through = share(seen["promote"] + seen["canary"], seeds)
            words = "promote", "canary", "refuse", "not enough evidence"
            promoted, canary, refused, few = (f"{seen[w] / seeds:.3f}" for w in words)
            print(
                f"| {name} | {flip:.0%} | {', '.join(map(str, sizes))} | {promoted} | {canary} | {through.value:.3f} ({through.low:.3f}-{through.high:.3f}) "
                f"| {refused} | {few} |"
            )


def _drawn(
    rng: Random, sizes: tuple[int, int, int], changes: tuple[float, float, float], issues: int, flip: float
) -> list[Pair]:
    pairs: list[Pair] = []
    kinds: tuple[Kind, ...] = ("target", "good", "general")
    for kind, size, change in zip(kinds, sizes, changes, strict=True):
        done = 0
        while done < size:
            changed = rng.random() < change
            group = f"{kind}{len(pairs)}"
            for _ in range(min(rng.randint(1, 4) if kind != "general" else 1, size - done)):
                usual = kind != "target"
                before = usual is not (rng.random() < flip)
                after = (not usual if changed else usual) is not (rng.random() < flip)
                left_out = kind == "good" and (rng.random() < flip if flip else not before)
                pairs.append(
                    Pair(
                        id=f"{kind}{done}", group=group, kind=kind, issue=f"i{done % issues}" if kind == "target" else "",
                        before=None if left_out else before, after=None if left_out else after,
                    )
                )  # fmt: skip
                done += 1
    return pairs


if __name__ == "__main__":
    main()
