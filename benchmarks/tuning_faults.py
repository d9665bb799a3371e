"""What comes of a fine-tune when something goes wrong: jobs at the provider, money counted, the message, and whether it can go on.

    python benchmarks/tuning_faults.py [--times 10] [--only openai|bedrock]

Against the shipped doubles over real HTTP, by the vendors' own SDKs (`pip install 'rightfix[openai,bedrock,doubles]'`). Every row is
done `--times` times, each in a state folder of its own; a row is right if in all of them the number of jobs at the provider is the
expected one, what we count as paid is what the double billed, and the job ends, or can be sent again and ends, as it should.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune import datasets
from finetune.backends import load
from finetune.backends.port import JobError, JobRefused
from finetune.datasets import Dataset
from finetune.doubles.course import Course
from finetune.doubles.faults import cut, lost, malformed, slow, status
from finetune.doubles.openai import OpenAIDouble
from finetune.examples import Example
from finetune.jobs import Job, Jobs
from finetune.recipe import Recipe
from finetune.webhooks import Webhooks

ROLE, BUCKET = "arn:aws:iam::123456789012:role/tuner", "tuning"
WORDS = "copper yellow engine carpet window market ticket bridge candle doctor forest guitar hammer island jacket ladder mirror needle orange pencil".split()  # fmt: skip


@dataclass
class World:
    """One provider's double, and how its routes are called."""

    name: str
    double: Any
    base: str
    create: str
    upload: str
    get: str
    folder: Path

    def jobs(self, **options: Any) -> Jobs:
        return Jobs(self.folder / "state", backends=lambda name: load(name, **{"timeout_s": 2.0, **(({"settle_s": 0.0}) if self.name == "openai" else {}), **options}))  # fmt: skip

    def write(self, jobs: Jobs, examples: list[Example] | None = None) -> str:
        data = datasets.save(Dataset(train=tuple(examples or made(20))), self.folder / "datasets")
        return jobs.write(Recipe(base=self.base), data).key


@dataclass
class Row:
    """A fault, and what must come of it."""

    name: str
    act: Callable[[World], tuple[Job, str]]
    expected: int = 1
    providers: tuple[str, ...] = ("openai", "bedrock")


def made(count: int, text: str = "") -> list[Example]:
    found = []
    for n in range(count):
        chosen = random.Random(n).sample(WORDS, 10)
        messages = (
            {"role": "user", "content": " ".join(chosen[:4]) + text},
            {"role": "assistant", "content": " ".join(chosen[4:])},
        )
        found.append(Example(messages=messages, group=f"g{n}", origin="file", source=f"f:{n}"))
    return found


def finish(jobs: Jobs, key: str, tries: int = 12) -> tuple[Job, str]:
    """Send until it is sent or refused, then wait; the first message on the way is kept."""
    message = ""
    for _ in range(tries):
        try:
            jobs.submit(key)
            break
        except JobRefused as error:
            return jobs.get(key), message or str(error)
        except JobError as error:
            message = message or str(error)
            time.sleep(min(getattr(error, "retry_after_s", None) or 0.0, 1.0))
    job = jobs.wait(key, every_s=0, timeout_s=20)
    return job, message or job.message


def scripted(route: str, fault: Any, times: int = 1) -> Callable[[World], tuple[Job, str]]:
    def act(world: World) -> tuple[Job, str]:
        world.double.script(getattr(world, route), [fault] * times)
        jobs = world.jobs()
        return finish(jobs, world.write(jobs))

    return act


def answer(world: World, code: int, after: float | None = None) -> Any:
    return status(
        code,
        retry_after_s=after,
        body=None if world.name == "openai" else {"message": f"the script says {code}"},
    )


def by_status(code: int, after: float | None = None) -> Callable[[World], tuple[Job, str]]:
    return lambda world: scripted("create", answer(world, code, after), times=3)(world)


def late(world: World) -> tuple[Job, str]:
    """The answer comes after we gave up; the job appears after that."""
    world.double.script(world.create, [slow(1.0)])
    jobs = world.jobs(
        **({"timeout_s": 0.4, "settle_s": 2.0} if world.name == "openai" else {"timeout_s": 0.4})
    )
    key = world.write(jobs)
    message = ""
    for _ in range(12):
        try:
            jobs.submit(key)
            break
        except JobError as error:
            message = message or str(error)
            time.sleep(0.4)
    return jobs.wait(key, every_s=0.05, timeout_s=20), message


