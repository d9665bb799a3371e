"""`advise run`: for cron and pipelines: read what is new, explain, probe, plan; apply only what the settings allow."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
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
from advisor.result import Result
from advisor.state import State, opened
from advisor.webhook import send
from rag.files import write
from rag.index import Index
from rag.locks import Locked, exclusive, make
from router.live import Live


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
    out = args.out or config.state
    with told(), _one_at_a_time(config.state), opened(config.state) as state:
        _send(config, state)
        with alone(config.state):
            result = Advisor(config).run(config.run.logs, new_only=True)
        if not result.own.exchanges:
            print(json.dumps({"new": 0}) if args.json else "nothing new")
            return 0
        message = _carried_out(config, state, result, out)
    print(json.dumps(message, ensure_ascii=False, indent=2) if args.json else _summary(message, out))
    return tripped(conditions, result)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    lock = folder / "run.lock"
    if not lock.exists():
        make(lock)
    with ExitStack() as held:
        try:
            held.enter_context(exclusive(lock, wait_s=1))
        except Locked:
            raise InputError(f"{lock}: another process is at `advise run`; wait for it") from None
        yield


def _carried_out(config: settings.Config, state: State, result: Result, out: Path) -> dict[str, Any]:
    """Do all that a run does with what it found; one that ends before that is made again by the next."""
    _written(result, config, out)
    with Index(config.index.folder or config.state / "index") as index:
        if config.run.probe and result.issues:
            probed = probe_run(config, state, index)
            if probed is not None:
                result = replace(result, issues=probed.issues, plan=probed.plan)
                _written(result, config, out)
        done = _applied(config, result.plan, state, index) if result.issues else []
    routes = Live(config.state).routes()
    message = _message(state, known(state.sightings(), state.runs(), state.outcomes(), routes), done)
    news = message["new"] or message["back"] or message["applied"]
    with state.together():
        if config.run.webhook and news:
            state.note_unsent(message)
        state.finish_run()
    if news:
        _send(config, state)
    return message


def _written(result: Result, config: settings.Config, out: Path) -> None:
    write(to_json(result.plan), out / "plan.json")
    write(render(result, mask=config.report.mask), out / "report.html")


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
        found[standing] = [issue_data(k) for k in over_time if k.standing == standing and k.turned]
    found["applied"] = [
        {"route": a.route, "action": a.action, "reason": a.reason, "release": a.carried.release} for a in done
    ]
    news = len(found["new"]) + len(found["back"])
    found["text"] = (
        f"{last.failures} of {last.exchanges} new replies failed; {news} issue(s) new or back"
        + "".join(f"; {a.route}: {a.action}" for a in done)
    )
    return found


def _send(config: settings.Config, state: State) -> None:
    for fault in send(state, config.run.webhook) if config.run.webhook else ():
        print(f"advise: not told: {fault}", file=sys.stderr)


def _summary(message: dict[str, Any], out: Path) -> str:
    lines = [message["text"]]
    for standing in ("new", "back", "resolved"):
        lines += [f"  {standing}: {i['title']} ({i['said']})" for i in message[standing]]
    lines += [f"  {a['route']}: {a['action']}. {a['reason']}" for a in message["applied"]]
    return "\n".join([*lines, f"report: {out / 'report.html'}   plan: {out / 'plan.json'}"])
