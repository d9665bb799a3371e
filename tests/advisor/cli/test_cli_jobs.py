"""`advise jobs` against the double of OpenAI: shown, waited for, stopped; a failing provider is told of, not crashed on."""

import json

import pytest

from advisor.cli import main
from finetune import datasets
from finetune.datasets import split
from finetune.doubles.course import Course
from finetune.doubles.faults import status
from finetune.doubles.openai import OpenAIDouble
from finetune.examples import Example
from finetune.jobs import Estimate
from finetune.ordering import Ordering
from finetune.recipe import Recipe

pytest.importorskip("openai")


@pytest.fixture
def double(monkeypatch):
    with OpenAIDouble() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        yield running


@pytest.fixture
def key(tmp_path, double):
    examples = (
        Example(
            messages=({"role": "user", "content": f"Question {n}?"}, {"role": "assistant", "content": f"Answer {n}."}),
            group=f"g{n}", origin="file", source=f"f:{n}",
        )
        for n in range(40)
    )  # fmt: skip
    folder = datasets.save(split(examples), tmp_path / "datasets")
    jobs = Ordering(tmp_path / "state").jobs
    return jobs.write(
        Recipe(base="openai:gpt-4.1-mini"), folder, cap_usd=1, estimate=Estimate(low=0.01, high=0.5)
    ).key


def advise(capsys, tmp_path, *args):
    code = main(["jobs", "--state", str(tmp_path / "state"), *args])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_no_jobs_yet(capsys, tmp_path):
    assert advise(capsys, tmp_path) == (0, "no jobs yet; `advise finetune` makes one\n", "")


def test_a_job_is_sent_shown_and_waited_for(capsys, tmp_path, key, double):
    code, out, _ = advise(capsys, tmp_path, key[:8])
    assert code == 0 and f"{key}  written" in out and f"advise jobs --send {key}" in out
    code, out, _ = advise(capsys, tmp_path, "--send", key)
    assert code == 0 and "running (validating_files)" in out and "there: ftjob-000001" in out
    code, out, _ = advise(capsys, tmp_path, "--wait", "--every", "0")
    assert code == 0 and "succeeded" in out and "ft:gpt-4.1-mini" in out
    code, out, _ = advise(capsys, tmp_path, key)
    assert "estimated $0.01 to $0.50, cap $1.00; $" in out and "tokens by the provider's count" in out
    assert "checkpoint openai:ft:" in out and "advise release make --model openai:ft:" in out
    code, out, _ = advise(capsys, tmp_path, key, "--json")
    told = json.loads(out)[0]
    assert (
        told["state"] == "succeeded" and told["cost_usd"] == pytest.approx(double.bill_usd) and told["events"]
    )
    assert len(double.jobs) == 1


def test_pause_resume_cancel(capsys, tmp_path, key, double):
    double.course = Course(stuck_at="queued")
    advise(capsys, tmp_path, "--send", key)
    assert "paused" in advise(capsys, tmp_path, "--pause", key)[1]
    assert "running" in advise(capsys, tmp_path, "--resume", key)[1]
    assert "cancelled" in advise(capsys, tmp_path, "--cancel", key)[1]
    code, out, err = advise(capsys, tmp_path, "--cancel", key)
    assert (code, out) == (2, "") and "is over (cancelled)" in err
    assert advise(capsys, tmp_path, "--wait")[0] == 1


def test_a_cancel_that_comes_too_late_is_told_and_the_job_is_shown_as_it_ended(capsys, tmp_path, key, double):
    double.course = Course(cancel_race=True)
    advise(capsys, tmp_path, "--send", key)
    code, _, err = advise(capsys, tmp_path, "--cancel", key)
    assert code == 2 and "the job is over: succeeded" in err
    assert "succeeded" in advise(capsys, tmp_path, "--offline")[1]


def test_a_provider_that_cannot_be_asked_is_told_of(capsys, tmp_path, key, double):
    advise(capsys, tmp_path, "--send", key)
    double.script("GET /fine_tuning/jobs/{id}", [status(500)] * 9)
    code, out, err = advise(capsys, tmp_path)
    assert code == 0 and f"{key}  running" in out and "shown as it was known last" in err


def test_a_wrong_key_is_told(capsys, tmp_path):
    code, _, err = advise(capsys, tmp_path, "nothing")
    assert code == 2 and "no job with key 'nothing'" in err
