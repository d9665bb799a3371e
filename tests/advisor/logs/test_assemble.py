import time

import pytest

from advisor.exchange import Feedback, Message, Passage, Source, ToolCall
from advisor.logs.assemble import assemble, place
from advisor.logs.dialects.conversation import HUMAN
from advisor.logs.records import Call, Note
from advisor.logs.spool import Spool

DOWN = Feedback(name="thumbs", value="down", polarity=-1)


def user(text):
    return Message(role="user", content=text)


def bot(text, **more):
    return Message(role="assistant", content=text, **more)


def exchanges(*found, file="a"):
    spool = Spool()
    for line, part in enumerate(found, 1):
        if isinstance(part, Note):
            spool.add_note(part)
        else:
            place(part, Source(file=file, line=line, dialect="x"), spool)
    try:
        return sorted(assemble(spool), key=lambda e: (e.turn, e.reply.content))
    finally:
        spool.close()


def call(*messages, reply=None, **more):
    return Call(line=1, messages=messages, reply=bot(reply) if isinstance(reply, str) else reply, **more)


def test_spans_of_a_trace_share_what_each_knows():
    found = exchanges(
        call(user("hi"), reply="hello", trace_id="t", span_id="b", parent_id="a", model="m"),
        call(user("hi"), reply="hello", trace_id="t", span_id="a", wrapper=True, conversation_id="s"),
        Note(line=3, ids=("t",), parts={"passages": (Passage(text="p"),), "user": "u1"}),
    )
    (only,) = found
    assert (only.model, only.conversation_id, [p.text for p in only.passages]) == ("m", "s", ["p"])
    assert only.user and {"t", "b"} <= only.ids


def test_a_wrapper_stands_in_where_the_model_call_was_not_logged():
    (only,) = exchanges(call(user("hi"), reply="hello", trace_id="t", span_id="a", wrapper=True))
    assert only.reply.content == "hello"


def test_two_spans_of_the_same_call_are_one():
    (only,) = exchanges(
        call(user("hi"), reply="hello", trace_id="t", span_id="a"),
        call(user("hi"), reply="hello", trace_id="t", span_id="b", parent_id="a", model="m"),
    )
    assert only.model == "m"


def test_a_score_on_a_trace_falls_on_its_last_reply():
    ask = bot("", tool_calls=(ToolCall(name="f", arguments="{}", id="1"),))
    result = Message(role="tool", content="7", tool_call_id="1")
    (only,) = exchanges(
        call(user("hi"), reply=ask, trace_id="t", span_id="a", time=1.7e9),
        call(user("hi"), ask, result, reply="seven", trace_id="t", span_id="b", time=1.7e9 + 1),
        Note(line=3, ids=("t",), parts={"feedback": (DOWN,), "expected": "eight"}),
    )
    assert (only.reply.content, only.expected, only.feedback) == ("seven", "eight", (DOWN,))
    assert [m.role for m in only.conversation] == ["user", "assistant", "tool"]


def test_a_note_that_names_a_span_speaks_of_that_span():
    found = exchanges(
        call(user("a"), reply="1", trace_id="t", span_id="x", conversation_id="s", time=1.7e9),
        call(
            user("a"),
            bot("1"),
            user("b"),
            reply="2",
            trace_id="t",
            span_id="y",
            conversation_id="s",
            time=1.7e9 + 1,
        ),
        Note(line=3, ids=("x", "t"), parts={"feedback": (DOWN,)}),
    )
    assert [e.feedback for e in found] == [(DOWN,), ()]


def test_a_session_score_reaches_a_traced_conversation():
    found = exchanges(
        call(user("a"), reply="1", trace_id="t", conversation_id="s"),
        Note(line=2, ids=("s",), parts={"feedback": (DOWN,)}),
    )
    assert [f.target for e in found for f in e.feedback] == ["conversation"]


def test_a_request_logged_apart_meets_its_reply():
    (only,) = exchanges(
        Call(line=1, reply=bot("hello"), ids=("r1",)),
        Note(line=2, ids=("r1",), parts={"messages": (user("hi"),)}),
    )
    assert (only.question, only.reply.content) == ("hi", "hello")


def test_an_error_takes_the_place_of_the_reply():
    (only,) = exchanges(call(user("hi"), error="429"))
    assert (only.error, only.reply) == ("429", bot(""))


