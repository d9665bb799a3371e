"""`advise jobs`: fine-tunes that were written down, sent or done; waits for them, stops, pauses and resumes them."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from advisor.cli.declaring import common, loaded
from advisor.cli.progress import Line
from advisor.logs.files import InputError
from finetune.backends.port import Action, JobError
from finetune.catalog import CatalogFailed
from finetune.jobs import Job, Jobs
from finetune.ordering import Ordering

_EVENTS = 20
_ACTIONS: tuple[Action, ...] = ("cancel", "pause", "resume")


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("key", nargs="?", help="one job, or the beginning of its key; all unless given")
    parser.add_argument(
        "--wait", action="store_true", help="wait for its end or a pause (all that are open, without a key)"
    )
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="longest wait (default: no end)")
    parser.add_argument(
        "--every", type=float, default=20.0, metavar="SECONDS", help="between two looks (default 20)"
    )
    parser.add_argument("--offline", action="store_true", help="show what is written down; ask no provider")
    for action in _ACTIONS:
        parser.add_argument(f"--{action}", metavar="KEY", help=f"{action} a job")
    parser.add_argument(
        "--send", metavar="KEY", help="send a job that was written down, or whose sender died"
    )
    serving = parser.add_argument_group("what serves tuned models at Bedrock")
    serving.add_argument(
        "--deployments", action="store_true", help="list it, with what it costs while nobody asks"
    )
    serving.add_argument(
        "--deploy", metavar="KEY", help="serve the model of a job; asking twice makes it once"
    )
    serving.add_argument(
        "--units",
        type=int,
        default=0,
        help="by provisioned throughput, billed by the hour (default: on demand)",
    )
    serving.add_argument(
        "--cap-usd-month", type=float, metavar="USD", help="most it may cost a month while nobody asks"
    )
    serving.add_argument(
        "--undeploy", metavar="NAME", help="delete a deployment or throughput by name or ARN; the model stays"
    )
    serving.add_argument("--region", help="where (default: where the job ran, else AWS_REGION)")
    parser.add_argument(
        "--listen", type=int, metavar="PORT",
        help="receive OpenAI's webhooks on this machine, signed by OPENAI_WEBHOOK_SECRET; TLS belongs in front",
    )  # fmt: skip
    common(parser)


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    config = loaded(args)
    order = Ordering(config.state, open_cap_usd=config.train.open_cap_usd)
    if args.listen is not None:
        return _listen(order, args.listen)
    try:
        if args.deployments or args.deploy or args.undeploy:
            return _serving(order, args)
        for action in _ACTIONS:
            key = getattr(args, action)
            if key:
                _controlled(order, key, action)
                args.key = args.key or key
        if args.send:
            args.key = args.key or args.send
            order.send(order.jobs.get(args.send).key, told=lambda e: print(f"{e}; trying again", file=sys.stderr))  # fmt: skip
        keys = [order.jobs.get(args.key).key] if args.key else [j.key for j in order.jobs.all()]
        found = [_looked_at(order, key, args) for key in keys]
    except (JobError, CatalogFailed) as error:
        raise InputError(str(error)) from error
    if args.json:
        print(json.dumps([_data(order, job) for job in found], ensure_ascii=False, indent=2))
    elif args.key:
        print("\n".join(_lines(order, found[0])))
    else:
        print("\n".join(map(_line, found)) or "no jobs yet; `advise finetune` makes one")
    return 1 if args.wait and any(job.state != "succeeded" for job in found) else 0


def _serving(order: Ordering, args: argparse.Namespace) -> int:
    job = order.jobs.get(args.deploy) if args.deploy else None
    if job is not None and not (job.model or "").startswith("bedrock:"):
        raise InputError(
            f"job {job.key} has no model at Bedrock; what others tune answers by its id, or is deployed there"
        )
    region = args.region or (str(job.steps.get("region") or "") if job is not None else "") or None
    served = order.serving(region)
    if job is not None and job.model:
        found = [served.make(job.model, units=args.units, cap_usd_month=args.cap_usd_month)]
    elif args.undeploy:
        found = [served.delete(args.undeploy)]
    else:
        found = served.all()
    if args.json:
        print(json.dumps([{**asdict(d), "reference": d.reference} for d in found], indent=2))
        return 0
    for one in found:
        print(
            f"{one.name}  {'deleted' if args.undeploy else one.status}  {one.kind}  {one.idle}\n  {one.reference}"
        )
    if job is not None:
        print(
            f"when it is Active: advise release make --model '{found[0].reference}'; delete it by --undeploy {found[0].name}"
        )
    if not found:
        print("nothing of ours serves here")
    return 0


def _listen(order: Ordering, port: int) -> int:
    from finetune.webhooks import WebhookRefused, Webhooks, listening

    try:
        hooks = Webhooks(order.jobs, os.environ.get("OPENAI_WEBHOOK_SECRET", ""))
        server = listening(hooks, port)
    except (WebhookRefused, OSError) as error:
        raise InputError(f"--listen: {error}; OPENAI_WEBHOOK_SECRET holds the secret") from None
    print(
        f"advise: listening on http://127.0.0.1:{server.server_address[1]}; interrupt ends it",
        file=sys.stderr,
        flush=True,
    )
    with server:
        server.serve_forever()
    return 0


def _controlled(order: Ordering, key: str, action: Action) -> None:
    full = order.jobs.get(key).key
    try:
        order.jobs.control(full, action)
    except JobError:
        # What made it impossible, for instance that the job had ended in the meantime, is written down before it is told.
        polled(order.jobs, full)
        raise


def _looked_at(order: Ordering, key: str, args: argparse.Namespace) -> Job:
    job = order.jobs.get(key)
    if args.offline or job.is_over or job.provider_id is None:
        return job
    if not args.wait:
        return polled(order.jobs, key)
    with Line(show=not args.json and sys.stderr.isatty()) as line:
        return order.jobs.wait(key, timeout_s=args.timeout, every_s=args.every, on_change=lambda j: line.show(_line(j)))  # fmt: skip


def polled(jobs: Jobs, key: str) -> Job:
    """Ask after a job; one that cannot be asked after now is shown as it was known last, so that it hides no other."""
    try:
        return jobs.poll(key)
    except JobError as error:
        print(f"advise: {key}: {error}; shown as it was known last", file=sys.stderr)
        return jobs.get(key)


def _line(job: Job) -> str:
    word = f" ({job.raw})" if job.raw and job.raw != job.state else ""
    cost = f"  ${job.cost_usd:.2f}" if job.cost_usd is not None else ""
    return f"{job.key}  {job.state}{word}  {job.recipe.base}{cost}  {job.model or job.message}".rstrip()


def _lines(order: Ordering, job: Job) -> Iterator[str]:
    yield _line(job)
    if job.message and job.model:
        yield f"  {job.message}"
    if job.provider_id:
        yield f"  there: {job.provider_id}"
    e = job.estimate
    yield f"  price: estimated ${e.low:.2f} to ${e.high:.2f}, cap ${job.cap_usd:.2f}{_billed(job)}"
    if job.metrics:
        yield "  " + ", ".join(f"{name} {value:g}" for name, value in sorted(job.metrics.items()))
    for checkpoint in job.checkpoints:
        yield f"  checkpoint {checkpoint}"
    for name, path in job.files.items():
        yield f"  file {name}: {path}"
    for event in order.jobs.events(job.key)[-_EVENTS:]:
        yield f"  {time.strftime('%H:%M:%S', time.localtime(event.time))} {event.message}"
    if job.state in ("written", "sending"):
        yield f"  send it, or find out whether it was sent: advise jobs --send {job.key}"
    if job.model:
        yield f"  try it: advise release make --model {job.model}"


def _billed(job: Job) -> str:
    if job.cost_usd is None:
        return ""
    tokens = f" for {job.trained_tokens:,} tokens" if job.trained_tokens is not None else ""
    outside = job.cost_usd > job.estimate.high > 0
    return (
        f"; ${job.cost_usd:.4f}{tokens} by the provider's count{', more than estimated' if outside else ''}"
    )


def _data(order: Ordering, job: Job) -> dict[str, Any]:
    return {
        "key": job.key, "state": job.state, "raw": job.raw, "message": job.message, "base": job.recipe.base, "dataset": str(job.dataset),
        "provider_id": job.provider_id, "model": job.model, "checkpoints": list(job.checkpoints), "estimate": asdict(job.estimate),
        "cap_usd": job.cap_usd, "cost_usd": job.cost_usd, "trained_tokens": job.trained_tokens, "metrics": dict(job.metrics),
        "files": dict(job.files), "created": job.created, "updated": job.updated,
        "events": [asdict(e) for e in order.jobs.events(job.key)],
    }  # fmt: skip
