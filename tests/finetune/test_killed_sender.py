"""kill -9 at every step of sending, by a real process against the double: the next process ends with one job."""

import signal
import subprocess
import sys
import textwrap

import pytest
from planted_datasets import good, made

from finetune import datasets
from finetune.datasets import Dataset
from finetune.doubles.openai import OpenAIDouble

pytest.importorskip("openai")

SENDER = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from finetune.backends.openai import OpenAI
    from finetune.jobs import Jobs
    from finetune.recipe import Recipe

    state, dataset, url, step = sys.argv[1:5]
    left = [int(step)]

    def here():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    class Watched(Jobs):
        def _set(self, key, **values):
            here()
            super()._set(key, **values)
            here()

        def _noting(self, key):
            note = super()._noting(key)

            def watched(name, value):
                here()
                note(name, value)
                here()

            return watched

    jobs = Watched(Path(state), backends=lambda name: OpenAI(base_url=url, api_key="any", settle_s=0))
    key = jobs.write(Recipe(base="openai:gpt-4.1-mini"), Path(dataset)).key
    jobs.submit(key)
    print(left[0], jobs.wait(key, every_s=0).state)
""")


def send(tmp_path, folder, double, step):
    command = [
        sys.executable,
        "-c",
        SENDER,
        str(tmp_path / f"state-{step}"),
        str(folder),
        double.url,
        str(step),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
def test_killed_at_every_step_of_sending(tmp_path):
    folder = datasets.save(
        Dataset(train=tuple(good(12)), validation=(made(99, part="v"),)), tmp_path / "datasets"
    )
    step = 0
    while True:
        step += 1
        with OpenAIDouble() as double:
            killed = send(tmp_path, folder, double, step)
            if killed.returncode == 0:
                break
            assert killed.returncode == -signal.SIGKILL, killed.stderr
            assert len(double.jobs) <= 1
            done = subprocess.run(
                [sys.executable, "-c", SENDER, str(tmp_path / f"state-{step}"), str(folder), double.url, "-1"],
                capture_output=True, text=True, check=False, timeout=120,
            )  # fmt: skip
            assert done.stdout.split()[-1:] == ["succeeded"], done.stderr
            assert len(double.jobs) == 1, f"killed at step {step}"
            assert double.asked("POST /fine_tuning/jobs") == 1
            assert len({f["object"]["filename"] for f in double.files.values()}) == 3
    assert step > 10


def test_killed_between_the_answer_and_its_row(tmp_path):
    """The one moment that costs money: the job is there, and nothing here says so."""
    folder = datasets.save(Dataset(train=tuple(good(12))), tmp_path / "datasets")
    with OpenAIDouble() as double:
        # sending, uploading and uploaded, posting, each noted before and after: the ninth is after the post.
        killed = send(tmp_path, folder, double, 9)
        assert killed.returncode == -signal.SIGKILL and len(double.jobs) == 1
        done = subprocess.run(
            [sys.executable, "-c", SENDER, str(tmp_path / "state-9"), str(folder), double.url, "-1"],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.stdout.split()[-1:] == ["succeeded"], done.stderr
        assert len(double.jobs) == 1 and double.asked("POST /fine_tuning/jobs") == 1