def stuck(world: World) -> tuple[Job, str]:
    world.double.course = Course(stuck_at="queued" if world.name == "openai" else "InProgress")
    jobs = world.jobs()
    key = jobs.submit(world.write(jobs)).key
    job = jobs.wait(key, timeout_s=0.3, every_s=0.02)
    waited = f"still {job.raw} when the wait ended"
    jobs.control(key, "cancel")
    return jobs.wait(key, every_s=0, timeout_s=5), waited


def invalid(world: World) -> tuple[Job, str]:
    jobs = world.jobs()
    return finish(jobs, world.write(jobs, made(5)))


def moderated(world: World) -> tuple[Job, str]:
    if world.name == "bedrock":
        world.double.course = Course(
            fails=("blocked", "The training data was blocked by content moderation.")
        )
    jobs = world.jobs()
    return finish(jobs, world.write(jobs, made(20, " unsafe-marker")))


def blocked_after(world: World) -> tuple[Job, str]:
    world.double.course = Course(blocked=True)
    jobs = world.jobs()
    return finish(jobs, world.write(jobs))


def full(world: World) -> tuple[Job, str]:
    world.double.quota = 0
    jobs = world.jobs()
    key = world.write(jobs)
    try:
        jobs.submit(key)
    except JobError as error:
        return jobs.get(key), str(error)
    return jobs.get(key), ""


def closed(world: World) -> tuple[Job, str]:
    world.double.closed = True
    return full(world) if world.name != "openai" else finish(world.jobs(), world.write(world.jobs()))


def denied(world: World) -> tuple[Job, str]:
    world.double.denied.add("CreateModelCustomizationJob")
    jobs = world.jobs()
    key = world.write(jobs)
    try:
        jobs.submit(key)
    except JobError as error:
        return jobs.get(key), str(error)
    return jobs.get(key), ""


def legacy(world: World) -> tuple[Job, str]:
    if world.name == "bedrock":
        world.double.life["amazon.nova-micro-v1:0"] = ("LEGACY", None)
    else:
        world.base = "openai:gpt-4.1-nano"
    jobs = world.jobs()
    return finish(jobs, world.write(jobs))


def raced(world: World) -> tuple[Job, str]:
    world.double.course = Course(cancel_race=True)
    jobs = world.jobs()
    key = jobs.submit(world.write(jobs)).key
    try:
        jobs.control(key, "cancel")
    except JobError as error:
        return jobs.poll(key), str(error)
    return jobs.get(key), "cancelled"


def hooked(world: World) -> tuple[Job, str]:
    """Once before the sender knows the job's id, twice before the provider's own answer says so."""
    jobs = world.jobs()
    hooks = Webhooks(jobs, world.double.sender.secret)
    body, headers = world.double.sender.event("fine_tuning.job.succeeded", "ftjob-000001")
    early = hooks.receive(body, headers)
    key = jobs.submit(world.write(jobs)).key
    again = [hooks.receive(body, headers) for _ in range(2)]
    told = f"early {early.job is None}, first {early.first}, again {[t.first for t in again]}"
    return jobs.wait(key, every_s=0, timeout_s=20), told


SENDER = """
import os, signal, sys
from pathlib import Path
from finetune.backends import load
from finetune.jobs import Jobs
state, key, step, options = Path(sys.argv[1]), sys.argv[2], [int(sys.argv[3])], eval(sys.argv[4])
def here():
    step[0] -= 1
    if step[0] == 0: os.kill(os.getpid(), signal.SIGKILL)
class Watched(Jobs):
    def _set(self, key, **values):
        here(); super()._set(key, **values); here()
    def _noting(self, key):
        note = super()._noting(key)
        def watched(name, value):
            here(); note(name, value); here()
        return watched
Watched(state, backends=lambda name: load(name, **options)).submit(key)
"""


def killed(world: World) -> tuple[Job, str]:
    """kill -9 at one step after the other, until a process gets to the end; each leaves what the next one finds."""
    jobs = world.jobs()
    key = world.write(jobs)
    options = {"settle_s": 0.0} if world.name == "openai" else {}
    step, deaths = 0, 0
    while True:
        step += 1
        done = subprocess.run([sys.executable, "-c", SENDER, str(world.folder / "state"), key, str(step), repr(options)], check=False, timeout=120, stderr=subprocess.DEVNULL)  # fmt: skip
        if done.returncode != -signal.SIGKILL:
            break
        deaths += 1
    return jobs.wait(key, every_s=0, timeout_s=20), f"killed {deaths} times, each time one step further"


