"""Webhooks: signed, once, and never believed beyond what the provider's own answer says."""

import threading
import time
from contextlib import contextmanager

import pytest
from planted_datasets import good

from finetune import datasets
from finetune.datasets import Dataset
from finetune.doubles.faults import status
from finetune.doubles.openai import OpenAIDouble
from finetune.doubles.signing import sign
from finetune.jobs import Jobs
from finetune.recipe import Recipe
from finetune.webhooks import WebhookRefused, Webhooks, listening

pytest.importorskip("openai")
from finetune.backends.openai import OpenAI


@pytest.fixture
def double():
    with OpenAIDouble() as running:
        yield running


@pytest.fixture
def jobs(tmp_path, double):
    return Jobs(
        tmp_path / "state",
        backends=lambda name: OpenAI(base_url=double.url, api_key="any", settle_s=0, timeout_s=5),
    )


@pytest.fixture
def key(tmp_path, jobs):
    folder = datasets.save(Dataset(train=tuple(good(20))), tmp_path / "datasets")
    return jobs.submit(jobs.write(Recipe(base="openai:gpt-4.1-mini"), folder).key).key


@pytest.fixture
def hooks(jobs, double):
    return Webhooks(jobs, double.sender.secret)


@contextmanager
def served(hooks, double):
    server = listening(hooks, 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    double.sender.address = f"http://127.0.0.1:{server.server_address[1]}/"
    try:
        yield
    finally:
        double.sender.close()
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_job_ends_without_anybody_asking(jobs, double, key, hooks):
    double.sender.times = 3
    with served(hooks, double):
        id = jobs.get(key).provider_id
        for _ in range(3):
            double._advance(double._jobs[id])
        end = time.monotonic() + 5
        while not jobs.get(key).is_over and time.monotonic() < end:
            time.sleep(0.02)
    job = jobs.get(key)
    assert job.state == "succeeded" and job.cost_usd == pytest.approx(double.bill_usd)
    assert len(double.jobs) == 1 and len(double.sender.sent) == 3


def test_a_message_is_first_once(jobs, double, key, hooks):
    body, headers = double.sender.event("fine_tuning.job.succeeded", jobs.get(key).provider_id)
    assert [hooks.receive(body, headers).first for _ in range(3)] == [True, False, False]


def test_a_message_that_is_ahead_of_the_answer_changes_nothing(jobs, double, key, hooks):
    told = hooks.receive(*double.sender.event("fine_tuning.job.succeeded", jobs.get(key).provider_id))
    assert told.late and told.job.state == "running"
    assert jobs.wait(key, every_s=0).state == "succeeded"


def test_a_message_before_the_sender_knows_the_id_is_kept_and_harmless(tmp_path, jobs, double, hooks):
    early = hooks.receive(*double.sender.event("fine_tuning.job.succeeded", "ftjob-000001"))
    assert early.first and early.job is None
    folder = datasets.save(Dataset(train=tuple(good(20))), tmp_path / "datasets")
    job = jobs.submit(jobs.write(Recipe(base="openai:gpt-4.1-mini"), folder).key)
    assert job.provider_id == "ftjob-000001" and jobs.wait(job.key, every_s=0).state == "succeeded"


def test_a_provider_that_cannot_be_asked_does_not_lose_the_message(jobs, double, key, hooks):
    double.script("GET /fine_tuning/jobs/{id}", [status(500)] * 4)
    assert hooks.receive(*double.sender.event("fine_tuning.job.failed", jobs.get(key).provider_id)).late


def test_unknown_kinds_are_heard_and_left(jobs, double, hooks):
    told = hooks.receive(*double.sender.event("response.completed", "resp_1"))
    assert (told.kind, told.first, told.job) == ("response.completed", True, None)


def wrong(double, body, headers):
    now = int(time.time())
    yield "changed body", body + b" ", headers
    yield "old", *double.sender.event("fine_tuning.job.succeeded", "x", at=now - 301)
    yield "ahead", *double.sender.event("fine_tuning.job.succeeded", "x", at=now + 301)
    yield "no signature", body, {k: v for k, v in headers.items() if k != "webhook-signature"}
    yield (
        "another secret",
        body,
        {**headers, "webhook-signature": sign("whsec_AAAA", headers["webhook-id"], now, body)},
    )
    yield (
        "another version",
        body,
        {**headers, "webhook-signature": headers["webhook-signature"].replace("v1,", "v2,")},
    )
    yield "not ASCII", body, {**headers, "webhook-signature": "v1,é"}
    yield "another id", body, {**headers, "webhook-id": "wh_other"}
    yield "no time", body, {**headers, "webhook-timestamp": "soon"}
    signed = sign(double.sender.secret, "i", now, b"[]")
    yield "no object", b"[]", {"webhook-id": "i", "webhook-timestamp": str(now), "webhook-signature": signed}


def test_what_is_not_the_providers_is_refused(jobs, double, hooks):
    body, headers = double.sender.event("fine_tuning.job.succeeded", "ftjob-1")
    for name, given, heads in wrong(double, body, headers):
        with pytest.raises(WebhookRefused):
            hooks.receive(given, heads)
            pytest.fail(name)


def test_signatures_of_two_secrets_may_stand_there(jobs, double, hooks):
    body, headers = double.sender.event("fine_tuning.job.succeeded", "ftjob-1")
    both = f"v1,AAAA {headers['webhook-signature']}"
    assert hooks.receive(
        body,
        {"Webhook-Signature": both, **{k.title(): v for k, v in headers.items() if k != "webhook-signature"}},
    ).first


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!"])
def test_a_secret_that_is_none_is_told(jobs, secret):
    with pytest.raises(WebhookRefused):
        Webhooks(jobs, secret)


def test_the_server_answers_what_is_wrong_and_what_is_too_long(hooks, double):
    import http.client

    with served(hooks, double):
        port = int(double.sender.address.rpartition(":")[2].strip("/"))
        for headers, body, expected in (({}, b"{}", 400), ({"Content-Length": str(2 << 20)}, b"", 413)):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("POST", "/", body, headers)
            assert connection.getresponse().status == expected
            connection.close()
