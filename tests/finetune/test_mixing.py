"""Replay: in its share, only taught and never judged by, of two kinds, the same for the same seed."""

import json

import pytest
from made_examples import example

from finetune.datasets import Dataset, leaks, save, split
from finetune.mixing import emphasised, mixed, prepared, tasks
from finetune.recipe import Recipe


@pytest.fixture
def made():
    return split(example(n) for n in range(100))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.5])
def test_the_share_is_kept_and_the_rest_is_not_touched(made, share):
    found = mixed(made, share)
    replay = [e for e in found.train if e.origin == "generic"]
    assert len(replay) / len(found.train) == pytest.approx(share, abs=0.01)
    assert sorted(e.source for e in found.train if e.origin != "generic") == sorted(
        e.source for e in made.train
    )
    assert (found.validation, found.held_out) == (made.validation, made.held_out)
    assert not leaks(found)
    assert mixed(made, share) == found and found.about["replay"]["share"] == share


def test_half_of_it_are_the_bases_own_whole_replies(made):
    asked = []

    def reply(ask):
        asked.append(ask)
        return "It broke off in the mid" if len(asked) % 3 == 0 else "A whole sentence."

    found = mixed(made, 0.2, reply=reply)
    own = [e for e in found.train if e.origin == "replay"]
    assert len(own) == found.about["replay"]["own"] == pytest.approx(len(found.train) * 0.1, abs=1)
    assert all(e.target["content"] == "A whole sentence." for e in own)
    assert {t.ask for t in tasks() if t.answer is None} >= set(asked)


def test_what_the_base_does_rightly_teaches_once_and_judges_never():
    given = [example(n, origin="correction") for n in range(60)]
    own = [example(n, origin="replay") for n in range(100, 105)]
    found = prepared(given, LORA, own=own, held_out=0.2)
    assert [e for e in found.train if e.origin == "replay"] and found.about["its own"] == 5
    assert sorted(e.hash for e in found.train if e.origin == "replay") == sorted(e.hash for e in own)
    assert not any(e.origin == "replay" for e in (*found.validation, *found.held_out))
    assert "its own" not in prepared(given, LORA).about


def test_more_than_there_is_repeats_all_before_any(made):
    found = mixed(Dataset(train=made.train * 3), 0.6)
    counts = [
        sum(e.messages[0]["content"] == t.ask for e in found.train) for t in tasks() if t.answer is not None
    ]
    assert max(counts) - min(counts) <= 1 < max(counts)
    with pytest.raises(ValueError, match=r"0 to 0\.9 can"):
        mixed(made, 1.0)


def test_nothing_that_judges_is_taught():
    general = pytest.importorskip("advisor.gate.general")
    assert not {t.ask for t in tasks()} & {i.ask for i in general.items()}


@pytest.mark.parametrize(
    ("corrections", "approved", "times"),
    [(5, 33, 4), (10, 40, 2), (20, 40, 1), (40, 5, 1), (0, 40, 1), (1, 100, 4)],
)
def test_what_is_new_is_repeated_until_it_is_a_third(corrections, approved, times):
    new = [example(n, origin="correction") for n in range(corrections)]
    known = [example(n, origin="approved") for n in range(100, 100 + approved)]
    made = Dataset(train=(*known, *new), validation=(example(500, origin="correction"),))
    found = emphasised(made)
    assert found.train == (*known, *new * times) and found.validation == made.validation
    assert found.about.get("repeated") == ({"examples": corrections, "times": times} if times > 1 else None)


LORA = Recipe(base="local:smollm2", replay_share=0.2)
HEAD = Recipe(base="local:minilm", weights="head", task="classification")


def test_what_judges_is_held_out_first_and_never_taught(tmp_path):
    given = [example(n, group=f"g{n % 30}", origin="file") for n in range(90)]
    made = prepared([*given, *(example(n) for n in range(90, 300))], LORA, held_out=0.2)
    judging = {e.group for e in made.held_out}
    assert 0.1 < len(judging) / 240 < 0.3 and not leaks(made)
    learnt = [
        json.loads(line)
        for part in ("train", "validation")
        for line in (save(made, tmp_path) / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert not judging & {e["group"] for e in learnt}
    # Repeated and mixed in is what teaches only.
    assert made.about["repeated"]["times"] > 1 and made.about["replay"]["generic"]
    assert len({e.hash for e in made.held_out}) == len(made.held_out)
    assert not prepared(given, LORA).held_out, "nothing unless it is asked for"


def test_what_asks_the_same_in_another_conversation_is_not_taught_either():
    first = prepared([example(n) for n in range(60)], LORA, held_out=0.2)
    judge = first.held_out[0]
    said = judge.request.upper().replace("?", " ?!")
    messages = ({"role": "user", "content": said}, {"role": "assistant", "content": "Another answer."})
    asks = [type(judge)(messages=messages, group=f"x{n}", origin="file", source="again") for n in range(20)]
    made = prepared([*(example(n) for n in range(60)), *asks], LORA, held_out=0.2)
    assert "again" not in {e.source for e in (*made.train, *made.validation)}
    held = sum(e.source == "again" for e in made.held_out)
    assert made.about["left_out"] == {"asks what judges": 20 - held}
    assert "left_out" not in first.about


def test_a_label_that_a_head_would_lack_is_not_held_out():
    rare = [example(n, label=f"rare{n // 3}") for n in range(60)]
    made = prepared([*rare, *(example(n, label="often") for n in range(60, 160))], HEAD, held_out=0.5)
    taught = [e.label for e in (*made.train, *made.validation)]
    assert all(taught.count(label) >= 2 for label in {e.label for e in rare})
    assert made.held_out and not leaks(made)
