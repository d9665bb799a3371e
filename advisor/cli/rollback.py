"""`advise rollback`: what was live before answers again, from the next request on."""

from __future__ import annotations

import argparse

from advisor.cli.declaring import common, loaded
from advisor.cli.faults import told
from advisor.cli.release import changed, whom
from router.live import Live


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    common(parser)
    whom(parser)


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    with told():
        changed(args, Live(loaded(args).state).rollback(tenant=args.tenant, task=args.task, why=args.why))
    return 0
