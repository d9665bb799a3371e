"""`advise check FILE`."""

from __future__ import annotations

import argparse
from pathlib import Path

from advisor import Advisor


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "config", type=Path, metavar="FILE", help="a configuration as in configs/advisor.yaml"
    )


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    advisor = Advisor.from_config(args.config)
    documents, rules = advisor.document_count, len(advisor.context.contract.rules)
    print(
        f"{args.config}: fine. {documents or 'no'} documents, {rules or 'no'} declared rules, "
        f"{len(advisor.context.labelled) or 'no'} labelled examples."
    )
    return 0
