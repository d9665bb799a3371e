"""Did a reply arrive, whole and once, and filled in?"""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.checks.context import Context
from advisor.checks.delivery import check_delivery
from advisor.exchange import Exchange, Message, Passage, Source, ToolCall

PLAIN = Context()
LONG = "Delivery in Ireland is free for orders of 60 euros or more; below that a parcel costs 4.50 euros."


def exchange(reply, *, talk=(), question="What does it cost?", **more):
    said = reply if isinstance(reply, Message) else Message(role="assistant", content=reply)
    return Exchange(
        id="1", conversation=(*talk, Message(role="user", content=question)), reply=said, source=Source(file="a", line=1, dialect="rows"), **more,
    )  # fmt: skip


def found(reply, **more):
    return {e.check.partition(".")[2]: e for e in check_delivery(exchange(reply, **more), PLAIN)}


def test_a_whole_reply_gives_nothing():
    assert found(LONG, finish_reason="stop") == {}
    assert found(LONG) == {}


@pytest.mark.parametrize("text", ["", "  \n"])
def test_empty(text):
    empty = found(text)["empty"]
    assert (empty.gap, empty.strength) == (None, 1.0)
    assert empty.quotes


def test_a_call_is_no_empty_reply():
    assert found(Message(role="assistant", tool_calls=(ToolCall(name="f", arguments="{}"),))) == {}


@pytest.mark.parametrize(
    "reason", ["length", "max_tokens", "MAX_TOKENS", "FinishReason.MAX_TOKENS", "FINISH_REASON_MAX_TOKENS"]
)
def test_cut_off_by_the_provider(reason):
    cut = found("The parcel will reach you on", finish_reason=reason)["truncated"]
    whole = found("The parcel will reach you.", finish_reason=reason)["truncated"]
    assert (cut.gap, cut.cause) == ("style", "length")
    assert cut.strength > whole.strength


SENTENCES = "We ship every day. Parcels to Cork take two days. Parcels to Galway take three days in all. "


def test_cut_off_by_the_look_of_it():
    cut = f"{SENTENCES}If you order before noon on a working day and the article is in stock in our warehouse, we will"
    assert found(cut)["truncated"].strength < 0.5
    assert found(cut, finish_reason="stop") == {}
    wide = (
        "包裹每天寄出。寄往科克需要两天。寄往戈尔韦总共需要三天。" * 6
        + "如果您在工作日中午之前下单并且商品在我们的仓库有库存那么我们将会在当天为您安排发货并且"
    )
    assert "truncated" in found(wide)


@pytest.mark.parametrize(
    "end",
    ["Kind regards,\nYour team of Fernhill", "See https://example.org/help/delivery-and-returns/and-all-the-rest", "- boots\n- tents", "Have fun 🎉", "(see above)", "| a | b |"],
)  # fmt: skip
def test_what_needs_no_full_stop_is_not_cut(end):
    assert "truncated" not in found(f"{SENTENCES}{SENTENCES}\n{end}")


@pytest.mark.parametrize("reason", ["content_filter", "SAFETY", "guardrail_intervened", "refusal"])
def test_filtered(reason):
    assert found("", finish_reason=reason)["filtered"].strength >= 0.8


def test_errors():
    assert found("", error="503 overloaded")["error"].quotes[0].text == "503 overloaded"
    assert "empty" not in found("", error="503 overloaded")
    assert found("Error code: 429 - rate limit reached")["error"].strength < 1
    assert found("Internal Server Error")["error"].gap is None
    assert found("", finish_reason="MALFORMED_FUNCTION_CALL")["error"]
    assert "error" not in found(
        "Error code: 429 means too many requests.", question="What is Error code: 429?"
    )
    assert "error" not in found("Errors in your order can be mended within an hour.")


