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
