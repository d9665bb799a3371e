"""Random schedules of orders, faults, kills, cancels, webhooks and restarts: one job at the provider, money counted once."""

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
from finetune.backends.port import JobError
from finetune.datasets import Dataset
from finetune.doubles.course import Course
from finetune.doubles.faults import cut, lost, malformed, refused, status
from finetune.doubles.openai import OpenAIDouble
from finetune.jobs import Jobs
from finetune.recipe import Recipe
from finetune.webhooks import Webhooks

pytest.importorskip("openai")
from finetune.backends.openai import OpenAI

FAULTS = st.sampled_from(
    [
        lost(),
        refused(),
        malformed(),
        cut(100),
        status(429, retry_after_s=0),
        status(500),
        status(503),
        status(401),
    ]
)
ROUTES = st.sampled_from(
    ["POST /files", "GET /files", "POST /fine_tuning/jobs", "GET /fine_tuning/jobs", "GET /fine_tuning/jobs/{id}", "POST /fine_tuning/jobs/{id}/cancel"]
)  # fmt: skip
COURSES = st.sampled_from(
    [Course(), Course(), Course(fails=("server_error", "oops")), Course(cancel_race=True), Course(word="odd")]
)
MEMORY = next((p for p in ("/dev/shm",) if Path(p).is_dir()), None)
"""Where the disk is not waited for: what is tested is the order of steps, not the disk."""
PICK = st.integers(0, 9)


class Killed(BaseException):
    """The process dies here."""


class Machine(RuleBasedStateMachine):
    """One state folder, one provider, and a process that may die between any two steps."""

    double: OpenAIDouble
    backend: OpenAI

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="schedule-", dir=MEMORY))
        self.data = datasets.save(Dataset(train=tuple(good(12))), self.folder / "datasets")
        self.double._scripts.clear()
        self.double._jobs.clear()
        self.double.files.clear()
        self.double.course, self.double.quota, self.double.closed = Course(), 99, False
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
            self.keys.append(self.jobs.write(Recipe(base="openai:gpt-4.1-mini"), self.data, again=True).key)

    @rule()
    def another_process(self):
        self.restart()

    @rule(route=ROUTES, faults=st.lists(FAULTS, min_size=1, max_size=3))
    def break_something(self, route, faults):
        self.double.script(route, faults)

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

    @precondition(lambda self: self.double.jobs)
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
        made = [j["metadata"]["rightfix_key"] for j in self.double.jobs.values()]
        assert len(made) == len(set(made)), made

    @invariant()
    def rows_and_provider_agree(self):
        for job in self.jobs.all():
            there = self.double.jobs.get(job.provider_id)
            assert job.provider_id is None or there["metadata"]["rightfix_key"] == job.key
            if job.is_over and there is not None:
                assert job.state == there["status"]

    def teardown(self):
        """With the faults gone, everything comes to an end, and the sums agree."""
        try:
            self.double._scripts.clear()
            self.restart()
            for key in self.keys:
                job = self.jobs.get(key)
                if not job.is_over:
                    self.jobs.submit(key)
                    if (
                        self.jobs.get(key).state == "paused"
                        or self.double._jobs[self.jobs.get(key).provider_id].paused
                    ):
                        self.jobs.control(key, "resume")
                    job = self.jobs.wait(key, every_s=0, timeout_s=20)
                assert job.is_over
                assert job.provider_id is not None or job.state in ("cancelled", "failed")
            self.never_two_jobs_of_one_order()
            counted = sum(j.cost_usd or 0.0 for j in self.jobs.all())
            assert counted == pytest.approx(self.double.bill_usd)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def run(examples, steps):
    with OpenAIDouble() as double:
        backend = OpenAI(base_url=double.url, api_key="any", settle_s=0, timeout_s=5)
        backend._client = backend._client.with_options(max_retries=0)
        backend._once = backend._client
        machine = type("Schedules", (Machine,), {"double": double, "backend": backend})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
            ),
        )  # fmt: skip


def test_schedules():
    run(15, 15)


@pytest.mark.slow
def test_a_thousand_schedules():
    run(1000, 10)
