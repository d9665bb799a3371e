"""`advise run` and `status`: only what is new, told of once, applied only what is allowed, safe for cron."""

import json
import socket
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from advisor.apply.apply import alone
from advisor.cli import main
from advisor.state import opened
from rag.locks import exclusive

SYSTEM = "You help. End every reply with: Anything else I can do?"


def rows(start, count, *, bad):
    return [
        {
            "id": f"r{n}", "system_prompt": SYSTEM, "question": f"What about thing number {n}?", "answer": f"Thing {n} is fine." + ("" if bad else " Anything else I can do?"),
            "rating": "down" if bad else "up", "session_id": f"s{n}",
        }
        for n in range(start, start + count)
    ]  # fmt: skip


@pytest.fixture
def hook():
    got, answers = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answers.pop(0) if answers else 204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", got, answers
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def place(tmp_path, monkeypatch, hook):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "advisor.yaml").write_text(
        f"run: {{logs: [logs], webhook: '{hook[0]}', fail_on: ['style>50%']}}\n", encoding="utf-8"
    )
    return tmp_path


def add(place, name, found):
    with (place / "logs" / name).open("a", encoding="utf-8") as out:
        out.writelines(json.dumps(r) + "\n" for r in found)


def told(capsys, *args, code=0):
    capsys.readouterr()
    assert main(list(args)) == code
    out, err = capsys.readouterr()
    return json.loads(out) if "--json" in args else out, err


def test_only_what_is_new_is_read_and_told_of_once(place, capsys, hook):
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 20, bad=False)])
    first, _ = told(capsys, "run", "--json")
    assert (first["exchanges"], first["failures"], len(first["new"])) == (32, 12, 1)
    assert told(capsys, "run")[0] == "nothing new\n"
    assert [m["run"] for m in hook[1]] == [1]
    add(place, "a.jsonl", rows(20, 5, bad=True))
    add(place, "b.jsonl", rows(200, 5, bad=False))
    second, _ = told(capsys, "run", "--json")
    assert (second["exchanges"], second["failures"], second["new"]) == (10, 5, [])
    plan = json.loads((place / ".advisor/plan.json").read_text(encoding="utf-8"))
    assert (plan["exchanges"], plan["failures"]) == (42, 17)
    assert len(hook[1]) == 1
    status, _ = told(capsys, "status", "--json")
    assert [[c["failures"] for c in i["counts"]] for i in status["issues"]] == [[12, 5]]
    assert "2 run(s)" in told(capsys, "status")[0]


def test_a_thumb_that_comes_later_makes_an_exchange_new(place, capsys):
    quiet = [{k: v for k, v in r.items() if k != "rating"} for r in rows(0, 6, bad=False)]
    add(place, "a.jsonl", quiet)
    told(capsys, "run")
    (place / "logs/ratings.csv").write_text(
        "id,rating,comment\nr1,thumbs down,This is wrong\n", encoding="utf-8"
    )
    again, _ = told(capsys, "run", "--json")
    assert (again["exchanges"], again["failures"]) == (1, 1)


def test_what_could_not_be_sent_is_sent_with_the_next_run(place, capsys, hook):
    hook[2].append(500)
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 20, bad=False)])
    _, err = told(capsys, "run")
    assert "answered 500" in err and "sent with the next run" in err
    other = [
        {**r, "answer": "{broken", "system_prompt": "Reply with a JSON object."}
        for r in rows(300, 12, bad=True)
    ]
    add(place, "a.jsonl", [*other, *rows(400, 40, bad=False)])
    told(capsys, "run")
    assert [m["run"] for m in hook[1]] == [1, 1, 2]


def test_what_could_not_be_sent_is_sent_on_a_quiet_night_too(place, capsys, hook):
    hook[2].append(503)
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 20, bad=False)])
    told(capsys, "run")
    assert told(capsys, "run") == ("nothing new\n", "")
    assert [m["run"] for m in hook[1]] == [1, 1]


def test_a_message_that_is_refused_for_good_holds_up_no_other(place, capsys, hook):
    hook[2].append(413)
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 20, bad=False)])
    assert "answered 413" in (err := told(capsys, "run")[1]) and "not sent again" in err
    with opened(place / ".advisor") as state:
        assert state.unsent() == []
        state.note_unsent({"run": "odd"})
        state.note_unsent({"run": "next"})
    hook[2].append(500)
    assert "answered 500" in told(capsys, "run")[1]
    assert [m["run"] for m in hook[1]] == [1, "odd", "next"]
    with opened(place / ".advisor") as state:
        assert [m["run"] for _, m in state.unsent()] == ["odd"]


@pytest.mark.parametrize("wrong", ["http://127.0.0.1:1/a b", "nonsense"])
def test_an_address_that_is_none_costs_neither_the_run_nor_its_exit_code(wrong, place, capsys):
    (place / "advisor.yaml").write_text(
        f"run: {{logs: [logs], webhook: '{wrong}', fail_on: ['failures>=1']}}\n", encoding="utf-8"
    )
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 2, bad=False)])
    err = told(capsys, "run", code=1)[1]
    assert f"not told: {wrong} (`run.webhook`)" in err and "failures is 12" in err


def test_an_answer_that_is_no_http_is_told_in_one_line(place, capsys):
    def answer():
        taken, _ = server.accept()
        with taken:
            taken.recv(65536)
            taken.sendall(b"garbage\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        (place / "advisor.yaml").write_text(
            f"run: {{logs: [logs], webhook: 'http://127.0.0.1:{server.getsockname()[1]}/'}}\n",
            encoding="utf-8",
        )
        add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 2, bad=False)])
        assert "cannot be reached" in told(capsys, "run")[1]
        thread.join()


