"""`advise apply`: carries a plan out: staged, gated, then made live; or says why not."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from advisor import config as settings
from advisor.apply.apply import Applied, Wishes, alone, apply
from advisor.apply.carrying import MAKERS, Carried, Tried
from advisor.apply.cases import cases
from advisor.apply.drafting import by_model
from advisor.apply.requests import as_markdown, from_data
from advisor.apply.trial import summary
from advisor.apply.update_index import Proposal, propose
from advisor.cli.asking import agreed, paying
from advisor.cli.declaring import common, loaded, plan_file, planned
from advisor.cli.faults import told
from advisor.cli.progress import Line
from advisor.inputs import pages
from advisor.logs.files import InputError
from advisor.plan import Plan
from advisor.probing.asking import Budget, Remembered
from advisor.state import Outcome, State, opened
from rag.files import write
from rag.index import Index
from router.live import Live
from router.models import load as load_model
from router.models.port import ChatModel, ModelMissing


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    plan_file(parser)
    common(parser)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="REMEDY",
        help="a kind (ChangePrompt, UpdateIndex, FineTune) or an id; may be repeated",
    )
    parser.add_argument(
        "--yes", action="store_true", help="make live what the gate lets through, without asking"
    )
    parser.add_argument(
        "--pay",
        type=float,
        default=0.0,
        metavar="USD",
        help="pay for up to this much in all without asking (default 0)",
    )
    parser.add_argument(
        "--weak",
        action="store_true",
        help="where only the index is changed: also if there is not enough evidence (never if it is refused)",
    )
    parser.add_argument(
        "--out", type=Path, help="folder for update.json and the content requests (default: the state folder)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    config = loaded(args)
    file, plan = planned(args, config)
    for wish in args.only:
        if wish not in MAKERS and not any(r.id.startswith(wish) for r in plan.remedies):
            raise InputError(f"--only {wish}: neither a kind ({', '.join(MAKERS)}) nor an id of {file}")
    if not Live(config.state).routes():
        return _index_only(args, config, plan, file)
    with (
        told(),
        opened(config.state) as state,
        Index(config.index.folder or config.state / "index") as index,
        Line(show=not args.quiet and sys.stderr.isatty()) as line,
    ):
        wishes = Wishes(
            only=tuple(args.only),
            agreed=paying(args.pay),
            live=_going_live(args.yes),
            tell=line.tell,
            share=config.gate.share,
        )
        done = apply(plan, config, state, index, wishes)
    out = args.out or config.state
    write(json.dumps([a.as_data() for a in done], ensure_ascii=False, indent=2) + "\n", out / "outcome.json")
    _requests(done, out)
    print(
        json.dumps([a.as_data() for a in done], ensure_ascii=False, indent=2)
        if args.json
        else _told(done, out)
    )
    wanted = any(r.kind in MAKERS for r in plan.remedies)
    live = bool(done) and all(a.action in ("promoted", "canary") for a in done)
    return 0 if live or not wanted else 1


def _going_live(yes: bool) -> Callable[[Carried], bool]:
    def goes(carried: Carried) -> bool:
        found = carried.decision
        if yes or found is None:
            return yes
        return agreed(f"\n{found.verdict}: {found.reason}\nMake release {carried.release} live so?")

    return goes


def _told(done: list[Applied], out: Path) -> str:
    lines = []
    for applied in done:
        lines.append(f"{applied.route}: {applied.action}. {applied.reason}")
        for tried in applied.carried.tried:
            lines += _of_one(tried)
        if applied.action in ("promoted", "canary"):
            lines.append(f"  release {applied.carried.release} (take back: advise rollback)")
    return "\n".join(
        [
            *(lines or ["no live release is the bot of this log; `advise release list` shows what is live"]),
            f"details: {out / 'outcome.json'}",
        ]
    )


def _of_one(tried: Tried) -> list[str]:
    made = tried.made
    lines = [
        f"  {made.kind}, alone: {tried.standing}. {made.what}"
        + (f" ({tried.why})" if tried.why != made.what else "")
    ]
    diff = made.about.get("diff")
    return lines + [f"    {line}" for line in (diff if isinstance(diff, list) else [])]


def _requests(done: list[Applied], out: Path) -> None:
    for applied in done:
        for tried in applied.carried.tried:
            proposal = tried.made.about.get("proposal")
            for request in proposal.get("requests", ()) if isinstance(proposal, dict) else ():
                write(as_markdown(from_data(request)), out / "requests" / f"{request['id']}.md")


# Without a live release of ours: the index alone


def _index_only(args: argparse.Namespace, config: settings.Config, plan: Plan, file: Path) -> int:
    kinds: set[str] = {r.kind for r in plan.remedies}
    if "UpdateIndex" not in kinds:
        print(f"{file}: nothing about the index in it" + (f"; {_others(kinds)}" if kinds else ""))
        return 1 if kinds & MAKERS.keys() else 0
    out = args.out or config.state
    folder = config.index.folder or config.state / "index"
    with told(), opened(config.state) as state, Index(folder) as index, alone(config.state):
        before = _finished(state, plan, index)
        proposal = _proposed(config, state, index)
        _written(proposal, out)
        issues = [i for r in plan.remedies if r.kind == "UpdateIndex" for i in r.issues]
        body = {**proposal.as_data(), "issues": issues}
        verdict = _not_now(args, proposal, index)
        if verdict:
            state.note_outcome(Outcome(kind="UpdateIndex", verdict=verdict, body=body))
        elif proposal.version is not None:
            # Written down first, so that after a kill the next run knows that it was applied.
            state.note_step(plan.hash, "index", "begun", body)
            index.promote(proposal.version)
            verdict = _finished(state, plan, index)
        done = bool(before) or index.live.version == proposal.version
    if args.json:
        print(json.dumps({**proposal.as_data(), "outcome": verdict}, ensure_ascii=False, indent=2))
    else:
        print("\n".join((*summary(proposal), "", f"{verdict}.   details: {out / 'update.json'}")))
        if proposal.requests:
            print(f"pages to be written: {out / 'requests'}")
        if kinds - {"UpdateIndex"}:
            print(_others(kinds))
    return 0 if done else 1


def proposed(config: settings.Config) -> Proposal:
    """Return what the last run's failures ask of the index, staged and verified; nothing goes live."""
    with opened(config.state) as state, Index(config.index.folder or config.state / "index") as index:
        return _proposed(config, state, index)


