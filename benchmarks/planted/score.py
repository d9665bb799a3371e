"""Hold the advisor's diagnoses of the example's logs against the planted truth.

    python benchmarks/planted/score.py [DIAGNOSES]

DIAGNOSES has one JSON object a line: `ids` (every id of the exchange in the log), `failed` (probability), `gaps` (the
named ones), `cause`. Without it the example is diagnosed here and now. For each plant: how many were found to have
failed, and with which gaps and cause, as share of all that were planted, with 95 % intervals (Wilson 1927); for
good replies, how many were left alone.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SHOP = HERE.parents[1] / "examples" / "shop"
Row = Mapping[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("diagnoses", type=Path, nargs="?")
    given = parser.parse_args().diagnoses
    said = list(_lines(given)) if given else list(diagnosed())
    print(table(list(_lines(HERE / "truth.jsonl")), said))


def diagnosed() -> Iterable[Row]:
    """Diagnose the example as `advise` would."""
    from advisor import Advisor
    from advisor.logs import read

    exchanges = list(read([str(SHOP / "logs")]))
    ids = {e.id: sorted(e.ids) for e in exchanges}
    for diagnosis in Advisor.from_config(SHOP / "advisor.yaml").diagnose(exchanges):
        yield {
            "ids": ids[diagnosis.exchange_id], "failed": diagnosis.failed, "gaps": list(diagnosis.named),
            "cause": diagnosis.cause,
        }  # fmt: skip


def table(truth: list[Row], said: Iterable[Row]) -> str:
    """Return the whole comparison as a Markdown table."""
    by_id = {i: row for row in said for i in row["ids"]}
    rows = ["| planted | n | found | right gaps | right cause |", "|---|---|---|---|---|"]
    groups: dict[str, list[tuple[Row, Row | None]]] = {}
    for row in truth:
        groups.setdefault(_group(row), []).append((row, by_id.get(row["id"])))
    failures = [pair for name, pairs in groups.items() if name != "good" for pair in pairs]
    for name, pairs in sorted(groups.items()):
        if name != "good":
            rows.append(_row(name, pairs))
    rows.append(_row("**all failures**", failures))
    good = groups.get("good", [])
    false_alarms = sum(_found(t, s) for t, s in good)
    unread = sum(s is None for pairs in groups.values() for _, s in pairs)
    rows += [
        "",
        f"False alarms on good replies: {_share(false_alarms, len(good))} of {len(good)}.",
        f"Exchanges of the truth that were not read: {unread}.",
    ]
    return "\n".join(rows)


def wilson(count: int, total: int, *, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share, both ends 0-1."""
    if not total:
        return 0.0, 1.0
    share, z2 = count / total, z * z
    middle = share + z2 / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return max(0.0, (middle - half) / (1 + z2 / total)), min(1.0, (middle + half) / (1 + z2 / total))


def _row(name: str, pairs: list[tuple[Row, Row | None]]) -> str:
    tests: tuple[Callable[[Row, Row | None], bool], ...] = (_found, _right_gaps, _right_cause)
    cells = [_share(sum(test(t, s) for t, s in pairs), len(pairs)) for test in tests]
    return f"| {name} | {len(pairs)} | {' | '.join(cells)} |"


def _group(row: Row) -> str:
    return "tool call: " + str(row["cause"]) if row["plant"].startswith("tool:") else str(row["plant"])


def _found(truth: Row, said: Row | None) -> bool:
    return said is not None and said["failed"] >= 0.5


def _right_gaps(truth: Row, said: Row | None) -> bool:
    return said is not None and _found(truth, said) and set(said["gaps"]) == set(truth["gaps"])


def _right_cause(truth: Row, said: Row | None) -> bool:
    return said is not None and _found(truth, said) and said["cause"] == truth["cause"]


def _share(count: int, total: int) -> str:
    low, high = wilson(count, total)
    return f"{count / max(1, total):.2f} ({low:.2f}–{high:.2f})"


def _lines(path: Path) -> Iterable[Row]:
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


if __name__ == "__main__":
    main()
