"""What is taught: as the bot would have been asked; no new facts; nothing of a person's; nothing twice."""

from dataclasses import replace

from advisor.apply.examples import Bot, build, labelled, without_calls
from advisor.exchange import Exchange, Feedback, Message, Passage, Source, Tool, ToolCall
from advisor.gate.trial import Case
from advisor.probing.subject import Served, Setup
from finetune.examples import Example, text_of
from router.contract.rules import Contract, Rule
from router.models.port import ToolRequest
from router.prompts import Prompt
from router.releases import Release
from router.replies import Intervention, Reply

CTA = "Anything else?"
CONTRACT = Contract(rules=(Rule(kind="ends_with", params={"text": CTA}),))
TOOL = Tool(
    name="find", parameters={"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
)
THINGS = [
    "boots",
    "tents",
    "lamps",
    "ropes",
    "gloves",
    "stoves",
    "maps",
    "hats",
    "socks",
    "packs",
    "mats",
    "mugs",
]


def exchange(
    n, reply="", *, question=None, passages=None, calls=(), tools=(), expected=None, feedback=(), before=()
):
    thing = THINGS[n % 12]
    asked = question or f"How long may {thing} be kept, and who pays for sending {thing} back?"
    return Exchange(
        id=f"e{n}", conversation=(Message(role="system", content="old prompt"), *before, Message(role="user", content=asked)),
        reply=Message(role="assistant", content=reply, tool_calls=calls), passages=passages, tools=tools, expected=expected, feedback=feedback,
        source=Source(file="log.jsonl", line=n, dialect="rows"), user=f"u{n}",
    )  # fmt: skip


def case(e, kind="target"):
    return Case(
        id=e.id, group=e.id, kind=kind, exchange=e, issue="i" if kind == "target" else "", reference=None
    )


def bot(*, retrieval=False, contract=CONTRACT, oracle=None):
    searched = Served([Passage(text="Nothing about that.")]) if retrieval else None
    return Bot(
        setup=Setup(release=Release(model="m", prompt="p"), prompt=Prompt.of("You help."), searched=searched),
        contract=contract,
        oracle=oracle or {},
    )


def page(n, days):
    return Passage(text=f"{THINGS[n % 12].title()} may be kept {days} days. The shop pays.", id=f"p{n}")


def test_corrections_good_replies_and_mended_ones(tmp_path):
    like = (Feedback(name="thumb", polarity=1),)
    made = build(
        [
            case(exchange(0, "For ever.", expected=f"As long as you like. {CTA}")),
            case(exchange(1, f"A while. {CTA}", feedback=like), "good"),
            case(exchange(2, "A while, and we pay.")),
            case(exchange(3, "")),
        ],
        bot(),
    )
    assert [(e.origin, text_of(e.target), e.approved_by) for e in made.examples] == [
        ("correction", f"As long as you like. {CTA}", "u0"),
        ("approved", f"A while. {CTA}", "u1"),
        ("repaired", f"A while, and we pay. {CTA}", None),
    ]
    assert made.examples[0].rejected == {"role": "assistant", "content": "For ever."}
    assert made.examples[0].messages[0] == {"role": "system", "content": "You help."}, (
        "the prompt of the bot, not of the log"
    )
    assert made.left_out == {"nothing was said": 1}


def test_no_new_facts(tmp_path):
    """A right answer that stands in no page belongs into the index."""
    e = exchange(
        0,
        "No idea.",
        expected=f"They may be kept 30 days. {CTA}",
        passages=(Passage(text="Boots are sold here."),),
    )
    made = build([case(e)], bot(retrieval=True))
    assert not made.examples
    assert made.knowledge == ("e0",)
    assert made.left_out == {"states what the bot could not have read": 1}
    known = build([case(e)], bot(retrieval=True, oracle={"e0": (page(0, 30).text,)}))
    assert known.examples[0].origin == "correction"
    assert any(page(0, 30).text in p for p in known.examples[0].passages)


def test_passages_come_in_their_shares():
    cases = []
    for n, w in enumerate(_words(240)):
        asked = f"{w} {THINGS[n % 12]} kept how long, please?"
        right = f"{THINGS[n % 12].title()} may be kept {n} days. {CTA}"
        if n % 4:
            cases.append(case(exchange(n, right, question=asked, passages=(page(n, n),)), "good"))
        else:
            cases.append(case(exchange(n, "x", question=asked, expected=right, passages=(page(n, n),))))
    made = build(cases, bot(retrieval=True))
    declined = [e for e in made.examples if e.origin == "written"]
    taught = [e for e in made.examples if e.origin != "written"]
    mixed = [e for e in taught if len(e.passages) == 3]
    n = len(taught)
    assert n > 100
    assert 0.15 < len(declined) / n < 0.25 and 0.15 < len(mixed) / n < 0.4
    alone = [e for e in made.examples if not e.passages]
    assert 0.05 < len(alone) / n < 0.15 and all(e in declined for e in alone)
    by_source = {e.source: e for e in taught}
    assert all(by_source[e.source].passages for e in declined), "the same question is taught with its page"
    for e in declined:
        assert text_of(e.target) == f"I do not know. {CTA}"
        assert not any(
            text.startswith(e.request.rpartition("Question: ")[2].split()[1].title()) for text in e.passages
        )
    for e in made.examples:
        read = text_of(e.messages[-2])
        assert read.startswith("[1]") if e.passages else read == e.request, "as the bot composes it"
    assert build(cases, bot(retrieval=True)).examples == made.examples, "one seed, one set"


def _words(count):
    return [
        f"{a}{b}{c}"
        for a in ("Mora", "Tilu", "Kesa", "Bano", "Rive", "Soko")
        for b in ("lin", "tar", "mek", "dos", "fen", "gul", "pas", "wob")
        for c in ("a", "e", "i", "o", "u")
    ][:count]


def test_calls_that_fit_are_taught_and_the_right_ones_for_the_wrong():
    wrong = exchange(
        0,
        calls=(ToolCall(name="find", arguments='{"x": 1}'),),
        tools=(TOOL,),
        expected='{"name": "find", "arguments": {"q": "boots"}}',
    )
    needless = exchange(
        1, calls=(ToolCall(name="find", arguments='{"q": "hi"}'),), tools=(TOOL,), expected="Hello!"
    )
    good = exchange(2, calls=(ToolCall(name="find", arguments='{"q": "lamps"}'),), tools=(TOOL,))
    broken = exchange(3, calls=(ToolCall(name="find", arguments="{"),), tools=(TOOL,))
    made = build(
        [
            case(wrong),
            case(needless),
            case(good, "good"),
            case(broken, "good"),
            case(exchange(4, "x", tools=(TOOL,))),
        ],
        bot(),
    )
    assert [e.origin for e in made.examples] == ["correction", "correction", "approved"]
    assert made.examples[0].target["tool_calls"][0]["function"] == {
        "name": "find",
        "arguments": '{"q": "boots"}',
    }
    assert made.examples[0].rejected["tool_calls"][0]["function"]["arguments"] == '{"x": 1}'
    assert "tool_calls" not in made.examples[1].target and text_of(made.examples[1].target) == "Hello!"
    assert made.examples[0].tools[0]["function"]["name"] == "find"
    assert made.left_out == {"its calls do not fit their tools": 1, "failed, and no right answer is known": 1}


def test_earlier_replies_are_read_and_not_learnt():
    before = (Message(role="user", content="Hi"), Message(role="assistant", content="Bad words."))
    (e,) = build([case(exchange(0, f"Good. {CTA}", before=before), "good")], bot()).examples
    assert [m.get("weight") for m in e.messages if m["role"] == "assistant"] == [0, None]


def test_a_persons_data_is_masked_but_not_the_shops_own():
    e = exchange(
        0,
        f"Write to help@shop.example. {CTA}",
        question="I am jo@mail.example, where do I write about boots?",
    )
    with_address = Bot(
        setup=Setup(
            release=Release(model="m", prompt="p"), prompt=Prompt.of("Our address: help@shop.example.")
        ),
        contract=CONTRACT,
    )
    (made,) = build([case(e, "good")], with_address).examples
    assert text_of(made.target) == f"Write to help@shop.example. {CTA}"
    assert made.request == "I am [e-mail], where do I write about boots?"


def test_a_persons_data_is_masked_in_calls_too():
    book = Tool(name="book", parameters={"type": "object", "properties": {"email": {"type": "string"}}})
    calls = (ToolCall(name="book", arguments='{"email": "ana.lopez@example.org"}'),)
    asked = "Book it for ana.lopez@example.org please"
    good = exchange(0, calls=calls, tools=(book,), question=asked)
    wrong = exchange(
        1,
        calls=calls,
        tools=(book,),
        question=f"{asked}, at once",
        expected='{"name": "book", "arguments": {"email": "ana@example.org"}}',
    )
    before = (
        Message(role="user", content="Hi, ana@example.org"),
        Message(role="assistant", content="", tool_calls=calls),
        Message(role="tool", content="booked for ana@example.org"),
    )
    later = exchange(2, f"Done. {CTA}", question="Thank you!", before=before)
    made = build([case(good, "good"), case(wrong), case(later, "good")], bot())
    assert len(made.examples) == 3
    for e in made.examples:
        assert "example.org" not in str([e.messages, e.rejected])
    called = made.examples[0].target["tool_calls"][0]["function"]
    assert called == {"name": "book", "arguments": '{"email": "[e-mail]"}'}
    assert made.examples[0].request == "Book it for [e-mail] please"


def test_other_questions_about_one_page_do_not_repeat_each_other():
    text = " ".join(
        f"Item {w} costs {n} euros and is sent within {n} days." for n, w in enumerate(_words(40))
    )
    cases = [
        case(exchange(n, f"{w}: {n} euros. {CTA}", question=f"What is to be paid for {w}, and when?", passages=(Passage(text=text),)), "good")
        for n, w in enumerate(_words(40))
    ]  # fmt: skip
    made = build(cases, bot(retrieval=True))
    told = [e for e in made.examples if e.passages]
    assert len(told) > 30, made.left_out


def test_nothing_twice():
    cases = [
        case(exchange(n, f"A while. {CTA}", question="How long may boots be kept?"), "good") for n in range(9)
    ]
    made = build(cases, bot())
    assert len(made.examples) == 1 and made.left_out == {"repeats another": 8}
    own = Example(
        messages=({"role": "user", "content": "Hm?"}, {"role": "assistant", "content": "Yes."}),
        group="f",
        origin="file",
        source="f:1",
    )
    assert build(cases, bot(), [own, own]).examples[-1] == own
    assert len(build(cases, bot(), [own, own]).examples) == 2


def test_a_reply_that_cannot_be_mended_teaches_nothing():
    contract = Contract(rules=(Rule(kind="words", params={"max": 2}),))
    made = build(
        [
            case(exchange(0, "Far too many words."), "good"),
            case(exchange(1, "x", expected="Also too many words.")),
        ],
        bot(contract=contract),
    )
    assert not made.examples and made.left_out == {"breaks the contract, and cannot be mended": 2}


def test_labelled_texts():
    (e,) = labelled({"My card is lost": "card_lost"}, "Pick a label.")
    assert (e.label, e.request, e.messages[0]["content"]) == ("card_lost", "My card is lost", "Pick a label.")


def test_of_near_repetitions_a_dozen_is_kept_but_of_calls_all_values():
    def asked(n, origin="approved", **reply):
        messages = (
            {"role": "user", "content": f"Where is order SH-{10000 + n}?"},
            {"role": "assistant", **reply},
        )
        return Example(messages=messages, group=f"g{n}", origin=origin, source=f"log:{n}")

    said = [asked(n, content=f"Order SH-{10000 + n} is on its way.") for n in range(40)]
    made = build([], bot(), said)
    assert len(made.examples) == 12 and made.left_out == {"repeats another": 28}
    own = [replace(e, origin="file") for e in said]
    made = build([], bot(), [*own, *own])
    assert made.examples == tuple(own), "what an operator chose is taken as it is, once"
    assert made.left_out == {"repeats another": 40}
    calls = [
        asked(n, content=None, tool_calls=[{"type": "function", "function": {"name": "get_order", "arguments": f'{{"id": "SH-{10000 + n}"}}'}}])
        for n in range(40)
    ]  # fmt: skip
    made = build([], bot(), [*calls, *calls])
    assert len(made.examples) == 40


def test_what_a_bot_says_without_a_call_is_taught_as_it_keeps_the_contract():
    call = (ToolRequest(name="find", arguments="{}"),)
    dropped = (Intervention(kind="call_dropped", note="q is missing"),)
    replies = (
        Reply(text="Hello!", id="r"),
        Reply(text="", id="r"),
        Reply(text="Hello!", id="r", tool_calls=call),
        Reply(text="Hello!", id="r", interventions=dropped),
        Reply(text="Hello, and then", id="r", finish_reason="length"),
    )
    asked = [(exchange(n, question="Hi there", tools=(TOOL,)), reply) for n, reply in enumerate(replies)]
    (made,) = without_calls(asked, bot())
    assert text_of(made.target) == f"Hello! {CTA}" and made.origin == "replay" and made.tools
    # What cannot be mended is not taught.
    never = Contract(rules=(Rule(kind="forbidden", params={"words": ["hello"]}),))
    assert not list(without_calls(asked, bot(contract=never)))
