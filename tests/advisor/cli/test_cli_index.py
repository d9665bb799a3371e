"""`advise index` from the shell's side: what is printed, what is refused, what comes back after a rollback."""

import json

import pytest

from advisor.cli import main


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "help").mkdir()
    for name, text in (
        ("ship.md", "# Delivery\n\nA parcel to Norway takes five days."),
        ("pay.md", "# Paying\n\nWe take cards and transfers."),
        ("back.md", "# Returns\n\nSend it back within 30 days."),
    ):
        (tmp_path / "help" / name).write_text(text, encoding="utf-8")
    (tmp_path / "advisor.yaml").write_text(
        "index: {embedder: static, store: memory, sources: [help]}\n", encoding="utf-8"
    )
    return tmp_path


def told(capsys, *args, code=0):
    assert main(["index", *args]) == code
    out, err = capsys.readouterr()
    return (json.loads(out) if "--json" in args else out), err


def test_build_search_update_and_back(place, capsys):
    first, _ = told(capsys, "build", "--json")
    assert (first["documents"], first["live"], first["new"]) == (3, True, True)
    assert told(capsys, "search", "parcel to Norway")[0].startswith("1. Delivery")
    (place / "canada.md").write_text("# Canada\n\nWe ship to Canada in eight days.", encoding="utf-8")
    second, _ = told(capsys, "update", "canada.md", "--json")
    assert (second["embedded"], second["documents"]) == (1, 4)
    found, _ = told(capsys, "search", "Canada", "-k", "1", "--json")
    assert found["hits"][0]["document"].endswith("canada.md")
    assert "+ " in told(capsys, "diff", first["version"][:8])[0]
    assert first["version"] in told(capsys, "rollback")[0]
    found, _ = told(capsys, "search", "Canada", "-k", "1", "--json")
    assert found["version"] == first["version"]
    listed, _ = told(capsys, "list", "--json")
    assert {v["version"]: v["live"] for v in listed} == {first["version"]: True, second["version"]: False}
    assert told(capsys, "gc", "--keep", "1", "--json")[0]["versions"] == [second["version"]]


def test_sources_are_read_again_and_pages_that_are_gone_are_removed(place, capsys):
    told(capsys, "build")
    (place / "help/pay.md").unlink()
    changed, _ = told(capsys, "update", "--json")
    assert changed["documents"] == 2
    assert told(capsys, "update")[0].endswith("nothing changed\n")


def test_a_mistyped_path_does_not_empty_the_index(place, capsys):
    told(capsys, "build")
    (place / "help/pay.md").unlink()
    (place / "help/ship.md").unlink()
    _, err = told(capsys, "update", code=2)
    assert "2 of 3 pages would vanish" in err
    assert told(capsys, "update", "--yes", "--json")[0]["documents"] == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("search", "x"), "build one with `advise index build`"),
        (("update",), "build one with `advise index build`"),
        (("build", "nowhere"), "nowhere"),
        (("build", "--embedder", "nosuch"), "nosuch"),
        (("rollback",), "no version was live before"),
        (("search", "x", "--where", "colour"), "write KEY=VALUE"),
        (("search", "x", "--on", "soon"), "write it as 2026-05-31"),
    ],
)
def test_faults_are_one_line_and_exit_two(place, capsys, args, said):
    _, err = told(capsys, *args, code=2)
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_one_customers_pages_stay_with_that_customer(place, capsys):
    told(capsys, "build")
    (place / "own.md").write_text("# Discount\n\nAcme pays half for parcels.", encoding="utf-8")
    told(capsys, "update", "own.md", "--tenant", "acme")
    assert "Discount" not in told(capsys, "search", "what does Acme pay for parcels")[0]
    assert "Discount" in told(capsys, "search", "what does Acme pay for parcels", "--tenant", "acme")[0]