ROWS = [
    Row("429 with Retry-After, three times", by_status(429, 0.2)),
    Row("500 on create, three times", by_status(500)),
    Row("timeout: the answer comes after we gave up", late),
    Row("connection dropped in the middle of the upload", scripted("upload", cut(200)), providers=("openai",)),
    Row("answer lost after the job was made", scripted("create", lost())),
    Row("answer lost, four times over", scripted("create", lost(), times=4)),
    Row("malformed JSON as the answer", scripted("create", malformed())),
    Row("job stuck in the queue, then cancelled", stuck),
    Row("training file refused by validation", invalid),
    Row("training file blocked by moderation", moderated),
    Row("tuned model blocked by checks after training", blocked_after, providers=("openai",)),
    Row("quota of open jobs used up", full, expected=0),
    Row("access denied", denied, expected=0, providers=("bedrock",)),
    Row("organisation closed to fine-tuning", closed, expected=0, providers=("openai",)),
    Row("model legacy or gone", legacy, expected=0),
    Row("cancel that comes too late", raced),
    Row("webhook early and twice", hooked, providers=("openai",)),
    Row("kill -9 at every step of sending", killed),
]  # fmt: skip


@contextmanager
def openai_world() -> Iterator[World]:
    with OpenAIDouble() as double, tempfile.TemporaryDirectory() as folder:
        os.environ.update(OPENAI_BASE_URL=double.url, OPENAI_API_KEY="any")
        yield World("openai", double, "openai:gpt-4.1-mini", "POST /fine_tuning/jobs", "POST /files", "GET /fine_tuning/jobs/{id}", Path(folder))  # fmt: skip


@contextmanager
def bedrock_world(address: str) -> Iterator[World]:
    import json
    from urllib.request import Request, urlopen

    import boto3

    from finetune.doubles.bedrock import ACCOUNT, BedrockDouble
    from finetune.policies import Place, policies

    with BedrockDouble(s3=address) as double, tempfile.TemporaryDirectory() as folder:
        double.quota = 99
        os.environ.update(AWS_ACCESS_KEY_ID="AKIAEXAMPLE", AWS_SECRET_ACCESS_KEY="secret", AWS_DEFAULT_REGION="us-east-1", RIGHTFIX_BEDROCK_ROLE=ROLE, RIGHTFIX_BEDROCK_BUCKET=BUCKET)  # fmt: skip
        os.environ.update({f"AWS_ENDPOINT_URL_{s}": address for s in ("S3", "STS", "IAM")})
        os.environ.update({f"AWS_ENDPOINT_URL_{s}": double.address for s in ("BEDROCK", "BEDROCK_RUNTIME")})
        urlopen(Request(f"{address}/moto-api/reset", method="POST"), timeout=5).close()
        trust = policies(Place(region="us-east-1", account=ACCOUNT, bucket=BUCKET, role_arn=ROLE))["trust"]
        boto3.client("iam").create_role(RoleName="tuner", AssumeRolePolicyDocument=json.dumps(trust))
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield World("bedrock", double, "bedrock:nova-micro", "POST /model-customization-jobs", "", "GET /model-customization-jobs/{id}", Path(folder))  # fmt: skip


def measured(row: Row, world: World) -> tuple[bool, int, str, str]:
    job, message = row.act(world)
    there = len(world.double.jobs)
    billed = world.double.bill_usd
    # Bedrock tells no price of a job, so that nothing is counted there.
    counted = job.cost_usd or 0.0
    money = abs(counted - billed) < 1e-9 if world.name == "openai" else job.cost_usd is None
    return there == row.expected and money and bool(message or job.is_over), there, job.state, message


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--only", choices=("openai", "bedrock"))
    args = parser.parse_args()
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    worlds = {"openai": openai_world, "bedrock": lambda: bedrock_world(f"http://{host}:{port}")}
    print("| what goes wrong | at | jobs there | right | ends | told |\n|---|---|---|---|---|---|")
    for row in ROWS:
        for name in row.providers:
            if args.only in (None, name):
                line(row, name, worlds[name], args.times)
    server.stop()


def line(row: Row, name: str, world_of: Callable[[], Any], times: int) -> None:
    found = []
    for _ in range(times if row.act is not killed else max(1, times // 5)):
        with world_of() as world:
            found.append(measured(row, world))
    right = sum(f[0] for f in found)
    told = found[0][3].replace("|", "/").replace("\n", " ")
    for folder in ("/tmp/", "/dev/shm/"):
        told = " ".join("FILE" if folder in w else w for w in told.split(" "))
    print(f"| {row.name} | {name} | {'/'.join(sorted({str(f[1]) for f in found}))} | {right} of {len(found)} | {'/'.join(sorted({f[2] for f in found}))} | {told[:150]} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
