import io
import json
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.logs import containers
from advisor.logs.containers import items

ONE, TWO, THREE = {"a": 1}, {"a": {"b": [2]}}, {"a": "x\ny"}


def found(raw, encoding="utf-8"):
    raw = raw.encode(encoding) if isinstance(raw, str) else raw
    return list(items(io.BufferedReader(io.BytesIO(raw), 65_536)))


def records(raw, encoding="utf-8"):
    return [i.record for i in found(raw, encoding) if not i.problem]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
@pytest.mark.parametrize(
    "text",
    [
        '{"a": "é"}\n{"a": "ü"}\n',
        '{"a": "é"}\r\n\r\n{"a": "ü"}',
        '[{"a": "é"}, {"a": "ü"}]',
        '{\n "a": "é"\n}\n{\n "a": "ü"\n}\n',
        '{"a": "é"}{"a": "ü"}',
        '{"data": [{"a": "é"}, {"a": "ü"}], "has_more": false, "object": "list"}',
        "\n\n a,b\r\né,1\r\nü,2\r\n".replace(" a,b", "a,b").replace("1", "").replace("2", ""),
    ],
    ids=["lines", "crlf", "array", "pretty", "concatenated", "page", "csv"],
)
def test_any_container_in_any_encoding(text, encoding):
    assert [r["a"] for r in records(text, encoding)] == ["é", "ü"]


@pytest.mark.parametrize("raw", [b"", b"\n \t\n", b"\xef\xbb\xbf", b"[]", b"\xff\xfe"])
def test_an_empty_file_holds_nothing(raw):
    assert [i for i in found(raw) if not i.problem and i.kind == "record"] == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_tables_with_line_breaks_in_their_cells(delimiter):
    rows = [["question", "answer"], ['"one\ntwo"', '"say ""hi"""'], ["x", ""], ["y"]]
    text = "\n".join(delimiter.join(row) for row in rows) + "\n"
    assert records(text) == [
        {"question": "one\ntwo", "answer": 'say "hi"'},
        {"question": "x", "answer": ""},
        {"question": "y"},
    ]


def test_a_row_with_too_many_cells_is_reported_alone():
    listed = found("question,answer\na,b\nc,d,e\nf,g\n")
    assert [bool(i.problem) for i in listed] == [False, True, False]
    assert "3 cells under 2 columns" in listed[1].problem and listed[1].line == 3


def test_broken_lines_in_the_middle_cost_themselves_alone():
    listed = found(f'{json.dumps(ONE)}\n{{"a": \n\nnot json\n{json.dumps(TWO)}\n')
    assert [(i.line, bool(i.problem)) for i in listed] == [(1, False), (2, True), (4, True), (5, False)]


@pytest.mark.parametrize("head", ['sage": "x"}', '{"a": "cut', '{"a": 1}}\n{"b"', "2026-01-01 started"])
def test_a_log_that_begins_in_the_middle_of_a_line(head):
    assert records(head + "\n" + "".join(json.dumps(r) + "\n" for r in (ONE, TWO, THREE, ONE))) == [
        ONE,
        TWO,
        THREE,
        ONE,
    ]


def test_several_values_on_one_line_among_others():
    assert records('{"a": 1}\n{"a": 2}{"a": 3} {"a": 4}\n{"a": 5}\n') == [{"a": n} for n in (1, 2, 3, 4, 5)]


def test_what_other_programs_write_as_json():
    assert records('{"a": 1, "s": "\\ud83d cut"}\n{"a": 2}\n')[0]["s"].endswith(" cut")
    (nan, _) = records('{"a": NaN}\n{"a": 2}\n')
    assert nan["a"] != nan["a"]
    json.dumps(records('[{"k\\udc00": ["\\ud800"]}]')).encode()
    assert records(b'{"a": "caf\xe9"}\n' + b'{"a": "ok"}\n' * 3)[0] == {"a": "café"}
    late = b'{"a": "ok"}\n' * 9000 + b'{"a": "caf\xe9"}\n'
    assert records(late)[-1] == {"a": "caf\ufffd"}


