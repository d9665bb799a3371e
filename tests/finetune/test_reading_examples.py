"""An operator's files: every form gives the same kind of example; what is none is named."""

import csv
import json

import pytest

from finetune.reading import UnreadableFile, read

USER, GOOD, BAD = (
    {"role": r, "content": c} for r, c in (("user", "Hi?"), ("assistant", "Hello."), ("assistant", "What."))
)


@pytest.mark.parametrize(
    ("record", "rejected"),
    [
        ({"messages": [USER, GOOD]}, None),
        ({"messages": [USER, GOOD, USER]}, None),
        ({"input": {"messages": [USER]}, "preferred_output": [GOOD], "non_preferred_output": [BAD]}, BAD),
        ({"prompt": "Hi?", "chosen": "Hello.", "rejected": "What."}, BAD),
        ({"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]}, BAD),
        ({"chosen": [USER, GOOD], "rejected": [USER, BAD]}, BAD),
        ({"conversations": [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Hello."}]}, None),
        ({"question": "Hi?", "answer": "Hello."}, None),
        ({"instruction": "Hi?", "output": "Hello."}, None),
    ],
)  # fmt: skip
def test_every_form_is_read(tmp_path, record, rejected):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    (found,) = read([path], approved_by="me")
    assert found.messages == (USER, GOOD)
    assert found.rejected == rejected
    assert (found.source, found.origin, found.approved_by) == (f"{path}:1", "file", "me")


def test_tables_lists_and_labels(tmp_path):
    (tmp_path / "a.csv").write_text(
        'text,label\nMy card is lost,card_lost\n"Where, then?",other\n', encoding="utf-8"
    )
    (tmp_path / "b.json").write_text(json.dumps([{"messages": [USER, GOOD]}]), encoding="utf-8")
    found = list(read([tmp_path / "a.csv", tmp_path / "b.json"]))
    assert [e.label for e in found] == ["card_lost", "other", None]
    assert found[1].request == "Where, then?" and found[0].source.endswith("a.csv:2")


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0c"])
def test_signs_that_some_take_for_ends_of_lines_end_none(tmp_path, sign):
    told = f"One.{sign}Two."
    record = json.dumps({"question": "Hi?", "answer": told}, ensure_ascii=False)
    (tmp_path / "a.jsonl").write_text(f"{record}\n\n{record}\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text(
        f'question,answer\nHi?,{told}\nHi?,"Two\nlines."\n', encoding="utf-8", newline=""
    )
    found = list(read([tmp_path / "a.jsonl", tmp_path / "b.csv"]))
    assert [e.target["content"] for e in found] == [told, told, told, "Two\nlines."]
    assert found[1].source.endswith("a.jsonl:3")


def test_a_table_that_is_none_is_said_so(tmp_path):
    (tmp_path / "a.csv").write_text(f"question,answer\nHi?,{'x' * 200_000}\n", encoding="utf-8")
    before = csv.field_size_limit(1_000)
    try:
        with pytest.raises(UnreadableFile, match="field larger"):
            list(read([tmp_path / "a.csv"]))
    finally:
        csv.field_size_limit(before)


def test_conversations_that_begin_alike_are_one_group(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        "".join(json.dumps({"messages": [USER, g]}) + "\n" for g in (GOOD, BAD)), encoding="utf-8"
    )
    first, second = read([path])
    assert first.group == second.group


@pytest.mark.parametrize(
    ("text", "told"),
    [('{"foo": 1}', r"a\.jsonl:1: no known form"), ("{", "Expecting"), ('{"messages": [{"role": "user", "content": "x"}]}', "no assistant message"), ('{"conversations": [{"from": "martian", "value": "x"}]}', "martian")],
)  # fmt: skip
def test_what_is_no_example_is_named_with_its_line(tmp_path, text, told):
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableFile, match=told):
        list(read([tmp_path / "a.jsonl"]))
    with pytest.raises(UnreadableFile, match="cannot be read"):
        list(read([tmp_path / "none.jsonl"]))