@pytest.mark.parametrize(
    "text",
    [
        "I can help you with that. " * 8,
        "Hello.\n" + "Please wait a moment.\n" * 6,
        "The parcel is on its way to you and will be with you soon and " * 8,
        "请稍等，我正在为您查询订单。" * 8,
        "ありがとうございます" * 20,
    ],
)
def test_loops(text):
    loop = found(text)["loop"]
    assert (loop.gap, loop.cause) == ("style", "format")
    assert loop.strength >= 0.6
    assert loop.quotes[0].text.lower() in text.lower()


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"- Shop {n} in town {n * 7} opens at {n % 12} and closes at {n % 9 + 12}." for n in range(30)),
        "| day | open |\n|---|---|\n" + "".join(f"| {d} | 9 to 5 |\n" for d in ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]),
        "```\n" + "x = f(x)\n" * 20 + "```\nThis calls the function as often as you asked, one line after the other.",
        " ".join(f"Item {n} is {w}." for n, w in enumerate(["red", "blue", "green", "black", "white", "brown", "grey", "pink"])),
    ],
)  # fmt: skip
def test_lists_tables_and_code_are_no_loops(text):
    assert "loop" not in found(text)


def test_a_wanted_repetition_is_no_loop():
    assert "loop" not in found("I love hiking in the hills. " * 10, question="Repeat that sentence 10 times")


def said(question, reply):
    return (Message(role="user", content=question), Message(role="assistant", content=reply))


def test_the_same_reply_to_another_question():
    same = found(LONG, talk=said("Do you have tents?", LONG))["same_reply"]
    assert same.gap is None
    twice = found(LONG, talk=(*said("Do you have tents?", LONG), *said("And boots?", LONG)))["same_reply"]
    assert twice.strength > same.strength
    assert "same_reply" not in found(LONG, talk=said("what does it  cost?", LONG))
    assert "same_reply" not in found("I do not know.", talk=said("Do you have tents?", "I do not know."))
    label = '{"category": "delivery", "priority": "low", "language": "en", "escalate": false, "note": ""}'
    assert "same_reply" not in found(label, talk=said("Do you have tents?", label))


@pytest.mark.parametrize(
    "text",
    [
        "Dear {first_name}, your parcel has left.", "Hello {{customer.name}}!", "Call us at [INSERT PHONE NUMBER].", "Regards, [Your Name]",
        "Your order <order number> was sent.", "Hello undefined, welcome back!", "The price is: NaN.", "Total: $undefined", "It costs [object Object].",
        "Sehr geehrter [Name des Kunden]", "Hi ${user.name}, hello",
    ],
)  # fmt: skip
def test_placeholders(text):
    hole = found(text)["placeholder"]
    assert (hole.gap, hole.cause) == ("style", "format")
    assert hole.strength > 0.8
    assert hole.quotes[0].text in text


@pytest.mark.parametrize(
    "text",
    [
        "See page [SHIP-03] and [1].", 'The form is {"name": "Ann", "age": 3}.', "Write \\frac{alpha}{beta} or x_{max} in it.", "Use `{name}` for the name.",
        "Division by zero is undefined.", "It is < 5 and > 3.", "Read [your account](https://example.org).", "```\nf'{name}'\n```", "The sets {a} and {b} are disjoint.",
        "None of them fits.", "It holds {3, 4} pairs.",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_placeholder(text):
    assert "placeholder" not in found(text)


def test_a_wanted_blank_and_a_quoted_one():
    draft = found("Dear [Your Name],", question="Draft an email to my landlord")
    assert draft["placeholder"].strength < 0.4
    assert "placeholder" not in found("It fills {first_name} in.", question="What does {first_name} do?")
    served = (Passage(text="Write {first_name} for the name."),)
    assert "placeholder" not in found("Write {first_name} there.", passages=served)


@pytest.mark.parametrize(
    "text", ["As an AI language model, I cannot travel.", "Als KI-Sprachmodell kann ich das nicht.", "作为一个人工智能语言模型，我不能。", "En tant que modèle de langage, je ne peux pas."]
)  # fmt: skip
def test_speaking_as_a_model(text):
    assert found(text)["placeholder"].cause == "persona"
    assert found(text, question="Are you a robot or an AI? 人工智能") == {}


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=600), st.sampled_from([None, "stop", "length", "x.y"]))
def test_any_text_is_read(text, reason):
    assert all(0 < e.strength <= 1 for e in check_delivery(exchange(text, finish_reason=reason), PLAIN))


@pytest.mark.parametrize(
    "unit", ["{a", "[your ", "a ", "no. ", "`", "<your ", "错", "\n", "|", "{{ a ", "$$"]
)
def test_reading_takes_no_time(unit):
    start = time.process_time()
    found(unit * 30_000)
    assert time.process_time() - start < 1.5
