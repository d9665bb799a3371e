import json
import os
import signal
import subprocess
import sys
import time

import pytest

from advisor.cli import main
from advisor.planfile import from_json

BAD = {"question": "Do you ship to Canada?", "answer": "I do not know.", "rating": "down", "id": "a-1"}
GOOD = {"question": "Do you ship to Norway?", "answer": "Yes, we do.", "rating": "up", "id": "a-2"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.jsonl").write_text(
        "".join(json.dumps(r) + "\n" for r in (BAD, GOOD, GOOD | {"id": "a-3", "question": "And to Malta?"})),
        encoding="utf-8",
    )
    return tmp_path


def test_logs_alone_are_the_main_job(place, capsys):
    assert main(["log.jsonl"]) == 0
    out = capsys.readouterr().out
    assert "1 of 3 replies failed" in out
    assert "advise show" in out
    assert (place / ".advisor/report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert from_json((place / ".advisor/plan.json").read_text(encoding="utf-8")).exchanges == 3


def test_json_is_all_that_is_on_stdout(place, capsys):
    assert main(["log.jsonl", "--json", "--out", "here"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["failed"]["count"] == 1
    assert (place / "here/plan.json").exists()


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("failures>5%", 1),
        ("failures>=1", 1),
        ("failures>1", 0),
        ("failures>40%", 0),
        ("skipped>0", 0),
        ("tool_call>0", 0),
    ],
)
def test_fail_on_sets_the_exit_code(place, capsys, condition, code):
    assert main(["log.jsonl", "--fail-on", condition]) == code
    assert (condition in capsys.readouterr().err) is bool(code)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl"),
        (["log.jsonl", "--fail-on", "fails>1"], "--fail-on 'fails>1'"),
        (["log.jsonl", "--config", "no.yaml"], "no.yaml: cannot be read"),
        (["log.jsonl", "--map", "question"], "--map question"),
        (["log.jsonl", "--map", "qestion=a"], "qestion"),
        (["log.jsonl", "--documents", "no"], "documents:"),
        (["show", "zz"], "no exchange or issue 'zz'"),
        (["label", "zz"], "say what was wrong"),
        (["check", "no.yaml"], "no.yaml: cannot be read"),
        (["log.jsonl", "--judge", "nobody:x"], "nobody"),
    ],
)
def test_wrong_input_is_one_line_and_code_2(place, capsys, args, said):
    assert main(args) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


def test_a_log_with_nothing_in_it_says_so(place, capsys):
    main(["log.jsonl"])
    before = (place / ".advisor/plan.json").read_bytes()
    capsys.readouterr()
    (place / "empty.txt").write_text("", encoding="utf-8")
    (place / "odd.json").write_text('{"weather": "fine"}', encoding="utf-8")
    assert main(["empty.txt", "odd.json"]) == 2
    captured = capsys.readouterr()
    assert "no exchange was found" in captured.err
    assert "odd.json" in captured.out
    assert (place / ".advisor/plan.json").read_bytes() == before
    assert main(["show", "a-1"]) == 0


def test_show_finds_exchanges_and_issues_and_masks(place, capsys):
    (place / "log.jsonl").write_text(
        json.dumps(BAD | {"question": "I am jo@example.com. Do you ship to Canada?"}) + "\n", encoding="utf-8"
    )
    main(["log.jsonl", "--json"])
    issue = json.loads(capsys.readouterr().out)["issues"][0]
    for wanted in (issue["id"][:6], issue["examples"][0], "a-1"):
        assert main(["show", wanted]) == 0
        out = capsys.readouterr().out
        assert "Canada" in out
        assert "jo@example.com" not in out
    main(["show", "a-1", "--no-mask"])
    assert "jo@example.com" in capsys.readouterr().out
    main(["show", "a-1", "--json"])
    assert json.loads(capsys.readouterr().out)["exchange"]["ids"] == ["a-1"]


def test_every_verb_finds_the_state_that_the_settings_name(place, capsys):
    (place / "advisor.yaml").write_text("state: elsewhere\n", encoding="utf-8")
    for args in (
        ["log.jsonl"],
        ["show", "a-1"],
        ["label"],
        ["status"],
        ["show", "a-1", "--state", "elsewhere"],
    ):
        assert main(args) == 0
    assert not (place / ".advisor").exists()
    assert main(["show", "a-1", "--state", "nowhere"]) == 2


def test_label_offers_takes_and_counts(place, capsys):
    main(["log.jsonl"])
    capsys.readouterr()
    assert main(["label"]) == 0
    assert "Canada" in capsys.readouterr().out
    assert main(["label", "a-1", "--gap", "knowledge"]) == 0
    assert "1 failed and 0 good so far" in capsys.readouterr().out
    assert main(["label", "a-2", "--good"]) == 0
    assert "1 failed and 1 good so far" in capsys.readouterr().out
    main(["label"])
    assert "Canada" not in capsys.readouterr().out


def test_check_and_formats(place, capsys):
    (place / "my.yaml").write_text("contract: {rules: [{kind: ends_with, text: Bye}]}\n", encoding="utf-8")
    assert main(["check", "my.yaml"]) == 0
    assert "1 declared rules" in capsys.readouterr().out
    assert main(["formats"]) == 0
    out = capsys.readouterr().out
    assert "otlp" in out and "conversation_id" in out and "ends_with" in out


def test_a_config_in_the_working_directory_is_used(place, capsys):
    (place / "advisor.yaml").write_text(
        "contract: {rules: [{kind: ends_with, text: Bye, cause: required_element}]}\n", encoding="utf-8"
    )
    main(["log.jsonl", "--json"])
    assert json.loads(capsys.readouterr().out)["failed"]["count"] == 3


def test_stdin_is_read_from_a_dash(place):
    done = subprocess.run(
        [sys.executable, "-c", "from advisor.cli import main; raise SystemExit(main(['-', '--json']))"],
        input=json.dumps(BAD), capture_output=True, text=True, check=False, encoding="utf-8",
    )  # fmt: skip
    assert json.loads(done.stdout)["counts"]["exchanges"] == 1, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interrupt_is_code_130_and_no_traceback(place):
    with (place / "big.jsonl").open("w", encoding="utf-8") as out:
        for i in range(60_000):
            out.write(json.dumps(BAD | {"id": f"b-{i}", "question": f"Do you ship {i}?"}) + "\n")
    # A shell that runs the tests in the background has told its children to ignore interrupts.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heeding}; from advisor.cli import main; raise SystemExit(main(['big.jsonl', '--workers', '1']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    for _ in range(600):
        if (place / ".advisor/advisor.db").exists():
            break
        time.sleep(0.1)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err and "Traceback" not in err
