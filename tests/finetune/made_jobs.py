"""Jobs of the trainer on a model of two layers, for the tests that run it for real."""

import os
import signal
import subprocess
import sys
import time

from made_examples import example

from finetune import train
from finetune.datasets import save, split
from finetune.progress import Progress, read
from finetune.recipe import Recipe


def pairs(folder):
    """Write 27 examples to learn and 5 to look at: in fours, the last batch of each is not whole."""
    made = (example(n, rejected={"role": "assistant", "content": "No."}) for n in range(40))
    return save(split(made), folder)


def job(place, base, data, *, extra=None, **more):
    """Write a job down in `place/jobs/j` and return that folder; what it makes comes into `place/adapters`."""
    recipe = Recipe(base=f"local:{base}", extra={"look_every": 5, **(extra or {})}, **more)
    train.write_job(place / "jobs/j", key="j", recipe=recipe, dataset=data, adapters=place / "adapters")
    return place / "jobs/j"


def run(folder, *, kill_at=None):
    """Train in a process of its own, killed at a step if one is named, and return how it stands then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "finetune.train", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if kill_at is not None:
        while (read(folder) or Progress(stage="starting")).step < kill_at:
            assert process.poll() is None, process.communicate()[0].decode()[-2000:]
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return read(folder)
