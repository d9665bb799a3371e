"""`advise serve`: what is live, over HTTP; and the keys that open it."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from advisor.apply.releasing import followed
from advisor.cli.declaring import Actions, actions, common, loaded, nothing
from advisor.cli.faults import told
from advisor.config import Config
from advisor.logs.files import InputError
from rag.index import IndexFailed
from router.chatbot import Chatbot
from router.collector import Collector, Misdirected, service_of, target_of
from router.server.hosts import is_own
from router.server.keys import Key, Keys, KeysDamaged
from router.server.seal import Seal
from router.server.settings import Settings
from router.spans import as_they_are, masked
from router.traces import Tracing
from router.watching import Looked, Watch

if TYPE_CHECKING:
    from router.server.app import Background, Parts
    from router.server.figures import Figures

_LOG = logging.getLogger("rightfix.serve")
_INSTALL = "pip install 'rightfix[serve]'"
_SHOWN = {"full": as_they_are, "masked": masked, "none": None}


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    common(parser)
    parser.add_argument("--host", help="address to listen on (default: `serve.host`)")
    parser.add_argument("--port", type=int, help="port; 0 for any free one (default: `serve.port`)")
    found = parser.add_subparsers(dest="action", metavar="[keys]")
    keys = found.add_parser("keys", help="who may ask", description="Who may ask.", allow_abbrev=False)
    actions(keys, _KEYS, partial(common, default=argparse.SUPPRESS), dest="kind")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    config = loaded(args)
    try:
        if args.action == "keys":
            _KEYS[args.kind][0](args, Keys(config.state))
            return 0
        return _serve(args, config)
    except KeysDamaged as error:
        raise InputError(str(error)) from error


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "tenant", nargs="?", help="whom its requests are from; nobody in particular unless given"
    )
    parser.add_argument("--metrics", action="store_true", help="a key for /metrics and nothing else")
    parser.add_argument("--access", action="append", default=[], metavar="TAG", help="opens documents with this tag")  # fmt: skip
    parser.add_argument("--note", default="", help="what it is for")


def _add(args: argparse.Namespace, keys: Keys) -> None:
    key, token = keys.add(
        args.tenant, scope="metrics" if args.metrics else "chat", access=tuple(args.access), note=args.note
    )
    print(json.dumps({**_shown(key), "token": token}) if args.json else token)
    print("keep it; it is not shown again", file=sys.stderr)


def _revoke(args: argparse.Namespace, keys: Keys) -> None:
    _listed(args, [keys.revoke(args.id)])


def _list(args: argparse.Namespace, keys: Keys) -> None:
    _listed(args, list(keys.all().values()))


def _listed(args: argparse.Namespace, found: list[Key]) -> None:
    if args.json:
        print(json.dumps([_shown(k) for k in found], ensure_ascii=False, indent=2))
        return
    for k in found:
        made = time.strftime("%Y-%m-%d", time.localtime(k.made))
        state = "revoked" if k.revoked else k.scope
        print(f"{k.id}  {made}  {state:<8}{k.tenant or '-'}  {' '.join(k.access)}  {k.note}".rstrip())
    if not found:
        print("no keys; make one with `advise serve keys add TENANT`")


_KEYS: Actions = {
    "add": (_add, "make a key and print it, this once", _add_options),
    "revoke": (_revoke, "make a key good for nothing, from the next request on", lambda p: p.add_argument("id", help="as `list` shows it")),
    "list": (_list, "list all keys, without their secrets", nothing),
}  # fmt: skip


def _shown(key: Key) -> dict[str, Any]:
    return {k: v for k, v in asdict(key).items() if k != "digest"}


def _serve(args: argparse.Namespace, config: Config) -> int:
    try:
        from router.server import app, figures, serving
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "router":
            raise
        raise InputError(f"serving needs the package {error.name!r}; {_INSTALL}") from error

    host = args.host or config.serve.host
    port = config.serve.port if args.port is None else args.port
    keys, settings = Keys(config.state), settings_of(config)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        listener = serving.listening(host, port, keys=keys)
    except serving.Unprotected as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"cannot listen on {host}:{port} ({error.strerror or error})") from error
    counted = figures.Figures()
    with told(), listener, _collecting() as collector, _chatbot(config, collector) as bot:
        if collector is not None:
            counted.watch("rightfix_export_lost", "Traces that no collector took.", lambda: collector.lost)
        parts: Parts = app.Parts(
            chatbot=bot, keys=keys, own=is_own(host), seal=Seal(config.state), settings=settings, figures=counted,
            background=_background(config, bot, counted),
        )  # fmt: skip
        address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        shown = json.dumps({"address": address}) if args.json else f"serving on {address}"
        serving.Serving(app.app(parts), listener, settings).run(started=lambda: print(shown, flush=True))
    return 0


@contextmanager
def _collecting() -> Iterator[Collector | None]:
    """Hold what sends traces on, if the standard variables name a collector."""
    try:
        target = target_of(os.environ)
    except Misdirected as error:
        raise InputError(str(error)) from error
    if target is None:
        yield None
        return
    with closing(Collector(target)) as collector:
        yield collector


def _chatbot(config: Config, collector: Collector | None) -> Chatbot:
    how = config.serve
    tracing = Tracing(
        shown=_SHOWN[how.traces], keep=how.keep, onward=collector, service=service_of(os.environ)
    )
    return Chatbot(config.state, index=config.index.folder, unknown=how.unknown, tracing=tracing)


def _background(config: Config, bot: Chatbot, counted: Figures) -> tuple[Background, ...]:
    how = config.serve
    if how.watch == "off":
        return ()
    ended = partial(_ended, config, bot, counted)
    watch = Watch(bot.pointer, bot.outcomes, promote=how.watch == "promote", told=ended)
    return (partial(watch.run, how.watch_every_s),)


def _ended(config: Config, bot: Chatbot, counted: Figures, looked: Looked) -> None:
    """Count a canary that ended; one that is live now takes the index along."""
    counted.ended(looked.seen.verdict)
    if bot.pointer.routes()[looked.route].release != looked.canary:
        return
    try:
        followed(config, looked.canary, wait_s=1)
    except (IndexFailed, LookupError, OSError) as error:
        # What is live answers from its own version all the same.
        _LOG.warning("the index is left at another version than %s answers from: %s", looked.canary, error)


def settings_of(config: Config) -> Settings:
    """Return the server's settings of a configuration."""
    how = config.serve
    return Settings(
        at_once=how.at_once, tenant_at_once=how.tenant_at_once, per_minute=how.per_minute, body_bytes=how.body_bytes,
        timeout_s=how.timeout_s, read_s=how.read_s, grace_s=how.grace_s, origins=how.origins, title=how.title,
    )  # fmt: skip
