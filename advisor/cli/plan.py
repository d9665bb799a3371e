"""`advise plan LOGS`: the main job."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from advisor import Advisor
from advisor.apply.trial import with_trial
from advisor.cli.apply import proposed
from advisor.cli.conditions import parsed, tripped
from advisor.cli.declaring import common, config_file
from advisor.cli.faults import told
from advisor.cli.progress import Progress
from advisor.logs.fieldmap import FIELDS
from advisor.logs.files import InputError
from advisor.planfile import to_json
from advisor.report.html import render
from advisor.report.serial import to_data
from advisor.report.terminal import summary
from rag.files import write


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("logs", nargs="+", metavar="LOGS", help="files, folders, globs, or - for stdin")
    common(parser)
    parser.add_argument(
        "--documents", type=Path, action="append", help="your pages: a file or folder; may be repeated"
    )
    parser.add_argument(
        "--labelled", type=Path, help="labelled examples of a classifying bot: CSV with text,label"
    )
    parser.add_argument("--labels", type=Path, help="your verdicts: CSV with id,gaps (gaps or `good`)")
    parser.add_argument(
        "--map",
        action="append",
        metavar="FIELD=PATH",
        help=f"where a record keeps a field: {', '.join(FIELDS)}",
    )
    parser.add_argument("--judge", metavar="PROVIDER:MODEL", help="a model that votes on what is left open")
    parser.add_argument(
        "--judge-cap", type=float, metavar="USD", help="most to spend on the judge (default 1.00)"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for report.html and plan.json (default: the state folder)"
    )
    parser.add_argument("--workers", type=int, help="processes (default: all cores for large logs)")
    parser.add_argument(
        "--try-index",
        action="store_true",
        help="try what the plan says about the index in a version that is not live",
    )
    parser.add_argument(
        "--fail-on",
        action="append",
        default=[],
        metavar="CONDITION",
        help="exit with 1 if it holds, e.g. 'failures>5%%' or 'tool_call>=3'",
    )
    parser.add_argument(
        "--no-mask", action="store_true", help="leave e-mail addresses, phone and card numbers in the report"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    conditions = [parsed(text) for text in args.fail_on]
    advisor = Advisor.from_config(config_file(args), **_overrides(args))
    with Progress(show=not args.quiet and sys.stderr.isatty()) as progress:
        result = advisor.run(args.logs, on_progress=progress.tell)
    found = result.counts.exchanges > 0
    if args.try_index and found:
        with told():
            result = replace(result, plan=with_trial(result.plan, proposed(advisor.settings)))
    out = args.out or advisor.settings.state
    if found:
        write(render(result, mask=advisor.settings.report.mask), out / "report.html")
        write(to_json(result.plan), out / "plan.json")
    if args.json:
        print(json.dumps(to_data(result), ensure_ascii=False, indent=2))
    else:
        width = shutil.get_terminal_size((100, 40)).columns
        print(summary(result, width=min(width, 120), colour=sys.stdout.isatty()))
    if not found:
        raise InputError(
            "no exchange was found in what was read; `advise formats` lists the formats, --map reads any other"
        )
    if not args.json:
        print(f"\nreport: {out / 'report.html'}   plan: {out / 'plan.json'}")
    return tripped(conditions, result)


def _overrides(args: argparse.Namespace) -> dict[str, Any]:
    named = {
        "documents": args.documents, "labelled": args.labelled, "labels": args.labels, "state": args.state, "workers": args.workers,
        "judge.model": args.judge, "judge.cap_usd": args.judge_cap, "report.mask": False if args.no_mask else None,
        "logs.field_map": _map(args.map) if args.map else None,
    }  # fmt: skip
    return {key: value for key, value in named.items() if value is not None}


def _map(pairs: list[str]) -> dict[str, str]:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise InputError(f"--map {wrong[0]}: write FIELD=PATH, for instance question=payload.q")
    return {name: path for name, _, path in (pair.partition("=") for pair in pairs)}
