import json

from advisor.logs import read
from advisor.logs.dialects import sharegpt
from advisor.logs.records import Note, Skip

TALK = [{"from": "human", "value": "Who made you?"}, {"from": "gpt", "value": "A small team."}]


def exchanges(tmp_path, *records):
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    reading = read([path])
    return sorted(reading, key=lambda e: (e.turn, e.reply.content)), reading


def test_every_reply_of_a_sharegpt_conversation_is_judged(tmp_path):
    more = [{"from": "human", "value": "Since when?"}, {"from": "gpt", "value": "Since May."}]
    found, reading = exchanges(tmp_path, {"id": "c1", "conversations": TALK + more})
    assert [(e.question, e.reply.content, e.turn) for e in found] == [
        ("Who made you?", "A small team.", 0),
        ("Since when?", "Since May.", 1),
    ]
    assert found[0].conversation_id == "c1" and found[0].source.dialect == "sharegpt"
    assert [m.content for m in found[0].later] == ["Since when?", "Since May."]
    assert reading.counts.records == reading.counts.read == 1


def test_unusual_speakers_system_prompt_and_tools(tmp_path):
    record = {
        "system": "Be brief.",
        "tools": json.dumps([{"name": "weather", "parameters": {"type": "object"}}]),
        "conversations": [
            {"from": "human", "value": "Rain in Oslo?"},
            {
                "from": "function_call",
                "value": json.dumps({"name": "weather", "arguments": {"city": "Oslo"}}),
            },
            {"from": "observation", "value": "rain"},
            {"from": "gpt", "value": "Yes."},
        ],
    }
    (only,), _ = exchanges(tmp_path, record)
    assert only.system == "Be brief." and only.tools[0].name == "weather"
    assert [m.role for m in only.conversation] == ["system", "user", "assistant", "tool"]
    assert json.loads(only.conversation[2].tool_calls[0].arguments) == {"city": "Oslo"}
    assert only.reply.content == "Yes."


def test_wildchat_and_lmsys_rows(tmp_path):
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    wild = {"conversation_hash": "h1", "model": "m-1", "timestamp": "2026-01-02T03:04:05Z", "conversation": talk,
            "hashed_ip": "ip9"}  # fmt: skip
    lmsys = {
        "conversation_id": "l1",
        "model": "m-2",
        "conversation": talk,
        "turn": 1,
        "openai_moderation": [],
    }
    found, _ = exchanges(tmp_path, wild, lmsys)
    assert {(e.conversation_id, e.model) for e in found} == {("h1", "m-1"), ("l1", "m-2")}
    first = next(e for e in found if e.model == "m-1")
    assert first.time == 1767323045.0 and first.user and first.user != "ip9"


def test_a_reference_answer_speaks_of_the_last_reply_alone(tmp_path):
    more = [{"from": "human", "value": "Since when?"}, {"from": "gpt", "value": "Since May."}]
    found, _ = exchanges(
        tmp_path, {"id": "c1", "conversations": TALK + more, "reference": "Since June.", "rating": 1}
    )
    assert [e.expected for e in found] == [None, "Since June."]
    assert [len(e.feedback) for e in found] == [0, 1]
    assert found[1].feedback[0].target == "conversation"


def test_a_rejected_answer_is_a_failure_with_the_chosen_one_expected(tmp_path):
    record = {
        "conversations": TALK[:1],
        "chosen": {"from": "gpt", "value": "Acme."},
        "rejected": {"from": "gpt", "value": "Dunno."},
    }
    (only,), _ = exchanges(tmp_path, record)
    assert (only.reply.content, only.expected, only.feedback[0].polarity) == ("Dunno.", "Acme.", -1)


