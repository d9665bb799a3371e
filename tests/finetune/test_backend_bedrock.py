"""The backend of Bedrock against its double and moto: permitted before sent, one job whatever goes wrong, served and deleted."""

import json
from dataclasses import replace
from datetime import date

import pytest
from planted_datasets import NOVA, good, made

from finetune import datasets
from finetune.backends.port import JobRefused, JobUnavailable, JobUncertain
from finetune.datasets import Dataset
from finetune.doubles.course import Course
from finetune.doubles.faults import cut, lost, malformed, refused, status
from finetune.jobs import Jobs
from finetune.ordering import Ordering, Preflight
from finetune.policies import Place, policies, trusts_bedrock
from finetune.preflight import Terms, check
from finetune.recipe import Recipe

pytest.importorskip("moto.server")
pytest.importorskip("boto3")

import pathlib

import boto3
from aws_place import BUCKET, ROLE, account, moto

from finetune.backends.bedrock import Bedrock

OTHER = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]})  # fmt: skip


@pytest.fixture(scope="module")
def endpoint():
    with moto() as address:
        yield address


@pytest.fixture
def double(endpoint, monkeypatch):
    with account(endpoint, monkeypatch) as running:
        yield running


@pytest.fixture
def folder(tmp_path):
    data = Dataset(train=tuple(good(20)), validation=tuple(made(n, part="v") for n in range(90, 95)))
    return datasets.save(data, tmp_path / "datasets")


@pytest.fixture
def jobs(tmp_path, double):
    return Jobs(tmp_path / "state", backends=lambda name: Bedrock(timeout_s=5))


def test_a_job_goes_all_the_way(tmp_path, jobs, double, folder):
    key = jobs.write(Recipe(base=NOVA.base, epochs=3, suffix="shop"), folder).key
    sent = jobs.submit(key)
    there = double.jobs[sent.provider_id]
    assert (
        there["jobName"] == key
        and there["clientRequestToken"] == key
        and there["outputModelName"] == f"shop-{key}"
    )
    assert there["hyperParameters"]["epochCount"] == "3"
    assert double._jobs[sent.provider_id].tags == [{"key": "rightfix_key", "value": key}]
    stored = boto3.client("s3").get_object(Bucket=BUCKET, Key=f"rightfix/{key}/training.jsonl")["Body"].read()
    assert stored == (tmp_path / "state" / "jobs" / key / "training.jsonl").read_bytes()
    assert there["validationDataConfig"]["validators"] == [
        {"s3Uri": f"s3://{BUCKET}/rightfix/{key}/validation.jsonl"}
    ]
    job = jobs.wait(key, every_s=0)
    assert job.state == "succeeded" and job.model.startswith(
        "bedrock:arn:aws:bedrock:us-east-1:123456789012:custom-model/"
    )
    assert job.metrics == {"training_loss": 0.5, "validation_loss": 0.6}
    assert "training_loss" in pathlib.Path(job.files["step_wise_training_metrics.csv"]).read_text(
        encoding="utf-8"
    )
    assert {"created", "training: Completed", "ended: Completed"} <= {e.message for e in jobs.events(key)}


def test_a_validation_set_that_is_ignored_is_not_sent(jobs, double, folder):
    sent = jobs.submit(jobs.write(Recipe(base="bedrock:nova-2-lite"), folder).key)
    assert double.jobs[sent.provider_id]["validationDataConfig"] == {"validators": []}


LOSSES = [
    lost(),
    malformed(),
    status(500, body={"message": "oops"}),
    status(503, body={"message": "oops"}),
    refused(),
    cut(10),
]


@pytest.mark.parametrize("fault", LOSSES, ids=[f"{f.kind}{f.status or ''}" for f in LOSSES])
@pytest.mark.parametrize("times", [1, 4])
def test_an_answer_that_never_came_makes_one_job(jobs, double, folder, fault, times):
    double.script("POST /model-customization-jobs", [fault] * times)
    key = jobs.write(NOVA, folder).key
    for _ in range(3):
        try:
            jobs.submit(key)
            break
        except (JobUncertain, JobUnavailable):
            assert jobs.get(key).state in ("sending", "written")
    assert len(double.jobs) == 1 and jobs.get(key).provider_id in double.jobs
    assert jobs.wait(key, every_s=0).state == "succeeded"