def test_an_array_larger_than_the_buffer(monkeypatch):
    monkeypatch.setattr(containers, "_WHOLE_LIMIT", 1000)
    rows = [{"n": n, "text": "x" * 50} for n in range(100)]
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert records(json.dumps(rows), encoding) == rows
    cut = found(json.dumps(rows)[:-70])
    assert len(cut) == 100 and "breaks off" in cut[-1].problem and cut[-1].line == 100


def test_a_cut_array_gives_what_it_held():
    listed = found(json.dumps([ONE, TWO, THREE])[:-3])
    assert [i.record for i in listed[:2]] == [ONE, TWO] and "breaks off" in listed[2].problem


def test_pretty_objects_larger_than_the_buffer(monkeypatch):
    monkeypatch.setattr(containers, "_WHOLE_LIMIT", 1000)
    rows = [{"n": n, "text": "x" * 50} for n in range(100)]
    assert records("\n".join(json.dumps(r, indent=1) for r in rows)) == rows


def test_many_pretty_objects_name_their_lines_fast():
    text = "\n".join(json.dumps({"n": n, "text": "x" * 300}, indent=1) for n in range(10_000))
    start = time.process_time()
    listed = found(text)
    assert time.process_time() - start < 4
    assert [i.line for i in listed] == [1 + 4 * n for n in range(10_000)]


@pytest.mark.parametrize(
    ("value", "record"),
    [
        ([{"role": "user", "content": "hi"}], {"messages": [{"role": "user", "content": "hi"}]}),
        ([{"from": "human", "value": "hi"}], {"conversations": [{"from": "human", "value": "hi"}]}),
        (
            {"conversations": [{"from": "human", "value": "hi"}]},
            {"conversations": [{"from": "human", "value": "hi"}]},
        ),
    ],
)
def test_a_bare_conversation_is_one_record(value, record):
    assert records(json.dumps(value)) == [record]
    assert records(json.dumps([value, value]) if isinstance(value, list) else json.dumps(value)) == (
        [record, record] if isinstance(value, list) else [record]
    )
    assert records(f"{json.dumps(value)}\n{json.dumps(value)}\n") == [record, record]


def test_exported_log_events_are_unwrapped():
    page = {
        "events": [{"timestamp": 1, "message": json.dumps(ONE)}, {"timestamp": 2, "message": "START"}],
        "nextToken": "t",
    }
    assert records(json.dumps(page))[0] == ONE


@pytest.mark.parametrize(
    "text",
    ["[10:00] User: hi\n[10:01] Bot: hello\n", "[note]\nUser: hi\nBot: hello\n", "User: hi\nBot: hello"],
)
def test_a_transcript_that_begins_with_a_bracket_is_text(text):
    (only,) = found(text)
    assert (only.kind, only.record) == ("text", {"text": text})


def test_a_table_with_old_line_ends():
    assert records("a,b\r1,2\r3,4\r") == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


@pytest.mark.parametrize("head", [b"\x00\x01\x02", b"\x89PNG\r\n\x1a\n\x00", b"PAR1", b"PK\x03\x04"])
def test_binary_data_is_reported(head):
    assert [bool(i.problem) for i in found(head + b"\x00garbage" * 20)] == [True]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3), max_leaves=8,
)  # fmt: skip


@settings(max_examples=70, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=4), _JSON, min_size=1), min_size=2, max_size=5))
def test_what_is_written_as_lines_is_read(rows):
    def plain(listed):
        return [json.loads(json.dumps(r)) for r in listed]

    assert records("".join(json.dumps(r) + "\n" for r in rows)) == plain(rows)
    assert (
        records("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows).encode(errors="replace"))
        is not None
    )


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([b'{"a": 1}', b"{", b"}", b"[", b"]", b",", b"\n", b'"', b"\xff", b"\x00", b"a,b", b"User: hi", b";", b"\xef\xbb\xbf", b"\\ud800", b"PK\x03\x04"])
        | st.binary(max_size=6),
        max_size=14,
    )
)  # fmt: skip
def test_any_bytes_are_read_or_reported(pieces):
    listed = found(b"".join(pieces))
    assert all(
        isinstance(i.record, dict) or i.problem or i.record is None or not isinstance(i.record, dict)
        for i in listed
    )
    lines = [i.line for i in listed]
    assert all(line >= 1 for line in lines) and all(a <= b for a, b in pairwise(lines))
