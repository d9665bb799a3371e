"""The chatbot: routes, traces that read back, feedback that stays, shadows, tenants."""

import asyncio
import json
import subprocess
import sys
import textwrap
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.logs import read
from rag.documents import Document
from rag.index import Index
from router.chatbot import Chatbot
from router.contract.rules import Contract, Rule
from router.live import NothingLive, UnknownTenant
from router.models.port import Completion, ModelUnavailable, ToolRequest
from router.models.scripted import Scripted
from router.prompts import Prompt, Prompts
from router.releases import Price, Release, Releases
from router.spans import masked
from router.traces import Tracing

HI = [{"role": "user", "content": "What does a parcel to Norway cost?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get",
            "description": "Get it.",
            "parameters": {"type": "object", "properties": {"id": {"type": "string"}}},
        },
    }
]


def release(state, **more):
    prompt = Prompts(state).add(Prompt.of("You help."))
    return Releases(state).add(
        Release(**{"model": "scripted:a", "prompt": prompt, "price": Price(input=1, output=1), **more})
    )


def chatbot(state, outputs="It costs 5 euros.", **more):
    script = outputs if callable(outputs) else lambda messages: outputs
    return Chatbot(state, load=lambda reference: Scripted(reference, outputs=script), **more)


def by_model(state, **more):
    return Chatbot(
        state,
        load=lambda reference: Scripted(reference, outputs=lambda messages: f"I am {reference}."),
        **more,
    )


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


def traced(bot, state):
    bot.flush()
    return list(read([str(state / "traces")]))


def test_nothing_answers_before_something_is_live(state):
    with chatbot(state) as bot, pytest.raises(NothingLive):
        bot.reply(HI)


def test_a_reply_with_all_that_led_to_it_reads_back_as_one_exchange(state):
    with Index(state / "index", embedder="static", store="memory") as index:
        version = index.build(
            [
                Document(
                    id="ship",
                    title="Delivery",
                    text="A parcel to Norway costs 5 euros.",
                    code="SHIP-01",
                    uri="ship.md",
                )
            ]
        ).id
    id = release(
        state, index=version, contract=Contract(rules=(Rule(kind="ends_with", params={"text": "Bye."}),))
    )
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}, *HI]
    with chatbot(state) as bot:
        bot.pointer.promote(id)
        reply = bot.reply(talk, tenant="acme", conversation="talk-1", user="ann@example.com")
        bot.feedback(reply.id, thumb="down", comment="Wrong.", correction="5 euros and 50 cents.")
        (exchange,) = traced(bot, state)
    assert exchange.reply.content == reply.text == "It costs 5 euros. Bye."
    assert [(m.role, m.content) for m in exchange.conversation] == [
        ("system", "You help."), ("user", "Hi"), ("assistant", "Hello."), ("user", HI[0]["content"]),
    ]  # fmt: skip
    assert [(p.id, p.title, p.text, p.uri) for p in exchange.passages] == [
        ("ship", "Delivery", "A parcel to Norway costs 5 euros.", "ship.md")
    ]
    (given_,) = exchange.feedback
    assert (given_.polarity, given_.comment, given_.source) == (-1, "Wrong.", "user")
    assert exchange.expected == "5 euros and 50 cents."
    assert (exchange.tenant, exchange.conversation_id, exchange.model) == (
        "acme",
        "talk-1",
        "scripted:scripted:a",
    )
    assert reply.id in exchange.ids
    assert (exchange.input_tokens, exchange.output_tokens, exchange.cost) == (
        reply.usage.input_tokens,
        reply.usage.output_tokens,
        reply.cost_usd,
    )
    assert abs(exchange.time - reply.time) < 0.001
    assert exchange.finish_reason == "stop"
    assert "ann" not in (exchange.user or "")


@pytest.mark.parametrize("right", ['{"name": "get_order", "arguments": {"id": "7"}}', "[]", '"so"', "42"])
def test_a_correction_reads_back_as_it_was_written(state, right):
    id = release(state)
    with chatbot(state) as bot:
        bot.pointer.promote(id)
        bot.feedback(bot.reply(HI).id, correction=right)
        (exchange,) = traced(bot, state)
    assert exchange.expected == right