KILLED = textwrap.dedent("""
    import importlib, os, sys
    from advisor.cli import main
    where, name = sys.argv[1].rsplit(".", 1)
    module, _, owner = where.partition(":")
    found = importlib.import_module(module)
    setattr(getattr(found, owner) if owner else found, name, lambda *args, **more: os._exit(9))
    sys.exit(main(["run"]))
""")


def killed(place, at):
    assert subprocess.run([sys.executable, "-c", KILLED, at], cwd=place, check=False).returncode == 9


@pytest.mark.parametrize(
    "at",
    [
        "advisor.state:State.note_run",
        "advisor.state:State.note_reading",
        "advisor.cli.run.render",
        "advisor.cli.run._applied",
        "advisor.state:State.note_unsent",
    ],
)
def test_a_run_that_is_killed_is_made_again(at, place, capsys, hook):
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 2, bad=False)])
    killed(place, at)
    assert hook[1] == []
    # What came meanwhile is read with it.
    add(place, "a.jsonl", rows(50, 2, bad=True))
    again, err = told(capsys, "run", "--json", code=1)
    assert (again["run"], again["exchanges"], again["failures"], len(again["new"])) == (1, 16, 14, 1)
    assert "style>50%" in err
    assert [m["run"] for m in hook[1]] == [1]
    assert json.loads((place / ".advisor/plan.json").read_text(encoding="utf-8"))["exchanges"] == 16
    assert told(capsys, "run")[0] == "nothing new\n"
    assert [r["exchanges"] for r in told(capsys, "status", "--json")[0]["runs"]] == [16]


def test_what_is_killed_while_it_tells_is_told_by_the_next(place, capsys, hook):
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 20, bad=False)])
    killed(place, "advisor.webhook._posted")
    assert told(capsys, "run")[0] == "nothing new\n"
    assert [m["run"] for m in hook[1]] == [1]


def test_a_later_run_that_is_killed_is_made_again_with_what_it_planned_with(place, capsys):
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 20, bad=False)])
    told(capsys, "run")
    # More that is good than is kept.
    add(place, "b.jsonl", [*rows(20, 5, bad=True), *rows(200, 700, bad=False)])
    killed(place, "advisor.cli.run._applied")
    first = json.loads((place / ".advisor/plan.json").read_text(encoding="utf-8"))
    again, _ = told(capsys, "run", "--json")
    assert (again["run"], again["exchanges"], again["failures"]) == (2, 705, 5)
    plan = json.loads((place / ".advisor/plan.json").read_text(encoding="utf-8"))
    assert (plan["exchanges"], plan["failures"]) == (737, 17)
    # The same plan, so that applying goes on where it was.
    assert plan["hash"] == first["hash"]


def test_what_a_killed_run_read_is_kept_though_the_log_is_gone(place, capsys):
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 20, bad=False)])
    killed(place, "advisor.cli.run._applied")
    (place / "logs/a.jsonl").unlink()
    add(place, "b.jsonl", rows(200, 5, bad=False))
    assert told(capsys, "run", "--json")[0]["run"] == 2
    assert [r["exchanges"] for r in told(capsys, "status", "--json")[0]["runs"]] == [32, 5]


def test_a_run_that_cannot_go_on_is_not_taken_for_read(place, capsys, hook):
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 20, bad=False)])
    config = (place / "advisor.yaml").read_text(encoding="utf-8")
    (place / "advisor.yaml").write_text(
        f"probe: {{bot: 'scripted:gone.json'}}\n{config.replace('logs:', 'probe: true, logs:')}",
        encoding="utf-8",
    )
    assert "gone.json" in told(capsys, "run", code=2)[1]
    (place / "advisor.yaml").write_text(config, encoding="utf-8")
    assert len(told(capsys, "run", "--json")[0]["new"]) == 1
    assert [m["run"] for m in hook[1]] == [1]


def test_where_nothing_failed_there_is_nothing_to_probe_or_apply(place, capsys):
    (place / "advisor.yaml").write_text(
        "run: {logs: [logs], probe: true, allow: {ChangePrompt: 0}}\n", encoding="utf-8"
    )
    add(place, "a.jsonl", rows(100, 20, bad=False))
    assert told(capsys, "run", "--json")[0]["failures"] == 0


def test_conditions_are_about_the_new_logs(place, capsys):
    (place / "advisor.yaml").write_text("run: {logs: [logs], fail_on: ['failures>=3']}\n", encoding="utf-8")
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 20, bad=False)])
    assert "failures is 12" in told(capsys, "run", code=1)[1]
    add(place, "a.jsonl", [*rows(20, 1, bad=True), *rows(200, 9, bad=False)])
    told(capsys, "run", code=0)


def test_the_exit_code_is_for_pipelines(place, capsys):
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 2, bad=False)])
    _, err = told(capsys, "run", code=1)
    assert "style>50%" in err


def test_two_at_once_do_not_both_run(place, capsys):
    add(place, "a.jsonl", rows(0, 12, bad=True))
    (place / ".advisor").mkdir()
    with alone(place / ".advisor"):
        assert "another process" in told(capsys, "run", code=2)[1]
    with exclusive(place / ".advisor/run.lock", wait_s=1):
        assert "run.lock: another process" in told(capsys, "run", code=2)[1]


def test_nothing_is_applied_that_is_not_allowed(place, capsys):
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 20, bad=False)])
    assert told(capsys, "run", "--json")[0]["applied"] == []


def test_without_logs_or_runs_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "set `run.logs`" in told(capsys, "run", code=2)[1]
    assert "run `advise LOGS`" in told(capsys, "status", code=2)[1]
