"""A question to the person at the terminal."""

from __future__ import annotations

import sys


def agreed(question: str, *, otherwise: str = "") -> bool:
    """Ask on stderr and return whether the answer is yes.

    Args:
        question: What is asked.
        otherwise: Told where nobody sits at stdin, which is no.
    """
    if not sys.stdin.isatty():
        if otherwise:
            print(otherwise, file=sys.stderr)
        return False
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
