"""Clients that know nothing of us: the `openai` package and LangChain's ChatOpenAI, unchanged."""

import asyncio
import json

import pytest
from http_served import Slow, release, serving

from advisor.logs import read
from rag.documents import Document
from rag.index import Index
from router.models.port import Completion, ModelRefused, ModelUnavailable, ToolRequest
from router.models.scripted import Scripted

pytest.importorskip("starlette")
openai = pytest.importorskip("openai")

HI = [{"role": "user", "content": "What does a parcel to Norway cost?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_parcel",
        "parameters": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
    },
}


def client(served, token="none", **more):
    return openai.OpenAI(base_url=f"{served.address}/v1", api_key=token, max_retries=0, timeout=20, **more)


def test_a_reply_whole_and_streamed(state):
    live = release(state)
    with serving(state) as served, client(served) as asking:
        served.bot.pointer.promote(live)
        assert [m.id for m in asking.models.list()] == ["live", live]
        whole = asking.chat.completions.create(model="live", messages=HI)
        assert whole.choices[0].message.content == "Hello you."
        assert whole.choices[0].finish_reason == "stop"
        assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens > 0
        assert whole.system_fingerprint == live
        chunks = list(
            asking.chat.completions.create(
                model="live", messages=HI, stream=True, stream_options={"include_usage": True}
            )
        )
    said = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert said == ["Hello", " you."]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert len({c.id for c in chunks}) == 1 and chunks[0].id != whole.id


def test_words_come_as_they_are_made(state):
    with serving(state, model=Slow("one two three", pause=0.2)) as served, client(served) as asking:
        served.bot.pointer.promote(release(state))
        came = []
        for chunk in asking.chat.completions.create(model="live", messages=HI, stream=True):
            came.append((chunk.choices[0].delta.content, asyncio.run(_now())))
        times = [at for word, at in came if word]
        assert len(times) == 3
        assert times[-1] - times[0] > 0.3


async def _now():
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("stream", [False, True])
def test_calls_of_tools(state, stream):
    call = Completion(
        text="",
        tool_calls=(ToolRequest(name="get_parcel", arguments='{"id": "7"}'),),
        finish_reason="tool_calls",
    )
    with (
        serving(state, model=lambda r: Scripted(outputs=lambda m: call)) as served,
        client(served) as asking,
    ):
        served.bot.pointer.promote(release(state))
        if stream:
            with asking.chat.completions.stream(model="live", messages=HI, tools=[TOOL]) as events:
                choice = events.get_final_completion().choices[0]
        else:
            choice = asking.chat.completions.create(model="live", messages=HI, tools=[TOOL]).choices[0]
    (made,) = choice.message.tool_calls
    assert (made.function.name, json.loads(made.function.arguments)) == ("get_parcel", {"id": "7"})
    assert made.id and choice.finish_reason == "tool_calls"


def test_a_schema_is_held(state):
    outputs = ["no JSON at all", '{"price": 5}']
    with serving(state, model=lambda r: Scripted(outputs=outputs)) as served, client(served) as asking:
        served.bot.pointer.promote(release(state))
        schema = {"type": "object", "properties": {"price": {"type": "integer"}}, "required": ["price"]}
        wanted = {"type": "json_schema", "json_schema": {"name": "price", "schema": schema}}
        said = asking.chat.completions.create(model="live", messages=HI, response_format=wanted)
    assert json.loads(said.choices[0].message.content) == {"price": 5}


@pytest.mark.parametrize("stream", [False, True])
def test_citations_with_the_address_of_their_page(state, stream):
    with Index(state / "index", embedder="static", store="memory") as index:
        page = Document(
            id="ship",
            title="Delivery",
            text="A parcel to Norway costs 5 euros.",
            code="SHIP-01",
            uri="https://shop.example/delivery",
        )
        version = index.build([page]).id
    answer = "A parcel to Norway costs 5 euros [SHIP-01]."
    with (
        serving(state, model=lambda r: Scripted(outputs=lambda m: answer)) as served,
        client(served) as asking,
    ):
        served.bot.pointer.promote(release(state, index=version))
        if stream:
            with asking.chat.completions.stream(model="live", messages=HI) as events:
                said = events.get_final_completion().choices[0].message
        else:
            said = asking.chat.completions.create(model="live", messages=HI).choices[0].message
    (note,) = said.annotations
    found = (
        note.url_citation
        if not isinstance(note, dict)
        else openai.types.chat.chat_completion_message.AnnotationURLCitation(**note["url_citation"])
    )
    assert found.url == "https://shop.example/delivery" and found.title == "Delivery"
    assert said.content[found.start_index : found.end_index] == "[SHIP-01]"


