"""The operator's own files: labelled texts as people write and export them."""

import json

import pytest

from advisor.inputs import labelled
from advisor.logs.files import InputError

TEXTS = {"Where is\nmy order?": "tracking", "It broke\u2028twice.": "warranty", "Hello\x85there": "talk"}


def test_a_text_of_several_lines_is_one_text(tmp_path):
    table = tmp_path / "labelled.csv"
    table.write_text(
        "text,label\r\n" + "".join(f'"{text}",{label}\r\n' for text, label in TEXTS.items()),
        encoding="utf-8",
        newline="",
    )
    lines = tmp_path / "labelled.jsonl"
    rows = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in TEXTS.items()]
    lines.write_text("\n".join(rows), encoding="utf-8")
    assert labelled(table) == labelled(lines) == TEXTS


def test_what_is_no_table_is_named(tmp_path):
    file = tmp_path / "labelled.csv"
    file.write_text("text;label\nHello;talk\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"labelled\.csv:2: needs the columns text and label"):
        labelled(file)
