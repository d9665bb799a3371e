"""The command `advise`. stdout holds the result, stderr the progress; exit codes are for pipelines."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

VERBS: dict[str, str] = {
    "plan": "read logs, explain the failures, print what to do (the default: `advise LOGS`)",
    "show": "show one exchange or issue of the last run with its evidence in place",
    "label": "give your verdict on an exchange; enough of them calibrate the probabilities for your bot",
    "probe": "ask the bot again with one thing changed; what turns its failures names the remedy",
    "apply": "carry out the plan: made in staging, gated, and live once you agree",
    "status": "the issues over time, what was done about them and what came of it",
    "run": "for cron: read what is new, explain, probe, plan; apply what the settings allow",
    "index": "build, update, search, compare and roll back the index of your pages",
    "jobs": "fine-tunes at providers and here: how they stand, what they cost; wait, cancel, pause, resume",
    "release": "bundle model, prompt, index and contract; say which bundle answers whom",
    "rollback": "let what was live before answer again, from the next request on",
    "finetune": "train on examples, here or at a provider; list, show, test, cancel, weaken, export, delete",
    "chat": "talk to what is live",
    "serve": "what is live over HTTP, in OpenAI's form; and the keys that open it",
    "check": "check a configuration file and name every fault",
    "formats": "list the log formats, field names and kinds of rules",
}
"""Verb to what it does; `advisor.cli.<verb>` has `options(parser)` and `run(args)`."""

_HELP = """usage: advise LOGS... [options]
       advise VERB ... | advise VERB --help

Tells chatbot failures that need knowledge from those that need training, and plans the cheapest remedy.

{verbs}

LOGS are files, folders, globs, or - for stdin; .gz and .zst are opened. The format is told from the content.

exit codes: 0 done, 1 a --fail-on condition holds or what was asked for did not come to be, 2 wrong input, 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or given[0] in ("-h", "--help", "help"):
        print(_HELP.format(verbs="\n".join(f"  {verb:<9}{what}" for verb, what in VERBS.items())), end="")
        return 0 if given else 2
    if given[0] in ("-V", "--version"):
        from advisor import __version__

        print(f"rightfix {__version__}")
        return 0
    verb, rest = (given[0], given[1:]) if given[0] in VERBS else ("plan", given)
    return _run(verb, rest)


def _run(verb: str, rest: list[str]) -> int:
    try:
        return _done(verb, rest)
    except KeyboardInterrupt:
        print("\nadvise: interrupted; the last run's results are unchanged", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _done(verb: str, rest: list[str]) -> int:
    import argparse

    from advisor.logs.files import InputError

    module = import_module(f"advisor.cli.{verb}")
    parser = argparse.ArgumentParser(
        prog=f"advise {verb}", description=VERBS[verb].capitalize() + ".", allow_abbrev=False
    )
    module.options(parser)
    args = parser.parse_args(rest)
    try:
        code: int = module.run(args)
        sys.stdout.flush()
    except InputError as error:
        print(f"advise: {error}", file=sys.stderr)
        return 2
    return code
