"""One release, opened: retrieves, asks, holds to its contract, cites, and says what it did."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.documents import Document
from rag.index import Index
from router.bot import Bot
from router.contract.rules import Contract, Rule
from router.models.port import Completion, ModelRefused, ModelUnavailable, ToolRequest, Usage
from router.models.scripted import Scripted
from router.prompts import Part, Prompt
from router.releases import Generation, Price, Release, Retrieving
from router.replies import Request

CTA = "Anything else?"
PAGES = [
    Document(
        id="ret",
        title="Refunds [RET-02]",
        text="We refund within 6 working days.\nMoney goes back to your card.",
        code="RET-02",
        uri="ret.md",
    ),
    Document(
        id="ship",
        title="Delivery [SHIP-01]",
        text="A parcel to Norway costs 5 euros and takes 4 days.",
        code="SHIP-01",
        uri="ship.md",
    ),
    Document(id="acme", title="Acme", text="Acme pays half for every parcel.", tenant="acme"),
]
ENDS = Rule(kind="ends_with", params={"text": CTA}, cause="required_element")
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "get",
            "parameters": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
        },
    },
)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    with Index(tmp_path_factory.mktemp("kb"), embedder="static", store="memory") as index:
        index.build(PAGES)
        yield index.snapshot()


def bot(outputs, snapshot=None, **more):
    release = Release(**{"model": "scripted:x", "prompt": "p", "price": Price(input=1, output=2), **more})
    model = Scripted(outputs=outputs)
    made = Bot(release, Prompt.of("You help.", no_answer="I do not know."), model, snapshot)
    return made, model


def ask(made, text="What does a parcel to Norway cost?", **more):
    return asyncio.run(made.areply(Request(messages=({"role": "user", "content": text},), **more)))


def kinds(reply):
    return [i.kind for i in reply.interventions]


def test_passages_are_put_to_the_model_and_cited(snapshot):
    made, model = bot(["A parcel to Norway costs 5 euros [SHIP-01]."], snapshot)
    reply = ask(made)
    sent = model.asked[0].messages
    assert sent[0] == {"role": "system", "content": "You help."}
    assert "[SHIP-01]" in sent[-1]["content"]
    assert sent[-1]["content"].endswith("Question: What does a parcel to Norway cost?")
    assert [c.label for c in reply.citations] == ["SHIP-01"]
    assert (reply.index, reply.declined, reply.breaches) == (snapshot.id, False, ())
    assert reply.release == made.release.id
    assert reply.cost_usd == pytest.approx((reply.usage.input_tokens + 2 * reply.usage.output_tokens) / 1e6)
    assert reply.timings.total >= reply.timings.retrieve > 0


def test_a_greeting_needs_no_passages(snapshot):
    made, model = bot(["Hello!"], snapshot, contract=Contract(rules=(ENDS, Rule(kind="cites"))))
    reply = ask(made, "Hi there!")
    assert reply.passages is None
    assert model.asked[0].messages[-1]["content"] == "Hi there!"
    assert reply.text == f"Hello! {CTA}"
    assert reply.breaches == ()


def test_a_bot_without_retrieval_cannot_cite():
    made, _ = bot(2 * ["We send it in 4 days [SHIP-09]."])
    reply = ask(made)
    assert (reply.text, reply.citations, kinds(reply)) == ("We send it in 4 days.", (), ["citation_dropped"])
    assert streamed(made)[1].text == "We send it in 4 days."


@pytest.mark.parametrize(
    ("said", "more"),
    [
        ("That is on [FAQ-07].", {"text": "Which page says so, FAQ-07 or FAQ-08?"}),
        ("Order [SH-12345] is on its way.", {"tools": TOOLS}),
        ('{"sizes": [40]}', {}),
    ],
)
def test_what_it_was_told_what_tools_gave_and_lists_are_no_citations(said, more):
    made, _ = bot([said])
    assert ask(made, **more).text == said


def test_one_customer_never_gets_anothers_page(snapshot):
    for tenant, seen in ((None, False), ("zeta", False), ("acme", True)):
        made, _ = bot(["Fine."], snapshot)
        reply = ask(made, "What does Acme pay for a parcel?", tenant=tenant)
        assert ("acme" in [h.document for h in reply.passages]) is seen


def test_what_nothing_holds_is_declined_without_asking_the_model(snapshot):
    made, model = bot(
        [],
        snapshot,
        retrieving=Retrieving(decline_below=0.4),
        contract=Contract(rules=(ENDS, Rule(kind="cites"))),
    )
    reply = ask(made, "Do you sell aquariums for goldfish?")
    assert reply.declined
    assert reply.text.startswith("I do not know. [")
    assert reply.text.endswith(CTA)
    assert not model.asked
    assert reply.calls == 0
    assert "declined" in kinds(reply)


def test_figures_that_stand_nowhere_are_asked_for_again_then_declined(snapshot):
    made, model = bot(["It costs 99 euros.", "It costs 98 euros."], snapshot)
    reply = ask(made)
    assert reply.text == "I do not know."
    assert reply.declined
    assert kinds(reply) == ["retried", "declined"]
    assert "99" in model.asked[1].messages[-1]["content"]
    made, _ = bot(["It costs 99 euros.", "It costs 5 euros."], snapshot)
    assert ask(made).text == "It costs 5 euros."
    made, _ = bot(["It costs 99 euros."], snapshot, retrieving=Retrieving(grounded=False))
    assert ask(made).text == "It costs 99 euros."


def test_cheapest_first_mended_then_retried_then_the_fallback():
    rules = Contract(rules=(ENDS, Rule(kind="words", params={"max": 4})))
    made, model = bot(["Yes."], contract=rules)
    assert ask(made).text == f"Yes. {CTA}"
    assert len(model.asked) == 1
    made, model = bot(["One two three four five six.", "Yes."], contract=rules, fallback="Sorry.")
    reply = ask(made)
    assert reply.text == f"Yes. {CTA}"
    assert "retried" in kinds(reply)
    assert "The reply has" in model.asked[1].messages[-1]["content"]
    assert model.asked[1].messages[-2]["content"] == "One two three four five six."
    long = "One two three four five six."
    made, _ = bot([long, long], contract=rules, fallback="Sorry.")
    reply = ask(made)
    assert reply.text == f"Sorry. {CTA}"
    assert kinds(reply)[-2:] == ["fallback", "mended"] and not reply.breaches
    made, _ = bot([long, long], contract=rules)
    assert [b.kind for b in ask(made).breaches] == ["words"]


def test_the_better_draft_is_kept():
    rules = Contract(
        rules=(Rule(kind="words", params={"max": 4}), Rule(kind="no_exclamations"), Rule(kind="no_commas"))
    )
    made, _ = bot(["One two three four five six.", "Oh, no! One two three four five."], contract=rules)
    assert ask(made).text == "One two three four five six."


def test_json_is_held_by_the_engine_where_it_can_and_mended_where_not():
    contract = Contract(rules=(Rule(kind="json", params={"schema": SCHEMA}),))
    made, model = bot(['```json\n{"a": 1}\n```'], contract=contract)
    reply = ask(made)
    assert model.asked[0].schema == SCHEMA
    assert reply.text == '{"a": 1}'
    assert kinds(reply) == ["strict", "mended"]
    made, model = bot([ModelRefused("no schemas here"), '{"a": 2}', '{"a": 3}'], contract=contract)
    assert ask(made).text == '{"a": 2}'
    assert ask(made).text == '{"a": 3}'
    assert [a.schema is None for a in model.asked] == [False, True, True]
    made, model = bot(['{"a": 1}'], contract=contract, generation=Generation(strict=False))
    assert kinds(ask(made)) == []
    assert model.asked[0].schema is None


def test_a_request_may_demand_json_of_its_own():
    made, model = bot(['{"b": true}'], contract=Contract(rules=(ENDS,)))
    reply = ask(made, schema={"type": "object", "properties": {"b": {"type": "boolean"}}, "required": ["b"]})
    assert json.loads(reply.text.removesuffix(CTA)) == {"b": True} or reply.breaches
    made, model = bot(['{"b": 1}'])
    assert ask(made, schema={}).text == '{"b": 1}'
    assert model.asked[0].schema == {"type": "object"}


def test_a_label_comes_out_of_the_json_it_was_asked_in():
    made, model = bot(['{"label": "refund"}'], contract=Contract(labels=("refund", "return")))
    assert ask(made).text == "refund"
    assert model.asked[0].schema["properties"]["label"]["enum"] == ["refund", "return"]
    made, _ = bot(["I think it is a refund."], contract=Contract(labels=("refund", "return")))
    assert ask(made).text == "refund"


def call(arguments, name="get"):
    return Completion(
        text="",
        tool_calls=(ToolRequest(name=name, arguments=arguments),),
        usage=Usage(input_tokens=1, output_tokens=1),
    )


def test_calls_are_checked_before_they_leave():
    made, _ = bot([call('{"id": "1"}')])
    reply = ask(made, tools=TOOLS)
    assert reply.tool_calls[0].arguments == '{"id": "1"}'
    assert reply.tool_calls[0].id
    made, _ = bot([call("{'id': '1'")])
    reply = ask(made, tools=TOOLS)
    assert json.loads(reply.tool_calls[0].arguments) == {"id": "1"}
    assert kinds(reply) == ["mended"]
    made, model = bot([call("{}"), call('{"id": "2"}')])
    reply = ask(made, tools=TOOLS)
    assert json.loads(reply.tool_calls[0].arguments) == {"id": "2"}
    assert "'id' is a required property" in model.asked[1].messages[-1]["content"]
    made, _ = bot([call("{}"), call("{}")], fallback="Please tell me the number.")
    reply = ask(made, tools=TOOLS)
    assert reply.tool_calls == ()
    assert reply.text == "Please tell me the number."
    assert {"call_dropped", "fallback"} <= set(kinds(reply))


def test_a_model_that_fails_fails(snapshot):
    made, _ = bot([ModelUnavailable("busy")], snapshot)
    with pytest.raises(ModelUnavailable):
        ask(made)


def test_a_request_may_ask_for_less_and_not_for_more():
    made, model = bot(["a", "b"], generation=Generation(max_tokens=50, temperature=0.2))
    ask(made, max_tokens=10, temperature=1.0)
    ask(made, max_tokens=500)
    assert [(a.max_tokens, a.temperature) for a in model.asked] == [(10, 1.0), (50, 0.2)]


def test_examples_stand_before_the_conversation_and_own_system_words_are_kept():
    model = Scripted(outputs=["x"])
    prompt = Prompt.of("You help.").with_part(Part(kind="example", name="e", text="Hi", answer="Hello"))
    made = Bot(Release(model="scripted:x", prompt="p"), prompt, model)
    asyncio.run(
        made.areply(
            Request(messages=({"role": "system", "content": "Be kind."}, {"role": "user", "content": "Yo"}))
        )
    )
    assert [m["content"] for m in model.asked[0].messages] == ["You help.\n\nBe kind.", "Hi", "Hello", "Yo"]


def streamed(made, text="What does a parcel to Norway cost?", **more):
    async def all_of():
        return [p async for p in made.astream(Request(messages=({"role": "user", "content": text},), **more))]

    pieces = asyncio.run(all_of())
    assert [p.reply is not None for p in pieces] == [False] * (len(pieces) - 1) + [True]
    shown = "".join(p.text for p in pieces)
    assert shown == pieces[-1].reply.text
    return pieces, pieces[-1].reply


def test_words_are_shown_as_they_come_where_nothing_can_have_to_be_taken_back(snapshot):
    made, _ = bot(
        ["A parcel to Norway costs 5 euros [RET-02]."],
        snapshot,
        contract=Contract(rules=(ENDS,)),
        retrieving=Retrieving(grounded=False),
    )
    pieces, reply = streamed(made)
    assert len(pieces) > 5
    assert reply.text == f"A parcel to Norway costs 5 euros [SHIP-01]. {CTA}"
    assert [c.label for c in reply.citations] == ["SHIP-01"]
    assert set(kinds(reply)) == {"citation_moved", "mended"}
    assert reply.timings.first is not None


def test_a_citation_that_is_missing_is_added_at_the_end_of_a_stream(snapshot):
    made, _ = bot(
        ["A parcel to Norway costs 5 euros."],
        snapshot,
        contract=Contract(rules=(Rule(kind="cites"),)),
        retrieving=Retrieving(grounded=False),
    )
    _, reply = streamed(made)
    assert reply.text == "A parcel to Norway costs 5 euros. [SHIP-01]"
    assert len(reply.citations) == 1


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ({"contract": Contract(rules=(Rule(kind="words", params={"max": 90}),))}, 2),
        ({"generation": Generation(stream="checked")}, 2),
        ({}, 4),
    ],
)
def test_else_they_are_shown_once_they_hold(more, count):
    made, _ = bot(["One two three."], **more)
    pieces, _ = streamed(made)
    assert len(pieces) == count


def test_a_stream_without_grounds_waits(snapshot):
    made, _ = bot(["It costs 99 euros.", "It costs 5 euros."], snapshot)
    pieces, reply = streamed(made)
    assert [p.text for p in pieces] == ["It costs 5 euros.", ""]
    assert reply.calls == 2


def test_a_stream_that_is_closed_closes_the_models(snapshot):
    closed = []

    class Slow(Scripted):
        async def astream(self, messages, **options):
            try:
                async for delta in super().astream(messages, **options):
                    yield delta
            finally:
                closed.append(True)

    made = Bot(Release(model="scripted:x", prompt="p"), Prompt.of(""), Slow(outputs=["one two three four"]))

    async def leave():
        pieces = made.astream(Request(messages=({"role": "user", "content": "Go"},)))
        await anext(pieces)
        await pieces.aclose()

    asyncio.run(leave())
    assert closed == [True]


@given(st.text(max_size=80))
def test_whatever_the_model_says_stream_and_reply_agree_on_what_was_shown(text):
    made, _ = bot([text, text], contract=Contract(rules=(ENDS,)))
    _, reply = streamed(made)
    assert reply.text.endswith(CTA)