@pytest.mark.parametrize(
    ("prepare", "error", "said", "state"),
    [
        (lambda d: d.denied.add("CreateModelCustomizationJob"), JobUnavailable, "AWS denies it: .*policies.json", "written"),
        (lambda d: setattr(d, "quota", 0), JobUnavailable, "asks to wait", "written"),
        (lambda d: d.life.update({"amazon.nova-micro-v1:0": ("LEGACY", None)}), JobRefused, "legacy", "failed"),
        (lambda d: d.script("POST /model-customization-jobs", [status(429, body={"message": "slow"})] * 3), JobUnavailable, "asks to wait", "written"),
        (lambda d: boto3.client("s3").delete_bucket(Bucket=BUCKET), JobUnavailable, "bucket tuning cannot be reached", "written"),
        (lambda d: boto3.client("iam").delete_role(RoleName="tuner"), JobUnavailable, "there is no role .*policies.json", "written"),
        (lambda d: boto3.client("iam").update_assume_role_policy(RoleName="tuner", PolicyDocument=OTHER), JobUnavailable, "does not let Bedrock take it on", "written"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_and_makes_no_job(tmp_path, jobs, double, folder, prepare, error, said, state):
    prepare(double)
    key = jobs.write(NOVA, folder).key
    with pytest.raises(error, match=said):
        jobs.submit(key)
    assert (jobs.get(key).state, len(double.jobs)) == (state, 0)
    if "policies" in said:
        written = json.loads((tmp_path / "state" / "jobs" / key / "policies.json").read_text())
        assert set(written) == {"caller", "trust", "role"} and trusts_bedrock(written["trust"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("RIGHTFIX_BEDROCK_ROLE", "set RIGHTFIX_BEDROCK_ROLE"),
        ("RIGHTFIX_BEDROCK_BUCKET", "set RIGHTFIX_BEDROCK_BUCKET"),
    ],
)
def test_without_role_or_bucket_it_says_which(jobs, double, folder, monkeypatch, name, said):
    monkeypatch.delenv(name)
    with pytest.raises(JobUnavailable, match=said):
        jobs.submit(jobs.write(NOVA, folder).key)


def test_what_another_state_folder_ordered_is_taken_over_or_named(tmp_path, jobs, double, folder):
    first = jobs.submit(jobs.write(NOVA, folder).key)
    other = Jobs(tmp_path / "other", backends=lambda name: Bedrock(timeout_s=5))
    assert (
        other.submit(other.write(NOVA, folder).key).provider_id == first.provider_id and len(double.jobs) == 1
    )
    jobs.control(first.key, "cancel")
    third = Jobs(tmp_path / "third", backends=lambda name: Bedrock(timeout_s=5))
    with pytest.raises(JobRefused, match="ordered before from another state folder"):
        third.submit(third.write(NOVA, folder).key)
    again = third.submit(third.write(NOVA, folder, again=True).key)
    assert again.key.endswith("-2") and len(double.jobs) == 2


def test_roles_of_other_accounts_and_wrong_regions_are_told(jobs, double, folder):
    with pytest.raises(JobUnavailable, match="belongs to account 999999999999"):
        jobs.submit(
            jobs.write(
                Recipe(base=NOVA.base, extra={"role_arn": "arn:aws:iam::999999999999:role/x"}), folder
            ).key
        )
    with pytest.raises(JobUnavailable, match="is tuned in us-east-1, not in eu-west-1"):
        jobs.submit(jobs.write(Recipe(base=NOVA.base, extra={"region": "eu-west-1"}), folder).key)
    assert not double.jobs


@pytest.mark.parametrize(
    ("course", "state", "said"),
    [(Course(fails=("x", "The training data was blocked by content moderation.")), "failed", "blocked by content moderation"), (Course(word="Throttled"), "succeeded", "")],
)  # fmt: skip
def test_courses_are_told(jobs, double, folder, course, state, said):
    double.course = course
    key = jobs.submit(jobs.write(NOVA, folder).key).key
    raws = []
    job = jobs.wait(key, every_s=0, on_change=lambda j: raws.append(j.raw))
    assert job.state == state and said in job.message
    assert not course.word or course.word in raws


def test_cancelled_paused_and_too_late(jobs, double, folder):
    double.quota = 9
    key = jobs.submit(jobs.write(NOVA, folder).key).key
    with pytest.raises(JobRefused, match="cannot pause"):
        jobs.control(key, "pause")
    assert jobs.control(key, "cancel").raw == "Stopping"
    assert jobs.wait(key, every_s=0).state == "cancelled"
    double.course = Course(cancel_race=True)
    late = jobs.submit(jobs.write(NOVA, folder, again=True).key).key
    with pytest.raises(JobRefused, match="the job is over: Completed"):
        jobs.control(late, "cancel")
    assert jobs.poll(late).state == "succeeded"


def test_asking_survives_faults(jobs, double, folder):
    key = jobs.submit(jobs.write(NOVA, folder).key).key
    double.script(
        "GET /model-customization-jobs/{id}", [status(500, body={"message": "x"})] * 3 + [malformed()]
    )
    assert jobs.wait(key, every_s=0).state == "succeeded"


# Before


def test_legacy_models_are_known_before_anything_is_written(tmp_path, double, folder):
    double.life["amazon.nova-micro-v1:0"] = ("LEGACY", "2026-12-31T00:00:00Z")
    order = Ordering(tmp_path / "state", backends=lambda name: Bedrock(timeout_s=5))
    with pytest.raises(Preflight, match="the provider says so now"):
        order.write(NOVA, folder, Terms(cap_usd=9, day=date(2026, 11, 28)))
    assert not order.jobs.all() and not double.jobs


def test_a_dry_run_prints_the_policies(tmp_path, folder):
    check(
        folder,
        Recipe(base=NOVA.base, extra={"bucket": "mine", "role_arn": ROLE}),
        Terms(cap_usd=9),
        out=tmp_path / "out",
    )
    written = json.loads((tmp_path / "out/policies.json").read_text())
    assert "arn:aws:s3:::mine/rightfix/*" in json.dumps(written["role"])


def test_the_policies_are_the_least():
    written = policies(
        Place(
            region="us-east-1",
            account="1",
            bucket="b",
            role_arn=ROLE,
            kms_key="arn:aws:kms:us-east-1:1:key/k",
        )
    )
    assert not [s for s in written["role"]["Statement"] if s["Resource"] == ["*"]]
    assert [s["Sid"] for s in written["caller"]["Statement"] if s["Resource"] == ["*"]] == ["Lists"]
    assert not any(
        a.endswith("*")
        for p in written.values()
        for s in p["Statement"]
        for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])
    )
    assert (
        trusts_bedrock(written["trust"]) and not trusts_bedrock(written["role"]) and not trusts_bedrock(None)
    )


# After


@pytest.fixture
def tuned(jobs, folder):
    return jobs.wait(jobs.submit(jobs.write(NOVA, folder).key).key, every_s=0).model


def test_a_deployment_is_made_once_answers_and_is_deleted(double, tuned):
    served = Bedrock().deployments("us-east-1")
    made_ = served.make(tuned)
    assert made_.idle == "$1.95 a month while nobody asks"
    assert served.make(tuned).arn == made_.arn and len(double.serving.deployments) == 1
    assert [served.status(made_) for _ in range(2)] == ["Creating", "Active"]
    answer = boto3.client("bedrock-runtime").converse(
        modelId=made_.arn, messages=[{"role": "user", "content": [{"text": "Hi"}]}]
    )
    assert answer["output"]["message"]["content"][0]["text"].endswith("Hi")
    assert [d.reference for d in served.all()] == [f"bedrock:{made_.arn}"]
    with pytest.raises(JobRefused, match="delete them first"):
        served.delete_model(tuned)
    assert served.delete(made_.name).arn == made_.arn
    served.delete_model(tuned)
    assert not double.serving.deployments and not double.models
    with pytest.raises(JobRefused, match="nothing of ours"):
        served.delete(made_.name)


def test_a_tuned_model_is_served_under_one_reference(tmp_path, double, jobs, folder):
    order = Ordering(tmp_path / "state", backends=lambda name: Bedrock(timeout_s=5))
    job = jobs.wait(jobs.submit(jobs.write(NOVA, folder).key).key, every_s=0)
    reference = order.serve(job, every_s=0)
    assert reference == order.serve(job, every_s=0) and len(double.serving.deployments) == 1
    assert reference.removeprefix("bedrock:") in double.serving.deployments
    with pytest.raises(JobUnavailable, match="not active yet"):
        double.serving.deployments.clear()
        order.serve(job, timeout_s=0)
    with pytest.raises(JobRefused, match="has no model"):
        order.serve(jobs.write(NOVA, folder, again=True))
    assert order.serve(replace(job, backend="openai", model="openai:ft:x")) == "openai:ft:x"
    with pytest.raises(JobRefused, match="deployed at Azure"):
        order.serve(replace(job, backend="azure", model="azure:ft:x"))


def test_a_lost_answer_makes_one_deployment(double, tuned):
    double.script("POST /model-customization/custom-model-deployments", [lost(), lost()])
    Bedrock(timeout_s=5).deployments("us-east-1").make(tuned)
    assert len(double.serving.deployments) == 1


def test_throughput_costs_by_the_hour_and_is_bought_knowingly(double, jobs, folder):
    served = Bedrock().deployments("us-east-1")
    two = jobs.wait(
        jobs.submit(jobs.write(Recipe(base="bedrock:nova-2-lite"), folder).key).key, every_s=0
    ).model
    with pytest.raises(JobRefused, match=r"cost \$44,166.95 a month whether they are asked or not"):
        served.make(two, units=1)
    assert not double.serving.provisioned
    made_ = served.make(two, units=1, cap_usd_month=50_000)
    assert served.all() == [made_] or served.all()[0].arn == made_.arn
    assert [served.status(made_) for _ in range(2)] == ["Creating", "InService"]
    served.delete(made_.reference)
    assert not double.serving.provisioned


def test_what_can_be_served_by_the_hour_only_is_not_deployed(double):
    served = Bedrock().deployments("us-west-2")
    arn = (
        "arn:aws:bedrock:us-west-2:123456789012:custom-model/meta.llama3-1-8b-instruct-v1:0:128k/abcdefghijkl"
    )
    with pytest.raises(JobRefused, match="served by throughput only"):
        served.make(arn)
    with pytest.raises(JobRefused, match="cost an unknown sum a month"):
        served.make(arn, units=1, cap_usd_month=1000)
