"""`advise finetune export|weaken|delete`: what is done with an adapter that was made."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from advisor import config as settings
from advisor.logs.files import InputError
from finetune.adapters import Adapters


def adapter_options(parser: argparse.ArgumentParser) -> None:
    """Declare which adapter."""
    parser.add_argument("id", help="of an adapter, or the beginning of it")


def export_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `export`."""
    adapter_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="the GGUF file to write")
    parser.add_argument("--merged", action="store_true", help="the base with the adapter in it, in one file")
    parser.add_argument(
        "--quantisation",
        choices=("F32", "F16", "Q8_0", "Q4_1"),
        default="Q8_0",
        help="of the merged file (default Q8_0)",
    )


def export(args: argparse.Namespace, config: settings.Config) -> int:
    """Write an adapter, or the model with it, as a GGUF file."""
    from finetune import exporting

    known = Adapters(config.state / "adapters")
    try:
        told = exporting.export(known, args.id, args.out, merged=args.merged, quantisation=args.quantisation)
    except exporting.ChangeLost as error:
        print(f"advise: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"file": str(args.out), "note": told}) if args.json else f"{args.out}\n{told}".strip())
    return 0


def weaken_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `weaken`."""
    adapter_options(parser)
    parser.add_argument(
        "--strength",
        type=float,
        default=0.5,
        help="share of what was learnt that is kept, above 0 and below 1 (default 0.5)",
    )


def weaken(args: argparse.Namespace, config: settings.Config) -> int:
    """Keep a part of an adapter."""
    from finetune.weakening import weakened

    known = Adapters(config.state / "adapters")
    try:
        found = weakened(known, args.id, args.strength)
    except ValueError as error:
        raise InputError(f"--strength: {error}") from None
    model = known.reference(found)
    if args.json:
        print(json.dumps({"adapter": found.id, "of": found.of, "strength": found.strength, "model": model}))
    else:
        print(f"adapter {found.id}: {found.strength:.0%} of {found.of}\n  model {model}\n  test it: advise finetune test {found.id}")  # fmt: skip
    return 0


def delete(args: argparse.Namespace, config: settings.Config) -> int:
    """Delete an adapter for good."""
    found = Adapters(config.state / "adapters").delete(args.id)
    print(json.dumps({"deleted": found.id}) if args.json else f"deleted {found.id} ({found.base})")
    return 0
