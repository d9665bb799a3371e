"""Bedrock's double: reached by the unmodified SDK, held to botocore's own model in both directions, faults for real reasons."""

import pytest
from planted_datasets import ANSWER, NOVA, PLANTED, USER, good, made, say

pytest.importorskip("moto.server")
pytest.importorskip("boto3")

import boto3
from aws_place import BUCKET, ROLE, account, moto
from aws_shapes import faults, service
from botocore.exceptions import ClientError

from finetune.bodies import bedrock_body
from finetune.catalog import find
from finetune.doubles.course import Course
from finetune.formats import write
from finetune.formats.line import Unfit
from finetune.recipe import Recipe

MICRO, LLAMA, CLAUDE = (
    "amazon.nova-micro-v1:0:128k",
    "meta.llama3-1-8b-instruct-v1:0:128k",
    "anthropic.claude-3-haiku-20240307-v1:0:200k",
)


@pytest.fixture(scope="module")
def endpoint():
    with moto() as address:
        yield address


@pytest.fixture
def double(endpoint, monkeypatch):
    with account(endpoint, monkeypatch) as running:
        yield running


@pytest.fixture
def bedrock(double):
    return boto3.client("bedrock")


def put(data, name="training.jsonl"):
    boto3.client("s3").put_object(Bucket=BUCKET, Key=name, Body=data)
    return f"s3://{BUCKET}/{name}"


def create(bedrock, data=None, *, model=MICRO, key="rf-1-1", validation=None, **more):
    row = find("bedrock", model, "supervised")
    data = write(good(max(20, row.least_examples)), row.format) if data is None else data
    body = bedrock_body(
        key,
        Recipe(base=f"bedrock:{model}"),
        row,
        role_arn=ROLE,
        training=put(data),
        validation=validation,
        output=f"s3://{BUCKET}/out/",
    )
    return bedrock.create_model_customization_job(**{**body, **more})["jobArn"]


def ended(bedrock, arn):
    for _ in range(10):
        job = bedrock.get_model_customization_job(jobIdentifier=arn)
        if job["status"] not in ("InProgress", "Stopping"):
            return job
    raise AssertionError(job["status"])


def code(error):
    return error.value.response["Error"]["Code"]


def test_a_job_goes_its_way_and_its_model_is_served(bedrock, double):
    arn = create(bedrock, validation=put(write(good(5), "bedrock_conversation"), "validation.jsonl"))
    job = ended(bedrock, arn)
    assert job["status"] == "Completed" and job["trainingMetrics"]["trainingLoss"] == 0.5
    assert bedrock.get_model_customization_job(jobIdentifier="rf-1-1")["jobArn"] == arn
    assert double.bill_usd > 0
    model = job["outputModelArn"]
    assert bedrock.get_custom_model(modelIdentifier=model)["modelStatus"] == "Active"
    made_ = bedrock.create_custom_model_deployment(
        modelDeploymentName="d", modelArn=model, clientRequestToken="d"
    )
    deployment = made_["customModelDeploymentArn"]
    again = bedrock.create_custom_model_deployment(
        modelDeploymentName="d", modelArn=model, clientRequestToken="d"
    )
    assert again["customModelDeploymentArn"] == deployment and len(double.serving.deployments) == 1
    runtime = boto3.client("bedrock-runtime", config=boto3.session.Config(retries={"total_max_attempts": 1}))
    messages = [{"role": "user", "content": [{"text": "Hi"}]}]
    with pytest.raises(ClientError) as told:
        runtime.converse(modelId=deployment, messages=messages)
    assert code(told) == "ModelNotReadyException"
    words = [
        bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=deployment)["status"]
        for _ in range(2)
    ]
    assert words == ["Creating", "Active"]
    assert runtime.converse(modelId=deployment, messages=messages)["output"]["message"]["content"][0][
        "text"
    ].endswith("Hi")
    with pytest.raises(ClientError) as told:
        bedrock.delete_custom_model(modelIdentifier=model)
    assert code(told) == "ConflictException"
    bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=deployment)
    bedrock.delete_custom_model(modelIdentifier=model)
    assert not double.models


