import json
import random
import sys
from pathlib import Path

import pytest

from advisor import Advisor
from advisor.evidence import Evidence
from advisor.exchange import Exchange
from advisor.logs import read
from advisor.logs.files import InputError

SYSTEM = "You are the help desk of a shop. End every reply with 'Anything else?'"


def row(number, *, good=True, question=None, rating=None):
    question = question or f"What does parcel {number} to Norway cost?"
    answer = (
        f"Parcel {number} costs {number + 3} euros. Anything else?"
        if good
        else f"Parcel {number} costs {number + 3} euros."
    )
    record = {
        "request": {"model": "m", "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]},
        "response": {
            "id": f"resp-{number}", "object": "chat.completion", "created": 1_780_000_000 + number * 600,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}],
        },
    }  # fmt: skip
    return record | ({"feedback": {"rating": rating}} if rating else {})


def write(path: Path, records) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path


@pytest.fixture
def advisor(tmp_path):
    return Advisor.from_config(None, state=tmp_path / "state", workers=1)


def test_the_whole_way_finds_the_dropped_ending_and_plans_the_prompt(advisor, tmp_path):
    result = advisor.run([write(tmp_path / "log.jsonl", [row(i, good=i % 4 > 0) for i in range(40)])])
    assert (result.counts.exchanges, result.failed.count) == (40, 10)
    (issue,) = result.issues
    assert "Anything else?" in issue.title
    assert issue.gaps == ("style",)
    assert result.plan.remedies[0].kind == "ChangePrompt"
    assert {e.diagnosis.cause for e in result.examples.values()} == {"required_element"}
    assert set(issue.examples) == set(result.examples)


def test_the_same_log_in_any_order_and_any_split_gives_the_same_plan(tmp_path):
    records = [row(i, good=i % 3 > 0, rating=-1 if i % 5 == 0 else None) for i in range(30)]
    one = write(tmp_path / "one.jsonl", records)
    random.Random(5).shuffle(records)
    folder = tmp_path / "parts"
    folder.mkdir()
    write(folder / "b.jsonl", records[:11])
    write(folder / "a.jsonl", records[11:])
    plans = [
        Advisor.from_config(None, state=tmp_path / f"s{i}").run([p]).plan for i, p in enumerate((one, folder))
    ]
    assert plans[0] == plans[1]
    twice = Advisor.from_config(None, state=tmp_path / "s3").run([one, folder])
    assert twice.plan == plans[0]
    assert twice.counts.duplicates == 30


def test_workers_change_nothing_but_the_time(tmp_path):
    log = write(tmp_path / "log.jsonl", [row(i, good=i % 3 > 0) for i in range(700)])
    results = [Advisor.from_config(None, state=tmp_path / f"s{n}", workers=n).run([log]) for n in (1, 2)]
    assert results[0].plan == results[1].plan
    assert results[0].issues == results[1].issues
    assert results[0].examples == results[1].examples


def test_a_run_that_is_killed_leaves_the_run_before(advisor, tmp_path):
    log = write(tmp_path / "log.jsonl", [row(i, good=False) for i in range(5)])
    first = advisor.run([log])

    def stop(counts, done):
        raise KeyboardInterrupt

    write(log, [row(i, good=False) for i in range(2000)])
    with pytest.raises(KeyboardInterrupt):
        advisor.run([log], on_progress=stop)
    from advisor.state import opened

    with opened(tmp_path / "state") as state:
        assert state.issue(first.issues[0].id) == first.issues[0]


def test_labels_of_a_file_and_of_the_state_calibrate_together(tmp_path):
    log = write(tmp_path / "log.jsonl", [row(i, good=i % 2 > 0) for i in range(80)])
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "id,gaps\n" + "".join(f"resp-{i},{'good' if i % 2 else 'style'}\n" for i in range(70)),
        encoding="utf-8",
    )
    plain = Advisor.from_config(None, state=tmp_path / "s").run([log])
    assert "uncalibrated" in plain.calibration and not plain.plan.calibrated
    told = Advisor.from_config(None, state=tmp_path / "s", labels=labels).run([log])
    assert told.calibration == "calibrated on 70 labels (35 failed, 35 good)"
    assert told.plan.calibrated
    assert {e.diagnosis.calibrated for e in told.examples.values()} == {True}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("labels", "id,gaps\nx,stile\n", r"labels:2|f.csv:2: unknown gap stile"),
        ("labels", "name,gaps\nx,style\n", r"f.csv:2: needs the columns id and gaps"),
        ("labelled", "text\nx\n", r"needs the columns text and label"),
    ],
)
def test_a_faulty_file_of_the_operator_is_named_with_line_and_mend(tmp_path, name, text, said):
    path = tmp_path / "f.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        Advisor.from_config(None, state=tmp_path / "s", **{name: path}).run(
            [write(tmp_path / "l.jsonl", [row(1)])]
        )


def test_documents_that_are_not_there_are_an_error_at_once(tmp_path):
    with pytest.raises(InputError, match=r"documents: .*nowhere"):
        Advisor.from_config(None, documents=(tmp_path / "nowhere",))


def test_one_exchange_can_be_diagnosed_alone(advisor, tmp_path):
    exchanges = list(read([write(tmp_path / "log.jsonl", [row(1, good=False), row(2)])]))
    by_failed = {d.is_failure: d for d in advisor.diagnose(exchanges)}
    assert by_failed[True].named == ("style",)
    assert by_failed[False].named == ()


class Oracle:
    """A judge that says of every open exchange that it failed."""

    def __init__(self):
        self.cache, self.asked = {}, []

    def vote(self, exchange: Exchange, diagnosis):
        self.asked.append(exchange.id)
        return (
            (Evidence(check="judge.vote", gap="knowledge", strength=1.0, note="It did."),)
            if diagnosis.is_open
            else ()
        )


def test_a_judge_is_asked_only_of_what_is_left_open(advisor, tmp_path):
    advisor._judge = judge = Oracle()
    rated = row(1, rating=-1, question="hi")
    exchanges = list(read([write(tmp_path / "log.jsonl", [row(2, good=False), rated])]))
    found = {e.question: advisor.diagnose_one(e) for e in exchanges}
    firm = [e for e in exchanges if e.question != "hi"]
    assert not set(judge.asked) & {e.id for e in firm}
    assert all("judge.vote" not in {v.check for v in found[e.question].evidence} for e in firm)


def test_importing_advisor_refuses_a_shadowed_sibling(tmp_path, monkeypatch):
    (tmp_path / "rag").mkdir()
    (tmp_path / "rag" / "__init__.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [m for m in sys.modules if m == "rag" or m.startswith("rag.")]:
        monkeypatch.delitem(sys.modules, name)
    from advisor import _refuse_shadowed_siblings

    with pytest.raises(ImportError, match="`rag` resolves to"):
        _refuse_shadowed_siblings()