def _proposed(config: settings.Config, state: State, index: Index) -> Proposal:
    draft = None
    if config.judge.model:
        try:
            draft = by_model(_judge(config.judge.model, config))
        except ModelMissing as error:
            raise InputError(str(error)) from error
    return propose(
        index,
        cases(state.exchanges()),
        tuple(pages(config.index.candidates)),
        draft=draft,
        reranker=config.index.try_reranker,
    )


def _judge(reference: str, config: settings.Config) -> ChatModel:
    """The judge, within its own caps; what it wrote is kept by what was asked."""
    own = config.judge
    budget = Budget(calls=own.cap_calls, usd=own.cap_usd, price=settings.priced(own.price))
    return Remembered(reference, load_model(reference), config.state / "probes.db", budget)


def _others(kinds: set[str]) -> str:
    left = ", ".join(sorted(kinds - {"UpdateIndex", "Nothing", "NotEnoughEvidence"}))
    return (
        f"to carry out {left} make the bot a release first: advise release make"
        if left
        else "nothing else can be carried out"
    )


def _written(proposal: Proposal, out: Path) -> None:
    write(json.dumps(proposal.as_data(), ensure_ascii=False, indent=2) + "\n", out / "update.json")
    for request in proposal.requests:
        write(as_markdown(request), out / "requests" / f"{request.id}.md")


def _finished(state: State, plan: Plan, index: Index) -> str:
    """Write down, once, that the version which a plan made live was applied; return that in words, empty if it is not live."""
    body = state.step(plan.hash, "index", "begun")
    if body is None or index.live.version != body["version"]:
        return ""
    verdict = f"Applied: version {body['version']} is live (take back: advise index rollback)"
    outcome = Outcome(kind="UpdateIndex", verdict=f"applied: {verdict}", body=body)
    state.note_outcome(outcome, once=(plan.hash, f"index {body['version']}", "outcome"))
    return verdict


def _not_now(args: argparse.Namespace, proposal: Proposal, index: Index) -> str:
    """Why the staged version does not go live now; empty if it does."""
    if proposal.version is None or proposal.verification is None:
        return "Nothing to change in the index"
    if index.live.version == proposal.version:
        return f"Version {proposal.version} is live already"
    verdict = proposal.verification.verdict
    if verdict == "refused" or (verdict != "accepted" and not args.weak):
        index.discard(proposal.version)
        return f"Not applied: {verdict}" + (
            "; --weak applies it all the same" if verdict != "refused" else ""
        )
    question = "\n".join((*summary(proposal), f"Make version {proposal.version} live?"))
    if not (args.yes or agreed(question)):
        return f"Not applied yet; version {proposal.version} waits (`advise apply --yes`)"
    return ""
