"""Write the advisor's diagnoses of labelled failures in the form the scorer reads.

    python benchmarks/diagnosis.py DATA CORPORA OUT [--half held-out|all] [--with-expected] [--weights FILE]

OUT gets `<source>-failures.jsonl` and `<source>-mixed.jsonl`. With `--half held-out` only groups that the weight
fit never saw are scored, and a matching DATA folder with their truth is written to OUT/truth.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

from fit_weights import teaches
from labelled import cases, rows

from advisor.diagnosis import diagnose, likely_cause
from advisor.weights import load


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--half", choices=("held-out", "all"), default="held-out")
    parser.add_argument("--with-expected", action="store_true", help="join the right answers as corrections")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    weights = load(args.weights)
    lines: dict[str, list[str]] = defaultdict(list)
    kept: dict[str, set[str]] = defaultdict(set)
    for case in cases(args.data, args.corpora, with_expected=args.with_expected, cache=args.cache):
        if args.half == "held-out" and teaches(case):
            continue
        d = diagnose(case.id, case.evidence, weights)
        top = max(d.gaps, key=lambda g: d.gaps[g])
        row = {
            "id": case.id,
            "failed": round(d.failed, 4),
            "gaps": {g: round(p, 4) for g, p in d.gaps.items()},
            "cause": d.cause or likely_cause(d.evidence, top, weights),
            "standing": d.standing,
        }
        lines[f"{case.source}-{case.run}"].append(json.dumps(row))
        kept[case.source].add(case.id)
    args.out.mkdir(parents=True, exist_ok=True)
    for name, rows_ in lines.items():
        (args.out / f"{name}.jsonl").write_text("\n".join(rows_) + "\n", encoding="utf-8")
    for source, ids in kept.items():
        folder = args.out / "truth" / source
        folder.mkdir(parents=True, exist_ok=True)
        truth = [t for i, t in rows(args.data / source / "truth.jsonl").items() if i in ids]
        (folder / "truth.jsonl").write_text("".join(json.dumps(t) + "\n" for t in truth), encoding="utf-8")


if __name__ == "__main__":
    main()
