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
from router.models import PROVIDERS
from router.models.port import ModelMissing
from router.models.scripted import Scripted as Answers


class Slow(Scripted):
    def __init__(self):
        super().__init__(
            [
                Standing(state="running", raw="training", metrics={"loss": 1.0}),
                Standing(state="succeeded", raw="ok", model="local:smollm2+abc", metrics={"loss": 0.5}),
            ]
        )


class Here:
    """The trainer in this process; what a process of its own does is tested where it lives."""

    def __init__(self):
        from finetune import train
        from finetune.backends.local import Local

        self._local = Local()
        self._local._start = lambda folder: train.main([str(folder)])

    def __getattr__(self, name):
        return getattr(self._local, name)


def answers(name, **options):
    """The base and what came of it: one chats, the other says the price and nothing else."""
    if name == "smollm2+gone":
        raise ModelMissing("no adapter 'gone'")

    def reply(messages):
        asked = messages[-1]["content"].removesuffix("?").split()
        right = len(asked) == 5 and asked[:3] == ["What", "does", "item"]
        return f"Item {asked[3]} costs {asked[3]} euros." if right and "+" in name else "Ask me anything, dear friend!"  # fmt: skip

    return Answers(name, outputs=reply)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(BACKENDS, "local", "test_cli_finetune:Slow")
    monkeypatch.setitem(PROVIDERS, "local", "test_cli_finetune:answers")
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
    given = ("e.jsonl", "own.jsonl", "--replay", "0.5", "--held-out", "0", "--detach", "--json")
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
    for more in (["e.jsonl"], ["--replay", "0.2"], ["--held-out", "0.2"]):
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


CONTRACT = "contract:\n  rules: [{kind: ends_with, text: euros.}]\n"


def held(place, job):
    return datasets.load(Path(job["dataset"])).held_out


def test_a_run_tests_what_it_trained_on_what_it_held_out(place, capsys):
    (place / "advisor.yaml").write_text(CONTRACT + "gate: {general: 20, margin: 0.3}\n", encoding="utf-8")
    text = told(capsys, "run", "e.jsonl", "--held-out", "0.4")
    key = text.split()[1].removesuffix(":")
    assert "form kept" in text and "general abilities" in text
    assert text.splitlines()[-2].startswith("  promote: ") and "advise release make" in text.splitlines()[-1]
    job = json.loads(told(capsys, "show", key, "--json"))
    n = len(held(place, job))
    assert 8 < n < 24 and job["test"]["measures"]["form kept"]["gained"] == n
    assert "tested on what was held out: promote: " in told(capsys, "show", key)
    assert "tested: promote" in told(capsys, "list")
    before = (place / ".advisor/jobs" / key / "test.json").read_bytes()
    assert json.loads(before)["better"] is True
    again = told(capsys, "run", "e.jsonl", "--held-out", "0.4")
    assert "tested on what was held out: promote: " in again and "p\n" not in again, "it is not asked again"
    assert json.loads(told(capsys, "test", key[:6], "--json")) == json.loads(before)


def test_the_exit_code_of_a_run_is_the_trainings_and_of_a_test_the_verdicts(place, capsys):
    text = told(capsys, "run", "e.jsonl")
    key = text.split()[1].removesuffix(":")
    assert "form was not judged" in text and "not enough evidence: no held-out example" in text
    assert "not enough evidence" in told(capsys, "test", key, code=1)


@pytest.mark.parametrize("way", ["--no-test", "--detach"])
def test_a_run_that_is_not_to_test_says_how_to(place, capsys, way):
    job = json.loads(told(capsys, "run", "e.jsonl", way, "--json"))
    assert held(place, job) and job["test"] is None
    assert not (place / ".advisor/jobs" / job["job"] / "test.json").exists()
    shown = told(capsys, "show", job["job"])
    assert f"advise finetune test {job['job']}" in shown or way == "--detach"


