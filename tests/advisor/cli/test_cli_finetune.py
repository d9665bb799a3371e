"""`advise finetune` from the outside: planned, run, listed, shown, cancelled, deleted."""

import json
from pathlib import Path

import pytest

from advisor.cli import main
from finetune import datasets
from finetune.adapters import Adapters
from finetune.backends import BACKENDS
from finetune.backends.port import Standing
from finetune.backends.scripted import Scripted
from finetune.jobs import Jobs


class Slow(Scripted):
    def __init__(self):
        super().__init__(
            [
                Standing(state="running", raw="training", metrics={"loss": 1.0}),
                Standing(state="succeeded", raw="ok", model="local:smollm2+abc", metrics={"loss": 0.5}),
            ]
        )


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(BACKENDS, "local", "test_cli_finetune:Slow")
    monkeypatch.setattr("time.sleep", lambda s: None)
    rows = (
        {"question": f"What does item {n} cost?", "answer": f"Item {n} costs {n} euros."} for n in range(40)
    )
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return tmp_path


def told(capsys, *args, code=0):
    capsys.readouterr()
    assert main(["finetune", *args]) == code, capsys.readouterr().err
    out, err = capsys.readouterr()
    return out if code != 2 else err


def test_run_list_show_and_again(place, capsys):
    done = json.loads(told(capsys, "run", "e.jsonl", "--json"))
    assert (done["state"], done["model"]) == ("succeeded", "local:smollm2+abc")
    assert json.loads(told(capsys, "run", "e.jsonl", "--json"))["job"] == done["job"], (
        "the same is not trained twice"
    )
    assert json.loads(told(capsys, "run", "e.jsonl", "--again", "--json"))["job"] != done["job"]
    assert "advise release make --model local:smollm2+abc" in told(capsys, "show", done["job"])
    assert done["job"] in told(capsys, "list")
    assert len(json.loads(told(capsys, "list", "--json"))["jobs"]) == 2


def test_a_job_is_left_and_cancelled(place, capsys):
    job = json.loads(told(capsys, "run", "e.jsonl", "--detach", "--json"))
    assert job["state"] == "running"
    assert told(capsys, "cancel", job["job"]).startswith(f"job {job['job']}: asked to stop")
    assert "no job with key" in told(capsys, "show", "nothing", code=2)


def test_a_plan_tells_and_trains_nothing(place, capsys):
    text = told(capsys, "plan", "e.jsonl")
    assert "price: $0.00" in text and "dataset: " in text
    assert "job" not in told(capsys, "list").replace("jobs", "")


def test_what_is_wrong_is_said_in_one_line(place, capsys):
    assert "name the model that is tuned at openai" in told(
        capsys, "run", "e.jsonl", "--backend", "openai", code=2
    )
    (place / "odd.jsonl").write_text('{"foo": 1}\n', encoding="utf-8")
    assert "odd.jsonl:1: no known form" in told(capsys, "run", "odd.jsonl", code=2)
    same = (json.dumps({"question": f"a{n}", "answer": "b"}) + "\n" for n in range(30))
    (place / "same.jsonl").write_text("".join(same), encoding="utf-8")
    assert "not sent" in told(capsys, "run", "same.jsonl", code=2)
    assert "no adapter" in told(capsys, "delete", "abc", code=2)


def test_files_are_cleaned_and_replay_is_what_the_recipe_says(place, capsys):
    own = [{"question": "I am ana@example.org, am I?", "answer": "Yes."}] * 2
    (place / "own.jsonl").write_text("".join(json.dumps(r) + "\n" for r in own), encoding="utf-8")
    given = ("e.jsonl", "own.jsonl", "--replay", "0.5", "--detach", "--json")
    job = json.loads(told(capsys, "run", *given))
    made = datasets.load(Path(job["dataset"]))
    learnt = [e for e in made.train if e.origin == "file"]
    assert len(learnt) + len(made.validation) == 41 and not made.held_out
    assert len(made.train) == 2 * len(learnt)
    assert Jobs(place / ".advisor").get(job["job"]).recipe.replay_share == 0.5
    assert "I am [e-mail], am I?" in {e.request for e in (*learnt, *made.validation)}
    again = json.loads(told(capsys, "run", job["dataset"], "--detach", "--json"))
    assert again["job"] == job["job"], "the same recipe, read off the dataset"
    raw = json.loads(told(capsys, "plan", "own.jsonl", "--allow", "personal_data", "--json"))
    (e,) = datasets.load(Path(raw["dataset"])).train
    assert e.request == "I am ana@example.org, am I?"


def test_a_dataset_takes_nothing_beside_it(place, capsys):
    folder = json.loads(told(capsys, "plan", "e.jsonl", "--json"))["dataset"]
    for more in (["e.jsonl"], ["--replay", "0.2"]):
        assert "a dataset is trained on as it is" in told(capsys, "run", folder, *more, code=2)
    assert "0 to 0.9 can be mixed in" in told(capsys, "run", "e.jsonl", "--replay", "1", code=2)


def test_an_adapter_is_exported_and_deleted(place, capsys):
    folder = place / "made"
    folder.mkdir()
    for name in ("adapter_model.safetensors", "adapter.gguf"):
        (folder / name).write_text(name, encoding="utf-8")
    about = {
        "base": "local:smollm2",
        "base_sha256": "b",
        "dataset": "d",
        "recipe": {},
        "recipe_hash": "r",
        "job": "k",
    }
    found = Adapters(place / ".advisor/adapters").add(folder, about)
    assert f"adapter {found.id}" in told(capsys, "list")
    assert "would count twice" in told(capsys, "export", found.id, "--out", "x/a.gguf")
    assert (place / "x/a.gguf").read_text(encoding="utf-8") == "adapter.gguf"
    assert told(capsys, "delete", found.id[:6]).startswith(f"deleted {found.id}")
    assert "nothing was trained yet" in told(capsys, "list")
