"""`advise run`: for cron and pipelines: read what is new, explain, probe, plan; apply only what the settings allow."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from advisor import config as settings
from advisor.advisor import Advisor
from advisor.apply.apply import Applied, Wishes, alone, apply
from advisor.cli.asking import within
from advisor.cli.conditions import parsed, tripped
from advisor.cli.declaring import common, loaded
from advisor.cli.faults import told
from advisor.cli.status import issue_data
from advisor.ledger import Known, known
from advisor.logs.files import InputError
from advisor.planfile import to_json
from advisor.probing.running import probe_run
from advisor.report.html import render
from advisor.state import State, opened
from advisor.webhook import notify
from rag.files import write
from rag.index import Index


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    common(parser)
    parser.add_argument(
        "--out", type=Path, help="folder for report.html and plan.json (default: the state folder)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    config = loaded(args)
    if not config.run.logs:
        raise InputError("no logs to read; set `run.logs`")
    conditions = [parsed(text) for text in config.run.fail_on]
    config.state.mkdir(parents=True, exist_ok=True)
    with alone(config.state):
        result = Advisor(config).run(config.run.logs, new_only=True)
    out = args.out or config.state
    if not result.plan.exchanges:
        print(json.dumps({"new": 0}) if args.json else "nothing new")
        return 0
    write(to_json(result.plan), out / "plan.json")
    with told(), opened(config.state) as state, Index(config.index.folder or config.state / "index") as index:
        plan = result.plan
        if config.run.probe:
            probed = probe_run(config, state, index)
            plan = probed.plan if probed is not None else plan
            write(to_json(plan), out / "plan.json")
        done = _applied(config, plan, state, index)
        over_time = known(state.sightings(), state.runs(), state.outcomes())
        write(render(result, mask=config.report.mask), out / "report.html")
        message = _message(state, over_time, done)
        _told_of(config, state, message)
    print(json.dumps(message, ensure_ascii=False, indent=2) if args.json else _summary(message, out))
    return tripped(conditions, result)


def _applied(config: settings.Config, plan: Any, state: State, index: Index) -> list[Applied]:
    allowed = {kind: usd for kind, usd in config.run.allow.model_dump().items() if usd is not None}
    if not allowed:
        return []
    wishes = Wishes(
        only=tuple(allowed),
        agreed=within(allowed),
        live=lambda carried: True,
        tell=lambda what, done, total: None,
        share=config.gate.share,
    )
    return apply(plan, config, state, index, wishes)


def _message(state: State, over_time: list[Known], done: list[Applied]) -> dict[str, Any]:
    last = state.runs()[-1]
    found: dict[str, Any] = {"run": last.number, "exchanges": last.exchanges, "failures": last.failures}
    for standing in ("new", "back", "resolved"):
        found[standing] = [issue_data(k) for k in over_time if k.standing == standing]
    found["applied"] = [
        {"route": a.route, "action": a.action, "reason": a.reason, "release": a.carried.release} for a in done
    ]
    news = len(found["new"]) + len(found["back"])
    found["text"] = (
        f"{last.failures} of {last.exchanges} new replies failed; {news} issue(s) new or back"
        + "".join(f"; {a.route}: {a.action}" for a in done)
    )
    return found


def _told_of(config: settings.Config, state: State, message: dict[str, Any]) -> None:
    if config.run.webhook and (message["new"] or message["back"] or message["applied"]):
        fault = notify(state, config.run.webhook, message)
        if fault is not None:
            print(f"advise: not told: {fault}; it is sent with the next run", file=sys.stderr)


def _summary(message: dict[str, Any], out: Path) -> str:
    lines = [message["text"]]
    for standing in ("new", "back", "resolved"):
        lines += [f"  {standing}: {i['title']} ({i['said']})" for i in message[standing]]
    lines += [f"  {a['route']}: {a['action']}. {a['reason']}" for a in message["applied"]]
    return "\n".join([*lines, f"report: {out / 'report.html'}   plan: {out / 'plan.json'}"])
