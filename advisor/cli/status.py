"""`advise status`: the issues over time, what was done about them and what came of it; what is live."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

from advisor.cli.declaring import common, loaded
from advisor.cli.faults import told
from advisor.ledger import Known, known
from advisor.logs.files import InputError
from advisor.state import Outcome, Run, opened
from router.live import Live

_BARS = " ▁▂▃▄▅▆▇█"
_RUNS = 12
_OUTCOMES = 10


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    common(parser)


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    config = loaded(args)
    with told(), opened(config.state) as state:
        runs, outcomes = state.runs(), state.outcomes()
        if not runs:
            raise InputError(f"{state.path}: nothing was read yet; run `advise LOGS`")
        live = Live(config.state).routes()
        issues = known(state.sightings(), runs, outcomes, live)
    routes = {name: r.release for name, r in live.items()}
    print(
        json.dumps(as_data(issues, runs, outcomes, routes), ensure_ascii=False, indent=2)
        if args.json
        else "\n".join(_lines(issues, runs, outcomes, routes))
    )
    return 0


def as_data(
    issues: list[Known], runs: list[Run], outcomes: list[Outcome], routes: dict[str, str]
) -> dict[str, Any]:
    """Return how things stand as plain data."""
    return {
        "runs": [{"number": r.number, "at": r.at, "exchanges": r.exchanges, "failures": r.failures} for r in runs],
        "issues": [issue_data(k) for k in issues],
        "outcomes": [{"at": o.at, "kind": o.kind, "verdict": o.verdict, "what": o.body.get("what", ""), "issues": o.body.get("issues", [])} for o in outcomes],
        "live": routes,
    }  # fmt: skip


def issue_data(k: Known) -> dict[str, Any]:
    """Return an issue over time as plain data."""
    return {
        "name": k.name, "title": k.issue.title, "standing": k.standing, "said": k.said, "gaps": list(k.issue.gaps),
        "counts": [{"run": n, "failures": c, "exchanges": t} for n, c, t in k.counts],
    }  # fmt: skip


def _lines(
    issues: list[Known], runs: list[Run], outcomes: list[Outcome], routes: dict[str, str]
) -> Iterator[str]:
    yield f"{len(runs)} run(s), the last {time.strftime('%Y-%m-%d %H:%M', time.localtime(runs[-1].at))}: {runs[-1].failures:,} of {runs[-1].exchanges:,} replies failed"
    for name, release in routes.items():
        yield f"live on {name}: release {release}"
    yield ""
    for k in issues:
        yield f"{k.standing:>8}  {k.name[:8]}  {_drawn(k)}  {k.issue.title}"
        yield f"                    {k.said}"
    if outcomes:
        yield "\nWhat was done:"
        for o in outcomes[-_OUTCOMES:]:
            yield f"  {o.at[:16]}  {o.kind}: {o.verdict}. {o.body.get('what', '')}".rstrip()


def _drawn(k: Known) -> str:
    shares = [c / t if t else 0.0 for _, c, t in k.counts[-_RUNS:]]
    top = max([*shares, 1e-9])
    return "".join(_BARS[round(s / top * (len(_BARS) - 1))] for s in shares)