OPERATIONS = {
    "POST /model-customization-jobs": "CreateModelCustomizationJob", "GET /model-customization-jobs": "ListModelCustomizationJobs",
    "GET /model-customization-jobs/{id}": "GetModelCustomizationJob", "POST /model-customization-jobs/{id}/stop": "StopModelCustomizationJob",
    "GET /custom-models/{id}": "GetCustomModel", "GET /foundation-models/{id}": "GetFoundationModel",
    "POST /model-customization/custom-model-deployments": "CreateCustomModelDeployment",
    "GET /model-customization/custom-model-deployments": "ListCustomModelDeployments",
    "GET /model-customization/custom-model-deployments/{id}": "GetCustomModelDeployment",
    "POST /provisioned-model-throughput": "CreateProvisionedModelThroughput", "GET /provisioned-model-throughputs": "ListProvisionedModelThroughputs",
    "GET /provisioned-model-throughput/{id}": "GetProvisionedModelThroughput",
}  # fmt: skip


def test_every_answer_and_request_is_as_botocore_models_them(bedrock, double):
    arn = create(bedrock, validation=put(write(good(5), "bedrock_conversation"), "validation.jsonl"))
    bedrock.list_model_customization_jobs(nameContains="rf-")
    model = ended(bedrock, arn)["outputModelArn"]
    bedrock.get_custom_model(modelIdentifier=model)
    bedrock.get_foundation_model(modelIdentifier=MICRO)
    deployed = bedrock.create_custom_model_deployment(modelDeploymentName="rf-d", modelArn=model)[
        "customModelDeploymentArn"
    ]
    units = bedrock.create_provisioned_model_throughput(
        modelUnits=1, provisionedModelName="rf-p", modelId=model
    )["provisionedModelArn"]
    for _ in range(2):
        bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=deployed)
        bedrock.get_provisioned_model_throughput(provisionedModelId=units)
    bedrock.list_custom_model_deployments(nameContains="rf-")
    bedrock.list_provisioned_model_throughputs()
    stopped = create(bedrock, key="rf-2-1")
    bedrock.stop_model_customization_job(jobIdentifier=stopped)
    failed = ended(bedrock, create(bedrock, b"{", key="rf-3-1"))
    assert failed["status"] == "Failed" and ended(bedrock, stopped)["status"] == "Stopped"
    seen = set()
    for exchange in double.exchanges:
        operation = service("bedrock").operation_model(OPERATIONS[exchange.route])
        seen.add(exchange.route)
        assert exchange.status == operation.http["responseCode"]
        assert faults(operation.output_shape, exchange.answer) == [], exchange.route
        if exchange.request.method == "POST" and exchange.request.body:
            assert (
                faults(
                    operation.input_shape,
                    {
                        **exchange.request.json(),
                        **(
                            {}
                            if "{id}" not in exchange.route
                            else {"jobIdentifier": exchange.request.parts["id"]}
                        ),
                    },
                )
                == []
            )
    assert seen == set(OPERATIONS)


def test_the_walker_sees_what_the_sdk_lets_pass():
    shape = service("bedrock").operation_model("CreateModelCustomizationJob").input_shape
    body = bedrock_body(
        "rf-1-1",
        NOVA,
        find("bedrock", MICRO, "supervised"),
        role_arn=ROLE,
        training="s3://bucket/t",
        validation=None,
        output="s3://bucket/o/",
    )
    assert faults(shape, body) == []
    for wrong in (
        {"roleArn": "arn:nothing"},
        {"customizationType": "SFT"},
        {"jobName": "x" * 70},
        {"hyperParameters": {"epochCount": 2}},
        {"colour": "red"},
    ):
        assert faults(shape, {**body, **wrong})


def test_a_token_that_was_seen_makes_no_second_job(bedrock, double):
    assert create(bedrock) == create(bedrock)
    with pytest.raises(ClientError) as told:
        create(bedrock, clientRequestToken="another")
    assert code(told) == "ConflictException" and len(double.jobs) == 1


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        (MICRO, write(good(7), "bedrock_conversation"), "7 records; at least 8"), (MICRO, b"{", "malformed JSON in line 1"),
        (MICRO, write(good(9), "bedrock_prompt"), "unknown key"), (LLAMA, write(good(99), "bedrock_prompt"), "99 records"),
        (MICRO, write([*good(9), made(9, say("user", "User: hi"), ANSWER)], "bedrock_conversation"), "reserved keyword 'User:'"),
        (MICRO, write([*good(9), made(9, USER, USER, ANSWER)], "bedrock_conversation"), "must alternate"),
    ],
)  # fmt: skip
def test_jobs_fail_for_the_real_reasons(bedrock, double, model, data, said):
    job = ended(bedrock, create(bedrock, data, model=model))
    assert job["status"] == "Failed" and said in job["failureMessage"]
    assert double.bill_usd == 0


