"""`advise show ID`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys

from advisor.cli.declaring import common, loaded
from advisor.report.serial import exchange_data, plain
from advisor.report.terminal import exchange_text, issue_text
from advisor.result import Example
from advisor.state import opened


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "id", metavar="ID", help="id of an exchange or issue, or its beginning, or an id of the log itself"
    )
    common(parser)
    parser.add_argument(
        "--no-mask", action="store_true", help="leave e-mail addresses, phone and card numbers in"
    )


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    masked, width = not args.no_mask, min(120, shutil.get_terminal_size((100, 40)).columns)
    colour = sys.stdout.isatty()
    with opened(loaded(args).state) as state:
        issue = state.issue(args.id)
        if issue is not None:
            pairs = {key: state.exchange(key) for key in issue.examples}
            examples = {key: Example(exchange=e, diagnosis=d) for key, (e, d) in pairs.items()}
            text = issue_text(issue, examples, width=width, colour=colour, mask=masked)
            data = plain(issue, mask=masked)
        else:
            exchange, diagnosis = state.exchange(args.id)
            text = exchange_text(exchange, diagnosis, width=width, colour=colour, mask=masked)
            data = exchange_data(exchange, diagnosis, mask=masked)
    print(json.dumps(data, ensure_ascii=False, indent=2) if args.json else text)
    return 0
