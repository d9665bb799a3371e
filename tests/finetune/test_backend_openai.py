"""The backend of OpenAI against the double: one job whatever goes wrong, and everything told that the provider tells."""

import asyncio
import time
from datetime import date

import pytest
from planted_datasets import good, made, pairs

from finetune import datasets
from finetune.backends.port import JobRefused, JobUnavailable, JobUncertain
from finetune.datasets import Dataset
from finetune.doubles.course import Course
from finetune.doubles.faults import cut, lost, malformed, refused, slow, status
from finetune.doubles.openai import OpenAIDouble
from finetune.jobs import Estimate, Jobs
from finetune.ordering import AsyncOrdering, Ordering, Preflight
from finetune.preflight import Terms
from finetune.recipe import Recipe

pytest.importorskip("openai")
from finetune.backends.openai import Azure, Mantle, OpenAI

RECIPE = Recipe(base="openai:gpt-4.1-mini", epochs=2, suffix="shop")
RFT = Recipe(base="mantle:openai.gpt-oss-20b", objective="rft", extra={"grader": {"type": "lambda", "lambda": {"function": "arn:aws:lambda:us-west-2:111122223333:function:g"}}})  # fmt: skip
DAY = date(2026, 10, 1)
TERMS = Terms(cap_usd=100, day=DAY)


@pytest.fixture
def double():
    with OpenAIDouble() as running:
        yield running


@pytest.fixture
def folder(tmp_path):
    data = Dataset(train=tuple(good(20)), validation=tuple(made(n, part="v") for n in range(90, 95)))
    return datasets.save(data, tmp_path / "datasets")


def jobs_at(tmp_path, double, *, maker=OpenAI, settle_s=0.0, **more):
    options = {"base_url": double.url, "api_key": "any", "settle_s": settle_s, "timeout_s": 5, **more}
    return Jobs(tmp_path / "state", backends=lambda name: maker(**options))


def test_a_job_goes_all_the_way(tmp_path, double, folder):
    jobs = jobs_at(tmp_path, double)
    key = jobs.write(RECIPE, folder, cap_usd=1, estimate=Estimate(low=0.1, high=0.2)).key
    sent = jobs.submit(key)
    assert [*double.jobs] == [sent.provider_id]
    there = double.jobs[sent.provider_id]
    assert there["metadata"] == {"rightfix_key": key}
    assert there["hyperparameters"]["n_epochs"] == 2
    assert {f["object"]["filename"] for f in double.files.values()} == {
        f"{key}-training.jsonl",
        f"{key}-validation.jsonl",
    }
    words = []
    job = jobs.wait(key, every_s=0, on_change=lambda j: words.append((j.state, j.raw)))
    assert words == [
        ("running", "validating_files"),
        ("running", "queued"),
        ("running", "running"),
        ("succeeded", "succeeded"),
    ]
    assert job.model == "openai:ft:gpt-4.1-mini-2025-04-14:double:shop:000001"
    assert job.cost_usd == pytest.approx(double.bill_usd)
    assert job.metrics["train_loss"] == 0.5 and job.metrics["step"] == 20
    assert job.checkpoints == (f"{job.model}:ckpt-step-10",)
    assert (tmp_path / "state" / "jobs" / key / "result-0.csv").read_text().startswith("step,")
    assert next(e.message for e in jobs.events(key)) == f"Created fine-tuning job: {sent.provider_id}"
    assert len(jobs.events(key)) == 4


def test_pairs_and_reinforcement(tmp_path, double):
    both = datasets.save(Dataset(train=pairs().train), tmp_path / "datasets")
    jobs = jobs_at(tmp_path, double)
    dpo = jobs.submit(
        jobs.write(Recipe(base="openai:gpt-4.1-mini", objective="dpo", extra={"beta": 0.2}), both).key
    )
    assert double.jobs[dpo.provider_id]["method"]["dpo"]["hyperparameters"]["beta"] == 0.2
    assert jobs.wait(dpo.key, every_s=0).state == "succeeded"
    graded = jobs_at(tmp_path, double, maker=Mantle)
    rft = graded.submit(graded.write(RFT, both).key)
    assert double.jobs[rft.provider_id]["method"]["reinforcement"]["grader"] == RFT.extra["grader"]
    assert graded.wait(rft.key, every_s=0).model.startswith("mantle:ft:openai.gpt-oss-20b")


