"""`advise run` and `status`: only what is new, told of once, applied only what is allowed, safe for cron."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from advisor.apply.apply import alone
from advisor.cli import main

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


def test_the_exit_code_is_for_pipelines(place, capsys):
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 2, bad=False)])
    _, err = told(capsys, "run", code=1)
    assert "style>50%" in err


def test_two_at_once_do_not_both_run(place, capsys):
    add(place, "a.jsonl", rows(0, 12, bad=True))
    (place / ".advisor").mkdir()
    with alone(place / ".advisor"):
        assert "another process" in told(capsys, "run", code=2)[1]


def test_nothing_is_applied_that_is_not_allowed(place, capsys):
    add(place, "a.jsonl", [*rows(0, 12, bad=True), *rows(100, 20, bad=False)])
    assert told(capsys, "run", "--json")[0]["applied"] == []


def test_without_logs_or_runs_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "set `run.logs`" in told(capsys, "run", code=2)[1]
    assert "run `advise LOGS`" in told(capsys, "status", code=2)[1]