@pytest.mark.parametrize(
    ("asked", "error", "param"),
    [
        ({"model": "gpt-4o"}, openai.NotFoundError, "model"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"n": 2}, openai.BadRequestError, "n"),
        ({"temperature": 3}, openai.BadRequestError, "temperature"),
        ({"max_tokens": True}, openai.BadRequestError, "max_tokens"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
            openai.BadRequestError,
            "messages[0].content",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_told_as_openai_would(state, asked, error, param):
    with serving(state) as served, client(served) as asking:
        served.bot.pointer.promote(release(state))
        with pytest.raises(error) as caught:
            asking.chat.completions.create(**{"model": "live", "messages": HI, **asked})
    assert caught.value.param == param and caught.value.type == "invalid_request_error"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status"), [(ModelUnavailable("busy"), 503), (ModelRefused("secret account 7"), 502)]
)
def test_a_model_that_fails(state, error, status, stream):
    with (
        serving(state, model=lambda r: Scripted(outputs=lambda m: error)) as served,
        client(served) as asking,
    ):
        served.bot.pointer.promote(release(state))
        with pytest.raises(openai.InternalServerError) as caught:
            list(asking.chat.completions.create(model="live", messages=HI, stream=stream))
    assert caught.value.status_code == status
    assert "secret" not in str(caught.value)


def test_a_stream_that_breaks_off_is_an_error_and_not_an_end(state):
    class Broken(Slow):
        async def astream(self, messages, **options):
            async for delta in super().astream(messages, **options):
                if delta.completion is not None:
                    raise ModelUnavailable("gone")
                yield delta

    with serving(state, model=Broken()) as served, client(served) as asking:
        served.bot.pointer.promote(release(state))
        with pytest.raises(openai.APIError, match="out of reach"):
            list(asking.chat.completions.create(model="live", messages=HI, stream=True))


def test_who_leaves_ends_the_models_work(state):
    slow = Slow("word " * 200, pause=0.02)
    with serving(state, model=slow) as served, client(served) as asking:
        served.bot.pointer.promote(release(state))
        stream = asking.chat.completions.create(model="live", messages=HI, stream=True)
        next(iter(stream))
        stream.close()
        with pytest.raises(openai.APITimeoutError):
            asking.with_options(timeout=0.3).chat.completions.create(model="live", messages=HI)
        for _ in range(100):
            if slow.dropped == 2:
                break
            asyncio.run(asyncio.sleep(0.02))
    assert (slow.dropped, slow.done, slow.under_way) == (2, 0, 0)


def test_feedback_by_the_id_of_a_reply_reads_back(state):
    with serving(state) as served, client(served) as asking:
        served.bot.pointer.promote(release(state))
        said = asking.chat.completions.create(
            model="live", messages=HI, user="ann", metadata={"conversation": "c-1"}
        )
        asking.post(
            "/feedback",
            body={
                "reply": said.id,
                "thumb": "down",
                "comment": "Wrong.",
                "correction": "5 euros and 50 cents.",
            },
            cast_to=object,
        )
        served.bot.flush()
        assert served.bot.outcomes.tally(route="*", release=said.system_fingerprint).rated == 1
    (exchange,) = read([str(state / "traces")])
    assert exchange.expected == "5 euros and 50 cents." and exchange.conversation_id == "c-1"
    assert [(f.polarity, f.comment) for f in exchange.feedback] == [(-1, "Wrong.")]


def test_langchain(state):
    langchain = pytest.importorskip("langchain_openai")
    httpx = pytest.importorskip("httpx")

    async def at_once(**options):
        async with httpx.AsyncClient() as http:
            return await langchain.ChatOpenAI(**options, http_async_client=http).ainvoke("What does it cost?")

    with serving(state) as served:
        served.bot.pointer.promote(release(state))
        how = {
            "model": "live",
            "base_url": f"{served.address}/v1",
            "api_key": "none",
            "max_retries": 0,
            "stream_usage": True,
        }
        model = langchain.ChatOpenAI(**how)
        said = model.invoke("What does it cost?")
        assert said.content == "Hello you." and said.usage_metadata["total_tokens"] > 0
        chunks = list(model.stream("What does it cost?"))
        assert "".join(c.content for c in chunks) == "Hello you."
        assert sum((c.usage_metadata or {}).get("total_tokens", 0) for c in chunks) > 0
        made = model.bind_tools([TOOL]).invoke("Hi")
        assert made.content == "Hello you." and not made.tool_calls
        assert asyncio.run(at_once(**how)).content == "Hello you."
