"""`advise probe` against a bot behind a real address: planted causes are confirmed or refuted, and the plan says so."""

import json
import re
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from advisor import config as settings
from advisor.cli import main
from advisor.lessons import learned, refused
from advisor.planfile import from_json
from advisor.probing.running import probe_run
from advisor.remedies import plan
from advisor.state import Outcome, opened
from rag.index import Index

PLACES = [
    "Ireland",
    "Norway",
    "Italy",
    "Spain",
    "Poland",
    "Greece",
    "Malta",
    "Latvia",
    "Croatia",
    "Cyprus",
    "Sweden",
    "Austria",
    "Chile",
    "Peru",
    "Japan",
    "Korea",
]


def right(place):
    return f"A parcel to {place} costs {PLACES.index(place) + 3} euros."


def bot(messages):
    """Knows what stands in the passages it is given; never ends as it should, whatever it is told."""
    last = next(m["content"] for m in reversed(messages) if "cost?" in m["content"])
    place = next((p for p in PLACES if f"to {p} cost?" in last), "")
    return (
        right(place)
        if place and right(place) in last.rpartition("Question:")[0]
        else "I do not have any information about that."
    )


@pytest.fixture
def address():
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((body["messages"], self.headers.get("Authorization")))
            answer = json.dumps({"reply": bot(body["messages"])}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/chat", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def place(tmp_path, monkeypatch, address):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "help").mkdir()
    for p in PLACES[:8]:
        (tmp_path / "help" / f"{p.lower()}.md").write_text(
            f"# Delivery to {p}\n\n{right(p)}", encoding="utf-8"
        )
    other = [{"id": "malta", "title": "Delivery to Malta", "text": right("Malta")}]
    system = "You help. End every reply with: Anything else?"
    unknown = [
        {
            "id": f"u{n}", "system_prompt": system, "question": f"What does a parcel to {p} cost?", "answer": "I do not know. Anything else?", "contexts": other,
            "rating": "down", "expected": right(p), "model": "shop-bot",
        }
        for n, p in enumerate(PLACES[8:])
    ]  # fmt: skip
    good = [
        {
            "id": f"g{n}", "system_prompt": system, "question": f"What does a parcel to {p} cost?", "answer": f"{right(p)} Anything else?",
            "contexts": [{"id": p.lower(), "title": f"Delivery to {p}", "text": right(p)}], "rating": "up", "model": "shop-bot",
        }
        for n, p in enumerate(PLACES[:8])
    ]  # fmt: skip
    (tmp_path / "log.jsonl").write_text(
        "".join(json.dumps(r) + "\n" for r in unknown + good), encoding="utf-8"
    )
    (tmp_path / "advisor.yaml").write_text(
        f"documents: [help]\nprobe: {{bot: '{address[0]}', open_to: [settings, prompt, passages], price: {{input: 0, output: 0}}}}\n",
        encoding="utf-8",
    )
    assert main(["log.jsonl"]) == 0
    return tmp_path


def told(capsys, *args, code=0):
    capsys.readouterr()
    assert main(["probe", *args]) == code
    out, err = capsys.readouterr()
    return (json.loads(out) if "--json" in args and code == 0 else out), err


def test_the_passage_turns_it_and_the_plan_says_so(place, capsys, address):
    before = from_json((place / ".advisor/plan.json").read_text(encoding="utf-8"))
    found, _ = told(capsys, "--json")
    proofs = {p["gap"]: p for i in found["issues"] for p in i["proofs"]}
    assert proofs["knowledge"]["named"] == "oracle"
    assert proofs["knowledge"]["stand_in"] is False
    after = from_json((place / ".advisor/plan.json").read_text(encoding="utf-8"))
    assert after.hash != before.hash
    assert (place / f".advisor/plans/{before.hash}.json").exists()
    index = next(r for r in after.remedies if r.kind == "UpdateIndex")
    assert "oracle turned" in index.why
    assert index.gain.basis.startswith("probe of http://")
    with opened(place / ".advisor") as state:
        standings = {d.standing for e, d in state.exchanges() if d.is_failure}
    assert standings == {"confirmed"}
    calls = len(address[1])
    told(capsys)
    assert len(address[1]) == calls
    told(capsys, "--fresh")
    assert len(address[1]) == 2 * calls


def test_a_fix_that_was_deployed_refutes_what_was_confirmed(place, capsys, monkeypatch):
    def standings():
        with opened(place / ".advisor") as state:
            return {d.standing for e, d in state.exchanges() if d.is_failure}

    told(capsys)
    assert standings() == {"confirmed"}
    with monkeypatch.context() as fixed:
        fixed.setitem(globals(), "bot", _knowing)
        told(capsys)
        assert standings() == {"confirmed"}  # kept answers of today
        out, _ = told(capsys, "--fresh")
    assert "refuted, asked again the bot does well" in out
    assert standings() == {"refuted"}
    plan = from_json((place / ".advisor/plan.json").read_text(encoding="utf-8"))
    assert not [r for r in plan.remedies if r.kind == "UpdateIndex"]


def _knowing(messages):
    last = next(m["content"] for m in reversed(messages) if "cost?" in m["content"])
    return f"{right(next(p for p in PLACES if f'to {p} cost?' in last))} Anything else?"


def test_an_answer_of_an_address_ages(place, capsys, address, monkeypatch):
    told(capsys)
    calls = len(address[1])
    later = time.time() + 25 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    told(capsys)
    assert len(address[1]) == 2 * calls


def test_a_newer_run_that_came_in_meanwhile_is_probed_and_stays(place, capsys, address):
    lines = (place / "log.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (place / "more.jsonl").write_text("".join(lines[1:]), encoding="utf-8")
    config, newer = settings.load(place / "advisor.yaml"), iter(["more.jsonl"])
    with opened(place / ".advisor") as state, Index(place / ".advisor/index") as index:
        found = probe_run(config, state, index, tell=lambda *_: [main([log]) for log in newer])
        (issue,) = state.issues()
        assert issue.rate.count == 7 and issue.proofs
        assert found.plan.failures == state.runs()[-1].failures == 7


def test_after_a_refusal_a_part_is_planned_as_all_is(place, capsys):
    told(capsys)
    with opened(place / ".advisor") as state:
        (issue,) = state.issues()
        for n in (1, 2):
            other = replace(issue, id=f"{n}{issue.id[1:]}", proofs=(), exchange_ids=())
            state.replace_issues([*state.issues(), other], [], before=state.issues())
        state.note_outcome(
            Outcome(
                kind="ChangePrompt", verdict="refused", body={"issues": [issue.id], "mended": 0, "tried": 9}
            )
        )
        facts = replace(
            state.runs()[-1].facts, learned=learned(state.outcomes()), refused=refused(state.outcomes())
        )
        assert facts.refused == (issue.id,)
        told(capsys, "--only", issue.id)
        assert (
            json.loads((place / ".advisor/plan.json").read_text())["hash"] == plan(state.issues(), facts).hash
        )


def test_a_token_goes_along(place, capsys, address, monkeypatch):
    monkeypatch.setenv("RIGHTFIX_BOT_TOKEN", "secret")
    told(capsys)
    assert {token for _, token in address[1]} == {"Bearer secret"}


def test_money_is_asked_for_first(place, capsys, address):
    text = (
        (place / "advisor.yaml")
        .read_text(encoding="utf-8")
        .replace("input: 0, output: 0", "input: 5, output: 15")
    )
    (place / "advisor.yaml").write_text(text, encoding="utf-8")
    out, err = told(capsys)
    assert "not probed" in out
    assert "at most" in err and "capped at $1.00" in err and "say --yes" in err
    (place / "advisor.yaml").write_text(text.replace(", price: {input: 5, output: 15}", ""), encoding="utf-8")
    _, err = told(capsys)
    assert "capped in calls only, as the price is not known (set `probe.price`)" in err and "$" not in err
    assert not address[1]
    (place / "advisor.yaml").write_text(text, encoding="utf-8")
    assert not address[1]
    assert "calls" in told(capsys, "--yes")[1]


def test_a_cap_keeps_what_was_shown(place, capsys, address):
    out, _ = told(capsys, "--calls", "3")
    assert "Not all was probed: the cap is reached after 3 calls" in out
    assert len(address[1]) == 3


@pytest.mark.parametrize(
    ("args", "said"),
    [(("--only", "nosuch"), "no issue 'nosuch'"), (("nosuch.json",), "make a plan with `advise LOGS`"), (("--bot", "openia:gpt"), "did you mean `openai:`?"), (("--bot", "live"), "promote a release")],
)  # fmt: skip
def test_faults_are_one_line_and_exit_two(place, capsys, args, said):
    _, err = told(capsys, *args, code=2)
    assert said in err and len(err.strip().splitlines()) == 1


def test_without_a_bot_it_says_how_to_name_one(place, capsys):
    (place / "advisor.yaml").write_text("documents: [help]\n", encoding="utf-8")
    assert "set `probe.bot`" in told(capsys, code=2)[1]


def test_a_bot_that_is_down_proves_nothing(place, capsys, address):
    out, _ = told(capsys, "--bot", "http://127.0.0.1:9/none", "--yes")
    assert "not probed" in out or "nothing failed that could be judged" in out
    assert "no failure of it is stored" not in out


def test_a_bot_that_is_down_takes_nothing_back(place, capsys, address):
    told(capsys)
    with opened(place / ".advisor") as state:
        before = state.issues(), {e.id: d for e, d in state.exchanges()}
    told(capsys, "--bot", "http://127.0.0.1:9/none", "--yes")
    with opened(place / ".advisor") as state:
        assert (state.issues(), {e.id: d for e, d in state.exchanges()}) == before


def test_no_more_calls_are_made_than_were_said(place, capsys, address):
    text = (place / "advisor.yaml").read_text(encoding="utf-8")
    (place / "advisor.yaml").write_text(text.replace(", price: {input: 0, output: 0}", ""), encoding="utf-8")
    most = int(re.search(r"at most ([\d,]+) calls", told(capsys)[1])[1].replace(",", ""))
    # 8 failures and up to 10 good ones: unchanged three times, four rungs of one call, two of up to three
    assert most == (8 + 10) * (3 + 4 + 2 * 3)
    told(capsys, "--yes")
    assert 0 < len(address[1]) <= most
