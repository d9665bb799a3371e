"""Checkers of rules, JSON and labels."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.checks.context import Context
from advisor.checks.instructions import check_rules
from advisor.checks.json_form import check_json
from advisor.checks.labels import check_labels
from advisor.exchange import Exchange, Message, Source
from router.contract.checkers.table import CHECKERS
from router.contract.rules import Contract, Rule

PLAIN = Context()
SHOP = (
    "Classify the message into exactly one label.\nLabels: parcel_late, refund_wanted, password_lost, other"
)


def exchange(system, reply, request="Where is it?", **more):
    return Exchange(
        id="1",
        conversation=(Message(role="system", content=system), Message(role="user", content=request)),
        reply=Message(role="assistant", content=reply),
        source=Source(file="a", line=1, dialect="rows"),
        **more,
    )


def found(check, *args, context=PLAIN, **more):
    return {e.check: e for e in check(exchange(*args, **more), context)}


GERMAN = "Das Paket ist gestern in unserem Lager angekommen und wird morgen früh an Sie geliefert."
ENGLISH = "The parcel reached our warehouse yesterday and will be delivered to you tomorrow morning."


@pytest.mark.parametrize(
    ("kind", "params", "good", "bad"),
    [
        (
            "ends_with",
            {"text": "All fine?"},
            "It is on its way. **All fine?**",
            "All fine? It is on its way.",
        ),
        ("starts_with", {"text": "Dear"}, "Dear Ann, yes.", "Yes, dear."),
        ("words", {"max": 3}, "one two three", "one two three four five"),
        ("sentences", {"min": 2, "max": 2}, "It is, e.g. here. It came at 5.30 p.m. today.", "One."),
        ("paragraphs", {"min": 2, "max": 2}, "a\n\nb", "a\nb"),
        ("bullets", {"min": 2}, "* a\n* b", "a, b"),
        ("highlights", {"min": 1}, "see *this part*", "see this part"),
        ("segments", {"separator": "***", "min": 2, "max": 2}, "a\n***\nb", "a ****** b"),
        ("uppercase", {}, "YES 1", "YES, it is"),
        ("no_commas", {}, "yes and no", "yes, no"),
        ("forbidden", {"words": ["art"]}, "start a party", "The art of it"),
        ("required", {"words": ["parcel"]}, "Your Parcel is here", "It is here"),
        ("frequency", {"word": "yes", "min": 2}, "Yes, yes.", "Yes, no."),
        ("language", {"code": "de"}, GERMAN, ENGLISH),
        ("language", {"code": "el"}, "Το δέμα έφτασε χθες", ENGLISH),
        ("cites", {"like": "[KB-12]"}, "So it is [KB-7].", "So it is [note]."),
        ("wrapped_in_quotes", {}, '"Yes."', 'He said "yes" now'),
        ("address", {"language": "de", "form": "formal"}, "Haben Sie Ihre Nummer?", "Hast du deine Nummer?"),
    ],
)
def test_checker(kind, params, good, bad):
    assert CHECKERS[kind](good, params).held
    assert not CHECKERS[kind](bad, params).held


def test_what_cannot_be_judged_gives_nothing():
    assert CHECKERS["words"]("荷物は昨日倉庫に届きました。", {"max": 3}) is None
    assert CHECKERS["language"]("OK 12", {"code": "de"}) is None
    assert CHECKERS["uppercase"]("是的", {}) is None


def test_a_broken_rule_quotes_the_rule_and_the_words():
    (e,) = check_rules(exchange("Never use exclamation marks.", "Sure! It came."), PLAIN)
    assert (e.check, e.gap, e.cause) == ("rule.broken", "style", "tone")
    assert [q.place for q in e.quotes] == ["system", "reply"]
    assert e.strength > 0.5


def test_declared_rules_are_checked_too_and_reading_can_be_turned_off():
    contract = Contract(
        rules=(Rule(kind="ends_with", params={"text": "Bye"}, cause="required_element"),), read_prompts=False
    )
    evidence = list(check_rules(exchange("Use no commas.", "Yes, it is."), Context(contract=contract)))
    assert [(e.check, e.rule) for e in evidence] == [("rule.broken", "ends_with(text=Bye)")]


def test_the_agreed_sentence_of_abstention_breaks_no_rule():
    prompt = 'End your reply with "Bye". If you cannot find the answer, say "I do not know".'
    assert found(check_rules, prompt, "I do not know.") == {}


def test_a_cut_reply_is_not_blamed_for_its_missing_end():
    assert found(check_rules, 'End your reply with "Bye".', "It is", finish_reason="length") == {}


JSON = 'Return JSON in this format: {"tag": "bool", "note": "string"}'


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ('{"tag": true, "note": "x"}', {"json.ok"}),
        ('```json\n{"tag": true, "note": "x"}\n```', {"json.parse", "json.repairable"}),
        ('Here: {"tag": true, "note": "x"} Note: fine.', {"json.parse", "json.repairable"}),
        ('{"tag": true, "note": \'x\',}', {"json.parse", "json.repairable"}),
        ("I cannot do that.", {"json.parse"}),
        ('{"tag": "true", "note": "x"}', {"json.schema"}),
        ('{"tag": true}', {"json.schema"}),
    ],
)
def test_json(reply, expected):
    assert set(found(check_json, JSON, reply)) == expected


def test_a_broken_schema_or_none_is_no_failure_of_the_reply():
    assert set(found(check_json, "", "{}", response_format={"type": 12})) == {"json.ok"}
    assert found(check_json, "Be kind.", "hello") == {}


def test_a_fence_is_tolerated_where_a_person_asked_in_the_chat():
    e = exchange("", '```json\n{"a": 1}\n```', "Give me the answer in JSON format.")
    assert {x.check for x in check_json(e, PLAIN)} == {"json.ok"}


def test_labels_allowed_or_not():
    assert "label.not_allowed" not in found(check_labels, SHOP, "Label: Parcel late")
    assert found(check_labels, SHOP, "parcel_lost")["label.not_allowed"].strength > 0.8
    assert found(check_labels, "Be kind.", "parcel_lost") == {}


@pytest.mark.parametrize(
    ("reply", "expected", "cause"),
    [
        ("parcel_late", "refund_wanted", "misrouted"),
        ("parcel_late", "other", "out_of_scope_accepted"),
        ("other", "parcel_late", "in_scope_rejected"),
    ],
)
def test_label_against_the_expected_one(reply, expected, cause):
    assert found(check_labels, SHOP, reply, expected=expected)["label.differs"].cause == cause
    assert found(check_labels, SHOP, reply, expected=reply)["label.differs"].strength < 0


def test_neighbours_and_names_speak_for_the_right_label():
    labelled = {
        "my parcel is late": "parcel_late",
        "the parcel has not come": "parcel_late",
        "I lost my password": "password_lost",
    }
    asked = exchange(SHOP, "password_lost", "Why has my parcel not come yet?")
    context = Context(labelled=labelled)
    wrong = {e.check: e.strength for e in check_labels(asked, context)}
    right = {
        e.check: e.strength
        for e in check_labels(replace(asked, reply=Message(role="assistant", content="parcel_late")), context)
    }
    assert wrong["label.neighbours"] > 0 > right["label.neighbours"]
    assert wrong["label.name_fit"] > 0 > right["label.name_fit"]


def test_a_tag_is_classification_and_an_open_answer_is_not():
    tag = 'Return JSON in this format: {"answerable": "bool"}'
    answer = 'Return JSON in this format: {"answer": "string"}'
    assert found(check_labels, tag, '{"answerable": true}')["label.task"].strength > 0.8
    assert found(check_labels, tag, '{"answerable": "true"}')["label.task"].strength < 0.4
    assert found(check_labels, answer, '{"answer": "Rome"}')["label.task"].strength < 0


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([JSON, SHOP, "Answer in German.", ""]),
    st.text(max_size=300),
    st.sampled_from([None, {}, {"type": "object"}]),
)
def test_any_reply_can_be_checked(system, reply, response_format):
    e = exchange(system, reply, response_format=response_format, expected=reply[:20])
    for check in (check_rules, check_json, check_labels):
        assert all(-1 <= x.strength <= 1 for x in check(e, Context(labelled={"a": "other"})))
