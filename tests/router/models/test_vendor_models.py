"""Vendors' models through their own unmodified clients against servers that speak like them, also while they fail."""

import asyncio
import json

import pytest
from vendor_doubles import Doubles

from rag.documents import Document
from rag.hits import Hit
from rag.index import Index
from router.bot import Bot
from router.composing import compose
from router.contract.rules import Contract
from router.models import load
from router.models.documents import Marking, as_text
from router.models.port import ModelMissing, ModelRefused, ModelUnavailable, Usage
from router.prompts import Prompt
from router.releases import Release
from router.replies import Request

for package in ("langchain_openai", "langchain_anthropic", "langchain_aws"):
    pytest.importorskip(package)

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "The shirt is 12 euros. Price?"},
]
SCHEMA = {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}
DEPLOYED = "arn:aws:bedrock:eu-west-1:123456789012:custom-model-deployment/fine"
PROVISIONED = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/fine"


@pytest.fixture(scope="module")
def doubles():
    server = Doubles()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for name in (
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "AZURE_OPENAI_API_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def opened(doubles, speaker, name, **options):
    given = {
        "openai": {"base_url": f"{doubles.url}/v1", "max_retries": 0},
        "azure": {"azure_endpoint": doubles.url, "max_retries": 0},
        "anthropic": {"base_url": doubles.url, "max_retries": 0},
        "bedrock": {"endpoint_url": doubles.url, "max_retries": 1, "region_name": "us-east-1"},
    }[speaker]
    if speaker == "bedrock" and not name.startswith("arn:"):
        name = f"amazon.nova-lite-{name}"
    if name.startswith("arn:"):
        del given["region_name"]
    return load(f"{speaker}:{name}", **given, **options)


def streamed(model, messages=CHAT, **options):
    async def pieces():
        return [d async for d in model.astream(messages, **options)]

    return asyncio.run(pieces())


@pytest.mark.parametrize(
    ("speaker", "name"),
    [
        ("openai", "ft:gpt-4.1-mini-2025-04-14:acme:shop:fine"),
        ("openai", "acme-lora-fine"),
        ("azure", "fine"),
        ("anthropic", "claude-fine"),
        ("bedrock", "fine"),
        ("bedrock", DEPLOYED),
        ("bedrock", PROVISIONED),
    ],
)
def test_an_answer_whole_and_in_pieces(doubles, speaker, name):
    model = opened(doubles, speaker, name)
    whole = model.complete(CHAT, max_tokens=20, temperature=0.5)
    assert (whole.text, whole.usage) == ("It is 12 euros.", Usage(input_tokens=9, output_tokens=4))
    assert whole.finish_reason in ("stop", "end_turn")
    path, _, body = doubles.asked[-1]
    assert name in path or name == body.get("model") or f"amazon.nova-lite-{name}" in path
    *texts, last = streamed(model)
    assert (last.completion.text, last.completion.usage) == (whole.text, whole.usage)
    assert "".join(t.text for t in texts) == whole.text
    assert len(texts) > 2


def test_an_arn_says_its_region(doubles):
    opened(doubles, "bedrock", DEPLOYED).complete(CHAT)
    assert "/eu-west-1/bedrock/" in doubles.asked[-1][1]["Authorization"]


@pytest.mark.parametrize("speaker", ["anthropic", "bedrock"])
def test_a_schema_is_kept_by_a_tool_that_must_be_called(doubles, speaker):
    name = "claude-fine" if speaker == "anthropic" else DEPLOYED
    assert json.loads(opened(doubles, speaker, name).complete(CHAT, schema=SCHEMA).text) == {"price": 12}


SPEAKERS = ["openai", "azure", "anthropic", "bedrock"]


@pytest.mark.parametrize("speaker", SPEAKERS)
@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("429", ModelUnavailable), ("500", ModelUnavailable), ("503", ModelUnavailable), ("400", ModelRefused), ("403", ModelRefused),
        ("404", ModelRefused), ("half", ModelUnavailable), ("garbled", ModelUnavailable),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_an_error_of_the_port(doubles, speaker, way, name, error):
    model = opened(doubles, speaker, f"m-{name}" if speaker != "azure" else name)
    with pytest.raises(error) as raised:
        model.complete(CHAT) if way == "whole" else streamed(model)
    assert raised.value.retryable is (error is ModelUnavailable)


@pytest.mark.parametrize("speaker", SPEAKERS)
@pytest.mark.parametrize("name", ["ended", "midway"])
def test_half_an_answer_is_none(doubles, speaker, name):
    with pytest.raises(ModelUnavailable):
        streamed(opened(doubles, speaker, f"m-{name}"))


@pytest.mark.parametrize("speaker", SPEAKERS)
@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_a_server_that_is_silent_is_not_waited_for(doubles, speaker, way):
    model = opened(doubles, speaker, "m-slow", timeout=1)
    with pytest.raises(ModelUnavailable):
        model.complete(CHAT) if way == "whole" else streamed(model)


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_model_that_takes_no_temperature_is_asked_without(doubles, speaker):
    model = opened(doubles, speaker, "m-picky")
    doubles.asked.clear()
    assert streamed(model)[-1].completion.text == "It is 12 euros."
    assert model.complete(CHAT).text == "It is 12 euros."
    assert len(doubles.asked) == 3  # refused once, then never asked with one again


def test_a_key_that_is_missing_is_named(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ModelMissing, match="OPENAI_API_KEY"):
        load("openai:gpt-4.1-mini")


# Native citations


def hit(text, title):
    return Hit(
        id=text, document=text, title=title, heading=(), text=text, start=0, end=len(text), uri=None, place=None, code=None, score=1.0,
        similarity=None, bm25=1.0, rank_words=1, rank_meaning=None,
    )  # fmt: skip


def test_what_an_anthropic_model_cites_by_itself_becomes_labels(doubles):
    named = {"1": hit("Shirt 1 is 12 euros.", "Page 1"), "SHIP-04": hit("Shirt 2 is 12 euros.", "Page 2")}
    messages = compose(Prompt.of("Be brief."), CHAT[1:], named, documents=True)
    model = opened(doubles, "anthropic", "claude-fine")
    assert model.takes_documents
    whole = model.complete(messages)
    assert whole.text == "It is 12 euros. [SHIP-04] Anything else?"
    sent = [p for p in doubles.asked[-1][2]["messages"][-1]["content"] if p["type"] == "document"]
    assert [(d["title"], d["citations"], d["source"]["data"]) for d in sent] == [
        ("Page 1", {"enabled": True}, "Shirt 1 is 12 euros."),
        ("Page 2", {"enabled": True}, "Shirt 2 is 12 euros."),
    ]
    *texts, last = streamed(model, messages)
    assert "".join(t.text for t in texts) == last.completion.text == whole.text
    assert len(texts) > 4


def test_a_bot_checks_what_a_model_cites_by_itself_like_any_other(doubles, tmp_path):
    pages = [
        Document(
            id=f"p{n}",
            title=f"Shirt {n}",
            text=f"The price of shirt {n} is 12 euros.",
            code=f"SHIRT-0{n}",
            uri=f"p{n}.md",
        )
        for n in (1, 2)
    ]
    with Index(tmp_path, embedder="static", store="memory") as index:
        snapshot = index.at(index.build(pages).id)
        prompt = Prompt.of("Be brief.")
        release = Release(
            model="anthropic:claude-fine", prompt=prompt.id, contract=Contract(read_prompts=False)
        )
        bot = Bot(release, prompt, opened(doubles, "anthropic", "claude-fine"), snapshot)
        reply = asyncio.run(
            bot.areply(Request(messages=({"role": "user", "content": "What is the price of a shirt?"},)))
        )
    second = [p["title"] for p in doubles.asked[-1][2]["messages"][-1]["content"] if p["type"] == "document"][
        1
    ]
    (citation,) = reply.citations
    assert (citation.title, citation.sentence) == (second, "It is 12 euros.")
    assert reply.text == f"It is 12 euros. [{citation.label}] Anything else?"


def test_documents_are_text_for_the_others(doubles):
    messages = compose(Prompt.of(""), CHAT[1:], {"1": hit("Shirt 1 is 12 euros.", "Page 1")}, documents=True)
    (told,) = as_text(messages)
    assert "[1] Page 1\nShirt 1 is 12 euros." in told["content"]
    assert told["content"].endswith("Question: The shirt is 12 euros. Price?")
    opened(doubles, "openai", "m-fine").complete(messages)
    assert doubles.asked[-1][2]["messages"][-1]["content"] == told["content"]
    opened(doubles, "anthropic", "claude-fine").complete(messages, schema=SCHEMA)
    assert "[1] Page 1" in doubles.asked[-1][2]["messages"][-1]["content"]


def test_labels_that_were_not_sent_are_not_said():
    marking = Marking(("1",))
    block = {
        "type": "text",
        "text": "So.",
        "citations": [{"document_index": 4}, {"document_index": None}, {"document_index": 0}],
    }
    assert marking.fed([block, {"type": "tool_use", "name": "x"}]) + marking.ended() == "So. [1]"
