"""`advise apply` on a small shop: staged, proved, made live, taken back; nothing goes live without a yes."""

import json
import sys

import pytest

from advisor.apply.apply import alone
from advisor.cli import main
from advisor.state import State, opened

PLACES = ["Ireland", "Norway", "Italy", "Spain", "Poland", "Greece", "Malta", "Latvia", "Croatia", "Cyprus"]


def served(place, n):
    return {"id": place, "title": f"Delivery to {place}", "text": f"A parcel to {place} costs {n} euros."}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pages, spare = tmp_path / "help", tmp_path / "spare"
    pages.mkdir()
    spare.mkdir()
    for n, name in enumerate(PLACES):
        page = (
            f"# Delivery to {name}\n\nA parcel to {name} costs {n + 3} euros and takes {n + 2} working days."
        )
        (pages / f"{name.lower()}.md").write_text(page, encoding="utf-8")
    (spare / "canada.md").write_text(
        "# Canada\n\nWe ship to Canada: it costs 24 euros and takes 8 working days.", encoding="utf-8"
    )
    (tmp_path / "advisor.yaml").write_text(
        "documents: [help]\nindex: {embedder: static, store: memory, candidates: [spare]}\n", encoding="utf-8"
    )
    good = [
        {
            "id": f"g{n}", "question": f"What does a parcel to {name} cost?", "answer": f"A parcel to {name} costs {n + 3} euros.",
            "contexts": [served(name, n + 3)], "rating": "up",
        }
        for n, name in enumerate(PLACES)
    ]  # fmt: skip
    asked = ["Do you ship to Canada?", "What does shipping to Canada cost?", "How long does a parcel take to Canada?",
             "Is Canada a place you ship to?", "Canada: do you ship there, and what does it cost?", "Shipping cost for Canada please"]  # fmt: skip
    bad = [
        {
            "id": f"b{n}", "question": q, "answer": "I do not have any information about that.", "contexts": [served("Malta", 9)],
            "rating": "down", "expected": "Yes, we ship to Canada; it costs 24 euros and takes 8 working days.",
        }
        for n, q in enumerate(asked)
    ]  # fmt: skip
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(r) + "\n" for r in good + bad), encoding="utf-8")
    assert main(["index", "build"]) == 0
    assert main(["log.jsonl"]) == 0
    return tmp_path


def live(capsys):
    capsys.readouterr()
    assert main(["index", "list", "--json"]) == 0
    return next(v["version"] for v in json.loads(capsys.readouterr().out) if v["live"])


def test_nothing_goes_live_without_a_yes(place, capsys):
    before = live(capsys)
    assert main(["apply"]) == 1
    assert "Not applied yet" in capsys.readouterr().out
    assert live(capsys) == before


def test_applied_twice_is_applied_once_and_can_be_taken_back(place, capsys):
    before = live(capsys)
    assert main(["apply", "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [a["document"] for a in told["additions"]] == ["canada.md"]
    assert told["verification"]["verdict"] == "accepted"
    assert told["outcome"].startswith("Applied")
    after = live(capsys)
    assert after == told["version"] != before
    assert main(["apply", "--yes"]) == 0
    assert live(capsys) == after
    assert main(["index", "rollback"]) == 0
    assert live(capsys) == before
    assert json.loads((place / ".advisor/update.json").read_text(encoding="utf-8"))


def test_what_no_page_holds_becomes_a_request(place, capsys):
    (place / "spare/canada.md").unlink()
    (place / "spare/fish.md").write_text("# Fish\n\nClean water and a quiet corner.", encoding="utf-8")
    assert main(["apply", "--yes"]) == 1
    assert "pages to be written" in capsys.readouterr().out
    request = next((place / ".advisor/requests").glob("*.md")).read_text(encoding="utf-8")
    assert "Canada" in request
    assert "24" not in request


def test_a_plan_that_was_changed_by_hand_is_refused(place, capsys):
    file = place / ".advisor/plan.json"
    file.write_text(file.read_text(encoding="utf-8").replace("UpdateIndex", "Nothing"), encoding="utf-8")
    capsys.readouterr()
    assert main(["apply", "--yes"]) == 2
    assert "does not match its hash" in capsys.readouterr().err


def test_what_was_made_live_before_a_kill_is_written_down_by_the_next_run(place, capsys, monkeypatch):
    with monkeypatch.context() as dying:
        dying.setattr(State, "note_outcome", lambda *given, **named: sys.exit(9))
        with pytest.raises(SystemExit):
            main(["apply", "--yes"])
    for _ in range(2):
        assert main(["apply", "--yes"]) == 0
    with opened(place / ".advisor") as db:
        assert sum(o.is_applied for o in db.outcomes()) == 1


def test_without_a_release_too_two_at_once_do_not_apply_both(place, capsys):
    with alone(place / ".advisor"):
        assert main(["apply", "--yes"]) == 2
    assert "another process is applying a plan" in capsys.readouterr().err
