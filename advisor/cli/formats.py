"""`advise formats`."""

from __future__ import annotations

import argparse

from advisor.logs.dialects import DIALECTS
from advisor.logs.fieldmap import FIELDS
from router.contract.checkers.table import CHECKERS


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options: there are none."""


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    for title, table in (("Log formats", DIALECTS), ("Fields for --map FIELD=PATH", FIELDS)):
        print(f"{title}\n" + "\n".join(f"  {name:<16}{what}" for name, what in table.items()) + "\n")
    print("Kinds of rules for contract.rules\n  " + ", ".join(sorted(CHECKERS)))
    return 0
