"""Reply against the right answer."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.checks.context import Context
from advisor.checks.correction import check_correction
from advisor.exchange import Exchange, Feedback, Message, Passage, Source, Tool, ToolCall
from rag.documents import Document
from rag.lexical import LexicalIndex
from router.contract.rules import Contract

PLAIN = Context()
DOWN = (Feedback(name="thumbs", value="down", polarity=-1),)
COST = "Delivery to Great Britain costs 11.50 pounds and takes 5 working days."


def exchange(reply, expected, *, system="", question="What does delivery to Great Britain cost?", **more):
    said = reply if isinstance(reply, Message) else Message(role="assistant", content=reply)
    talk = [Message(role="user", content=question)]
    return Exchange(
        id="1", conversation=(*([Message(role="system", content=system)] if system else []), *talk), reply=said, expected=expected,
        source=Source(file="a", line=1, dialect="rows"), **more,
    )  # fmt: skip


def only(reply, expected, context=PLAIN, **more):
    found = list(check_correction(exchange(reply, expected, **more), context))
    assert len(found) == 1, found
    return found[0]


def kind(reply, expected, **more):
    found = only(reply, expected, **more)
    return found.check.partition(".")[2], found.cause


def test_nothing_is_said_without_a_right_answer():
    assert list(check_correction(exchange("Five.", None), PLAIN)) == []
    assert list(check_correction(exchange("Five.", "  "), PLAIN)) == []
    assert list(check_correction(exchange("", COST), PLAIN)) == []


def test_word_for_word_is_firmly_the_same():
    assert only(COST, f" {COST}\n").strength == -1.0
    same = only("It takes 5 working days and costs 11.50 pounds: delivery to Great Britain.", COST)
    assert same.check == "correction.same"
    assert -1 < same.strength < -0.4


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Delivery to Great Britain costs 6.50 pounds and takes 5 working days.", COST),
        ("The trousers have a length of 76 cm.", "The trousers have a regular leg length of 81 cm."),
        ("Yes, you can return worn shoes within the month.", "No, you can not return worn shoes within the month."),
        ("You can return worn shoes.", "You can not return worn shoes."),
        ("Your code is AB-1234.", "Your code is AB-9876."),
        ("We love the mountains and sell boots of every kind.", "Refunds go to the card that was used for the order, never to another."),
        ("Das Paket kommt am 3. Mai in Köln an.", "Das Paket kommt am 7. Mai in Köln an."),
        ("配送需要3天。", "配送需要12天。"),
    ],
)  # fmt: skip
def test_moved_facts_are_a_matter_of_knowledge(reply, expected):
    found = only(reply, expected, feedback=DOWN)
    assert (found.check, found.gap) == ("correction.facts", "knowledge")
    assert found.strength >= 0.4
    assert {q.place for q in found.quotes} == {"reply", "expected"}


def test_strength_is_graded():
    swapped = only(
        "Delivery to Great Britain costs 6.50 pounds.",
        "Delivery to Great Britain costs 11.50 pounds.",
        feedback=DOWN,
    )
    left_out = only("Delivery to Great Britain costs 11.50 pounds.", COST, feedback=DOWN)
    unflagged = only(
        "Boots are sold in our shop.", "Refunds go to the card that was used, and 2 vouchers to 9 others."
    )
    flagged = only(
        "Boots are sold in our shop.",
        "Refunds go to the card that was used, and 2 vouchers to 9 others.",
        feedback=DOWN,
    )
    assert swapped.strength > left_out.strength
    assert unflagged.strength <= flagged.strength


def test_the_cause_is_read_off_what_was_served():
    wrong, right = "It costs 6.50 pounds to Great Britain.", "It costs 11.50 pounds to Great Britain."
    page = "Great Britain: the parcel costs 11.50 pounds."
    assert only(wrong, right).cause is None
    assert only(wrong, right, passages=(Passage(text=page),)).cause == "context_unused"
    assert only(wrong, right, passages=(Passage(text="Gift cards last a year."),)).cause == "missing_content"
    shop = Context(documents=LexicalIndex.from_documents([Document(id="d", title="Delivery", text=page)]))
    elsewhere = only(wrong, right, context=shop, passages=(Passage(text="Gift cards last a year."),))
    assert elsewhere.cause == "retrieval_miss"


@pytest.mark.parametrize(
    ("reply", "expected", "cause"),
    [
        (COST, f"{COST} Anything else I can help you with?", "required_element"),
        (COST, f"{COST} [SHIP-03]", "required_element"),
        (COST, "- Delivery to Great Britain costs 11.50 pounds\n- and takes 5 working days", "format"),
        (COST, COST.upper(), "format"),
        (COST, '{"cost": "Delivery to Great Britain costs 11.50 pounds", "time": "and takes 5 working days"}', "format"),
        ("The parcel to Britain costs 11.50 pounds altogether, whatever it weighs.", "包裹寄到英国一共需要11.50英镑，无论重量多少。", "language"),
        (f"{COST} We are always so glad that you ask, since it is our pleasure to serve and to please you at any hour of any day of the whole long year, be it Christmas.", COST, "length"),
    ],
)  # fmt: skip
def test_the_same_facts_in_another_form_are_a_matter_of_style(reply, expected, cause):
    found = only(reply, expected, feedback=DOWN)
    assert (found.check, found.gap, found.cause) == ("correction.form", "style", cause)


def test_a_short_reference_is_no_demand_for_shortness_nor_for_plain_text():
    assert kind("Our shop in Cork opens at 9 in the morning.", "9") == ("same", None)
    demand = {"type": "object"}
    assert kind('{"answer": "Rugby Union"}', "Rugby Union.", response_format=demand) == ("same", None)


def test_a_reference_in_other_layout_is_no_demand_for_that_layout():
    reply = "Deliveries: parcels leave daily; Cork two days, Galway three days, elsewhere in Ireland four days at most."
    expected = (
        "- Cork: two days\n- Galway: three days\n- anywhere else in the country: four days, after dispatch"
    )
    assert not [e for e in check_correction(exchange(reply, expected), PLAIN) if e.cause == "format"]


def test_declining_against_answering():
    sorry = "I am sorry, I do not know that."
    assert only(COST, sorry).cause == "unanswerable"
    declines = only(sorry, COST)
    assert (declines.check, declines.gap, declines.cause) == ("correction.abstention", "knowledge", None)
    assert only(sorry, COST, passages=(Passage(text=COST),)).cause == "context_unused"
    assert only(sorry, "Sorry, I have no information about this.").check == "correction.same"


def test_labels():
    context = Context(contract=Contract(labels=("refund", "delivery")))
    found = only("delivery", "refund", context=context)
    assert (found.check, found.gap, found.cause) == ("correction.label", "classification", "misrouted")
    assert only("Refund.", "refund", context=context).check == "correction.same"
    assert only("I think that this is about a refund", "refund", context=context).check == "correction.form"
    assert only("card_lost", "card_arrival").check == "correction.label"
    prompt = "Classify the message into exactly one label.\nLabels: refund, delivery"
    assert only("delivery", "refund", system=prompt).check == "correction.label"


def test_a_short_answer_is_no_label():
    assert (
        only("Dublin", "Cork", question="Where is your biggest shop?", feedback=DOWN).check
        == "correction.facts"
    )


@pytest.mark.parametrize(
    ("reply", "check", "gap"),
    [
        ('{"open": true, "city": "Cork"}', "same", None),
        ('{"open": "true", "city": "Cork"}', "form", "style"),
        ('Here you are: {"open": true, "city": "Cork"}', "form", "style"),
        ('{"open": false, "city": "Cork"}', "label", "classification"),
        ('{"open": true, "city": "Galway"}', "facts", "knowledge"),
    ],
)
def test_json_is_compared_value_by_value(reply, check, gap):
    found = only(reply, '{"city": "Cork", "open": true}')
    assert (found.check, found.gap) == (f"correction.{check}", gap)


def calls(name, arguments):
    return Message(role="assistant", tool_calls=(ToolCall(name=name, arguments=arguments),))


TOOLS = (
    Tool(name="find_order", parameters={"properties": {"id": {}, "full": {}}}),
    Tool(name="cancel_order"),
)
RIGHT = '{"name": "find_order", "arguments": {"id": 77}}'


@pytest.mark.parametrize(
    ("reply", "expected", "check", "cause"),
    [
        (calls("find_order", '{"id": "77"}'), RIGHT, "same", None),
        (calls("find_order", '{"id": 78}'), RIGHT, "tool", "wrong_arguments"),
        (calls("find_order", '{"id": 77, "full": true}'), RIGHT, "tool", "wrong_arguments"),
        (calls("cancel_order", '{"id": 77}'), RIGHT, "tool", "wrong_tool"),
        ("It is on its way.", RIGHT, "tool", "missing_call"),
        (calls("find_order", '{"id": 78}'), '[{"function": {"name": "find_order", "arguments": "{\\"id\\": 77}"}}]', "tool", "wrong_arguments"),
        (calls("find_order", '{"id": 77}'), '{"tool_calls": [{"function": {"name": "find_order", "arguments": {"id": 77}}}]}', "same", None),
        (calls("find_order", '{"id": 78}'), "find_order(id=77)", "tool", "wrong_arguments"),
        (calls("find_order", '{"id": 78}'), '{"id": 77}', "tool", "wrong_arguments"),
        (calls("find_order", '{"id": 77}'), '{"find_order": {"id": [77, "77"]}}', "same", None),
    ],
)  # fmt: skip
def test_calls_against_calls(reply, expected, check, cause):
    found = only(reply, expected, tools=TOOLS)
    assert (found.check, found.cause) == (f"correction.{check}", cause)
    assert found.gap == ("tool_call" if check == "tool" else None)


def test_calls_of_this_turn_count_though_the_reply_is_text():
    done = exchange("It is on its way.", RIGHT, tools=TOOLS)
    step = calls("find_order", '{"id": 77}')
    done = replace(done, conversation=(*done.conversation, step, Message(role="tool", content="sent")))
    assert [e.check for e in check_correction(done, PLAIN)] == ["correction.same"]


def test_a_step_on_the_way_is_not_held_against_the_final_answer():
    assert (
        list(
            check_correction(
                exchange(calls("find_order", '{"id": 77}'), "It comes on Monday.", tools=TOOLS), PLAIN
            )
        )
        == []
    )


def test_deep_nesting_is_borne():
    deep = '{"name": "f", "arguments": ' + '{"a":' * 900 + "1" + "}" * 900 + "}"
    list(check_correction(exchange(calls("f", deep), deep), PLAIN))
    list(check_correction(exchange("x", "[" * 900 + "]" * 900), PLAIN))
    list(check_correction(exchange("x", "f(" * 500 + ")" * 500, tools=(Tool(name="f"),)), PLAIN))


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_any_two_texts_can_be_compared(reply, expected):
    found = list(check_correction(exchange(reply, expected, passages=(Passage(text=reply),)), PLAIN))
    assert all(-1 <= e.strength <= 1 and e.strength for e in found)