def test_tools_their_results_and_json_read_back(state):
    wanted = {"type": "object", "properties": {"a": {"type": "integer"}}}
    outputs = [
        Completion(
            text="",
            tool_calls=(ToolRequest(name="get", arguments='{"id": "1"}'),),
            finish_reason="tool_calls",
        ),
        '{"a": 1}',
    ]
    bot = Chatbot(state, load=lambda reference: Scripted(outputs=outputs))
    bot.pointer.promote(release(state))
    first = bot.reply(HI, tools=TOOLS, conversation="c")
    call = first.tool_calls[0]
    said = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": call.id, "type": "function", "function": {"name": "get", "arguments": call.arguments}}
        ],
    }
    bot.reply(
        [*HI, said, {"role": "tool", "tool_call_id": call.id, "content": "5"}],
        schema=wanted,
        conversation="c",
    )
    (exchange,) = traced(bot, state)
    bot.close()
    assert exchange.response_format == wanted
    assert exchange.reply.content == '{"a": 1}'
    calls = [c for m in exchange.conversation for c in m.tool_calls]
    assert [(c.name, json.loads(c.arguments)) for c in calls] == [("get", {"id": "1"})]
    assert [m.content for m in exchange.conversation if m.role == "tool"] == ["5"]


@settings(max_examples=30)
@given(st.text(min_size=1, max_size=60).filter(str.strip), st.text(min_size=1, max_size=60).filter(str.strip))
def test_any_words_read_back(tmp_path_factory, asked, said):
    state = tmp_path_factory.mktemp("state")
    with chatbot(state, said) as bot:
        bot.pointer.promote(release(state))
        reply = bot.reply([{"role": "user", "content": asked}])
        found = traced(bot, state)
    assert [(e.question, e.reply.content) for e in found] == [(asked, reply.text)]


def test_a_model_that_fails_leaves_a_trace_of_that(state):
    with chatbot(state, lambda messages: ModelUnavailable("busy")) as bot:
        bot.pointer.promote(release(state))
        with pytest.raises(ModelUnavailable):
            bot.reply(HI)
        (exchange,) = traced(bot, state)
    assert exchange.error == "busy"
    assert exchange.question == HI[0]["content"]


def test_words_can_be_masked_or_left_out(state):
    asked = [{"role": "user", "content": "I am ann@example.com, what does it cost?"}]
    with chatbot(state, tracing=Tracing(shown=masked)) as bot:
        bot.pointer.promote(release(state))
        bot.feedback(bot.reply(asked).id, comment="mail bob@example.com")
        (exchange,) = traced(bot, state)
    assert "ann@example.com" not in exchange.question and "[e-mail]" in exchange.question
    with chatbot(state, tracing=Tracing(shown=None, folder=state / "bare")) as bot:
        bot.reply(asked)
        bot.flush()
    text = "".join(f.read_text() for f in (state / "bare").glob("*.jsonl"))
    assert "cost" not in text.replace("llm.cost.total", "")
    assert "gen_ai.usage.input_tokens" in text


def test_each_tenant_gets_its_own_and_rollback_holds_from_the_next_request_on(state):
    a, b = release(state, model="scripted:a"), release(state, model="scripted:b")
    with by_model(state, unknown="refuse") as bot:
        bot.pointer.promote(a, tenant="acme")
        bot.pointer.promote(b, tenant="zeta")
        assert bot.reply(HI, tenant="acme").text == "I am scripted:a."
        assert bot.reply(HI, tenant="zeta").text == "I am scripted:b."
        with pytest.raises(UnknownTenant):
            bot.reply(HI, tenant="other")
        bot.pointer.promote(b, tenant="acme")
        assert bot.reply(HI, tenant="acme").release == b
        bot.pointer.rollback(tenant="acme")
        assert bot.reply(HI, tenant="acme").release == a