def test_a_file_that_is_not_there_fails_the_job(bedrock):
    arn = create(bedrock, trainingDataConfig={"s3Uri": f"s3://{BUCKET}/nowhere"})
    assert "Unable to access" in ended(bedrock, arn)["failureMessage"]


REFUSED_THERE = [p for p in PLANTED if p[3] is NOVA and p[1] != "too_many"]


@pytest.mark.parametrize(
    ("name", "code_", "dataset", "recipe"), REFUSED_THERE, ids=[p[0] for p in REFUSED_THERE]
)
def test_what_preflight_finds_would_have_failed_there(bedrock, name, code_, dataset, recipe):
    """The double judges by rules of its own, so that the two can be held against each other."""
    try:
        data = write(dataset.train, "bedrock_conversation")
    except Unfit:
        return
    if code_ == "system_twice":
        return
    assert ended(bedrock, create(bedrock, data))["status"] == "Failed"


def test_claudes_format_is_taken_where_the_model_lives(bedrock, double):
    with pytest.raises(ClientError, match="legacy") as told:
        create(bedrock, model=CLAUDE)
    assert code(told) == "ValidationException"
    double.life["anthropic.claude-3-haiku-20240307-v1:0"] = ("ACTIVE", None)
    assert ended(bedrock, create(bedrock, model=CLAUDE))["status"] == "Completed"
    bad = write([*good(40), made(41, ANSWER, USER, ANSWER)], "bedrock_claude")
    assert (
        "must begin with user"
        in ended(bedrock, create(bedrock, bad, model=CLAUDE, key="rf-2-1"))["failureMessage"]
    )


@pytest.mark.parametrize(
    ("prepare", "more", "expected"),
    [
        (lambda d: d.denied.add("CreateModelCustomizationJob"), {}, "AccessDeniedException"), (lambda d: setattr(d, "quota", 0), {}, "ServiceQuotaExceededException"),
        (lambda d: None, {"hyperParameters": {"epochCount": "99"}}, "ValidationException"), (lambda d: None, {"hyperParameters": {"dropout": "1"}}, "ValidationException"),
        (lambda d: None, {"baseModelIdentifier": "amazon.titan-text-express-v1"}, "ResourceNotFoundException"), (lambda d: None, {"roleArn": "arn:aws:iam::1:user/x"}, "ValidationException"),
    ],
)  # fmt: skip
def test_refusals_have_the_services_own_types(bedrock, double, prepare, more, expected):
    prepare(double)
    with pytest.raises(ClientError) as told:
        create(bedrock, **more)
    assert code(told) == expected and not double.jobs


def test_courses_and_the_race(bedrock, double):
    double.quota = 9
    double.course = Course(stuck_at="InProgress")
    stuck = create(bedrock)
    assert {bedrock.get_model_customization_job(jobIdentifier=stuck)["status"] for _ in range(5)} == {
        "InProgress"
    }
    double.course = Course(word="Throttled")
    odd = create(bedrock, key="rf-2-1")
    assert "Throttled" in [bedrock.get_model_customization_job(jobIdentifier=odd)["status"] for _ in range(4)]
    double.course = Course(cancel_race=True)
    late = create(bedrock, key="rf-3-1")
    with pytest.raises(ClientError) as told:
        bedrock.stop_model_customization_job(jobIdentifier=late)
    assert code(told) == "ConflictException"
    assert ended(bedrock, late)["status"] == "Completed"


def test_llama_deployments_are_slow(bedrock, double):
    arn = ended(bedrock, create(bedrock, model="meta.llama3-3-70b-instruct-v1:0:128k"))["outputModelArn"]
    deployed = bedrock.create_custom_model_deployment(modelDeploymentName="d", modelArn=arn)[
        "customModelDeploymentArn"
    ]
    bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=deployed)
    runtime = boto3.client("bedrock-runtime", config=boto3.session.Config(retries={"total_max_attempts": 1}))
    for _ in range(4):
        runtime.converse(modelId=deployed, messages=[{"role": "user", "content": [{"text": "Hi"}]}])
    with pytest.raises(ClientError) as told:
        runtime.converse(modelId=deployed, messages=[{"role": "user", "content": [{"text": "Hi"}]}])
    assert code(told) == "ThrottlingException"


def test_without_a_signature_nobody_gets_in(double):
    from urllib.error import HTTPError
    from urllib.request import urlopen

    with pytest.raises(HTTPError) as told:
        urlopen(f"{double.address}/model-customization-jobs", timeout=5)
    told.value.close()
    assert told.value.code == 403
