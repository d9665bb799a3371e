"""Labelled bot failures as evidence: what the weight fit and the diagnosis benchmark both read.

DATA holds one folder per source with `logs-failures.jsonl`, `logs-mixed.jsonl`, `truth.jsonl` and optionally
`expected.jsonl`; CORPORA holds `<name>.jsonl` documents that `truth.jsonl` names. The advisor sees the log and the
documents, never the truth and never the name of a source.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from advisor.checks import Context, run
from advisor.evidence import Evidence
from advisor.exchange import Exchange
from advisor.logs import read
from rag.lexical import LexicalIndex
from rag.loading import load


@dataclass(frozen=True, kw_only=True)
class Case:
    """One labelled exchange and what the checks saw.

    Attributes:
        run: `failures` (all flagged by a rating) or `mixed` (no flag).
    """

    source: str
    run: str
    id: str
    group: str
    label: str
    sublabel: str | None
    accept: tuple[str, ...]
    evidence: tuple[Evidence, ...]


def rows(path: Path) -> dict[str, dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return {row["id"]: row for row in map(json.loads, lines)}


def cases(data: Path, corpora: Path, *, with_expected: bool = False, cache: Path | None = None) -> list[Case]:
    """Run the checks over every labelled exchange, one process per source."""
    if cache and cache.exists():
        return pickle.loads(cache.read_bytes())
    folders = sorted(p for p in data.iterdir() if (p / "truth.jsonl").exists())
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = pool.map(source_cases, folders, [corpora] * len(folders), [with_expected] * len(folders))
        found = [case for part in parts for case in part]
    if cache:
        cache.write_bytes(pickle.dumps(found))
    return found


def source_cases(folder: Path, corpora: Path, with_expected: bool) -> list[Case]:
    truth = rows(folder / "truth.jsonl")
    expected = (
        rows(folder / "expected.jsonl") if with_expected and (folder / "expected.jsonl").exists() else {}
    )
    names = {t["corpus"] for t in truth.values()}
    contexts = {name: Context(documents=index(corpora / f"{name}.jsonl") if name else None) for name in names}
    found = []
    for kind in ("failures", "mixed"):
        path = folder / f"logs-{kind}.jsonl"
        if not path.exists():
            continue
        for exchange, key in exchanges(path, set(truth)):
            t = truth[key]
            if key in expected:
                exchange = replace(exchange, expected=expected[key]["expected"])
            found.append(
                Case(
                    source=folder.name,
                    run=kind,
                    id=key,
                    group=t["group"],
                    label=t["label"],
                    sublabel=t["sublabel"],
                    accept=tuple(t["accept"] or ()),
                    evidence=run(exchange, contexts[t["corpus"]]),
                )
            )
    return found


def exchanges(path: Path, ids: set[str]) -> Iterator[tuple[Exchange, str]]:
    """Yield the judged (last) exchange of every record with the record's id."""
    last: dict[str, Exchange] = {}
    for exchange in read([path]):
        for key in exchange.ids & ids:
            if key not in last or exchange.turn > last[key].turn:
                last[key] = exchange
    missing = ids - set(last)
    if "mixed" in path.name and missing:
        print(f"{path}: {len(missing)} of {len(ids)} records gave no exchange")
    return iter((exchange, key) for key, exchange in sorted(last.items()))


def index(path: Path) -> LexicalIndex:
    return LexicalIndex.from_documents(load(path).documents)
