import json

import pytest

from advisor.logs import InputError, read
from advisor.logs.fieldmap import FIELDS, FieldMap
from advisor.logs.records import Call, Skip


def one(mapping, record):
    (found,) = FieldMap.of(mapping).read(record, 3)
    return found


def test_a_map_reads_an_unknown_shape(tmp_path):
    shape = {
        "payload": {"q": "hi", "turns": [{"a": "hello"}]},
        "who": {"shop": "acme", "visitor": 7},
        "ok": "down",
        "why": "rude",
        "at": 1700000000,
    }
    (tmp_path / "log.jsonl").write_text(json.dumps(shape) + '\n{"z": 1}\n', encoding="utf-8")
    paths = {
        "question": "payload.q", "answer": "payload.turns.-1.a", "tenant": "who.shop", "user": "who.visitor", "rating": "ok", "comment": "why", "time": "at",
    }  # fmt: skip
    reading = read([tmp_path], field_map=paths)
    (only,) = reading
    assert (only.question, only.reply.content, only.tenant, only.time) == ("hi", "hello", "acme", 1700000000)
    assert [(f.polarity, f.comment) for f in only.feedback] == [(-1, ""), (None, "rude")]
    assert reading.counts.dialects == {"field-map": 1} and reading.counts.skipped == 1


def test_strings_of_the_command_line():
    assert FieldMap.of(["answer = a.b", "question=q"]).paths == {"answer": ("a", "b"), "question": ("q",)}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"answr": "a"}, "did you mean 'answer'"),
        ({"zzz": "a"}, "known are"),
        ({"question": "a"}, "needs `answer` or `messages`"),
        (["answer"], "field=path"),
        (["answer="], "field=path"),
    ],
)
def test_a_wrong_map_says_what_is_wrong(given, words):
    with pytest.raises(InputError, match=words):
        FieldMap.of(given)


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        ("hello", "hello"), ('{"intent": "x"}', '{"intent": "x"}'), ('"quoted"', '"quoted"'), ({"role": "assistant", "content": "hello"}, "hello"),
        ({"content": [{"type": "text", "text": "hello"}]}, "hello"), (5, "5"), ({"intent": "x"}, '{"intent":"x"}'), ("", ""),
    ],
)  # fmt: skip
def test_an_answer_stays_what_it_was(answer, content):
    found = one({"answer": "a"}, {"a": answer})
    assert isinstance(found, Call) and found.reply.content == content


def test_messages_under_another_name():
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    assert [m.content for m in one({"messages": "log"}, {"log": json.dumps(talk)}).messages] == [
        "hi",
        "hello",
    ]
    asked = one({"messages": "log"}, {"log": talk[:1]})
    assert isinstance(asked, Skip) and asked.line == 3


@pytest.mark.parametrize("path", ["a.1.5", "a.x", "a.99", "a.-9", "a.1e3", "a.", ".", "a.²", "a.0.0.0"])
def test_a_path_that_leads_nowhere_fits_nothing(path):
    assert not FieldMap.of({"answer": path}).fits({"a": ["x", "y"], "b": None})


def test_every_field_takes_any_value():
    fields = {name: name for name in FIELDS}
    for junk in (None, 0, -1.5, True, "x", "{}", [], [None], {}, {"a": [1]}, float("nan")):
        for name in FIELDS:
            record = {**{f: "x" for f in FIELDS if f != "messages"}, name: junk}
            assert list(FieldMap.of(fields).read(record, 1))
