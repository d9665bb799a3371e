"""Training here: started once, outlives its starter, told of, stopped, taken up again; adapters kept whole."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_examples import example

from finetune.adapters import AdapterMissing, Adapters
from finetune.backends.local import Local
from finetune.backends.port import JobRefused
from finetune.datasets import save, split
from finetune.defaults import settle
from finetune.jobs import Jobs
from finetune.ordering import AsyncOrdering, Ordering
from finetune.progress import Progress, read, tell
from finetune.recipe import Recipe
from finetune.starting import Running

# A trainer whose steps are short: it holds the lock, counts, and stops as the real one does.
TRAINER = """
import os, signal, sys, time
from pathlib import Path
from finetune.progress import Progress, read, tell
from rag.locks import Locked, exclusive
folder = Path(sys.argv[1])
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
try:
    with exclusive(folder / "train.lock", wait_s=5):
        (folder / "pid").write_text(str(os.getpid()))
        with (folder / "starts").open("a") as f:
            f.write("x")
        before = read(folder)
        for step in range(before.step if before else 0, STEPS):
            time.sleep(0.02)
            tell(folder, Progress(stage="training", step=step + 1, steps=STEPS, loss=1.0, left_s=1.0))
            if stop:
                tell(folder, Progress(stage="cancelled" if (folder / "cancel").exists() else "paused", step=step + 1, steps=STEPS))
                sys.exit(0)
        tell(folder, Progress(stage="succeeded", step=STEPS, steps=STEPS, model="local:smollm2+abc"))
except Locked:
    pass
