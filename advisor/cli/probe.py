"""`advise probe`: the bot is asked again with one thing changed; what turns its failures names the remedy."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from advisor.cli.asking import agreed
from advisor.cli.declaring import common, loaded, plan_file, planned
from advisor.cli.faults import told
from advisor.cli.progress import Line
from advisor.planfile import to_json
from advisor.probing.asking import Budget
from advisor.probing.probe import Probed
from advisor.probing.running import probe_run
from advisor.state import opened
from rag.files import write
from rag.index import Index


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    plan_file(parser)
    common(parser)
    parser.add_argument(
        "--bot", metavar="BOT", help="live, provider:name, or the address of your bot (default: `probe.bot`)"
    )
    parser.add_argument(
        "--only", action="append", metavar="ISSUE", help="probe this issue only; may be repeated"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="ask anew what was asked before: the bot may have changed"
    )
    parser.add_argument("--calls", type=int, help="most calls (default: `probe.cap_calls`)")
    parser.add_argument(
        "--cap",
        type=float,
        metavar="USD",
        help="most to spend, where the price is known (default: `probe.cap_usd`)",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before anything is paid for")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    config = loaded(args, {"probe.bot": args.bot, "probe.cap_calls": args.calls, "probe.cap_usd": args.cap})
    file, plan = planned(args, config)
    with (
        told(),
        opened(config.state) as state,
        Index(config.index.folder or config.state / "index") as index,
        Line(show=not args.quiet and sys.stderr.isatty()) as line,
    ):
        asked = None if args.yes else _agreed
        found = probe_run(
            config,
            state,
            index,
            only=tuple(args.only or ()),
            fresh=args.fresh,
            agreed=asked,
            tell=_shown(line),
        )
    if found is None:
        print("not probed")
        return 0
    print(found.spent, file=sys.stderr)
    # The plan that was probed stays, under its hash.
    write(to_json(plan), config.state / "plans" / f"{plan.hash}.json")
    write(to_json(found.plan), file)
    print(json.dumps(_data(found), ensure_ascii=False, indent=2) if args.json else _summary(found, file))
    return 0


def _shown(line: Line) -> Callable[[str, str, int, int], None]:
    def tell(title: str, rung: str, done: int, total: int) -> None:
        if line.due():
            line.show(f"{title[:60]}: {rung} {done} of {total}")

    return tell


def _agreed(budget: Budget, reference: str) -> bool:
    """Say what it may cost, and ask where it costs anything or nobody knows."""
    known = budget.price
    if known is not None and known.input == known.output == 0:
        return True
    calls = budget.calls or 0
    told_cost = (
        f"about ${budget.cost(calls):.2f} at most, capped at ${budget.usd:.2f}"
        if known is not None
        else "capped in calls only, as the price is not known (set `probe.price`)"
    )
    print(f"probing {reference}: at most {calls:,} calls, {told_cost}", file=sys.stderr)
    return agreed("Go on?", otherwise="say --yes to go on")


def _summary(found: Probed, file: Path) -> str:
    lines = []
    for issue in found.issues:
        if issue.id not in found.probed or not issue.proofs:
            why = (
                "nothing failed that could be judged when it was asked again"
                if issue.id in found.probed
                else "no failure of it is stored, or its bot is not live"
            )
            lines.append(
                f"{issue.id[:8]}  {issue.title}" + ("" if found.cut else f"\n          not probed: {why}")
            )
            continue
        lines.append(f"{issue.id[:8]}  {issue.title}")
        for proof in issue.proofs:
            verdict = (
                "refuted, asked again the bot does well"
                if proof.refutes
                else f"turned by {proof.named}"
                if proof.named
                else "nothing short of training, or a person, turns it"
                if proof.settled
                else "open: too few to say"
            )
            lines.append(f"          {proof.gap}: {verdict}. {proof.told}")
    if found.changed:
        lines.append(
            f"\n{len(found.changed)} issue(s) have another cause than the log alone said; the plan was written anew."
        )
    if found.cut:
        lines.append(f"\nNot all was probed: {found.cut}.")
    lines += [
        "",
        "What to do now:",
        *(f"  {n}. {r.action}" for n, r in enumerate(found.plan.remedies, 1)),
        f"\nplan: {file}",
    ]
    return "\n".join(lines)


def _data(found: Probed) -> dict[str, Any]:
    return {
        "issues": [{"id": i.id, "title": i.title, "gaps": list(i.gaps), "proofs": [asdict(p) for p in i.proofs]} for i in found.issues],
        "changed": list(found.changed), "cut": found.cut, "plan": json.loads(to_json(found.plan)),
    }  # fmt: skip
