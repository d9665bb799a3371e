import gzip
import json
import random
from collections import Counter

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.logs import InputError, read
from advisor.logs import reading as module
from advisor.logs.dialects import Dialect
from advisor.logs.records import Skip


def message(role, text):
    return {"role": role, "content": text}


def record(number, *talk, reply, **beside):
    messages = [message(("user", "assistant")[i % 2], text) for i, text in enumerate(talk)]
    return {
        "request": {"model": "m", "messages": [message("system", "Be brief."), *messages]},
        "response": {"id": f"chatcmpl-{number}", "choices": [{"message": message("assistant", reply), "finish_reason": "stop"}]},
        **beside,
    }  # fmt: skip


def write(path, *records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path


def balanced(reading):
    counts = reading.counts
    assert counts.records == counts.read + counts.skipped
    assert counts.read == sum(counts.dialects.values())
    return True


def test_a_record_becomes_an_exchange_with_its_source(tmp_path):
    path = write(
        tmp_path / "log.jsonl", {"other": 1}, record(1, "hi", reply="hello", timestamp=1700000000, user="u1")
    )
    reading = read([path])
    (only,) = reading
    assert (only.question, only.reply.content, only.system, only.model) == ("hi", "hello", "Be brief.", "m")
    assert str(only.source) == f"{path}:2" and only.source.dialect == "openai"
    assert only.time == 1700000000 and "chatcmpl-1" in only.ids and only.user not in (None, "u1")
    (skip,) = reading.skips
    assert (skip.line, skip.keys) == (1, ("other",)) and "--map" in skip.reason
    assert balanced(reading) and reading.counts.bytes == path.stat().st_size


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gz", "zst"])
def test_packed_files_are_read_by_their_content(tmp_path, pack):
    raw = write(tmp_path / "a", record(1, "hi", reply="hello")).read_bytes()
    (tmp_path / "a").write_bytes(pack(raw))
    assert [e.reply.content for e in read([tmp_path / "a"])] == ["hello"]


def test_a_cut_gzip_is_read_to_the_cut(tmp_path):
    rng = random.Random(0)
    many = [record(n, f"question {rng.random()}", reply=f"answer {rng.random()}") for n in range(50)]
    raw = gzip.compress(write(tmp_path / "a", *many).read_bytes())
    (tmp_path / "a").write_bytes(raw[: len(raw) // 2])
    reading = read([tmp_path / "a"])
    assert 10 < len(list(reading)) < 50
    assert "cannot be read further" in reading.skips[-1].reason and balanced(reading)


def test_an_empty_file_and_an_empty_folder_are_nothing(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "folder").mkdir()
    reading = read([tmp_path])
    assert list(reading) == [] and reading.counts.files == 1 and reading.counts.records == 0


def test_a_missing_path_is_an_input_error(tmp_path):
    with pytest.raises(InputError):
        read([tmp_path / "none"])


def test_a_file_that_vanishes_is_reported(tmp_path):
    path = write(tmp_path / "a", record(1, "hi", reply="hello"))
    reading = read([path])
    path.unlink()
    assert list(reading) == [] and reading.counts.skipped == 1 and balanced(reading)


def test_history_in_every_call_gives_one_exchange_a_turn(tmp_path):
    path = write(
        tmp_path / "a",
        record(1, "hi", reply="hello"),
        record(2, "hi", "hello", "price?", reply="ten"),
        record(3, "hi", "hello", "price?", "ten", "why?", reply="because"),
    )
    found = sorted(read([path]), key=lambda e: e.turn)
    assert [(e.turn, e.question, e.reply.content) for e in found] == [
        (0, "hi", "hello"),
        (1, "price?", "ten"),
        (2, "why?", "because"),
    ]
    assert [m.content for m in found[0].later] == ["price?", "ten", "why?", "because"]
    assert [m.content for m in found[2].conversation] == ["Be brief.", "hi", "hello", "price?", "ten", "why?"]


@pytest.mark.parametrize(
    ("row", "replies"),
    [
        (
            {"response_id": "chatcmpl-1", "rating": "down", "comment": "wrong"},
            {"hello": ("reply", -1, "wrong")},
        ),
        ({"trace_id": "t1", "rating": "down"}, {"hello": ("reply", -1, "")}),
        ({"session_id": "s1", "rating": "down"}, {"ten": ("conversation", -1, "")}),
        ({"trace_id": "nobody", "rating": "down"}, {}),
    ],
    ids=["response id", "trace id", "session id", "unknown id"],
)
def test_feedback_in_another_file_finds_its_reply(tmp_path, row, replies):
    one = record(1, "hi", reply="hello", session_id="s1", trace_id="t1", timestamp=1700000000)
    two = record(
        2, "hi", "hello", "price?", reply="ten", session_id="s1", trace_id="t2", timestamp=1700000009
    )
    write(tmp_path / "log.jsonl", two, one)
    header = ",".join(row)
    (tmp_path / "thumbs.csv").write_text(f"{header}\n{','.join(row.values())}\n", encoding="utf-8")
    reading = read([tmp_path / "thumbs.csv", tmp_path / "log.jsonl"])
    found = {e.reply.content: (f.target, f.polarity, f.comment) for e in reading for f in e.feedback}
    assert found == replies
    assert (reading.counts.notes, reading.counts.joined) == (1, len(replies))


def test_feedback_that_names_reply_and_session_is_the_replys(tmp_path):
    one = record(1, "hi", reply="hello", session_id="s1", timestamp=1700000000)
    two = record(2, "hi", "hello", "price?", reply="ten", session_id="s1", timestamp=1700000009)
    write(
        tmp_path / "log.jsonl", one, two, {"message_id": "chatcmpl-1", "session_id": "s1", "rating": "down"}
    )
    found = {e.reply.content: [f.target for f in e.feedback] for e in read([tmp_path])}
    assert found == {"hello": ["reply"], "ten": []}


def test_the_order_of_the_paths_changes_nothing(tmp_path):
    log = write(tmp_path / "log", record(1, "hi", reply="hello"))
    one = write(tmp_path / "one", {"id": "chatcmpl-1", "rating": "up"})
    two = write(tmp_path / "two", {"id": "chatcmpl-1", "rating": "down", "comment": "no"})
    assert list(read([two, log, one])) == list(read([one, two, log]))
    assert [f.polarity for e in read([two, log, one]) for f in e.feedback] == [1, -1]


def test_a_score_of_unknown_direction_is_reported_and_not_used(tmp_path):
    path = write(
        tmp_path / "a",
        record(
            1, "hi", reply="hello", scores=[{"name": "zork", "value": 3}, {"name": "correctness", "value": 0}]
        ),
        record(2, "ho", reply="hey", scores=[{"name": "zork", "value": 7}]),
    )
    reading = read([path])
    found = {f.name: f.polarity for e in reading for f in e.feedback}
    assert found == {"zork": None, "correctness": -1}
    assert reading.unknown_scores == {"zork"}


@pytest.mark.parametrize("top", [1, 5, 10])
def test_the_column_shows_whether_a_one_is_good_or_bad(tmp_path, top):
    path = write(
        tmp_path / "a",
        *(
            record(n, f"q{n}", reply=f"a{n}", scores=[{"name": "groundedness", "value": v}])
            for n, v in enumerate((1, 0 if top == 1 else top))
        ),
    )
    found = {e.reply.content: e.feedback[0].polarity for e in read([path])}
    assert found == ({"a0": 1, "a1": -1} if top == 1 else {"a0": -1, "a1": 1})


def _raising(given, line):
    raise KeyError("odd")


def _giving_up(given, line):
    yield from ()
    raise KeyError("odd")


@pytest.mark.parametrize("broken", [_raising, _giving_up])
def test_one_odd_record_does_not_end_the_reading(tmp_path, monkeypatch, broken):
    fine = module.detect
    odd = Dialect("odd", lambda given: True, broken)
    monkeypatch.setattr(
        module, "detect", lambda given, **more: odd if "odd" in given else fine(given, **more)
    )
    reading = read([write(tmp_path / "a", {"odd": 1}, record(1, "hi", reply="hello"))])
    assert len(list(reading)) == 1 and "please report" in reading.skips[0].reason and balanced(reading)


def test_very_deep_records_are_skipped_or_read(tmp_path):
    deep = '{"question": "hi", "answer": ' + '{"a": ' * 900 + "1" + "}" * 900 + "}\n"
    tools = '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "tools": [{"name": "t", "parameters": '
    (tmp_path / "a").write_text(deep + tools + '{"a": ' * 700 + "1" + "}" * 700 + "}]}\n", encoding="utf-8")
    reading = read([tmp_path / "a"])
    list(reading)
    assert reading.counts.records == 2 and balanced(reading)


def test_skips_are_kept_up_to_a_limit_and_counted_beyond(tmp_path):
    (tmp_path / "a").write_text('{"a": 1}\n' * 1500, encoding="utf-8")
    reading = read([tmp_path / "a"])
    list(reading)
    assert (len(reading.skips), reading.counts.skipped) == (1000, 1500)
    assert isinstance(reading.skips[0], Skip)


def test_progress_is_told(tmp_path):
    path = write(tmp_path / "a", *(record(n, f"q{n}", reply="a") for n in range(1200)))
    seen = []
    list(read([path], on_progress=lambda counts: seen.append((counts.records, counts.exchanges))))
    assert seen == [(1000, 0), (1200, 1000)]


# --- properties ---------------------------------------------------------------------------------------------------

_TEXT = st.sampled_from(["hi", "hello", "price?", "ten", "why?", ""]) | st.text(max_size=3)
_ID = st.none() | st.sampled_from(["s1", "s2"])


@st.composite
def logs(draw):
    """Conversations as a gateway logs them: the whole history in every call, times and ids sometimes missing."""
    found, number = [], 0
    for talk in range(draw(st.integers(1, 3))):
        said = []
        session = f"{draw(_ID)}-{talk}" if draw(st.booleans()) else None
        timed = draw(st.booleans())
        for _ in range(draw(st.integers(1, 3))):
            number += 1
            said.append(draw(_TEXT))
            reply = draw(_TEXT)
            beside = {"session_id": session} if session else {}
            if timed:
                beside["timestamp"] = 1700000000 + number
            if draw(st.booleans()):
                beside["rating"] = draw(st.sampled_from([1, 0, "up"]))
            found.append(record(number, *said, reply=reply, **beside))
            said.append(reply)
    return found


def _ids(paths):
    return Counter(e.id for e in read(paths))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs(), st.randoms(use_true_random=False))
def test_the_order_of_files_and_lines_changes_no_exchange(tmp_path, found, rng):
    straight = write(tmp_path / "a", *found)
    expected = _ids([straight])
    shuffled = rng.sample(found, len(found))
    cut = rng.randrange(len(found) + 1)
    left, right = write(tmp_path / "b", *shuffled[:cut]), write(tmp_path / "c", *shuffled[cut:])
    assert _ids([left, right]) == _ids([right, left]) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs())
def test_a_file_read_twice_gives_the_same_with_two_copies(tmp_path, found):
    one = write(tmp_path / "a", *found)
    two = write(tmp_path / "b", *found)
    once = {e.id: e.copies for e in read([one])}
    reading = read([one, two])
    assert {e.id: e.copies for e in reading} == {i: 2 * n for i, n in once.items()}
    assert reading.counts.duplicates == sum(2 * n - 1 for n in once.values())


def test_rows_of_single_messages_read_twice_are_told_once(tmp_path):
    rows = [{"session": "s", "role": r, "text": t, "timestamp": 1700000000 + n}
            for n, (r, t) in enumerate([("user", "hi"), ("bot", "hello"), ("user", "hi"), ("bot", "hello again")])]  # fmt: skip
    once = list(read([write(tmp_path / "a", *rows)]))
    twice = list(read([write(tmp_path / "b", *rows), tmp_path / "a"]))
    assert [e.reply.content for e in once] == [e.reply.content for e in twice] == ["hello", "hello again"]
    assert [e.id for e in once] == [e.id for e in twice] and [e.copies for e in twice] == [2, 2]


_PIECES = st.sampled_from([
    b'{"question": "hi", "answer": "ho"}', b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant"}]}', b'{"messages": ', b'"role"',
    b'{"id": "1", "rating": -1}', b"\n", b"\n\n\n", b"[", b"]", b",", b"{", b"}", b"question,answer\n", b"a;b\n", b"User: hi\nBot: ho\n", b"null",
    b'{"request": {"messages": [{"role": "user", "content": null}]}, "response": {"choices": [{}]}}', b"\xff\xfe", b"\xef\xbb\xbf", b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"PAR1", b"\x00", b"\\ud800", b"1e999", b"\r",
])  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(_PIECES | st.binary(max_size=8), max_size=10),
    st.sampled_from([None, gzip.compress, zstandard.compress]),
)
def test_any_bytes_end_as_exchanges_or_skips(tmp_path, pieces, pack):
    raw = b"".join(pieces)
    path = tmp_path / "a"
    path.write_bytes(pack(raw)[: len(raw) + 12] if pack else raw)
    reading = read([path])
    found = list(reading)
    assert balanced(reading) and len(found) == reading.counts.exchanges
    assert all((s.reason and s.file == str(path)) or s.line for s in reading.skips)