def test_what_judges_is_not_taught(place, capsys):
    rows = [{"question": f"WHAT does item {n} cost ?", "answer": f"{n}.", "group": f"x{n}"} for n in range(40)]  # fmt: skip
    (place / "twice.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    capsys.readouterr()
    assert main(["finetune", "plan", "e.jsonl", "twice.jsonl", "--json"]) in (0, 1)
    out, err = capsys.readouterr()
    assert "of 80 examples ask what a held-out one asks, and are not learnt" in err
    made = datasets.load(Path(json.loads(out)["dataset"]))
    judging, learnt = ({e.request.casefold().replace(" ?", "?") for e in part} for part in (made.held_out, (*made.train, *made.validation)))  # fmt: skip
    assert judging and learnt and not judging & learnt


def test_of_few_examples_none_is_held_out_unasked(place, capsys):
    rows = [{"question": f"Item {n}?", "answer": f"{n} euros."} for n in range(12)]
    (place / "few.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    main(["finetune", "plan", "few.jsonl", "--json"])
    out, err = capsys.readouterr()
    assert "12 examples are too few to hold some out unasked" in err and not held(place, json.loads(out))
    main(["finetune", "plan", "few.jsonl", "--held-out", "0.3", "--json"])
    out, err = capsys.readouterr()
    assert held(place, json.loads(out)) and "are too few to show that anything is better, 6 are" in err
    one = [{"question": "Hello?", "answer": f"{n} euros."} for n in range(30)]
    (place / "one.jsonl").write_text("".join(json.dumps(r) + "\n" for r in one), encoding="utf-8")
    main(["finetune", "plan", "one.jsonl", "--json"])
    out, err = capsys.readouterr()
    assert "too few conversations to hold 20% out" in err and not held(place, json.loads(out))
    for share in ("0.6", "-0.1"):
        assert "0 to 0.5 can be held out" in told(capsys, "run", "e.jsonl", "--held-out", share, code=2)


def test_what_cannot_be_tested_is_one_line_with_the_mend(place, capsys):
    none = json.loads(told(capsys, "run", "e.jsonl", "--held-out", "0", "--json"))
    assert "no example is held out" in told(capsys, "test", none["job"], code=2)
    going = json.loads(told(capsys, "run", "e.jsonl", "--detach", "--json"))
    told(capsys, "cancel", going["job"])
    jobs = Jobs(place / ".advisor")
    assert "no job with key" in told(capsys, "test", "nothing", code=2)
    jobs._set(going["job"], state="running")
    jobs._set(going["job"], state="failed")
    assert "has made nothing to test (failed)" in told(capsys, "test", going["job"], code=2)
    jobs._set(going["job"], state="succeeded", model="local:smollm2+gone")
    err = told(capsys, "test", going["job"], code=2)
    assert "local:smollm2+gone cannot be loaded" in err and "--again" in err and err.count("\n") == 1
    jobs._set(going["job"], backend="openai", model="openai:ft:x")
    assert "`advise apply` tests what it trains there" in told(capsys, "test", going["job"], code=2)


def test_a_part_of_an_adapter_is_tested_by_itself(place, capsys, monkeypatch):
    import finetune.weakening

    (place / "advisor.yaml").write_text(CONTRACT, encoding="utf-8")
    job = json.loads(told(capsys, "run", "e.jsonl", "--held-out", "0.4", "--no-test", "--json"))
    adapters = Adapters(place / ".advisor/adapters")

    def part(given, id, strength):
        if not 0 < strength < 1:
            raise ValueError(f"a strength of {strength} does not weaken")
        made = place / "made"
        made.mkdir()
        (made / "adapter_model.safetensors").write_text(str(strength))
        about = {
            "base": "local:smollm2",
            "base_sha256": "0",
            "dataset": "d",
            "recipe": {},
            "recipe_hash": "r",
            "job": job["job"],
        }
        return adapters.add(made, {**about, "strength": strength, "of": id})

    monkeypatch.setattr(finetune.weakening, "weakened", part)
    assert "--strength: a strength of 2.0 does not weaken" in told(
        capsys, "weaken", "a1", "--strength", "2", code=2
    )
    text = told(capsys, "weaken", "a1", "--strength", "0.75")
    (made,) = adapters.all()
    assert text.splitlines()[0] == f"adapter {made.id}: 75% of a1"
    assert f"advise finetune test {made.id}" in text
    assert f"adapter {made.id}  on local:smollm2  75% of a1  dataset d" in told(capsys, "list")
    test = json.loads(told(capsys, "test", made.id[:6], "--json"))
    assert test["tuned"] == f"local:smollm2+{made.id}" != job["model"]
    folder = place / ".advisor/jobs" / job["job"]
    assert (folder / f"test-{made.id}.json").exists() and not (folder / "test.json").exists()
    monkeypatch.undo()
    monkeypatch.chdir(place)
    assert "no adapter 'nothing'" in told(capsys, "weaken", "nothing", code=2)


def test_a_head_is_held_to_the_commonest_label(place, capsys, monkeypatch):
    monkeypatch.setitem(BACKENDS, "local", "test_cli_finetune:Here")
    words = {"card": "my {} card was stolen", "parcel": "where is the {} parcel", "invoice": "send me the {} invoice again"}  # fmt: skip
    kinds = ["blue", "second", "business", "old", "gold", "family", "last", "small", "red", "new"]
    rows = [{"text": text.format(k), "label": label} for k in kinds for label, text in words.items()]
    (place / "labels.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    given = ("labels.jsonl", "--weights", "head", "--base", "local:static", "--task", "classification", "--held-out", "0.5")  # fmt: skip
    text = told(capsys, "run", *given)
    (adapter,) = Adapters(place / ".advisor/adapters").all()
    assert "right label" in text and "macro-F1" in text and "general abilities" not in text
    files = {p: p.read_bytes() for p in (place / ".advisor/adapters").rglob("*") if p.is_file()}
    test = json.loads(told(capsys, "test", adapter.id[:5], "--json"))
    assert test["better"] and test["macro_f1"]["tuned"] > 0.9 > test["macro_f1"]["base"]
    assert files == {p: p.read_bytes() for p in (place / ".advisor/adapters").rglob("*") if p.is_file()}
    Adapters(place / ".advisor/adapters").delete(adapter.id)
    assert "no classifier head in" in told(capsys, "test", test["job"], code=2)