def test_the_same_question_again_is_a_regeneration():
    (only,) = exchanges(
        call(user("hi"), reply="one", conversation_id="s", time=1.7e9),
        call(user("hi"), reply="two", conversation_id="s", time=1.7e9 + 1),
    )
    assert (only.reply.content, only.alternatives) == ("two", ("one",))


@pytest.mark.parametrize("trace", [None, "t"])
def test_what_is_said_of_a_reply_made_anew_is_not_said_of_the_one_that_stands(trace):
    down, up = Feedback(name="thumbs", polarity=-1), Feedback(name="thumbs", polarity=1)
    (only,) = exchanges(
        call(user("hi"), reply="one", conversation_id="s", time=1.7e9, ids=("r1",), trace_id=trace and "t1"),
        call(
            user("hi"), reply="two", conversation_id="s", time=1.7e9 + 1, ids=("r2",), trace_id=trace and "t2"
        ),
        Note(line=3, ids=("r1",), parts={"feedback": (down,), "expected": "hello"}),
        Note(line=4, ids=("r2",), parts={"feedback": (up,)}),
    )
    assert (only.reply.content, only.alternatives, only.feedback) == ("two", ("one",), (up,))
    assert only.expected == "hello" and {"r1", "r2"} <= only.ids


def test_an_id_that_both_replies_have_is_that_of_the_one_that_stands():
    up = Feedback(name="thumbs", polarity=1)
    (only,) = exchanges(
        call(user("hi"), reply="one", conversation_id="s", time=1.7e9, ids=("r",)),
        call(user("hi"), reply="two", conversation_id="s", time=1.7e9 + 1, ids=("r",)),
        Note(line=3, ids=("r",), parts={"feedback": (up,)}),
    )
    assert (only.reply.content, only.feedback) == ("two", (up,))


def test_only_what_is_new_is_appended_where_the_thread_has_an_id():
    found = exchanges(
        call(user("hi"), reply="one", conversation_id="s", time=1.7e9),
        call(user("ho"), reply="two", conversation_id="s", time=1.7e9 + 1),
    )
    assert [(e.turn, [m.content for m in e.conversation]) for e in found] == [
        (0, ["hi"]),
        (1, ["hi", "one", "ho"]),
    ]


def test_two_customers_with_the_same_words_are_two():
    found = exchanges(
        call(user("hi"), reply="hello", ids=("1",)), call(user("hi"), reply="hello", ids=("2",))
    )
    assert [e.copies for e in found] == [1, 1] and len({e.id for e in found}) == 2


def test_the_same_record_twice_is_one_with_two_copies():
    (only,) = exchanges(
        call(user("hi"), reply="hello", ids=("1",)), call(user("hi"), reply="hello", ids=("1",))
    )
    assert only.copies == 2


def test_two_talks_that_begin_alike_part_where_they_differ():
    found = exchanges(
        call(user("hi"), reply="hello", ids=("1",), time=1.7e9),
        call(user("hi"), bot("hello"), user("a"), reply="A", ids=("2",), time=1.7e9 + 1),
        call(user("hi"), bot("hello"), user("b"), reply="B", ids=("3",), time=1.7e9 + 2),
        call(user("hi"), bot("hello"), user("b"), bot("B"), user("c"), reply="C", ids=("4",), time=1.7e9 + 3),
    )
    assert [(e.turn, e.reply.content) for e in found] == [(0, "hello"), (1, "A"), (1, "B"), (2, "C")]
    assert [m.content for m in found[0].later] == ["a", "A"]
    assert [m.content for m in found[2].later] == ["c", "C"]


def test_the_last_call_alone_tells_only_of_its_own_reply():
    (only,) = exchanges(call(user("hi"), bot("hello"), user("b"), reply="B"))
    assert (only.turn, only.reply.content) == (1, "B")


def test_every_reply_of_a_whole_conversation_is_judged_but_no_colleagues():
    found = exchanges(
        call(
            user("hi"),
            bot("hello"),
            user("b"),
            bot("B"),
            bot("Jo here", name=HUMAN),
            user("c"),
            bot("Jo again", name=HUMAN),
        )
    )
    assert [e.reply.content for e in found] == ["hello", "B"]
    assert [m.content for m in found[1].later] == ["c", "Jo again"]


