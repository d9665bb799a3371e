"""Form that is held early in a conversation and lost later."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.checks.context import Context
from advisor.checks.drift import check_drift
from advisor.exchange import Exchange, Message, Source, ToolCall
from router.contract.rules import Contract, Rule

ENDS = Context(contract=Contract(rules=(Rule(kind="ends_with", params={"text": "Anything else?"}),)))
PLAIN = Context()
ASKED = (
    "Do you have tents?",
    "What do boots cost?",
    "When do you open?",
    "Is there parking?",
    "Do you sell maps?",
)


def exchange(replies, last, *, system="", questions=ASKED, **more):
    talk = [Message(role="system", content=system)] if system else []
    for question, reply in zip(questions, replies, strict=False):
        talk += [Message(role="user", content=question), Message(role="assistant", content=reply)]
    talk.append(
        Message(role="user", content=questions[len(replies)] if len(questions) > len(replies) else "Well?")
    )
    return Exchange(
        id="1", conversation=tuple(talk), reply=Message(role="assistant", content=last), source=Source(file="a", line=1, dialect="rows"), **more,
    )  # fmt: skip


def seen(replies, last, context=PLAIN, **more):
    return list(check_drift(exchange(replies, last, **more), context))


HELD = ("Yes, we have tents. Anything else?", "They cost 90 euros. Anything else?", "At nine. Anything else?")


def test_a_declared_rule_held_twice_and_then_broken():
    (lost,) = seen(HELD[:2], "At nine o'clock.", ENDS)
    assert (lost.check, lost.gap, lost.cause) == ("drift.rule", "style", "drift")
    assert lost.rule == ENDS.contract.rules[0].id
    (later,) = seen(HELD, "Yes, behind the house.", ENDS)
    assert later.strength > lost.strength


def test_a_rule_of_the_prompt():
    (lost,) = seen(
        HELD, "Yes, behind the house.", system="You help in a shop. End every reply with: Anything else?"
    )
    assert lost.check == "drift.rule"
    assert {q.place for q in lost.quotes} == {"system", "reply"}


@pytest.mark.parametrize(
    ("replies", "last"),
    [
        (HELD[:1], "At nine o'clock."),  # held once only
        (HELD, "Yes. Anything else?"),  # still held
        (("We do.", "90 euros.", *HELD[:1]), "At nine."),  # never quite held
        ((), "At nine."),
    ],
)
def test_what_is_no_drift(replies, last):
    assert [e for e in seen(replies, last, ENDS) if e.check == "drift.rule"] == []


def test_held_and_broken_in_turn_counts_less():
    steady = seen(HELD, "Yes, behind.", ENDS)[0].strength
    mixed = seen((HELD[0], "They cost 90 euros.", HELD[2]), "Yes, behind.", ENDS)[0].strength
    assert 0 < mixed < steady


def test_a_rule_of_one_request_only_is_no_rule_of_the_conversation():
    asked = (
        "Tents? Answer in exactly 2 words.",
        "Boots? Answer in exactly 2 words.",
        "Hours? Answer in exactly 2 words.",
    )
    assert seen(("Yes indeed.", "90 euros."), "We open at nine in the morning.", questions=asked) == []


def test_a_standing_rule_of_the_person_drifts():
    asked = ("From now on, answer in at most 3 words. Tents?", *ASKED[1:])
    found = seen(
        ("Yes, we do.", "90 euros.", "At nine."),
        "Yes, there is plenty of parking behind the house.",
        questions=asked,
    )
    assert [e.check for e in found] == ["drift.rule"]


def test_json_that_the_prompt_asks_for_drifts():
    kept = ('{"a": 1}', '{"a": 2}')
    found = seen(kept, "It is three.", system="Reply only with JSON, nothing else.")
    assert [e.check for e in found] == ["drift.rule"]


def test_calls_errors_and_cut_replies_are_not_judged():
    assert seen(HELD, "", ENDS) == []
    assert seen(HELD, "Yes, behind", ENDS, finish_reason="length") == []
    assert seen(HELD, "Yes", ENDS, error="boom") == []
    call = Message(role="assistant", content="I look.", tool_calls=(ToolCall(name="f", arguments="{}"),))
    e = exchange(HELD, "x")
    e = Exchange(id="1", conversation=e.conversation, reply=call, source=e.source)
    assert list(check_drift(e, ENDS)) == []


@pytest.mark.parametrize(
    ("replies", "last"),
    [
        (HELD, "Yes, there is a car park behind the house."),
        (tuple(f"Answer number {n} is here [SHIP-0{n}]." for n in range(3)), "Yes, there is a car park behind the house."),
        (('{"answer": "yes"}', '{"answer": "90"}', '{"answer": "nine"}'), "There is a car park."),
        (('{"answer": "yes"}', '{"answer": "90"}', '{"answer": "nine"}'), '{"text": "There is a car park."}'),
        (("Yes, we do have tents in the shop.",) * 2 + ("We open at nine every day.",), "はい、建物の裏に駐車場があります。"),
        (
            ("Yes, we do have tents in the shop for you and your family.", "The boots cost 90 euros and you can pay them by card.", "We open at nine on every day of the week but Sunday."),
            "Ja, hinter dem Haus gibt es einen großen Parkplatz, den unsere Kunden kostenlos nutzen können, auch sonntags.",
        ),
    ],
)  # fmt: skip
def test_a_habit_of_every_earlier_reply_that_is_lost(replies, last):
    questions = (*ASKED[:3], "Is there any parking for the customers of your shop at the back of the house?")
    (lost,) = seen(replies, last, questions=questions)
    assert (lost.check, lost.gap, lost.cause) == ("drift.habit", "style", "drift")
    assert 0.2 <= lost.strength <= 0.6


@pytest.mark.parametrize(
    ("replies", "last"),
    [
        (HELD[:2], "Yes, behind the house."),  # two are no habit
        ((*HELD[:2], "At nine."), "Yes, behind the house."),  # not all had it
        (HELD, "I am sorry, I do not know that."),
        (("Yes.", "No.", "At nine."), "Yes, behind the house."),
        (("I do not know that.",) * 3, "Yes, behind the house."),
    ],
)
def test_what_is_no_lost_habit(replies, last):
    assert seen(replies, last) == []


def test_following_the_person_into_another_language_is_no_drift():
    asked = (*ASKED[:3], "建物の裏に駐車場はありますか。教えてください。")
    replies = ("Yes, we do have tents.", "They cost 90 euros.", "We open at nine every day.")
    assert seen(replies, "はい、建物の裏に駐車場があります。", questions=asked) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=3, max_size=4), st.text(max_size=80))
def test_any_conversation_is_read(replies, last):
    assert all(0 < e.strength <= 1 for e in seen(replies, last, ENDS))
