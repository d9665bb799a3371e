"""The shipped examples call what there is."""

import shlex
from pathlib import Path

import pytest
import yaml

from advisor.cli import VERBS, main

ROOT = Path(__file__).parents[2]


def test_the_workflow_runs_verbs_that_exist(capsys):
    flow = yaml.safe_load((ROOT / "examples/github/advise.yml").read_text(encoding="utf-8"))
    lines = [step["run"] for job in flow["jobs"].values() for step in job["steps"] if "run" in step]
    commands = [shlex.split(line) for line in lines if line.startswith("advise ")]
    assert commands
    for _, verb, *rest in commands:
        assert verb in VERBS
        with pytest.raises(SystemExit):
            main([verb, "--help"])
        told = capsys.readouterr().out
        assert all(option in told for option in rest if option.startswith("--"))


def test_the_workflow_keeps_the_state_where_a_condition_tripped():
    """`actions/cache` saves only after a job that went well, and `advise run` exits with 1 where `run.fail_on` holds."""
    flow = yaml.safe_load((ROOT / "examples/github/advise.yml").read_text(encoding="utf-8"))
    steps = flow["jobs"]["advise"]["steps"]
    (ran,) = (n for n, step in enumerate(steps) if step.get("run", "").startswith("advise run"))
    (restored, kept) = ((n, s) for n, s in enumerate(steps) if s.get("uses", "").startswith("actions/cache"))
    assert (restored[1]["uses"], kept[1]["uses"]) == ("actions/cache/restore@v4", "actions/cache/save@v4")
    assert restored[0] < ran < kept[0]
    assert kept[1]["if"] == "always()"
    assert {step["with"]["path"] for _, step in (restored, kept)} == {".advisor"}
    assert restored[1]["with"]["key"] == kept[1]["with"]["key"]
