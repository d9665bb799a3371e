"""Random schedules of orders, faults, kills, cancels, webhooks and restarts: one job at the provider, money counted once."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from planted_datasets import good

from finetune import datasets
from finetune.backends.port import Backend, JobError
from finetune.datasets import Dataset
from finetune.doubles.course import Course
from finetune.doubles.faults import cut, lost, malformed, refused, status
from finetune.doubles.openai import OpenAIDouble
from finetune.doubles.server import Double
from finetune.jobs import Jobs
from finetune.recipe import Recipe
from finetune.webhooks import Webhooks

pytest.importorskip("openai")
from finetune.backends.openai import OpenAI

COURSES = st.sampled_from(
    [Course(), Course(), Course(fails=("server_error", "oops")), Course(cancel_race=True), Course(word="odd")]
)
MEMORY = next((p for p in ("/dev/shm",) if Path(p).is_dir()), None)
"""Where the disk is not waited for: what is tested is the order of steps, not the disk."""
PICK = st.integers(0, 9)


class AtOpenAI:
    """What the machine must know of one provider."""

    base = "openai:gpt-4.1-mini"
    routes = (
        "POST /files", "GET /files", "POST /fine_tuning/jobs", "GET /fine_tuning/jobs", "GET /fine_tuning/jobs/{id}", "POST /fine_tuning/jobs/{id}/cancel",
    )  # fmt: skip
    faults = (lost(), refused(), malformed(), cut(100), status(429, retry_after_s=0), status(500), status(503), status(401))  # fmt: skip
    ends = (("succeeded", "succeeded"), ("failed", "failed"), ("cancelled", "cancelled"))
    bills = True

    @staticmethod
    def key(job):
        return job["metadata"]["rightfix_key"]


class AtBedrock:
    """Likewise."""

    base = "bedrock:nova-micro"
    routes = (
        "POST /model-customization-jobs", "GET /model-customization-jobs/{id}", "POST /model-customization-jobs/{id}/stop",
    )  # fmt: skip
    faults = (lost(), refused(), malformed(), cut(100), *(status(n, body={"message": "x"}) for n in (429, 500, 503, 403)))  # fmt: skip
    ends = (("Completed", "succeeded"), ("Failed", "failed"), ("Stopped", "cancelled"))
    # Bedrock tells no price of a job.
    bills = False

    @staticmethod
    def key(job):
        return job["jobName"]


class Killed(BaseException):
    """The process dies here."""


class Machine(RuleBasedStateMachine):
    """One state folder, one provider, and a process that may die between any two steps."""

    provider: type
    double: Double
    backend: Backend

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="schedule-", dir=MEMORY))
        self.data = datasets.save(Dataset(train=tuple(good(12))), self.folder / "datasets")
        self.double._scripts.clear()
        self.double._jobs.clear()
        self.double.course, self.double.quota = Course(), 99
        self.keys = []
        self.refused = set()
        self.restart()

    @initialize()
    def first(self):
        self.write()

    def restart(self):
        self.jobs = Jobs(self.folder / "state", backends=lambda name: self.backend)

    @rule()
    def write(self):
        if len(self.keys) < 3:
            self.keys.append(self.jobs.write(Recipe(base=self.provider.base), self.data, again=True).key)

    @rule()
    def another_process(self):
        self.restart()

    @rule(data=st.data())
    def break_something(self, data):
        route = data.draw(st.sampled_from(self.provider.routes), label="route")
        faults = st.lists(st.sampled_from(self.provider.faults), min_size=1, max_size=3)
        self.double.script(route, data.draw(faults, label="faults"))

    @rule(course=COURSES)
    def change_course(self, course):
        self.double.course = course

    @rule(pick=PICK)
    def submit(self, pick):
        self.quietly(lambda key: self.jobs.submit(key), pick)

    @rule(pick=PICK, after=st.integers(0, 6))
    def die_while_sending(self, pick, after):
        """The process dies before it can write its next step down."""
        noting, left = self.jobs._noting, [after]

        def dying(key):
            note = noting(key)

            def counted(name, value):
                if not left[0]:
                    raise Killed
                left[0] -= 1
                note(name, value)

            return counted

        self.jobs._noting = dying
        self.die(lambda key: self.jobs.submit(key), pick)

    @rule(pick=PICK)
    def die_before_the_answer_is_written(self, pick):
        original = self.jobs._set

        def dying(key, **values):
            if "provider_id" in values:
                raise Killed
            original(key, **values)

        self.jobs._set = dying
        self.die(lambda key: self.jobs.submit(key), pick)

    def die(self, action, pick):
        try:
            self.quietly(action, pick)
        except Killed:
            pass
        finally:
            self.restart()

    @rule(pick=PICK)
    def poll(self, pick):
        self.quietly(lambda key: self.jobs.poll(key), pick)

    @rule(pick=PICK, action=st.sampled_from(["cancel", "pause", "resume"]))
    def control(self, pick, action):
        self.quietly(lambda key: self.jobs.control(key, action), pick)

    @precondition(lambda self: self.double.jobs and self.provider is AtOpenAI)
    @rule(pick=PICK, times=st.integers(1, 3))
    def webhook(self, pick, times):
        hooks = Webhooks(self.jobs, self.double.sender.secret)
        id = [*self.double.jobs][pick % len(self.double.jobs)]
        for _ in range(times):
            hooks.receive(*self.double.sender.event("fine_tuning.job.succeeded", id))

    def quietly(self, action, pick):
        key = self.keys[pick % len(self.keys)]
        try:
            action(key)
        except JobError as error:
            assert str(error)

    @invariant()
    def never_two_jobs_of_one_order(self):
        made = [self.provider.key(j) for j in self.double.jobs.values()]
        assert len(made) == len(set(made)), made

    @invariant()
    def rows_and_provider_agree(self):
        for job in self.jobs.all():
            there = self.double.jobs.get(job.provider_id)
            assert job.provider_id is None or self.provider.key(there) == job.key
            if job.is_over and there is not None:
                assert (there["status"], job.state) in self.provider.ends

    def teardown(self):
        """With the faults gone, everything comes to an end, and the sums agree."""
        try:
            self.double._scripts.clear()
            self.restart()
            for key in self.keys:
                job = self.jobs.get(key)
                if not job.is_over:
                    self.jobs.submit(key)
                    if getattr(self.double._jobs[self.jobs.get(key).provider_id], "paused", False):
                        self.jobs.control(key, "resume")
                    job = self.jobs.wait(key, every_s=0, timeout_s=20)
                assert job.is_over
                assert job.provider_id is not None or job.state in ("cancelled", "failed")
            self.never_two_jobs_of_one_order()
            counted = sum(j.cost_usd or 0.0 for j in self.jobs.all())
            assert counted == pytest.approx(self.double.bill_usd if self.provider.bills else 0.0)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def run(provider, double, backend, examples, steps):
    machine = type("Schedules", (Machine,), {"provider": provider, "double": double, "backend": backend})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
        ),
    )  # fmt: skip


def at_openai(examples, steps):
    with OpenAIDouble() as double:
        backend = OpenAI(base_url=double.url, api_key="any", settle_s=0, timeout_s=5)
        backend._client = backend._client.with_options(max_retries=0)
        backend._once = backend._client
        run(AtOpenAI, double, backend, examples, steps)


def at_bedrock(monkeypatch, examples, steps):
    pytest.importorskip("moto.server")
    pytest.importorskip("boto3")
    from aws_place import account, moto
    from botocore.config import Config

    from finetune.backends.bedrock import Bedrock

    with moto() as address, account(address, monkeypatch) as double:
        backend = Bedrock(timeout_s=5)
        backend._config = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1})
        run(AtBedrock, double, backend, examples, steps)


def test_schedules_at_openai():
    at_openai(12, 15)


def test_schedules_at_bedrock(monkeypatch):
    at_bedrock(monkeypatch, 8, 12)


@pytest.mark.slow
def test_many_schedules(monkeypatch):
    """RIGHTFIX_SCHEDULES=1000 for a thousand: every step is flushed to the disk, so they take their time."""
    count = int(os.environ.get("RIGHTFIX_SCHEDULES", "100"))
    at_openai(count * 85 // 100, 10)
    at_bedrock(monkeypatch, count * 15 // 100, 10)
