"""`advise finetune`: trains on examples, here or at a provider; shows what was trained; exports and deletes it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from advisor import config as settings
from advisor.cli import adapters, testing
from advisor.cli.declaring import Actions, actions, common, loaded, nothing
from advisor.cli.jobs import polled
from advisor.cli.progress import Line
from advisor.gate.decision import LEAST_FLIPS
from advisor.gate.testing import Compared
from advisor.logs.files import InputError
from finetune import bases, datasets, planner
from finetune.adapters import AdapterMissing, Adapters
from finetune.backends.port import JobError
from finetune.catalog import CatalogFailed
from finetune.cleaning import cleaned
from finetune.examples import Example
from finetune.jobs import Job, Jobs
from finetune.mixing import prepared
from finetune.ordering import Ordering
from finetune.preflight import Report, Terms
from finetune.pricing import Use
from finetune.progress import Progress, read
from finetune.reading import UnreadableFile
from finetune.reading import read as read_files
from finetune.recipe import Recipe
from finetune.starting import Running, start

_BACKENDS = ("local", "openai", "azure", "bedrock", "mantle")
_BASES = {"local": "local:smollm2"}
_HEAD_ON = "local:minilm"
_HELD_OUT = 0.2
_MOST_HELD_OUT = 0.5
_FEWEST = 20
"""Examples of which some are held out unasked; of fewer, what is held out is missed by what learns and tells nothing."""


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions(parser, _ACTIONS, common)


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    with _told():
        code: int = _ACTIONS[args.action][0](args, loaded(args))
    return code


@contextmanager
def _told() -> Iterator[None]:
    """Raise what tuning can raise as `InputError`."""
    try:
        yield
    except (JobError, AdapterMissing, UnreadableFile, datasets.DatasetFailed, CatalogFailed) as error:
        raise InputError(str(error)) from error


def _recipe_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="examples (.jsonl, .json, .csv), or the folder of a dataset",
    )
    parser.add_argument("--backend", choices=_BACKENDS, default="local", help="where (default: local)")
    parser.add_argument(
        "--base",
        help="what is trained, `provider:name`; here a GGUF file, a folder or a hub's name too (default here: local:smollm2)",
    )
    parser.add_argument("--task", choices=("style", "tools", "classification"), default="style")
    parser.add_argument(
        "--objective",
        choices=("sft", "dpo", "rft"),
        default="sft",
        help="replies, pairs of a good and a rejected one, or answers judged by a grader",
    )
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--replay",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of what is learnt that is generic tasks, against forgetting (default 0)",
    )
    parser.add_argument(
        "--held-out",
        type=float,
        metavar="SHARE",
        help="share of the conversations that is not learnt and tests what came of it, 0 to 0.5 (default 0.2 here, 0 at a provider)",
    )
    parser.add_argument("--cap-usd", type=float, default=0.0, help="most it may cost (default 0)")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="FAULT",
        help="a fault that is known and borne; with personal_data, files are trained on unmasked",
    )
    _local_options(parser.add_argument_group("on this machine"))
    _hosted_options(parser.add_argument_group("at a provider"))


def _local_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--weights",
        choices=("lora", "qlora", "full", "head"),
        default="lora",
        help="what is trained (default: lora)",
    )
    group.add_argument("--rank", type=int)
    group.add_argument("--max-tokens", type=int, help="longest example; longer ones are refused, not cut")
    group.add_argument("--for-tenant", metavar="TENANT", help="the customer whose adapter it becomes")


def _hosted_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--force", action="store_true", help="tune a model that ends soon, or never pays back, all the same"
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the provider, its role_arn, bucket or region; JSON or text",
    )
    group.add_argument("--suffix", help="in the name of the tuned model")
    group.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write all that would be sent (files, request, policies) there: a dry run",
    )
    group.add_argument(
        "--use", metavar="REQUESTS,PROMPT,SAVED,REPLY",
        help="requests a day; tokens of a prompt as it is now, of it that training saves, of a reply: tells when it pays back",
    )  # fmt: skip


def _run_options(parser: argparse.ArgumentParser) -> None:
    _recipe_options(parser)
    parser.add_argument("--detach", action="store_true", help="do not wait for the end")
    parser.add_argument(
        "--no-test", action="store_true", help="do not test what came of it on what was held out"
    )
    parser.add_argument("--again", action="store_true", help="train anew even if the same was trained before")


def _recipe(args: argparse.Namespace) -> Recipe:
    base = args.base or (_HEAD_ON if args.weights == "head" else _BASES.get(args.backend))
    if base is None:
        raise InputError(
            f"--base: name the model that is tuned at {args.backend}, for instance {args.backend}:NAME"
        )
    return Recipe(
        base=base if base.startswith(f"{args.backend}:") else f"{args.backend}:{base}", task=args.task, objective=args.objective,
        weights=args.weights if args.backend == "local" else "hosted", epochs=args.epochs, learning_rate=args.learning_rate,
        batch_size=args.batch_size, rank=args.rank, max_tokens=args.max_tokens, seed=args.seed, replay_share=args.replay,
        suffix=args.suffix, extra={**({"tenant": args.for_tenant} if args.for_tenant else {}), **_extra(args.set)},
    )  # fmt: skip


def _dataset(args: argparse.Namespace, config: settings.Config) -> tuple[Path, Recipe]:
    """The folder of what is learnt, and the recipe. A dataset is taken as it was made; files are cleaned, and replay is mixed in."""
    recipe, folder = _recipe(args), next((p for p in args.data if p.is_dir()), None)
    if folder is not None:
        if args.data[1:] or args.replay or args.held_out is not None:
            raise InputError(f"{folder}: a dataset is trained on as it is; leave out further files, --replay and --held-out, or name files only")  # fmt: skip
        mixed_in = datasets.load(folder).about.get("replay", {}).get("share", 0.0)
        return folder, replace(recipe, replay_share=float(mixed_in))
    if not 0 <= args.replay <= 0.9:
        raise InputError(f"--replay {args.replay:g}: 0 to 0.9 can be mixed in")
    if not 0 <= (args.held_out or 0) <= _MOST_HELD_OUT:
        raise InputError(f"--held-out {args.held_out:g}: 0 to {_MOST_HELD_OUT} can be held out")
    given = list(read_files(args.data))
    kept = cleaned(given, mask="personal_data" not in args.allow)
    if len(kept) < len(given):
        print(f"{len(given) - len(kept)} of {len(given)} examples repeat another and are left out", file=sys.stderr)  # fmt: skip
    made = _held_out(kept, recipe, args)
    if not made.train:
        raise InputError(f"{args.data[0]}: nothing to train on")
    return datasets.save(made, config.state / "datasets"), recipe


def _held_out(kept: Sequence[Example], recipe: Recipe, args: argparse.Namespace) -> datasets.Dataset:
    """The dataset of files with what judges held out; where that cannot be done it is said, and all of it teaches."""
    share, many = args.held_out, len(kept) >= _FEWEST
    if share is None:
        share = _HELD_OUT if args.backend == "local" and many else 0.0
        if args.backend == "local" and not many:
            print(f"{len(kept)} examples are too few to hold some out unasked: all are learnt, and nothing tests what comes of it (--held-out SHARE holds some out)", file=sys.stderr)  # fmt: skip
    made = prepared(kept, recipe, held_out=share)
    lost = made.about.get("left_out", {}).get("asks what judges", 0)
    if share and not (made.held_out and made.train):
        print(f"the {len(kept)} examples are of too few conversations to hold {share:.0%} out: all are learnt, and nothing tests what comes of it", file=sys.stderr)  # fmt: skip
        return prepared(kept, recipe)
    groups = len({e.group for e in made.held_out})
    if 0 < groups < LEAST_FLIPS:
        print(f"{groups} held-out conversations are too few to show that anything is better, {LEAST_FLIPS} are the least; a larger --held-out holds out more", file=sys.stderr)  # fmt: skip
    if lost:
        print(f"{lost} of {len(kept)} examples ask what a held-out one asks, and are not learnt", file=sys.stderr)  # fmt: skip
    return made


def _extra(pairs: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise InputError(f"--set {pair}: write NAME=VALUE")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _use(text: str | None) -> Use | None:
    if text is None:
        return None
    try:
        requests, prompt, saved, reply = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--use {text}: four numbers, for instance 10000,3000,2500,150") from None
    return Use(requests=requests, prompt=prompt, saved=saved, reply=reply)


def _checked(args: argparse.Namespace, folder: Path, recipe: Recipe, config: settings.Config) -> Report:
    terms = Terms(cap_usd=args.cap_usd, allow=tuple(args.allow), force=args.force, use=_use(args.use))
    return Ordering(config.state).check(folder, recipe, terms, out=args.out, ask=args.action == "run")


def _plan(args: argparse.Namespace, config: settings.Config) -> int:
    folder, recipe = _dataset(args, config)
    report = _checked(args, folder, recipe, config)
    takes = list(_takes(recipe, report)) if args.backend == "local" else []
    if args.json:
        print(
            json.dumps(
                {**report.data(), "dataset": str(folder), "takes": takes}, ensure_ascii=False, indent=2
            )
        )
    else:
        held = len(datasets.load(folder).held_out)
        told = f"{f', {held} examples held out to test what comes of it' if held else ''}"
        print("\n".join([str(report), *takes, f"dataset: {folder}{told}"]))
    return 0 if report.ok else 1


def _takes(recipe: Recipe, report: Report) -> Iterator[str]:
    """What each method would take here, in lines."""
    lengths = report.tokens.each if report.tokens is not None else ()
    try:
        shape = bases.shape(bases.find(recipe.base))
    except (JobError, ModuleNotFoundError) as error:
        yield f"memory and time are not known: {error}"
        return
    place = planner.here()
    yield f"{recipe.base}: {shape.parameters / 1e6:,.0f}M weights; here {place.gib:.0f} GiB of memory, {place.flops / 1e9:,.0f} GFLOPS"
    yield from map(str, planner.plan(shape, recipe, lengths, place))
    told = planner.advice(shape, recipe, lengths, place)
    if told:
        yield told


def _run(args: argparse.Namespace, config: settings.Config) -> int:
    folder, recipe = _dataset(args, config)
    report = _checked(args, folder, recipe, config)
    if not report.ok:
        raise InputError(f"not sent:\n{report}")
    running = start(
        folder,
        recipe,
        state=config.state,
        cap_usd=args.cap_usd,
        estimate=report.estimate,
        again=args.again,
        open_cap_usd=config.train.open_cap_usd,
    )
    if args.detach:
        return _shown(running.job, args, config)
    return _followed(running, args, config, test=not args.no_test)


def _followed(running: Running, args: argparse.Namespace, config: settings.Config, *, test: bool) -> int:
    with Line(show=not args.json and sys.stderr.isatty()) as line:
        job = running.wait(on_change=lambda j: line.show(_line(j, config)))
    table = ""
    if test and testing.can_be(job) and testing.kept(job, job.model, config) is None:
        try:
            table = str(_asked(job, job.model, args, config))
        except InputError as error:  # of what was trained nothing is lost
            print(f"advise: not tested: {error}", file=sys.stderr)
    return _shown(job, args, config, table)


def _asked(job: Job, model: str | None, args: argparse.Namespace, config: settings.Config) -> Compared:
    with Line(show=not args.json and sys.stderr.isatty()) as line:
        return testing.tested(job, model, config, tell=line.tell)


def _test(args: argparse.Namespace, config: settings.Config) -> int:
    job, model = testing.job_of(args.key, config)
    found = _asked(job, model, args, config)
    if args.json:
        print(json.dumps(testing.kept(job, model, config), ensure_ascii=False, indent=2))
    else:
        print(f"job {job.key}: {model} against {job.recipe.base}\n{found}")
    return 0 if found.better else 1


def _line(job: Job, config: settings.Config) -> str:
    now = read(config.state / "jobs" / job.key)
    return f"{job.key}: {now.line if now is not None and not job.is_over else job.state}"


def _shown(job: Job, args: argparse.Namespace, config: settings.Config, table: str = "") -> int:
    if args.json:
        print(json.dumps(_job_data(job, config), ensure_ascii=False, indent=2))
    else:
        print("\n".join(_job_lines(job, config, table)))
        if job.state in ("failed", "cancelled"):
            print("  try it anew: advise finetune run, as before, with --again")
    return 0 if job.state not in ("failed", "cancelled") else 1


def _job_lines(job: Job, config: settings.Config, table: str = "") -> Iterator[str]:
    yield f"job {job.key}: {job.state}{f' ({job.message})' if job.message else ''}"
    yield f"  {job.recipe.weights} by {job.recipe.objective} on {job.recipe.base}, dataset {job.dataset.name}, seed {job.recipe.seed}"
    if job.metrics:
        yield "  " + ", ".join(f"{name} {value:g}" for name, value in sorted(job.metrics.items()))
    if job.model:
        yield f"  model {job.model}"
        yield from (f"  {line}" for line in table.splitlines() or _test_lines(job, config))
        yield f"  try it: advise release make --model {job.model}"


def _test_lines(job: Job, config: settings.Config) -> Iterator[str]:
    kept = testing.kept(job, job.model, config)
    if kept is not None:
        yield f"tested on what was held out: {kept['verdict']}: {kept['reason']}"
    elif job.backend == "local":
        yield f"test it on what was held out: advise finetune test {job.key}"


def _job_data(job: Job, config: settings.Config) -> dict[str, Any]:
    return {
        "job": job.key, "state": job.state, "message": job.message, "base": job.recipe.base, "dataset": str(job.dataset), "model": job.model,
        "metrics": dict(job.metrics), "cost_usd": job.cost_usd, "files": dict(job.files), "test": testing.kept(job, job.model, config),
    }  # fmt: skip


def _list(args: argparse.Namespace, config: settings.Config) -> int:
    known = Jobs(config.state)
    jobs = [polled(known, job.key) for job in known.all()]
    adapters = Adapters(config.state / "adapters").all()
    if args.json:
        data = {"jobs": [_job_data(j, config) for j in jobs], "adapters": [{"id": p.id, "base": p.base, "tenant": p.tenant, "dataset": p.dataset, "strength": p.strength, "of": p.of, "metrics": dict(p.metrics)} for p in adapters]}  # fmt: skip
        print(json.dumps(data, ensure_ascii=False, indent=2))
        return 0
    for job in jobs:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.created))
        kept = testing.kept(job, job.model, config)
        told = f"  tested: {kept['verdict']}" if kept is not None else ""
        print(
            f"{job.key}  {when}  {job.state}  {job.recipe.base}  {job.recipe.weights}  {job.model or job.message}{told}".rstrip()
        )
    for p in adapters:
        print(
            f"adapter {p.id}  on {p.base}  {f'{p.strength:.0%} of {p.of}  ' if p.of else ''}{f'for {p.tenant}  ' if p.tenant else ''}dataset {p.dataset}  held-out loss {p.metrics.get('held_loss', float('nan')):.3f}"
        )
    if not jobs and not adapters:
        print("nothing was trained yet; `advise finetune run FILE` trains")
    return 0


def _key_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", help="of a job, or the beginning of it")


def _show(args: argparse.Namespace, config: settings.Config) -> int:
    jobs = Jobs(config.state)
    job = jobs.poll(jobs.get(args.key).key)
    if args.json:
        return _shown(job, args, config)
    now = read(config.state / "jobs" / job.key) or Progress(stage="starting")
    print("\n".join(_job_lines(job, config)))
    if not job.is_over:
        print(f"  {now.line}")
    for event in jobs.events(job.key)[-20:]:
        print(f"  {time.strftime('%H:%M:%S', time.localtime(event.time))} {event.message}")
    return 0


def _cancel(args: argparse.Namespace, config: settings.Config) -> int:
    jobs = Jobs(config.state)
    job = jobs.control(jobs.get(args.key).key, "cancel")
    print(
        json.dumps(_job_data(job, config), indent=2)
        if args.json
        else f"job {job.key}: asked to stop ({job.state})"
    )
    return 0


def _resume(args: argparse.Namespace, config: settings.Config) -> int:
    jobs = Jobs(config.state)
    key = jobs.get(args.key).key
    jobs.control(key, "resume")
    return _followed(Running(jobs=jobs, key=key), args, config, test=False)


def _test_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", help="of a job, or an adapter's id, or the beginning of one")


_ACTIONS: Actions = {
    "plan": (_plan, "say what training would take and cost, and what is wrong with the examples; nothing is trained", _recipe_options),
    "run": (_run, "train, and wait for the end", _run_options),
    "list": (_list, "list jobs and adapters", nothing),
    "show": (_show, "show one job", _key_options),
    "test": (_test, "ask the base and the tuned model what was held out, and compare; exit code 1 unless it is better and harms nothing", _test_options),
    "cancel": (_cancel, "stop a job for good", _key_options),
    "resume": (_resume, "go on with a training that was killed or paused", _key_options),
    "export": (adapters.export, "write an adapter, or the model with it, as a GGUF file", adapters.export_options),
    "weaken": (adapters.weaken, "keep a part of what an adapter learnt as another adapter, where the whole breaks what was good", adapters.weaken_options),
    "delete": (adapters.delete, "delete an adapter for good", adapters.adapter_options),
}  # fmt: skip
