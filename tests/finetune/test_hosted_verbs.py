"""`advise finetune` and `advise jobs` with providers: plan, dry run, run, deploy, undeploy, listen."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from planted_datasets import made

from advisor.cli import main
from finetune.doubles.course import Course
from finetune.doubles.openai import OpenAIDouble

pytest.importorskip("openai")


@pytest.fixture
def double(monkeypatch):
    with OpenAIDouble() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        yield running


@pytest.fixture
def place(tmp_path, monkeypatch):
    lines = (json.dumps({"messages": list(made(n).messages)}) for n in range(40))
    (tmp_path / "examples.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def advise(capsys, *args):
    code = main(list(args))
    out = capsys.readouterr()
    return code, out.out, out.err


def test_a_plan_tells_the_end_and_the_alternative_and_sends_nothing(capsys, place, double):
    code, out, _ = advise(capsys, "finetune", "plan", "examples.jsonl", "--backend", "openai", "--base", "gpt-4.1-nano", "--cap-usd", "5")  # fmt: skip
    assert (
        code == 1
        and "switched off since 2026-10-23" in out
        and "nearest living alternative: `bedrock:amazon.nova-micro" in out
    )
    assert not double.exchanges


def test_a_dry_run_writes_everything_and_sends_nothing(capsys, place, double):
    code, out, _ = advise(
        capsys, "finetune", "plan", "examples.jsonl", "--backend", "bedrock", "--base", "nova-micro", "--cap-usd", "5", "--out", "dry",
        "--use", "10000,3000,2500,150", "--set", "bucket=mine", "--suffix", "shop",
    )  # fmt: skip
    assert code == 0, out
    assert "against the longer prompt, cached: " in out and "(an estimate)" in out
    assert {p.name for p in (place / "dry").iterdir()} >= {
        "training.jsonl",
        "request.json",
        "policies.json",
        "preflight.json",
    }
    assert "arn:aws:s3:::mine/rightfix/*" in (place / "dry" / "policies.json").read_text()
    assert not double.exchanges


@pytest.mark.parametrize(("option", "value"), [("--use", "1,2"), ("--set", "bucket")])
def test_options_that_cannot_be_read_are_told(capsys, place, option, value):
    code, _, err = advise(
        capsys,
        "finetune",
        "plan",
        "examples.jsonl",
        "--backend",
        "bedrock",
        "--base",
        "nova-micro",
        option,
        value,
    )
    assert code == 2 and option in err


def test_files_beside_a_dataset_are_not_left_out_in_silence(capsys, place):
    (place / "made").mkdir()
    for given in (["made", "examples.jsonl"], ["examples.jsonl", "made"]):
        code, _, err = advise(capsys, "finetune", "plan", *given)
        assert code == 2 and err.splitlines()[-1].endswith("made: a dataset is trained on as it is; leave out further files, --replay and --held-out, or name files only")  # fmt: skip


def test_a_run_makes_one_job_and_waits_for_it(capsys, place, double):
    azure = (
        "--backend",
        "openai",
        "--base",
        "gpt-4.1-mini",
        "--cap-usd",
        "5",
        "--force",
        "--set",
        "n_epochs=2",
    )
    code, out, err = advise(capsys, "finetune", "run", "examples.jsonl", *azure)
    assert code == 0, err
    assert "ft:gpt-4.1-mini-2025-04-14" in out
    code, _, _ = advise(capsys, "finetune", "run", "examples.jsonl", *azure)
    assert code == 0 and len(double.jobs) == 1
    assert next(iter(double.jobs.values()))["hyperparameters"]["n_epochs"] == 2


def test_all_open_jobs_are_held_to_the_cap_of_the_settings(capsys, place, double):
    (place / "advisor.yaml").write_text("train: {open_cap_usd: 0.005}\n", encoding="utf-8")
    run = (
        "finetune",
        "run",
        "examples.jsonl",
        "--backend",
        "openai",
        "--base",
        "gpt-4.1-mini",
        "--cap-usd",
        "5",
        "--force",
    )
    code, _, err = advise(capsys, *run)
    assert code == 2 and "more than the cap of $0.01 over all" in err and not double.jobs


def test_a_file_of_rows_in_the_state_folder_counts(capsys, place, double):
    (place / ".advisor").mkdir()
    (place / ".advisor" / "catalog.yaml").write_text(
        "- {provider: openai, model: gpt-4.1-mini-2025-04-14, method: supervised, trian_usd: 7}\n"
    )
    code, _, err = advise(
        capsys, "finetune", "plan", "examples.jsonl", "--backend", "openai", "--base", "gpt-4.1-mini"
    )
    assert code == 2 and "did you mean `train_usd`" in err
    (place / ".advisor" / "catalog.yaml").write_text(
        "- {provider: openai, model: gpt-4.1-mini-2025-04-14, method: supervised, train_usd: 7, served_until: 2099-01-01, create_until: 2098-01-01}\n"
    )
    code, out, _ = advise(
        capsys,
        "finetune",
        "plan",
        "examples.jsonl",
        "--backend",
        "openai",
        "--base",
        "gpt-4.1-mini",
        "--cap-usd",
        "5",
    )
    assert code == 0 and "at $7 a million" in out


def test_a_model_is_deployed_listed_and_undeployed(capsys, place, monkeypatch):
    pytest.importorskip("moto.server")
    pytest.importorskip("boto3")
    from aws_place import account, moto

    with moto() as address, account(address, monkeypatch) as double:
        run = (
            "finetune",
            "run",
            "examples.jsonl",
            "--backend",
            "bedrock",
            "--base",
            "nova-micro",
            "--cap-usd",
            "5",
        )
        code, out, err = advise(capsys, *run)
        assert code == 0, err
        key = out.split()[1].rstrip(":")
        for _ in range(2):
            code, out, err = advise(capsys, "jobs", "--deploy", key)
            assert (
                code == 0
                and "$1.95 a month while nobody asks" in out
                and "bedrock:arn:aws:bedrock:us-east-1" in out
            )
        assert len(double.serving.deployments) == 1
        name = out.split()[0]
        code, out, _ = advise(capsys, "jobs", "--deployments", "--json")
        assert code == 0 and json.loads(out)[0]["name"] == name
        code, _, err = advise(capsys, "jobs", "--deploy", key, "--units", "1")
        assert code == 2 and "cost an unknown sum a month" in err
        code, out, _ = advise(capsys, "jobs", "--undeploy", name)
        assert code == 0 and "deleted" in out and not double.serving.deployments
        assert advise(capsys, "jobs", "--deployments") == (0, "nothing of ours serves here\n", "")


def test_webhooks_are_listened_to(place, double):
    double.course = Course()
    environment = {**os.environ, "OPENAI_WEBHOOK_SECRET": double.sender.secret}
    command = [
        sys.executable,
        "-c",
        "import sys; from advisor.cli import main; sys.exit(main(['jobs', '--listen', '0']))",
    ]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=place) as process:
        try:
            address = process.stderr.readline().split()[3].rstrip(";")
            body, headers = double.sender.event("fine_tuning.job.succeeded", "ftjob-1")
            request = urllib.request.Request(address, data=body, headers=headers, method="POST")
            assert urllib.request.urlopen(request, timeout=10).status == 200
            with pytest.raises(urllib.error.HTTPError) as told:
                urllib.request.urlopen(
                    urllib.request.Request(address, data=body + b" ", headers=headers, method="POST"),
                    timeout=10,
                )
            told.value.close()
            assert told.value.code == 400
        finally:
            process.kill()


def test_listening_wants_a_secret(capsys, place, monkeypatch):
    monkeypatch.delenv("OPENAI_WEBHOOK_SECRET", raising=False)
    code, _, err = advise(capsys, "jobs", "--listen", "0")
    assert code == 2 and "OPENAI_WEBHOOK_SECRET" in err