def test_azure(tmp_path, double, folder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_VERSION", "2025-04-01-preview")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "any")
    jobs = jobs_at(tmp_path, double, maker=Azure, base_url=double.address, api_key=None)
    done = jobs.submit(jobs.write(Recipe(base="azure:gpt-4.1-mini"), folder).key)
    assert jobs.wait(done.key, every_s=0).model.startswith("azure:ft:")


LOSSES = [lost(), malformed(), status(500), status(503), refused()]


@pytest.mark.parametrize("fault", LOSSES, ids=[f"{f.kind}{f.status or ''}" for f in LOSSES])
@pytest.mark.parametrize("route", ["POST /fine_tuning/jobs", "POST /files"])
def test_an_answer_that_never_came_makes_one_job(tmp_path, double, folder, fault, route):
    double.script(route, [fault])
    jobs = jobs_at(tmp_path, double)
    key = jobs.write(RECIPE, folder).key
    for _ in range(3):
        try:
            jobs.submit(key)
            break
        except (JobUncertain, JobUnavailable) as error:
            assert jobs.get(key).state in ("sending", "written"), error
    assert len(double.jobs) == 1
    assert jobs.get(key).provider_id in double.jobs
    assert jobs.wait(key, every_s=0).state == "succeeded"
    assert len({f["object"]["filename"] for f in double.files.values()}) == 3


def test_an_answer_lost_while_listing_works_is_found_at_once(tmp_path, double, folder):
    double.script("POST /fine_tuning/jobs", [lost()])
    jobs = jobs_at(tmp_path, double, settle_s=60)
    assert jobs.submit(jobs.write(RECIPE, folder).key).provider_id == "ftjob-000001"
    assert double.asked("POST /fine_tuning/jobs") == 1


def test_a_job_that_appears_late_is_not_sent_again(tmp_path, double, folder):
    double.script("POST /fine_tuning/jobs", [slow(3.0)])
    jobs = jobs_at(tmp_path, double, settle_s=60, timeout_s=0.6)
    key = jobs.write(RECIPE, folder).key
    while "posting" not in jobs.get(key).steps:
        with pytest.raises((JobUncertain, JobUnavailable)):
            jobs.submit(key)
    assert not double.jobs
    with pytest.raises(JobUncertain, match=r"s more to appear|cannot be found out"):
        jobs.submit(key)
    end = time.monotonic() + 20
    while not double.jobs and time.monotonic() < end:
        time.sleep(0.05)
    patient = jobs_at(tmp_path, double)
    assert patient.submit(key).provider_id == "ftjob-000001"
    assert len(double.jobs) == 1


def test_an_upload_that_broke_is_sent_again_and_one_that_arrived_is_not(tmp_path, double, folder):
    double.script("POST /files", [cut(500), lost()])
    jobs = jobs_at(tmp_path, double)
    key = jobs.write(RECIPE, folder).key
    for _ in range(2):
        with pytest.raises(JobUnavailable):
            jobs.submit(key)
    jobs.submit(key)
    assert len(double.files) == 2 and len(double.jobs) == 1


@pytest.mark.parametrize(
    ("prepare", "error", "said", "state"),
    [
        (lambda d: setattr(d, "closed", True), JobRefused, "closed to this organisation", "failed"),
        (lambda d: setattr(d, "quota", 0), JobUnavailable, "asks to wait", "written"),
        (lambda d: d.script("POST /fine_tuning/jobs", [status(429, retry_after_s=7)]), JobUnavailable, "asks to wait", "written"),
        (lambda d: d.script("POST /fine_tuning/jobs", [status(429, body={"error": {"message": "You exceeded your current quota", "code": "insufficient_quota", "type": "insufficient_quota", "param": None}})]), JobUnavailable, "no credit left", "written"),
        (lambda d: d.script("POST /fine_tuning/jobs", [status(401)]), JobUnavailable, "does not take the key", "written"),
        (lambda d: d.script("POST /fine_tuning/jobs", [status(400)]), JobRefused, "refuses", "failed"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_and_makes_no_job(tmp_path, double, folder, prepare, error, said, state):
    prepare(double)
    jobs = jobs_at(tmp_path, double)
    key = jobs.write(RECIPE, folder).key
    with pytest.raises(error, match=said) as told:
        jobs.submit(key)
    assert (jobs.get(key).state, len(double.jobs)) == (state, 0)
    if said.startswith("closed"):
        assert told.value.code == "PROVIDER_FT_CLOSED" and "nearest living alternative" in str(told.value)
    if state == "written":
        double.quota = 3
        assert jobs.submit(key).provider_id in double.jobs


def test_what_another_state_folder_ordered_is_taken_over_or_named(tmp_path, double, folder):
    """A container that forgets its state folder must not pay twice."""
    jobs = jobs_at(tmp_path / "first", double)
    first = jobs.submit(jobs.write(RECIPE, folder).key)
    other = jobs_at(tmp_path / "other", double)
    assert (
        other.submit(other.write(RECIPE, folder).key).provider_id == first.provider_id
        and len(double.jobs) == 1
    )
    jobs.control(first.key, "cancel")
    third = jobs_at(tmp_path / "third", double)
    with pytest.raises(JobRefused, match="ordered before from another state folder"):
        third.submit(third.write(RECIPE, folder).key)
    assert third.submit(third.write(RECIPE, folder, again=True).key).provider_id != first.provider_id


def test_retry_after_is_handed_on(tmp_path, double, folder):
    double.script("POST /fine_tuning/jobs", [status(429, retry_after_s=7)])
    jobs = jobs_at(tmp_path, double)
    with pytest.raises(JobUnavailable) as told:
        jobs.submit(jobs.write(RECIPE, folder).key)
    assert told.value.retry_after_s == 7


@pytest.mark.parametrize(
    ("course", "state", "said"),
    [
        (Course(fails=("server_error", "The server had an error.")), "failed", "The server had an error. (server_error)"),
        (Course(word="warming_up"), "succeeded", ""), (Course(blocked=True), "succeeded", "blocked by post-training safety checks"),
    ],
)  # fmt: skip
def test_courses_are_told(tmp_path, double, folder, course, state, said):
    double.course = course
    jobs = jobs_at(tmp_path, double)
    key = jobs.submit(jobs.write(RECIPE, folder).key).key
    raws = []
    job = jobs.wait(key, every_s=0, on_change=lambda j: raws.append(j.raw))
    assert job.state == state and said in job.message
    assert not course.word or course.word in raws
    if course.blocked:
        assert "moderation_checks" in {e.data["type"] for e in jobs.events(key)}


def test_a_job_that_is_stuck_can_be_waited_for_and_cancelled(tmp_path, double, folder):
    double.course = Course(stuck_at="queued")
    jobs = jobs_at(tmp_path, double)
    key = jobs.submit(jobs.write(RECIPE, folder).key).key
    assert jobs.wait(key, timeout_s=0.1, every_s=0.02).state == "running"
    assert jobs.control(key, "pause").state == "paused"
    assert jobs.control(key, "resume").state == "running"
    assert jobs.control(key, "cancel").state == "cancelled"
    assert double.bill_usd == 0


def test_a_cancel_that_comes_too_late_says_so(tmp_path, double, folder):
    double.course = Course(cancel_race=True)
    jobs = jobs_at(tmp_path, double)
    key = jobs.submit(jobs.write(RECIPE, folder).key).key
    with pytest.raises(JobRefused, match="the job is over: succeeded"):
        jobs.control(key, "cancel")
    assert jobs.poll(key).state == "succeeded" and jobs.get(key).cost_usd == pytest.approx(double.bill_usd)


def test_a_refused_action_whose_reason_cannot_be_asked_is_told(tmp_path, double, folder):
    jobs = jobs_at(tmp_path, double)
    key = jobs.submit(jobs.write(RECIPE, folder).key).key
    double.script("GET /fine_tuning/jobs/{id}", [refused()] * 3)
    with pytest.raises(JobUnavailable, match="no answer"):
        jobs.control(key, "resume")


@pytest.mark.parametrize(
    "fault", [status(500), status(429), malformed(), refused()], ids=lambda f: f"{f.kind}{f.status}"
)
def test_asking_survives_faults(tmp_path, double, folder, fault):
    jobs = jobs_at(tmp_path, double)
    key = jobs.submit(jobs.write(RECIPE, folder).key).key
    double.script("GET /fine_tuning/jobs/{id}", [fault] * 4)
    double.script("GET /fine_tuning/jobs/{id}/events", [fault])
    assert jobs.wait(key, every_s=0).state == "succeeded"


def test_life_and_deletion(double):
    backend = OpenAI(base_url=double.url, api_key="any")
    assert backend.life("gpt-4.1-2025-04-14").shutdown == date(2027, 1, 14)
    assert backend.life("gpt-4.1-nano-2025-04-14").closed
    assert not Mantle(base_url=double.url, api_key="any").life("listed.under-another-name").closed
    backend.delete("ft:gone")


def test_without_a_key_it_says_which(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(JobUnavailable, match="set OPENAI_API_KEY"):
        OpenAI()


# Ordering


@pytest.fixture
def order(tmp_path, double):
    return Ordering(tmp_path / "state", backends=lambda name: OpenAI(base_url=double.url, api_key="any", settle_s=0, timeout_s=5))  # fmt: skip


def test_nothing_bad_reaches_the_provider(order, double, tmp_path):
    bad = datasets.save(Dataset(train=tuple(good(7))), tmp_path / "datasets")
    with pytest.raises(Preflight, match="takes 10 at least") as told:
        order.write(RECIPE, bad, TERMS)
    assert not told.value.report.ok
    assert {e.route for e in double.exchanges} <= {"GET /models/{id}"}
    assert not order.jobs.all()


def test_the_providers_own_end_date_counts(order, folder, monkeypatch):
    report = order.check(folder, RECIPE, Terms(cap_usd=9, day=date(2026, 11, 1)), ask=True)
    assert report.days_left == 74 and report.ok


def test_the_price_is_the_bill(order, double, folder):
    pytest.importorskip("bpe_openai")
    from finetune.encodings import counter

    double.count = counter("o200k_base")
    job = order.send(order.write(RECIPE, folder, TERMS).key)
    done = order.jobs.wait(job.key, every_s=0)
    assert done.cost_usd == pytest.approx(double.bill_usd)
    assert done.estimate.exact and done.estimate.low <= double.bill_usd <= done.estimate.high


def test_faults_of_the_network_are_waited_out(order, double, folder, monkeypatch):
    monkeypatch.setattr("finetune.ordering._PAUSES_S", (0.01, 0.02))
    double.script("POST /files", [status(500), refused(), lost()])
    double.script("POST /fine_tuning/jobs", [status(429), status(500), lost()])
    seen = []
    job = order.send(order.write(RECIPE, folder, TERMS).key, told=seen.append)
    assert job.provider_id in double.jobs and len(double.jobs) == 1
    assert len(seen) >= 4
    double.script("POST /fine_tuning/jobs", [status(429)])
    late = order.write(RECIPE, folder, TERMS, again=True).key
    with pytest.raises(JobUnavailable):
        order.send(late, patience_s=0)


def test_what_a_person_must_mend_is_not_waited_for(order, double, folder):
    double.script("POST /fine_tuning/jobs", [status(401)])
    begun = time.monotonic()
    with pytest.raises(JobUnavailable, match="does not take the key"):
        order.send(order.write(RECIPE, folder, TERMS).key, patience_s=300)
    assert time.monotonic() - begun < 60 and double.asked("POST /fine_tuning/jobs") == 0


def test_all_open_jobs_are_held_to_one_cap(tmp_path, double, folder):
    jobs = Jobs(
        tmp_path / "state", backends=lambda name: OpenAI(base_url=double.url, api_key="any"), open_cap_usd=5
    )
    first = jobs.write(RECIPE, folder, cap_usd=3, estimate=Estimate(high=3)).key
    second = jobs.write(RECIPE, folder, cap_usd=3, estimate=Estimate(high=3), again=True).key
    jobs.submit(first)
    with pytest.raises(JobRefused, match=r"may come to \$6.00, more than the cap of \$5.00 over all"):
        jobs.submit(second)
    assert (jobs.get(second).state, len(double.jobs)) == ("written", 1)
    jobs.wait(first, every_s=0)
    assert jobs.submit(second).provider_id in double.jobs


def test_the_same_verbs_in_an_event_loop(order, double, folder):
    async def whole():
        verbs = AsyncOrdering(order)
        assert (await verbs.check(folder, RECIPE, TERMS)).ok
        first, second = await asyncio.gather(
            verbs.write(RECIPE, folder, TERMS), verbs.write(RECIPE, folder, TERMS)
        )
        assert first.key == second.key
        sent = await asyncio.gather(*(verbs.send(first.key) for _ in range(4)))
        assert {j.provider_id for j in sent} == {"ftjob-000001"}
        double.script("GET /fine_tuning/jobs/{id}", [status(500)] * 4)
        assert (await verbs.wait(first.key, every_s=0)).state == "succeeded"
        with pytest.raises(JobRefused, match="is over"):
            await verbs.control(first.key, "cancel")

    asyncio.run(whole())
    assert len(double.jobs) == 1
