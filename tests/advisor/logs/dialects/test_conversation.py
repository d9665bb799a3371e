import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.exchange import Message
from advisor.logs.dialects import load
from advisor.logs.dialects.conversation import HUMAN, Said, calls, plain_text
from advisor.logs.records import Call, Note, Skip

OWN = ("sharegpt", "intercom", "rasa", "dialogflow_cx", "chainlit", "llamaindex", "trajectories")
_KEYS = [
    "conversations",
    "conversation",
    "items",
    "from",
    "value",
    "role",
    "content",
    "type",
    "source",
    "conversation_parts",
    "part_type",
    "body",
    "author",
    "sender_id",
    "events",
    "event",
    "text",
    "parse_data",
    "intent",
    "name",
    "data",
    "interactions",
    "request",
    "response",
    "queryResult",
    "responseMessages",
    "requestUtterances",
    "createTime",
    "steps",
    "input",
    "output",
    "id",
    "createdAt",
    "userIdentifier",
    "generation",
    "feedback",
    "scores",
    "isError",
    "store",
    "class_name",
    "blocks",
    "source_nodes",
    "node",
    "traj",
    "reward",
    "info",
    "simulations",
    "messages",
    "state",
    "states",
    "models",
    "roles",
    "offset",
    "choices",
    "turns",
    "question_id",
    "conversation_a",
    "conversation_b",
    "winner",
    "metadata",
    "dataStoreConnectionSignals",
    "searchSnippets",
    "match",
    "answerFeedback",
    "ai_agent",
    "conversation_rating",
    "contacts",
    "chosen",
    "rejected",
    "tool_calls",
]
_WORDS = [
    "user",
    "assistant",
    "human",
    "gpt",
    "bot",
    "admin",
    "system_message",
    "user_message",
    "assistant_message",
    "tool",
    "retrieval",
    "llm",
    "conversation",
    "chat",
    "leftvote",
    "action",
    "pause",
    "session_started",
    "SimpleChatStore",
    "[]",
    "{}",
    "[{}]",
    "model_a",
    "THUMBS_UP",
]
_LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats()
    | st.sampled_from(_WORDS)
    | st.text(max_size=4)
)
_VALUE = st.recursive(
    _LEAF,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), v, max_size=5),
    max_leaves=25,
)
_RECORD = st.dictionaries(st.sampled_from(_KEYS), _VALUE, max_size=7)

ASKED = Message(role="user", content="q")
SAID = Message(role="assistant", content="a")


@pytest.mark.parametrize("name", OWN)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(record=_RECORD)
def test_no_record_breaks_a_reader(name, record):
    dialect = load(name)
    if dialect.matches(record):
        found = list(dialect.read(record, 1))
        assert found and all(isinstance(f, Call | Note | Skip) for f in found)


_SHAPES = {
    "sharegpt": {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "id": "1", "tools": "[]"},
    "intercom": {
        "type": "conversation", "id": "1", "source": {"body": "q", "author": {"type": "user"}}, "ai_agent": {"rating": 1},
        "conversation_parts": {"conversation_parts": [{"body": "a", "author": {"type": "bot"}, "created_at": 1}]},
    },
    "rasa": {"sender_id": "s", "events": [{"event": "user", "text": "q", "parse_data": {"intent": {"name": "n"}}},
                                          {"event": "bot", "text": "a", "data": {"buttons": [{"title": "t"}]}}]},
    "dialogflow_cx": {"name": "n", "interactions": [{"requestUtterances": "q", "responseUtterances": "a", "response": {
        "queryResult": {"match": {"matchType": "NO_MATCH"}, "webhookStatuses": [{"code": 3}]}}}]},
    "chainlit": {"id": "t", "createdAt": "x", "steps": [
        {"type": "user_message", "output": "q"}, {"type": "tool", "name": "n", "output": "o"},
        {"type": "assistant_message", "output": "a", "generation": {"model": "m"}, "scores": [{"name": "n", "value": 1}]}]},
    "llamaindex": {"class_name": "SimpleChatStore", "store": {"k": [
        {"role": "user", "blocks": [{"text": "q"}]}, {"role": "assistant", "additional_kwargs": {}, "blocks": [{"text": "a"}]}]}},
    "trajectories": {"reward": 1, "info": {"error": "e"}, "traj": [
        {"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "tool_calls": [{"function": {"name": "n"}}]}]},
}  # fmt: skip


def _spoilt(value, junk):
    """Every copy of the value in which one part of it is junk."""
    yield junk
    if isinstance(value, dict):
        for key, inner in value.items():
            for bad in _spoilt(inner, junk):
                yield {**value, key: bad}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for bad in _spoilt(inner, junk):
                yield [*value[:index], bad, *value[index + 1 :]]


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize(
    "junk",
    [None, 0, -1.5, float("nan"), True, "x", "{}", "[1]", [], [[]], [None], {}, {"text": [1]}, {"x": {}}],
    ids=repr,
)
def test_one_wrong_value_anywhere_breaks_nothing(name, junk):
    dialect = load(name)
    assert dialect.matches(_SHAPES[name])
    assert any(isinstance(f, Call) for f in dialect.read(_SHAPES[name], 1))
    for record in _spoilt(_SHAPES[name], junk):
        if isinstance(record, dict) and dialect.matches(record):
            assert list(dialect.read(record, 1))


def test_one_call_a_turn_and_none_for_staff():
    staff = Message(role="assistant", content="s", name=HUMAN)
    found = list(
        calls([Said(message=m) for m in (ASKED, SAID, ASKED, staff, ASKED, SAID)], line=1, shared={})
    )
    assert [(len(c.messages), c.reply) for c in found] == [(1, SAID), (5, SAID)]


def test_what_follows_the_last_reply_is_told():
    found = list(
        calls([Said(message=m) for m in (ASKED, SAID, ASKED)], line=1, shared={"conversation_id": "c"})
    )
    assert [(len(c.messages), c.reply) for c in found] == [(1, SAID), (3, None)]


def test_a_talk_of_very_many_turns_does_not_grow_with_their_square():
    said = [Said(message=m) for _ in range(20_000) for m in (ASKED, SAID)]
    start = time.process_time()
    found = list(calls(said, line=1, shared={}))
    assert time.process_time() - start < 4
    assert found[-1].reply is None and len(found[-1].messages) == 40_000


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>one</p><p>two &lt;3</p>", "one\ntwo <3"),
        ("a < b and c > d", "a < b and c > d"),
        ("<ul><li>x</li><li>y</li></ul>", "x\ny"),
        ("plain", "plain"),
        ("<b", "<b"),
        ("&nbsp;", ""),
    ],
)
def test_plain_text(markup, text):
    assert plain_text(markup) == text


def test_plain_text_is_linear():
    start = time.process_time()
    for markup in ("<" * 300_000, "<a" * 150_000, "&" * 300_000, "<br" * 100_000, "\n <p>" * 60_000):
        plain_text(markup)
    assert time.process_time() - start < 4