def test_arena_votes_fall_on_the_last_reply_of_each_side(tmp_path):
    def side(text):
        return [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": text}]

    record = {"question_id": "q1", "model_a": "x", "model_b": "y", "winner": "model_b", "conversation_a": side("5"),
              "conversation_b": side("4"), "tstamp": 1700000000.5}  # fmt: skip
    found, _ = exchanges(tmp_path, record)
    assert [(e.reply.content, e.model, e.feedback[0].polarity, e.alternatives) for e in found] == [
        ("4", "y", 1, ("5",)),
        ("5", "x", -1, ("4",)),
    ]


def test_both_bad_and_ties():
    def votes(winner):
        talk = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
        record = {"conversation_a": talk, "conversation_b": talk, "winner": winner}
        return [c.feedback[0].polarity for c in sharegpt.read(record, 1)]

    assert votes("tie (bothbad)") == [-1, -1]
    assert votes("tie") == [0, 0]
    assert votes("who knows") == [None, None]


def state(*pairs, conv_id="v1"):
    return {"conv_id": conv_id, "roles": ["USER", "ASSISTANT"], "offset": 1, "system_message": "Be kind.",
            "messages": [["USER", "an example"], *map(list, pairs)]}  # fmt: skip


def test_serve_log_collapses_history_and_takes_the_vote(tmp_path):
    one = state(("USER", "hi"), ("ASSISTANT", "hello"))
    two = state(("USER", "hi"), ("ASSISTANT", "hello"), ("USER", "bye"), ("ASSISTANT", "no"))
    found, _ = exchanges(
        tmp_path,
        {
            "tstamp": 1700000001.0,
            "start": 1700000000.0,
            "type": "chat",
            "model": "m",
            "state": one,
            "ip": "1.2.3.4",
        },
        {
            "tstamp": 1700000021.0,
            "start": 1700000020.0,
            "type": "chat",
            "model": "m",
            "state": two,
            "ip": "1.2.3.4",
        },
        {"tstamp": 1700000022.0, "type": "downvote", "model": "m", "state": two, "ip": "1.2.3.4"},
    )
    assert [(e.question, e.reply.content, [f.polarity for f in e.feedback]) for e in found] == [
        ("hi", "hello", []),
        ("bye", "no", [-1]),
    ]
    assert found[1].system == "Be kind." and found[1].time == 1700000020.0


def test_serve_log_arena_vote():
    record = {"tstamp": 1700000022.0, "type": "leftvote", "models": ["a", "b"],
              "states": [state(("USER", "q"), ("ASSISTANT", "x")), state(("USER", "q"), ("ASSISTANT", "y"), conv_id="v2")]}  # fmt: skip
    left, right = sharegpt.read(record, 1)
    assert (left.model, left.feedback[0].polarity) == ("a", 1)
    assert (right.model, right.feedback[0].polarity) == ("b", -1)


def test_mt_bench_answers_meet_their_questions(tmp_path):
    answers = {
        "question_id": 7,
        "answer_id": "z",
        "model_id": "m",
        "choices": [{"index": 0, "turns": ["one", "two"]}],
    }
    question = {"question_id": 7, "category": "math", "turns": ["first?", "second?"], "reference": ["1", "2"]}
    found, reading = exchanges(tmp_path, answers, question)
    assert {(e.question, e.reply.content, e.expected) for e in found} == {
        ("first?", "one", "1"),
        ("second?", "two", "2"),
    }
    assert reading.counts.joined == 2


def test_mt_bench_answers_alone_are_two_replies(tmp_path):
    answers = {
        "question_id": 7,
        "answer_id": "z",
        "model_id": "m",
        "choices": [{"index": 0, "turns": ["one", "two"]}],
    }
    found, _ = exchanges(tmp_path, answers)
    assert [(e.question, e.reply.content) for e in found] == [("", "one"), ("", "two")]


def test_a_conversation_without_a_reply_is_skipped():
    (only,) = sharegpt.read({"conversations": TALK[:1]}, 4)
    assert isinstance(only, Skip) and "without a reply" in only.reason and only.line == 4


def test_questions_alone_are_notes():
    assert all(isinstance(n, Note) for n in sharegpt.read({"question_id": 1, "turns": ["a", "b"]}, 1))


def test_other_records_are_left_alone():
    assert not sharegpt.matches({"question": "a", "answer": "b"})
    assert not sharegpt.matches({"question_id": 3, "choices": [{"message": {"role": "assistant"}}]})
    assert not sharegpt.matches({"type": "chat", "messages": []})
