"""The whole story, run for real: bots with planted causes are asked, diagnosed, probed, mended, gated, released, and asked again.

    python benchmarks/loop/run.py [--work FOLDER] [--only NAME] [--seed N] [--jobs N] [--json FILE]

Each bot is SmolLM2-135M on llama.cpp with an index of its own pages; each has one planted cause, the first has none, and
the last has three and goes through the loop twice, the second time on the log of what the first round released. The
people are simulated: six in ten bad replies get a thumb down, four in ten also the right answer from the staff. Nothing
but the log, the pages and the declared rules is known to the advisor. For each bot: was the cause found, which remedies
the log alone suggests and which the probes confirm, what the gate decided, and how held-out questions were answered
before and after. Bots are gone through side by side, one a core (llama.cpp gets one core each), the last, which take longest, first.
Needs the extras rag, local and train.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

from worlds import Asked, World, configured, worlds

from advisor.cli import main as advise
from advisor.state import opened
from rag.statistics import share
from router.chatbot import Chatbot
from router.live import Live

HEAD = "| bot | log | failed, found | causes | log alone | after probes | right | decision | held-out failures good: before, after each round | good replies broken | minutes |"


@dataclass(kw_only=True)
class Told:
    """What was seen of one world."""

    world: str
    planted: int = 0
    logged: int = 0
    found: int = 0
    alarms: int = 0
    gaps: list[str] = field(default_factory=list)
    inferred: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    right: bool = False
    actions: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    after: tuple[int, int] = (0, 0)
    broken: tuple[int, int] = (0, 0)
    seconds: dict[str, float] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, help="folder for the bots (default: a temporary one)")
    parser.add_argument("--only", action="append", default=[], help="bots whose name holds this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="bots at a time")
    parser.add_argument("--json", type=Path, help="write all that was seen here")
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp(prefix="loop-"))
    work.mkdir(parents=True, exist_ok=True)
    for variable in ("OMP_NUM_THREADS", "RIGHTFIX_THREADS"):
        os.environ.setdefault(variable, str(max(1, (os.cpu_count() or 1) // args.jobs)))
    chosen = [
        n
        for n, world in enumerate(worlds(args.seed))
        if not args.only or any(o in world.name for o in args.only)
    ]
    if not chosen:
        parser.error(
            f"--only: no bot's name holds {' or '.join(args.only)}; there are: {', '.join(w.name for w in worlds(args.seed))}"
        )
    start = time.perf_counter()
    found: dict[int, Told] = {}
    # Each in a process of its own: the state of a bot is found from the folder that one is in.
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        doing = {pool.submit(_lived, args.seed, n, work.absolute()): n for n in reversed(chosen)}
        for done in as_completed(doing):
            try:
                told = found[doing[done]] = done.result()
            except (Exception, SystemExit):  # one bot that fails must not cost the others
                traceback.print_exc()
                continue
            print(json.dumps(vars(told)), flush=True)
            if args.json:
                seen = [vars(t) for _, t in sorted(found.items())]
                args.json.write_text(json.dumps(seen, indent=2), encoding="utf-8")
    print(table([told for _, told in sorted(found.items())], time.perf_counter() - start))


def _lived(seed: int, number: int, work: Path) -> Told:
    world = worlds(seed)[number]
    folder = work / f"{number}-{world.name.split()[0].strip(':')}"
    folder.mkdir()
    with contextlib.chdir(folder):
        return story(world, folder)


def story(world: World, folder: Path) -> Told:
    """Live through one world."""
    told = Told(world=world.name, logged=len(world.logged))
    with _timed(told, "build"):
        world.build(folder)
    before = {}
    for number in range(world.rounds):
        with _timed(told, "log"):
            failed = _logged(world, number)
        with _timed(told, "advise"):
            _run("run")
        if not number:
            _found(told, world, failed, folder)
            with _timed(told, "before"):
                before = _asked(world)
        _mended(told)
        with _timed(told, "after"):
            after = _asked(world)
        was_bad, was_good = ([q for q, good in before.items() if good is wanted] for wanted in (False, True))
        told.rounds.append(sum(after[q] for q in was_bad))
        told.after = told.rounds[-1], len(was_bad)
        told.broken = (sum(not after[q] for q in was_good), len(was_good))
    named = frozenset(told.confirmed)
    told.right = world.remedies <= named <= world.remedies | world.perhaps or bool(
        named and named <= world.cheaper | world.remedies and world.cheaper
    )
    return told


def _mended(told: Told) -> None:
    """Probe what the last run planned and carry out what the probes say; what the gate refuses is probed once more, as an operator would."""
    inferred = _remedies()
    told.inferred += [kind for kind in inferred if kind not in told.inferred]
    if not inferred:
        return
    for _ in range(2):
        with _timed(told, "probe"):
            _run("probe")
        confirmed = _remedies()
        told.confirmed += [kind for kind in confirmed if kind not in told.confirmed]
        if not confirmed:
            return
        with _timed(told, "apply"):
            done = _applied(told)
        if any(action != "refused" for action in done):
            return


def _logged(world: World, number: int) -> set[str]:
    """Make the log of a round, with what some customers say; return the ids of the replies that were bad."""
    failed, rng = set(), Random(f"{world.name} {number}" if number else world.name)
    with Chatbot() as bot:
        for n, asked in enumerate(world.logged):
            reply = bot.reply(_message(asked), conversation=f"customer-{number}-{n}", **asked.ask)
            chance = rng.random()
            if world.good(asked, reply):
                if chance < 0.2:
                    bot.feedback(reply.id, thumb="up")
                continue
            failed.add(reply.id)
            if chance < 0.6:
                bot.feedback(reply.id, thumb="down", correction=asked.right if chance < 0.4 else None)
        bot.flush()
    return failed


def _asked(world: World) -> dict[str, bool]:
    """Ask the held-out questions; nothing of it is logged."""
    with Chatbot(tracing=None) as bot:
        return {
            asked.text: world.good(
                asked, bot.reply(_message(asked), conversation=f"held-out-{n}", **asked.ask)
            )
            for n, asked in enumerate(world.held_out)
        }


def _found(told: Told, world: World, failed: set[str], folder: Path) -> None:
    told.planted = len(failed)
    with opened(configured(folder).state) as state:
        seen = {id: d for e, d in state.exchanges() for id in (e.id, *e.ids)}
        told.gaps = sorted({g for issue in state.issues() for g in issue.gaps})
    told.found = sum(id in seen and seen[id].is_failure for id in failed)
    flagged = {id for id, d in seen.items() if d.is_failure and id.startswith("reply-")}
    told.alarms = len(flagged - failed)


def _remedies() -> list[str]:
    plan = json.loads(Path(".advisor/plan.json").read_text(encoding="utf-8"))
    return [r["kind"] for r in plan["remedies"] if r["kind"] not in ("Nothing", "NotEnoughEvidence")]


def _applied(told: Told) -> list[str]:
    found = []
    # 1: not all that was asked for went live, which is a result like any other.
    for done in json.loads(_run("apply", "--yes", "--json", may=(0, 1))):
        found.append(done["action"])
        told.actions.append(f"{done['action']}: {done['reason']}")
        told.made += [f"{t['kind']} {t['standing']}: {t['what']} ({t['why']})" for t in done["tried"]]
        if done["action"] == "canary":
            # An operator would wait for the canary's comparison; here all are to be asked again at once.
            Live(Path(".advisor")).promote(done["release"], why="the benchmark asks everybody")
    return found


def _run(*args: str, may: tuple[int, ...] = (0,)) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = advise(list(args))
    if code not in may:
        raise SystemExit(f"advise {' '.join(args)} ended with {code}: {out.getvalue()}")
    return out.getvalue()


def _message(asked: Asked) -> list[dict[str, Any]]:
    return [{"role": "user", "content": asked.text}]


@contextlib.contextmanager
def _timed(told: Told, step: str) -> Any:
    start = time.perf_counter()
    yield
    spent = round(time.perf_counter() - start, 1)
    told.seconds[step] = round(told.seconds.get(step, 0.0) + spent, 1)
    print(f"{Path.cwd().name}: {step} {spent} s", flush=True)


def table(found: Sequence[Told], seconds: float) -> str:
    """Return what was seen as a Markdown table; `seconds` all took together."""
    lines = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"]
    for t in found:
        mended = share(*t.after)
        good = ", ".join(map(str, (0, *t.rounds)))
        lines.append(
            f"| {t.world} | {t.logged} | {t.found} of {t.planted}, {t.alarms} false | {', '.join(t.gaps) or 'none'} | {', '.join(t.inferred) or 'none'} | "
            f"{', '.join(t.confirmed) or 'none'} | {'yes' if t.right else 'no'} | {'; '.join(a.partition(':')[0] for a in t.actions) or 'none'} | "
            f"{good} of {t.after[1]} ({mended.low:.2f}-{mended.high:.2f}) | {t.broken[0]} of {t.broken[1]} | "
            f"{sum(t.seconds.values()) / 60:.1f} |"
        )
    all_after = sum(t.after[0] for t in found), sum(t.after[1] for t in found)
    all_broken = sum(t.broken[0] for t in found), sum(t.broken[1] for t in found)
    mended, broke = share(*all_after), share(*all_broken)
    lines += [
        "",
        f"Remedies right: {sum(t.right for t in found)} of {len(found)} bots by probes. Held-out failures good: {all_after[0]} of {all_after[1]} "
        f"({mended.low:.2f}-{mended.high:.2f}); good replies broken: {all_broken[0]} of {all_broken[1]} ({broke.low:.3f}-{broke.high:.3f}). "
        f"{seconds / 60:.1f} minutes.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
