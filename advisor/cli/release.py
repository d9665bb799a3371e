"""`advise release`: bundles of model, prompt, index and contract; which of them answers whom."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from advisor import config as settings
from advisor.apply.releasing import bundle, followed, kept
from advisor.cli.declaring import Actions, actions, common, loaded, nothing
from advisor.cli.faults import told
from router.comparison import compare
from router.live import Live, NothingLive, Route, route_name
from router.outcomes import Outcomes
from router.prompts import Prompts, as_text, diff
from router.releases import Release, Releases


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions(parser, _ACTIONS, common)


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    with told():
        _ACTIONS[args.action][0](args, loaded(args))
    return 0


def whom(parser: argparse.ArgumentParser) -> None:
    """Declare whom a change is for."""
    parser.add_argument("--tenant", help="for this customer only")
    parser.add_argument("--task", help="for this task only")
    parser.add_argument("--why", default="", help="kept with the change")


def _make_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="provider:name[+adapter] (default: `chat.model`)")
    parser.add_argument("--prompt", type=Path, help="a text file (default: `chat.prompt`)")
    parser.add_argument("--no-retrieval", action="store_true", help="a bot without the index")
    parser.add_argument("--note", default="", help="what a person should know of it")
    parser.add_argument("--promote", action="store_true", help="make it live at once")
    whom(parser)


def _make(args: argparse.Namespace, config: settings.Config) -> None:
    given = {"model": args.model, "prompt": args.prompt, "retrieve": False if args.no_retrieval else None}
    chat = config.chat.model_copy(update={k: v for k, v in given.items() if v is not None})
    release = bundle(config.model_copy(update={"chat": chat}), note=args.note)
    id = kept(config, release)
    if args.promote:
        Live(config.state).promote(id, tenant=args.tenant, task=args.task, why=args.why)
    if args.json:
        print(
            json.dumps({"release": id, "live": args.promote, **_data(release)}, ensure_ascii=False, indent=2)
        )
        return
    print(f"release {id} ({'live' if args.promote else 'not live yet: advise release promote ' + id})")
    print(_told(release))
    if config.chat.retrieve and not args.no_retrieval and release.index is None:
        print(
            "no index yet, so it answers without pages; build one with `advise index build`", file=sys.stderr
        )


def _told(release: Release) -> str:
    rules = ", ".join(
        f"{r.kind}{'' if r.origin == 'declared' else ' (read off the prompt)'}"
        for r in release.contract.rules
    )
    labels = f", one of {len(release.contract.labels)} labels" if release.contract.labels else ""
    return f"  model {release.model}\n  prompt {release.prompt}\n  index {release.index or 'none'}\n  contract: {rules or 'no rules'}{labels}"


def _data(release: Release) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(asdict(release), ensure_ascii=False))
    return data


def _list(args: argparse.Namespace, config: settings.Config) -> None:
    releases, routes = Releases(config.state).all(), Live(config.state).routes()
    outcomes = Outcomes(config.state)
    try:
        shown = [_standing(name, route, outcomes) for name, route in routes.items()]
    finally:
        outcomes.close()
    if args.json:
        data = {"releases": [{"release": r.id, **_data(r)} for r in releases], "routes": shown}
        print(json.dumps(data, ensure_ascii=False, indent=2))
        return
    for r in releases:
        where = [name for name, route in routes.items() if route.release == r.id]
        mark = f"* {', '.join(where)}" if where else ""
        print(
            f"{r.id}  {time.strftime('%Y-%m-%d %H:%M', time.localtime(r.made))}  {r.model}  index {r.index or 'none'}  {mark}  {r.note}".rstrip()
        )
    for s in shown:
        if s.get("canary"):
            print(
                f"canary {s['canary']} on {s['route']}, {s['share']:.0%} of conversations: {s['verdict']}: {s['reason']}"
            )
        if s.get("shadow"):
            print(f"shadow {s['shadow']} on {s['route']}")
    if not releases:
        print("no release yet; make one with `advise release make`")


def _standing(name: str, route: Route, outcomes: Outcomes) -> dict[str, Any]:
    found: dict[str, Any] = {
        "route": name,
        "release": route.release,
        "previous": list(route.previous),
        "shadow": route.shadow,
    }
    if route.canary is None:
        return found
    # What is live is judged by the same days as the canary.
    tallies = [
        outcomes.tally(route=name, release=r, since=route.since) for r in (route.release, route.canary)
    ]
    seen = compare(*tallies)
    return found | {
        "canary": route.canary,
        "share": route.share,
        "verdict": seen.verdict,
        "reason": seen.reason,
        "held": seen.held,
        "good": seen.good,
    }


def _show_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("release", metavar="ID", help="release, or the beginning of its id")
    parser.add_argument("other", metavar="OTHER", nargs="?", help="another one to compare with")


def _show(args: argparse.Namespace, config: settings.Config) -> None:
    releases, prompts = Releases(config.state), Prompts(config.state)
    found = [releases.get(id) for id in (args.release, args.other) if id]
    if args.json:
        print(json.dumps([{"release": r.id, **_data(r)} for r in found], ensure_ascii=False, indent=2))
        return
    if len(found) == 1:
        print(f"release {found[0].id}\n{_told(found[0])}\n\n{as_text(prompts.get(found[0].prompt))}")
        return
    for name, before in _data(found[0]).items():
        after = _data(found[1])[name]
        if before != after and name not in ("made", "prompt"):
            print(
                f"- {name}: {json.dumps(before, ensure_ascii=False)}\n+ {name}: {json.dumps(after, ensure_ascii=False)}"
            )
    print("\n".join(diff(*(prompts.get(r.prompt) for r in found))))


def _id_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("release", metavar="ID", help="release, or the beginning of its id")
    whom(parser)


def _promote(args: argparse.Namespace, config: settings.Config) -> None:
    id = Releases(config.state).get(args.release).id
    route = Live(config.state).promote(id, tenant=args.tenant, task=args.task, why=args.why)
    followed(config, id)
    changed(args, route)


def _canary_options(parser: argparse.ArgumentParser) -> None:
    _id_options(parser)
    parser.add_argument(
        "--share", type=float, default=0.1, help="share of the conversations, 0-1 (default 0.1)"
    )


def _canary(args: argparse.Namespace, config: settings.Config) -> None:
    id = Releases(config.state).get(args.release).id
    try:
        route = Live(config.state).canary(
            id, share=args.share, tenant=args.tenant, task=args.task, why=args.why
        )
    except ValueError as error:
        raise NothingLive(f"--share: {error}") from None
    changed(args, route)


def _shadow(args: argparse.Namespace, config: settings.Config) -> None:
    id = None if args.release == "none" else Releases(config.state).get(args.release).id
    changed(args, Live(config.state).shadow(id, tenant=args.tenant, task=args.task, why=args.why))


def _stop(args: argparse.Namespace, config: settings.Config) -> None:
    changed(args, Live(config.state).stop_canary(tenant=args.tenant, task=args.task, why=args.why))


def changed(args: argparse.Namespace, route: Route) -> None:
    """Print how a route stands after a change."""
    name = route_name(args.tenant, args.task)
    if args.json:
        print(
            json.dumps({"route": name, **json.loads(json.dumps(asdict(route)))}, ensure_ascii=False, indent=2)
        )
        return
    canary = f", canary {route.canary} for {route.share:.0%}" if route.canary else ""
    shadow = f", shadow {route.shadow}" if route.shadow else ""
    print(f"{name}: {route.release} is live{canary}{shadow}   (take back: advise rollback)")


_ACTIONS: Actions = {
    "make": (_make, "bundle model, prompt, index version and contract of the settings", _make_options),
    "list": (_list, "list the releases, what is live, and how canaries fare", nothing),
    "show": (_show, "show a release with its prompt, or what differs between two", _show_options),
    "promote": (_promote, "make a release live", _id_options),
    "canary": (_canary, "let a release answer a share of the conversations", _canary_options),
    "stop": (_stop, "end a canary", whom),
    "shadow": (_shadow, "let a release answer too without being shown (`none` ends that)", _id_options),
}
