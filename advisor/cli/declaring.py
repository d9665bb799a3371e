"""What the verbs declare alike, and what they read from it: their actions, the settings, the state folder, a plan."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from advisor import config as settings
from advisor.logs.files import InputError
from advisor.plan import Plan
from advisor.planfile import from_json

Declare = Callable[[argparse.ArgumentParser], Any]
Actions = Mapping[str, tuple[Callable[..., Any], str, Declare]]
"""Name of an action to what carries it out, what it does in words, and what declares its own options."""

_DEFAULT_CONFIG = Path("advisor.yaml")


def actions(
    parser: argparse.ArgumentParser, table: Actions, shared: Declare, *, dest: str = "action"
) -> None:
    """Declare the actions of a verb, one of which must be given, each with a page of help.

    Args:
        parser: The verb's.
        table: The actions.
        shared: Declares what all of them take.
        dest: Where the arguments hold the action's name.
    """
    found = parser.add_subparsers(dest=dest, required=True, metavar="ACTION")
    for name, (_, what, declare) in table.items():
        action = found.add_parser(name, help=what, description=what.capitalize() + ".", allow_abbrev=False)
        shared(action)
        declare(action)


def nothing(parser: argparse.ArgumentParser) -> None:
    """Declare no options of an action's own."""


def configured(parser: argparse.ArgumentParser, *, default: Any = None) -> None:
    """Declare where settings and state lie; see `common`."""
    parser.add_argument(
        "--config", type=Path, default=default, help="settings (default: advisor.yaml here, if there is one)"
    )
    parser.add_argument(
        "--state", type=Path, default=default, metavar="FOLDER", help="the state folder (default: of the settings)"
    )  # fmt: skip


def common(parser: argparse.ArgumentParser, *, default: Any = None) -> None:
    """Declare where settings and state lie, and whether the result is JSON.

    Args:
        parser: Where.
        default: Of all three; `argparse.SUPPRESS` behind an action whose verb has taken them already.
    """
    configured(parser, default=default)
    parser.add_argument("--json", action="store_true", default=default, help="print the result as JSON")


def config_file(args: argparse.Namespace) -> Path | None:
    """Return the file of settings that arguments name, or the one that lies here, if any."""
    given: Path | None = args.config or (_DEFAULT_CONFIG if _DEFAULT_CONFIG.exists() else None)
    return given


def loaded(args: argparse.Namespace, named: Mapping[str, Any] | None = None) -> settings.Config:
    """Return the settings that arguments name.

    Args:
        args: With those of `configured`.
        named: Settings that the verb's own options give, by dotted key; None is not given.

    Raises:
        InputError: The file cannot be read, or has faults.
    """
    given = {"state": args.state, **(named or {})}
    return settings.load(config_file(args), {k: v for k, v in given.items() if v is not None})


def plan_file(parser: argparse.ArgumentParser) -> None:
    """Declare which plan it is."""
    parser.add_argument(
        "plan", nargs="?", type=Path, metavar="PLAN", help="plan.json (default: the one in the state folder)"
    )


def planned(args: argparse.Namespace, config: settings.Config) -> tuple[Path, Plan]:
    """Return where the plan lies, and the plan.

    Raises:
        InputError: It cannot be read, or is no plan.
    """
    file: Path = args.plan or config.state / "plan.json"
    try:
        return file, from_json(file.read_text(encoding="utf-8"), path=file)
    except OSError as error:
        raise InputError(
            f"{file}: cannot be read ({error.strerror}); make a plan with `advise LOGS`"
        ) from None
