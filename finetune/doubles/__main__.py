"""`python -m finetune.doubles openai|bedrock`: a double that runs until it is interrupted, for tests in any language."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from finetune.doubles.bedrock import BedrockDouble
from finetune.doubles.faults import Fault
from finetune.doubles.openai import OpenAIDouble
from finetune.doubles.server import Double


def main(argv: Sequence[str] | None = None) -> int:
    """Run a double and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m finetune.doubles", description=__doc__)
    parser.add_argument("provider", choices=("openai", "bedrock"))
    parser.add_argument("--port", type=int, default=0, help="0 takes any that is free (default)")
    parser.add_argument(
        "--s3",
        default="http://127.0.0.1:5000",
        help="for bedrock: an S3 endpoint, such as moto_server's (default: %(default)s)",
    )
    parser.add_argument(
        "--script", type=Path, metavar="FILE",
        help='what goes wrong: JSON of routes to lists of faults, {"POST /files": [{"kind": "answer", "status": 429}]}',
    )  # fmt: skip
    args = parser.parse_args(argv)
    double: Double = OpenAIDouble(port=args.port) if args.provider == "openai" else BedrockDouble(port=args.port, s3=args.s3)  # fmt: skip
    try:
        scripted(double, args.script)
    except (OSError, ValueError, KeyError, TypeError) as error:
        double.close()
        parser.error(f"--script {args.script}: {error!r}")
    with double:
        sys.stdout.write(f"{double.address}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0


def scripted(double: Double, path: Path | None) -> None:
    """Give a double the faults of a file.

    Raises:
        KeyError: A route is not one of the double's.
        TypeError: A fault has a field that none has.
    """
    if path is None:
        return
    for route, faults in json.loads(path.read_text(encoding="utf-8")).items():
        double.script(route, [Fault(**fault) for fault in faults])


if __name__ == "__main__":
    sys.exit(main())
