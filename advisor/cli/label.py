"""`advise label`: a person's verdicts."""

from __future__ import annotations

import argparse
import zlib

from advisor.calibration import MIN_LABELS, MIN_PER_SIDE
from advisor.cli.declaring import configured, loaded
from advisor.evidence import GAPS
from advisor.logs.files import InputError
from advisor.serial import dumps
from advisor.state import State, opened

_OFFERED = 10


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "id",
        nargs="?",
        metavar="ID",
        help="id of an exchange; without one, exchanges worth a verdict are listed",
    )
    verdict = parser.add_mutually_exclusive_group()
    verdict.add_argument("--gap", action="append", choices=GAPS, help="what was wrong; may be repeated")
    verdict.add_argument("--good", action="store_true", help="the reply was good")
    configured(parser)


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    with opened(loaded(args).state) as state:
        if args.id is None:
            _offer(state)
            return 0
        if not args.good and not args.gap:
            raise InputError("say what was wrong (--gap knowledge) or that nothing was (--good)")
        exchange, diagnosis = state.exchange(args.id)
        state.label(exchange.id, args.gap or (), zlib.compress(dumps(exchange, diagnosis)))
        labels = state.labels()
    bad = sum(bool(label.gaps) for label in labels)
    print(f"{exchange.id[:12]}: {', '.join(args.gap or ['good'])}. {_standing(bad, len(labels) - bad)}")
    return 0


def _offer(state: State) -> None:
    for key in state.sample(_OFFERED):
        exchange, diagnosis = state.exchange(key)
        said = "/".join(diagnosis.named) or ("undetermined" if diagnosis.is_failure else "good")
        question, reply = (" ".join(t.split())[:70] for t in (exchange.question, exchange.reply.content))
        print(f"{key[:12]}  {said:<14} {question}\n{'':<28} → {reply}")
    print("\nadvise label ID --gap GAP, or --good")


def _standing(bad: int, good: int) -> str:
    if bad + good >= MIN_LABELS and min(bad, good) >= MIN_PER_SIDE:
        return f"{bad + good} labels: the next run is calibrated on them."
    return (
        f"{bad} failed and {good} good so far; calibration needs {MIN_LABELS}, with {MIN_PER_SIDE} of each."
    )
