"""Tuned models at providers answer through the router: an `ft:` id, a deployment's ARN, Azure, Bedrock's endpoint for OpenAI's API."""

import asyncio

import pytest

from finetune.deployments import Deployment
from finetune.doubles.openai import MODELS, OpenAIDouble
from router.models import load
from router.models.port import ModelRefused

pytest.importorskip("langchain_openai")
ASK = [{"role": "user", "content": "How are you?"}]
TUNED = "ft:gpt-4.1-mini-2025-04-14:double:shop:000001"


@pytest.fixture
def double():
    with OpenAIDouble() as running:
        running._tuned = lambda: {TUNED, "ft:openai.gpt-oss-20b:double::2", "shop-bot"}
        yield running


async def streamed(model):
    return [delta async for delta in model.astream(ASK)]


def answers(model):
    reply = model.complete(ASK)
    deltas = asyncio.run(streamed(model))
    assert "".join(d.text for d in deltas).split() == reply.text.split()
    assert reply.usage.input_tokens and deltas[-1].completion.usage.output_tokens
    return reply.text


def test_a_tuned_model_at_openai(double):
    assert answers(load(f"openai:{TUNED}", base_url=double.url, api_key="any")) == f"[{TUNED}] How are you?"
    with pytest.raises(ModelRefused):
        load("openai:ft:gpt-4.1-mini-2025-04-14:double::gone", base_url=double.url, api_key="any").complete(
            ASK
        )


def test_a_tuned_model_at_bedrocks_endpoint_for_openais_api(double):
    name = "ft:openai.gpt-oss-20b:double::2"
    assert answers(load(f"mantle:{name}", base_url=double.url, api_key="any")) == f"[{name}] How are you?"
    assert "openai.gpt-oss-20b" in MODELS


def test_a_deployment_at_azure(double, monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", double.address)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "any")
    monkeypatch.setenv("OPENAI_API_VERSION", "2025-04-01-preview")
    assert answers(load("azure:shop-bot")) == "[shop-bot] How are you?"


def test_a_deployment_at_bedrock(monkeypatch):
    pytest.importorskip("langchain_aws")
    from finetune.doubles.bedrock import BedrockDouble

    model = "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-micro-v1:0:128k/abcdefghijkl"
    arn = "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/000000000001"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with BedrockDouble(s3="http://127.0.0.1:9") as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", running.address)
        running.serving.deployments[arn] = {
            "customModelDeploymentArn": arn,
            "modelDeploymentName": "d",
            "modelArn": model,
            "status": "Active",
        }
        served = Deployment(
            kind="deployment", arn=arn, name="d", model=model, status="Active", idle_usd_month=1.95
        )
        assert served.reference == f"bedrock:{arn}"
        assert answers(load(served.reference)) == "[000000000001] How are you?"