def test_what_stands_beside_a_whole_conversation_tells_of_its_end():
    found = exchanges(
        call(
            user("hi"),
            bot("hello"),
            user("b"),
            bot("B"),
            user("bye"),
            feedback=(DOWN,),
            expected="X",
            ids=("c1",),
            cost=0.5,
        ),
        Note(line=2, ids=("c1",), parts={"feedback": (Feedback(name="csat", value="bad", polarity=-1),)}),
    )
    assert [(len(e.feedback), e.expected, e.cost) for e in found] == [(0, None, None), (2, "X", 0.5)]
    assert found[1].feedback[0].target == "conversation"


def test_a_conversation_logged_whole_and_by_calls_is_told_once():
    found = exchanges(
        call(user("hi"), bot("hello"), user("b"), bot("B")),
        call(user("hi"), reply="hello", model="m"),
        call(user("hi"), bot("hello"), user("b"), reply="B", model="m"),
    )
    assert [(e.reply.content, e.model) for e in found] == [("hello", "m"), ("B", "m")]


def test_tenants_do_not_mix():
    found = exchanges(
        call(user("hi"), reply="one", conversation_id="1", tenant="a"),
        call(user("hi"), reply="two", conversation_id="1", tenant="b"),
    )
    assert [(e.tenant, e.turn, e.alternatives) for e in found] == [("a", 0, ()), ("b", 0, ())]


def test_later_holds_two_turns_at_most():
    found = exchanges(call(*(m for n in range(5) for m in (user(f"q{n}"), bot(f"a{n}")))))
    assert [m.content for m in found[0].later] == ["q1", "a1", "q2", "a2"]


_GREETING = [(user("hi"), bot("hello"))] * 3000
_SHAPES = {
    "one greeting for all": lambda n: call(user("hi"), reply="hello", ids=(f"{n}",), time=1.7e9 + n),
    "talks that begin alike": lambda n: call(user("hi"), bot("hello"), user(f"q{n}"), reply=f"a{n}", ids=(f"{n}",), time=1.7e9 + n),
    "one session for all": lambda n: call(user(f"q{n}"), reply=f"a{n}", conversation_id="default", time=1.7e9 + n),
    "one session, whole talks": lambda n: call(user(f"p{n}"), bot("x"), user(f"q{n}"), reply=f"a{n}", conversation_id="default", time=1.7e9 + n),
    "single messages": lambda n: call(user(f"q{n}"), conversation_id="s", time=1.7e9 + n) if n % 2 else call(reply=f"a{n}", conversation_id="s", time=1.7e9 + n),
    "one trace for all": lambda n: call(user(f"q{n}"), reply=f"a{n}", trace_id="t", span_id=f"{n}", time=1.7e9 + n),
}  # fmt: skip


@pytest.mark.parametrize("shape", _SHAPES)
def test_no_shape_of_log_takes_the_square_of_its_length(shape):
    start = time.process_time()
    found = exchanges(*(_SHAPES[shape](n) for n in range(3000)))
    assert time.process_time() - start < 5
    assert len(found) >= 1500


def test_notes_on_one_trace_do_not_take_the_square_of_their_number():
    calls = (call(user(f"q{n}"), reply=f"a{n}", trace_id="t", span_id=f"{n}") for n in range(2000))
    thumbs = [Feedback(name=f"n{n}", value="down", polarity=-1) for n in range(2000)]
    named = (
        Note(line=n, ids=(f"{n}", "t"), parts={"passages": (Passage(text=f"{n}"),)}) for n in range(2000)
    )
    whole = (Note(line=n, ids=("t",), parts={"feedback": (thumbs[n],)}) for n in range(2000))
    start = time.process_time()
    found = exchanges(*calls, *named, *whole)
    assert time.process_time() - start < 5
    assert len(found) == 2000 and all(len(e.passages) == 1 for e in found)
    assert sorted(len(e.feedback) for e in found)[-2:] == [0, 2000]


def test_a_reply_told_as_history_belongs_to_the_first_record_of_it():
    found = exchanges(
        call(user("hi"), bot("hello"), user("b"), reply="B", ids=("2",), time=1.7e9),
        call(user("hi"), reply="hello", ids=("1",), time=1.7e9 + 1),
        call(user("hi"), reply="hello", ids=("3",), time=1.7e9 + 2),
    )
    assert sorted((e.reply.content, *e.ids) for e in found) == [("B", "2"), ("hello", "1"), ("hello", "3")]
