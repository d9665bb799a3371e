"""Examples and datasets: canonical, split by conversation, whole or not at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_examples import example

from finetune import formats
from finetune.datasets import Dataset, DatasetFailed, leaks, load, save, split
from finetune.examples import from_json, text_of, to_json


def test_an_example_survives_its_file():
    e = example(
        1,
        tools=({"type": "function", "function": {"name": "f"}},),
        rejected={"role": "assistant", "content": "Nö."},
        passages=("p",),
    )
    assert from_json(to_json(e)) == e
    assert to_json(from_json(to_json(e))) == to_json(e)
    assert e.request == "Question 1?"
    assert e.target["content"] == "Answer 1."


def test_text_parts_are_joined():
    assert (
        text_of(
            {"content": [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]}
        )
        == "a\nb"
    )
    assert text_of({"role": "assistant", "content": None}) == ""


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0c", "\x1e", "\r", "\r\n"])
def test_signs_that_some_take_for_ends_of_lines_end_none(tmp_path, sign):
    made = Dataset(train=(example(1, answer=f"One.{sign}Two."), example(2)))
    assert load(save(made, tmp_path)) == made
    data = formats.write(made.train, "local")
    assert [t.messages[-1]["content"] for t in formats.read(data, "local")] == [
        f"One.{sign}Two.",
        "Answer 2.",
    ]
    assert formats.read(b"", "local") == ()


def test_half_a_character_is_named_and_not_written(tmp_path):
    with pytest.raises(DatasetFailed, match=r"log\.jsonl:1: holds half a character"):
        save(Dataset(train=(example(1, answer="\ud83d"),)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_no_example_is_said_so():
    with pytest.raises(ValueError, match="not an example"):
        from_json('{"messages": []}')


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=80, unique=True), st.integers(0, 5)
)
def test_no_group_is_on_two_sides_and_nothing_is_lost(pairs, salt):
    made = split((example(n, group=f"g{g}") for n, g in pairs), salt=str(salt))
    parts = [made.train, made.validation, made.held_out]
    assert sorted(e.source for part in parts for e in part) == sorted(f"log.jsonl:{n}" for n, _ in pairs)
    groups = [{e.group for e in part} for part in parts]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]


def test_a_new_example_moves_no_other():
    before = split(example(n) for n in range(30))
    after = split(example(n) for n in range(60))
    assert {e.group for e in before.held_out} <= {e.group for e in after.held_out}


def test_a_validation_part_that_lacks_what_is_to_be_learnt_does_not_say_when_to_stop():
    known, wanted = (
        [example(n, origin=origin) for n in numbers]
        for origin, numbers in (("approved", range(6)), ("correction", range(6, 9)))
    )
    replayed = example(9, origin="replay")
    assert not Dataset(train=(*known[1:], *wanted), validation=(known[0],)).validates
    assert Dataset(train=(*known[1:], *wanted[1:], replayed), validation=(known[0], wanted[0])).validates
    assert not Dataset(train=tuple(known)).validates


def test_generic_data_only_teaches():
    made = split([example(n, origin="generic") for n in range(30)], held_out=0.5)
    assert len(made.train) == 30


def test_shares_that_leave_nothing_are_refused():
    with pytest.raises(DatasetFailed, match="leave nothing"):
        split([], validation=0.5, held_out=0.5)


def test_leaks_are_named():
    made = split(example(n) for n in range(30))
    mixed = type(made)(train=(*made.train, made.held_out[0]), held_out=made.held_out)
    assert not leaks(made)
    assert leaks(mixed) == (
        f"example {made.held_out[0].hash} in held_out and train",
        f"group {made.held_out[0].group} in held_out and train",
    )


def test_a_dataset_is_named_by_its_content_and_a_changed_one_is_refused(tmp_path):
    made = split(example(n) for n in range(20))
    folder = save(made, tmp_path)
    assert folder.name == made.hash
    assert save(made, tmp_path) == folder
    assert load(folder) == made
    assert [p.name for p in tmp_path.iterdir()] == [made.hash]
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()
    changed = json.loads(lines[0])
    changed["messages"][1]["content"] = "Something else."
    (folder / "train.jsonl").write_text("\n".join([json.dumps(changed), *lines[1:]]) + "\n", encoding="utf-8")
    with pytest.raises(DatasetFailed, match="it was changed"):
        load(folder)
