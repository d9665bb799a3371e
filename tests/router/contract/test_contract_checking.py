"""Which rules a reply breaks, and what can be mended without asking again."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.contract.checking import breaches, call_breaches, labels_of, schema_of
from router.contract.mending import mend, mend_calls, mends_at_end
from router.contract.rules import Contract, Rule
from router.models.port import ToolRequest

CTA = Rule(kind="ends_with", params={"text": "Anything else?"})
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
CARD = Rule(kind="json", params={"schema": SCHEMA})
TOOLS = [
    {"type": "function", "function": {"name": "get", "parameters": {"type": "object", "properties": {"id": {"type": "string", "pattern": "^SH-"}}, "required": ["id"]}}}
]  # fmt: skip


def test_rules_in_the_order_of_the_contract():
    contract = Contract(rules=(CTA, Rule(kind="words", params={"max": 3})))
    found = breaches("One two three four five.", contract)
    assert [b.kind for b in found] == ["ends_with", "words"]
    assert "does not end with 'Anything else?'" in found[0].note
    assert breaches("Yes. Anything else?", contract) == ()


def test_a_miss_that_counting_otherwise_would_undo_is_none():
    contract = Contract(rules=(Rule(kind="words", params={"max": 100}),))
    assert breaches("word " * 102, contract) == ()
    assert breaches("word " * 120, contract)


def test_json_and_its_schema():
    contract = Contract(rules=(CARD,))
    assert schema_of(contract) == SCHEMA
    assert breaches('{"a": 1}', contract) == ()
    assert "other text" in breaches('Here: {"a": 1}', contract)[0].note
    assert breaches('{"a": "x"}', contract)[0].note.startswith("At $.a: 'x' is not of type 'integer'")
    assert breaches('{"a": 1', contract, finish_reason="length")


@pytest.mark.parametrize("reply", ["refund", "Refund.", "`refund`"])
def test_labels(reply):
    contract = Contract(labels=("refund", "return"))
    assert labels_of(contract) == ("refund", "return")
    assert not breaches(reply, contract)
    assert breaches("money", contract)[0].kind == "label"


def test_calls_are_held_against_what_was_offered():
    assert call_breaches([ToolRequest(name="get", arguments='{"id": "SH-1"}')], TOOLS) == ()
    told = [
        call_breaches([ToolRequest(name=n, arguments=a)], TOOLS)[0].note
        for n, a in [
            ("got", "{}"),
            ("get", "{"),
            ("get", "[]"),
            ("get", '{"id": "1"}'),
            ("get", '{"id": "SH-1", "x": 1}'),
        ]
    ]
    assert "got is not among the tools: get" in told[0]
    assert "are not JSON" in told[1]
    assert "no JSON object" in told[2]
    assert "break its schema: id:" in told[3]
    assert "break its schema" in told[4]


@pytest.mark.parametrize(
    ("rule", "text", "mended"),
    [
        (CTA, "Yes.", "Yes. Anything else?"),
        (CTA, "Yes.\n\n", "Yes. Anything else?"),
        (Rule(kind="starts_with", params={"text": "Hello!"}), "Yes.", "Hello! Yes."),
        (CARD, '```json\n{"a": 1}\n```', '{"a": 1}'),
        (CARD, 'Sure: {"a": 1}. Fine?', '{"a": 1}'),
        (CARD, "{'a': 1,}", '{"a": 1}'),
        (
            Rule(kind="label", params={"labels": ["refund", "partial refund"]}),
            "This is a partial refund.",
            "partial refund",
        ),
    ],
)
def test_what_can_be_mended(rule, text, mended):
    contract = Contract(rules=(rule,))
    found, dealt = mend(text, contract, breaches(text, contract))
    assert found == mended
    assert [b.rule for b in dealt] == [rule.id]
    assert not breaches(found, contract)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (CARD, "No JSON here."),
        (CARD, '{"a": 1'),
        (Rule(kind="label", params={"labels": ["refund", "return"]}), "refund or return"),
        (Rule(kind="words", params={"max": 1}), "far too many words here"),
    ],
)
def test_what_cannot_be_mended_stays(rule, text):
    contract = Contract(rules=(rule,))
    assert mend(text, contract, breaches(text, contract)) == (text, ())


def test_arguments_are_repaired_if_they_then_keep_their_schema():
    calls = (
        ToolRequest(name="get", arguments="{'id': 'SH-1'", id="c"),
        ToolRequest(name="get", arguments="{'id': 5"),
    )
    found, mended = mend_calls(calls, TOOLS)
    assert json.loads(found[0].arguments) == {"id": "SH-1"}
    assert found[0].id == "c"
    assert found[1] == calls[1]
    assert len(mended) == 1


def test_only_what_is_added_at_the_end_may_wait_for_the_end():
    assert mends_at_end(CTA)
    assert not mends_at_end(CARD)


@given(st.text(max_size=200))
def test_any_text_is_judged_and_mended_without_a_fault(text):
    contract = Contract(rules=(CTA, CARD, Rule(kind="starts_with", params={"text": "Hi"})), labels=("a", "b"))
    found, _ = mend(text, contract, breaches(text, contract))
    assert isinstance(found, str)
