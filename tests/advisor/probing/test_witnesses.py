"""Witnesses: where people found a bot's silence about its tools wrong, what nobody spoke of shows nothing."""

from dataclasses import replace

import pytest

from advisor.diagnosis import Diagnosis
from advisor.exchange import Exchange, Feedback, Message, Source, Tool, ToolCall
from advisor.gate.trial import cases_of
from advisor.probing.witnesses import witnesses

TOOLS = (Tool(name="get_order"),)
FINE = Diagnosis(
    exchange_id="", failed=0.1, gaps={"knowledge": 0.0, "style": 0.0, "tool_call": 0.0, "classification": 0.0}, named=(), cause=None, standing="inferred",
    calibrated=False, evidence=(),
)  # fmt: skip
CALL = '{"name": "get_order", "arguments": {"number": "SH-12345"}}'


def asked(
    n,
    question="Where is order SH-1234{}?",
    *,
    thumb=None,
    expected=None,
    calls=(),
    tools=TOOLS,
    system="You help.",
):
    return Exchange(
        id=f"e{n}", conversation=(Message(role="system", content=system), Message(role="user", content=question.format(n))),
        reply=Message(role="assistant", content="" if calls else "I cannot do that.", tool_calls=calls), tools=tools, expected=expected,
        source=Source(file="log", line=n, dialect="rows"), feedback=(Feedback(name="thumbs", polarity=thumb),) if thumb else (),
    )  # fmt: skip


def doubts(*exchanges):
    return sorted({e.id for e in exchanges} - witnesses([(e, FINE) for e in exchanges]))


def test_silence_is_no_witness_where_people_found_as_much_wrong_as_right():
    silent = [asked(1), asked(2)]
    assert doubts(*silent) == [], "nobody said anything of any"
    assert doubts(*silent, asked(3, thumb=-1)) == ["e1", "e2"]
    assert doubts(*silent, asked(3, expected=CALL), asked(4, thumb=1)) == ["e1", "e2"]
    assert doubts(*silent, asked(3, thumb=-1), asked(4, thumb=1), asked(5, thumb=1)) == []
    assert doubts(*silent, asked(3, thumb=-1, expected="Which order?")) == [], (
        "no call was due, only other words"
    )
    assert doubts(*silent, asked(3, thumb=-1, system="You sort tickets.")) == [], "of another bot"


@pytest.mark.parametrize(
    "kept",
    [
        {"question": "Sing me a song"},
        {"thumb": 1},
        {"calls": (ToolCall(name="get_order", arguments="{}"),)},
        {"tools": ()},
    ],
    ids=str,
)
def test_what_names_nothing_to_call_with_or_was_praised_stays_a_witness(kept):
    wrong = [asked(n, thumb=-1) for n in (7, 8)]
    assert doubts(asked(1, **kept), *wrong) == []
    assert doubts(asked(1), *wrong) == ["e1"]


def test_a_reply_to_what_a_tool_returned_called_one():
    wrong = [asked(n, thumb=-1) for n in (7, 8)]
    said = asked(1)
    steps = (Message(role="assistant", content="", tool_calls=(ToolCall(name="get_order", arguments="{}"),)), Message(role="tool", content="sent"))  # fmt: skip
    assert doubts(replace(said, conversation=(*said.conversation, *steps)), *wrong) == []
    assert doubts(replace(said, conversation=(*steps, *said.conversation)), *wrong) == ["e1"]


def test_a_call_that_is_written_as_text_is_one_too():
    wrong = [asked(n, thumb=-1) for n in (7, 8)]
    said = replace(
        asked(1), reply=Message(role="assistant", content='{"name": "get_order", "arguments": {}}')
    )
    assert doubts(said, *wrong) == []


def test_what_is_in_doubt_is_not_asked_again():
    seen = [(e, FINE) for e in (asked(1), asked(2, "Good morning"), asked(3, thumb=-1))]
    assert [c.id for c in cases_of([], seen, sources=lambda e: ())] == ["e2", "e3"]