"""


def trainer(steps):
    return (sys.executable, "-c", TRAINER.replace("STEPS", str(steps)))


@pytest.fixture
def made(tmp_path, dataset):
    def make(steps=5, command=None):
        jobs = Jobs(tmp_path / "state", backends=lambda name: Local(command=command or trainer(steps)))
        key = jobs.write(Recipe(base="local:smollm2"), dataset).key
        return jobs, key, tmp_path / "state/jobs" / key

    return make


def until(what, *, most_s=20):
    end = time.monotonic() + most_s
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def test_it_is_started_once_however_often_it_is_sent(made):
    jobs, key, folder = made(20)
    jobs.submit(key)
    again = Local(command=trainer(20))
    order = jobs._order(jobs.get(key))
    for _ in range(3):
        again.submit(order, steps={}, note=lambda *_: None, perhaps_sent=True)
    job = Running(jobs=jobs, key=key).wait(every_s=0.05, timeout_s=30)
    assert (job.state, job.model, job.cost_usd) == ("succeeded", "local:smollm2+abc", 0.0)
    assert (folder / "starts").read_text() == "x"
    assert again.submit(order, steps={}, note=lambda *_: None, perhaps_sent=True) == key
    assert (folder / "starts").read_text() == "x"


def test_it_outlives_the_process_that_started_it(made, tmp_path):
    jobs, key, _ = made(40)
    script = f"import sys; sys.path.insert(0, {str(Path.cwd())!r})\nfrom pathlib import Path\nfrom finetune.jobs import Jobs\nfrom finetune.backends.local import Local\n"
    script += f"Jobs(Path({str(tmp_path / 'state')!r}), backends=lambda n: Local(command={trainer(40)!r})).submit({key!r})"
    subprocess.run([sys.executable, "-c", script], check=True)
    job = Running(jobs=jobs, key=key).wait(every_s=0.05, timeout_s=30)
    assert job.state == "succeeded"
    assert job.metrics["step"] == 40


WAITS = {
    "jobs": lambda jobs, state, key: jobs.wait(key, every_s=0.05, timeout_s=30),
    "running": lambda jobs, state, key: Running(jobs=jobs, key=key).wait(every_s=0.05, timeout_s=30),
    "loop": lambda jobs, state, key: asyncio.run(
        AsyncOrdering(Ordering(state, backends=lambda n: Local(command=trainer(60)))).wait(key, every_s=0.05, timeout_s=30)
    ),
}  # fmt: skip


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_killed_one_is_paused_and_taken_up_where_it_was(made, tmp_path, wait):
    jobs, key, folder = made(60)
    jobs.submit(key)
    until(lambda: (read(folder) or Progress(stage="starting")).step >= 5)
    os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
    until(lambda: jobs.poll(key).state == "paused")
    job = jobs.get(key)
    assert job.raw == "died" and "its process died at step" in job.message
    assert wait(jobs, tmp_path / "state", key).state == "succeeded"
    assert (folder / "starts").read_text() == "xx"


def test_one_that_dies_again_and_again_is_taken_up_three_times(made):
    dies = TRAINER.replace("STEPS", "9").replace("if stop:", "if os.kill(os.getpid(), signal.SIGKILL):")
    jobs, key, folder = made(command=(sys.executable, "-c", dies))
    jobs.submit(key)
    job = jobs.wait(key, every_s=0.05, timeout_s=60)
    assert (job.state, job.raw, job.metrics["step"]) == ("paused", "died", 4)
    assert (folder / "starts").read_text() == "xxxx"


def test_it_is_cancelled_while_it_runs_and_when_it_is_dead(made):
    jobs, key, folder = made(500)
    jobs.submit(key)
    until(lambda: (folder / "pid").exists())
    jobs.control(key, "cancel")
    until(lambda: jobs.poll(key).state == "cancelled")
    with pytest.raises(JobRefused, match="is over"):
        jobs.control(key, "resume")
    Local().control(jobs._order(jobs.get(key)), key, "cancel")  # twice is no error
    tell(folder, Progress(stage="training", step=3, steps=9))
    Local().control(jobs._order(jobs.get(key)), key, "cancel")
    assert read(folder).stage == "cancelled"


FAILING = TRAINER.replace(
    "        before = read(folder)\n",
    "        before = read(folder)\n"
    "        if not (folder / 'room').exists():\n"
    "            tell(folder, Progress(stage='failed', step=3, message='No space left on device'))\n"
    "            sys.exit(1)\n",
).replace("STEPS", "5")


@pytest.mark.parametrize("how", ["ordered", "resumed"])
def test_one_that_failed_goes_on_when_it_is_ordered_again_or_resumed(made, dataset, how):
    jobs, key, folder = made(command=(sys.executable, "-c", FAILING))
    jobs.submit(key)
    failed = jobs.wait(key, every_s=0.05)
    assert (failed.state, failed.message) == ("failed", "No space left on device")
    (folder / "room").touch()
    if how == "resumed":
        assert jobs.control(key, "resume").state == "running"
    else:
        again = jobs.write(failed.recipe, dataset)
        assert (again.key, again.state, again.message) == (key, "written", "")
        jobs.submit(key)
    done = jobs.wait(key, every_s=0.05)
    assert (done.state, done.message, (folder / "starts").read_text()) == ("succeeded", "", "xx")
    assert jobs.write(failed.recipe, dataset).state == "succeeded", "what was made is not made again"


def test_paused_is_not_dead(made):
    jobs, key, folder = made(500)
    jobs.submit(key)
    until(lambda: (read(folder) or Progress(stage="starting")).step > 1)
    jobs.control(key, "pause")
    until(lambda: jobs.poll(key).state == "paused")
    assert jobs.get(key).raw == "paused"
    assert len(list(jobs.looks(key))) == 1, "nobody waits for what a person paused"
    assert jobs.control(key, "resume").state == "running"
    jobs.control(key, "cancel")
    until(lambda: jobs.poll(key).state == "cancelled")


def test_what_cannot_be_trained_here_is_said_before_anything_starts(tmp_path, dataset):
    pytest.importorskip("trl")
    pytest.importorskip("gguf")
    pytest.importorskip("trl")
    for recipe, told in (
        (Recipe(base="local:nowhere"), "no base model"),
        (Recipe(base="local:smollm2", objective="rft"), "does not train"),
    ):
        jobs = Jobs(tmp_path / "state")
        job = jobs.write(recipe, dataset)
        with pytest.raises(JobRefused, match=told):
            jobs.submit(job.key)


def test_the_line_of_progress(tmp_path):
    tell(tmp_path, Progress(stage="training", step=3, steps=9, loss=1.5, held_loss=1.25, left_s=200.0))
    assert read(tmp_path).line == "training 3/9, loss 1.500, held-out loss 1.250, 3 min left"
    assert Progress(stage="failed", message="no room").line == "failed, no room"


@pytest.mark.parametrize(
    ("recipe", "parameters", "rate", "rank"),
    [
        (Recipe(base="local:x"), 135e6, 1e-3, 8),
        (Recipe(base="local:x", weights="full"), 135e6, 1e-4, 0),
        (Recipe(base="local:x", objective="dpo"), 7e9, 2e-5, 16),
        (Recipe(base="local:x", weights="qlora"), 65e9, 1e-4, 16),
        (Recipe(base="local:x", rank=4, learning_rate=3e-3), 65e9, 3e-3, 4),
    ],
)  # fmt: skip
def test_defaults_follow_the_size(recipe, parameters, rate, rank):
    found = settle(recipe, parameters=int(parameters), examples=100)
    assert found.learning_rate == pytest.approx(rate) and found.rank == rank
    assert found.steps >= 24 and found.alpha == 2 * rank


def test_few_examples_get_more_passes_but_never_many():
    assert settle(Recipe(base="local:x"), parameters=10**9, examples=8).epochs == 5
    assert settle(Recipe(base="local:x"), parameters=10**9, examples=5000).epochs == 1


def _made(folder, content="a"):
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_text(content)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "training_args.bin").write_text("pickled")
    return folder


ABOUT = {
    "base": "local:smollm2",
    "base_sha256": "b",
    "dataset": "d",
    "recipe": {},
    "recipe_hash": "r",
    "job": "k",
}


def test_an_adapter_is_kept_once_with_where_it_came_from_and_nothing_that_runs(tmp_path):
    adapters = Adapters(tmp_path / "adapters")
    first = adapters.add(_made(tmp_path / "one"), ABOUT)
    assert adapters.add(_made(tmp_path / "two"), ABOUT).id == first.id
    other = adapters.add(_made(tmp_path / "three", "b"), {**ABOUT, "tenant": "acme"})
    (tmp_path / "adapters/byhand").mkdir()
    (tmp_path / "adapters/byhand/provenance.json").write_text('{"base_sha256": "b"}')
    assert [p.id for p in adapters.all()] == [first.id, other.id]
    assert adapters.reference(first) == f"local:smollm2+{first.id}"
    assert sorted(p.name for p in adapters.path(first.id).iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "provenance.json",
    ]
    assert "transformers" in first.versions or not first.versions
    assert adapters.get(other.id[:6]).tenant == "acme"
    assert not adapters.faults(first.id)
    (adapters.path(first.id) / "adapter_model.safetensors").write_text("x")
    assert "was changed" in adapters.faults(first.id)[0]
    adapters.delete(first.id)
    assert [p.id for p in adapters.all()] == [other.id]
    with pytest.raises(AdapterMissing, match="no adapter"):
        adapters.get(first.id)


def test_a_model_that_stands_alone_is_named_by_its_file(tmp_path):
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "model.gguf").write_text("x")
    adapters = Adapters(tmp_path / "adapters")
    found = adapters.add(folder, ABOUT)
    assert not found.is_adapter and adapters.reference(found).endswith(f"{found.id}/model.gguf")


def test_the_trainer_refuses_what_it_cannot_train_in_one_sentence(tmp_path):
    pytest.importorskip("transformers")
    folder = tmp_path / "job"
    from finetune import train

    train.write_job(
        folder,
        key="k",
        recipe=Recipe(base="local:nowhere"),
        dataset=save(split(example(n) for n in range(9)), tmp_path / "d"),
        adapters=tmp_path / "adapters",
    )
    pytest.importorskip("trl")
    assert train.main([str(folder)]) == 1
    found = read(folder)
    assert found.stage == "failed" and found.message.startswith("no base model 'nowhere'")
    assert train.main([str(folder)]) == 0  # what is over is over
    assert train.main([]) == 2
    assert json.loads((folder / "job.json").read_text())["key"] == "k"
