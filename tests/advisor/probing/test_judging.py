"""Judging a good reply that is asked for again: what it said, which calls it made, which label it gave."""

import pytest

from advisor.checks.context import Context
from advisor.exchange import Exchange, Message, Source, Tool, ToolCall
from advisor.probing.judging import Answer, expected_calls, judge
from router.contract.rules import Contract
from router.models.port import ToolRequest

GIFT = "Yes. Gift cards never expire, can be used in every shop and can be returned unopened."
TOOLS = tuple(Tool(name=n) for n in ("cancel_order", "refund_order", "search"))


def exchange(reply, *, calls=(), tools=(), expected=None):
    said = Message(role="assistant", content=reply, tool_calls=tuple(ToolCall(name=n, arguments=a, id=f"c{k}") for k, (n, a) in enumerate(calls)))  # fmt: skip
    return Exchange(
        id="e", source=Source(file="log.jsonl", dialect="openai", line=1), conversation=(Message(role="user", content="What of my gift card, order 17?"),),
        reply=said, tools=tools, expected=expected,
    )  # fmt: skip


def again(text, reference=GIFT, **more):
    return judge(exchange(reference), Answer(text=text), Context(), reference=reference, **more).good


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (GIFT, True),
        ("Yes, gift cards can be used in every shop, never expire and can be returned unopened.", True),
        ("Bananas are yellow.", False),
        ("ok", False),
        ("No. Gift cards expire quickly and returns are impossible.", False),
        ("I do not know that.", False),
    ],
)
def test_a_good_reply_without_figures_must_go_on_saying_what_it_said(text, good):
    assert again(text) is good


def test_half_said_in_other_words_is_a_doubt_and_asked_of_the_referee():
    text = "Gift cards never expire; pay with them in every store of ours, and bring them back to us at any time."
    assert again(text) is None
    assert again(text, referee=lambda e: True) is True
    assert again(text, referee=lambda e: False) is False


@pytest.mark.parametrize(
    ("calls", "good"),
    [
        ([("cancel_order", '{"number": 17}')], True),
        ([("cancel_order", '{"number": "17", "why": null}')], True),
        ([("cancel_order", '{"number": 2}')], False),
        ([("refund_order", '{"number": 17}')], False),
        ([("cancel_order", '{"number": 17}'), ("refund_order", '{"number": 17}')], False),
        ([], False),
        ([("cancel_order", "17")], False),
    ],
)
def test_good_calls_must_be_made_again(calls, good):
    asked = exchange("", calls=[("cancel_order", '{"number": 17}')], tools=TOOLS)
    made = tuple(ToolRequest(name=n, arguments=a) for n, a in calls)
    assert judge(asked, Answer(text="", calls=made), Context(), reference="").good is good


def test_no_call_stays_none_and_free_words_may_differ():
    none = exchange("Which order do you mean?", tools=TOOLS)
    call = lambda name, arguments: (ToolRequest(name=name, arguments=arguments),)  # noqa: E731
    made = Answer(text="", calls=call("cancel_order", '{"number": 17}'))
    assert judge(none, made, Context(), reference="Which order do you mean?").good is False
    assert judge(none, Answer(text="Which one?"), Context(), reference="Which order do you mean?").good
    search = exchange("", calls=[("search", '{"text": "gift card 17 expiry"}')], tools=TOOLS)
    other = Answer(text="", calls=call("search", '{"text": "expiry of gift card 17"}'))
    assert judge(search, other, Context(), reference="").good is None
    figures = Answer(text="", calls=call("search", '{"text": "expiry of gift card 18"}'))
    assert judge(search, figures, Context(), reference="").good is False


def test_a_good_label_must_be_given_again():
    context = Context(contract=Contract(labels=("shipping", "refund")))
    asked = exchange("shipping")
    told = lambda text: judge(asked, Answer(text=text), context, reference="shipping").good  # noqa: E731
    assert (told("Shipping."), told("refund")) == (True, False)


def test_a_correction_whose_arguments_cannot_be_read_is_no_call():
    asked = exchange("", tools=TOOLS, expected='{"name": "get_order", "arguments": "order 17"}')
    assert expected_calls(asked) is None