def test_a_shadow_answers_unseen(state):
    a, b = release(state, model="scripted:a"), release(state, model="scripted:b")
    with by_model(state) as bot:
        bot.pointer.promote(a)
        bot.pointer.shadow(b)

        async def one():
            reply = await bot.areply(HI)
            await bot.settled()
            return reply

        assert asyncio.run(one()).text == "I am scripted:a."
        found = traced(bot, state)
        assert bot.outcomes.tally(route="*", release=a).replies == 1
        assert bot.outcomes.tally(route="*", release=b).replies == 0
    assert {e.reply.content for e in found} >= {"I am scripted:a."}
    raw = "".join(f.read_text() for f in (state / "traces").glob("*.jsonl"))
    assert '"shadow"' in raw and "I am scripted:b." in raw


def test_outcomes_are_tallied_by_release(state):
    contract = Contract(rules=(Rule(kind="words", params={"max": 2}),))
    id = release(state, contract=contract)
    with chatbot(state, lambda m: "Fine." if "good" in m[1]["content"] else "Far too many words.") as bot:
        bot.pointer.promote(id)
        good = [bot.reply([{"role": "user", "content": f"good {n}"}]).id for n in range(3)]
        bad = bot.reply([{"role": "user", "content": "else"}], conversation="c").id
        bot.feedback(good[0], thumb="up")
        bot.feedback(bad, thumb="up")
        bot.feedback(bad, thumb="down")
        bot.flush()
        found = bot.outcomes.tally(route="*", release=id)
        assert bot.outcomes.tally(route="*", release=id, since=time.time()).replies == 0
    assert (found.replies, found.held, found.rated, found.good, found.conversations) == (4, 3, 2, 1, 4)


@pytest.mark.parametrize("given_", [{}, {"thumb": "sideways"}])
def test_feedback_that_says_nothing_is_refused(state, given_):
    with chatbot(state) as bot, pytest.raises(ValueError, match="thumb"):
        bot.feedback("reply-1", **given_)


def test_feedback_outlives_a_kill(state):
    script = textwrap.dedent(f"""
        import os
        from router.chatbot import Chatbot
        bot = Chatbot({str(state)!r})
        for n in range(50):
            bot.feedback(f"reply-{{n}}", thumb="up")
            print(n, flush=True)
        os.kill(os.getpid(), 9)
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    acknowledged = len(done.stdout.split())
    written = sum(len(f.read_text().splitlines()) for f in (state / "traces").glob("*.jsonl"))
    assert acknowledged == written == 50


def test_traces_rotate_and_old_ones_go(state):
    with chatbot(state, tracing=Tracing(most_bytes=3000, keep=2)) as bot:
        bot.pointer.promote(release(state))
        for n in range(12):
            bot.reply([{"role": "user", "content": f"Question {n}"}])
        bot.flush()
        files = sorted((state / "traces").glob("*.jsonl"))
    assert len(files) == 2
    assert all(f.stat().st_size <= 3000 for f in files)
    assert all(json.loads(line) for f in files for line in f.read_text().splitlines())


def test_streams_and_replies_from_plain_threads(state):
    with chatbot(state) as bot:
        bot.pointer.promote(release(state))
        pieces = list(bot.stream(HI))
        assert "".join(p.text for p in pieces) == pieces[-1].reply.text == "It costs 5 euros."
        half = bot.stream(HI)
        next(half)
        half.close()


def test_a_langchain_runnable(state):
    pytest.importorskip("langchain_core")
    from langchain_core.messages import AIMessageChunk, HumanMessage
    from langchain_core.prompts import ChatPromptTemplate

    with chatbot(state) as bot:
        bot.pointer.promote(release(state))
        chain = ChatPromptTemplate.from_messages([("user", "{q}")]) | bot.as_runnable(tenant="acme")
        said = chain.invoke({"q": "What does it cost?"})
        assert said.content == "It costs 5 euros."
        assert said.usage_metadata["total_tokens"] > 0
        assert said.response_metadata["release"]
        chunks = list(bot.as_runnable().stream([HumanMessage("What does it cost?")]))
        assert len(chunks) > 2
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        assert isinstance(whole, AIMessageChunk) and whole.content == "It costs 5 euros."
        assert asyncio.run(bot.as_runnable().ainvoke("What does it cost?")).content == "It costs 5 euros."
        assert [m.content for m in bot.as_runnable().batch(["a?", "b?"])] == ["It costs 5 euros."] * 2
