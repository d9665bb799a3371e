"""`advise release`, `rollback` and `chat` from the shell's side."""

import io
import json
from dataclasses import replace

import pytest

from advisor.cli import main
from advisor.logs import read
from router.releases import Releases


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "help").mkdir()
    (tmp_path / "help/ship.md").write_text(
        "# Delivery [SHIP-01]\n\nA parcel to Norway costs 5 euros.", encoding="utf-8"
    )
    (tmp_path / "prompt.txt").write_text("You help.\nEnd every reply with: Anything else?", encoding="utf-8")
    answers = ["A parcel to Norway costs 5 euros.", "A parcel to Norway costs 5 euros.", "You are welcome."]
    (tmp_path / "script.json").write_text(json.dumps(answers), encoding="utf-8")
    (tmp_path / "advisor.yaml").write_text(
        "index: {embedder: static, store: memory, sources: [help]}\nchat: {model: 'scripted:script.json', prompt: prompt.txt}\n",
        encoding="utf-8",
    )
    assert main(["index", "build"]) == 0
    return tmp_path


def told(capsys, *args, code=0):
    capsys.readouterr()
    assert main(list(args)) == code
    out, err = capsys.readouterr()
    return (json.loads(out) if "--json" in args and code == 0 else out), err


def test_made_shown_promoted_taken_back(place, capsys):
    made, _ = told(capsys, "release", "make", "--json", "--note", "first")
    assert made["live"] is False and made["index"]
    assert [(r["kind"], r["origin"]) for r in made["contract"]["rules"]] == [("ends_with", "system")]
    assert told(capsys, "release", "make", "--json")[0]["release"] == made["release"]
    first = made["release"]
    assert "is live" in told(capsys, "release", "promote", first[:6])[0]
    (place / "prompt.txt").write_text("You help much.", encoding="utf-8")
    second = told(capsys, "release", "make", "--promote", "--json")[0]["release"]
    assert second != first
    shown = told(capsys, "release", "show", first, second)[0]
    assert "+You help much." in shown and "- contract" in shown
    assert "You help much." in told(capsys, "release", "show", second)[0]
    told(capsys, "release", "canary", first, "--share", "0.2", "--why", "try")
    listed, _ = told(capsys, "release", "list", "--json")
    assert [r["release"] for r in listed["releases"]] == [first, second]
    assert [(r["release"], r["canary"], r["verdict"]) for r in listed["routes"]] == [(second, first, "go on")]
    assert "not decided after 0 replies" in told(capsys, "release", "list")[0]
    assert told(capsys, "rollback", "--json")[0]["canary"] is None
    assert told(capsys, "rollback", "--json")[0]["release"] == first
    assert told(capsys, "release", "shadow", second, "--json")[0]["shadow"] == second
    assert told(capsys, "release", "shadow", "none", "--json")[0]["shadow"] is None


def test_the_index_that_is_changed_by_hand_is_that_of_what_is_live(place, capsys):
    """A release that was tried has pages that the index's own pointer does not name yet; the next update must not lose them."""
    first, _ = told(capsys, "release", "make", "--promote", "--json")
    (place / "new").mkdir()
    (place / "new/fee.md").write_text("# Fees\n\nA refund costs 2 euros.", encoding="utf-8")
    more, _ = told(capsys, "index", "update", "new", "--no-live", "--json")
    state = place / ".advisor"
    tried = replace(Releases(state).get(first["release"]), index=more["version"])
    id = Releases(state).add(tried)
    told(capsys, "release", "canary", id)
    assert not more["live"] and _listed(capsys) == first["index"]
    told(capsys, "release", "promote", id)
    assert _listed(capsys) == more["version"]
    (place / "new/fee.md").write_text("# Fees\n\nA refund costs 3 euros.", encoding="utf-8")
    updated, _ = told(capsys, "index", "update", "new", "--json")
    assert updated["documents"] == 2
    # What was changed by hand since is not taken back with the release.
    told(capsys, "release", "promote", first["release"])
    assert _listed(capsys) == updated["version"]
    told(capsys, "release", "promote", id)
    assert _listed(capsys) == updated["version"]


def _listed(capsys):
    return next(v["version"] for v in told(capsys, "index", "list", "--json")[0] if v["live"])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("rollback",), "promote a release first"),
        (("release", "promote", "nosuch"), "`advise release list` shows them"),
        (("release", "canary", "nosuch"), "`advise release list` shows them"),
        (("chat", "Hi"), "promote a release with `advise release promote`"),
        (("release", "make", "--prompt", "nosuch.txt"), "name a UTF-8 text file"),
    ],
)
def test_faults_are_one_line_and_exit_two(place, capsys, args, said):
    _, err = told(capsys, *args, code=2)
    assert said in err and len(err.strip().splitlines()) == 1


def test_a_share_that_is_none_is_told(place, capsys):
    id = told(capsys, "release", "make", "--promote", "--json")[0]["release"]
    assert "more than 0 and less than 1" in told(capsys, "release", "canary", id, "--share", "2", code=2)[1]


def test_chat_answers_cites_and_keeps_feedback(place, capsys, monkeypatch):
    told(capsys, "release", "make", "--promote")
    lines = "What does a parcel to Norway cost?\n/right 6 euros.\n/nosuch\n/new\n/up\nThanks!\n/quit\nnever\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    out, err = told(capsys, "chat", "--tenant", "acme")
    assert "A parcel to Norway costs 5 euros. Anything else?" in out
    assert "commands:" in err and "nothing was answered yet" in err and "kept" in err
    found = {e.question: e for e in read([".advisor/traces"])}
    assert found["What does a parcel to Norway cost?"].expected == "6 euros."
    assert found["Thanks!"].passages is None


def test_one_question_as_data(place, capsys):
    told(capsys, "release", "make", "--promote")
    said, _ = told(capsys, "chat", "What does a parcel to Norway cost?", "--json")
    assert said["text"].endswith("Anything else?")
    assert said["passages"][0]["document"].endswith("ship.md")


def test_a_model_that_is_not_there_is_told(place, capsys):
    pytest.importorskip("xllamacpp")
    told(capsys, "release", "make", "--model", "local:nosuch", "--promote")
    _, err = told(capsys, "chat", "Hi", code=2)
    assert "nosuch" in err
