"""Ranks: how many there are, that they end with the first however it ends, and what is said where they cannot train together."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from made_examples import example

from finetune import ranks, train
from finetune.backends.local import Local
from finetune.backends.port import JobRefused
from finetune.datasets import save, split
from finetune.jobs import Jobs
from finetune.progress import read
from finetune.recipe import Recipe

# Rank 0 writes the others' ids; the others follow and sleep, or end as they are told.
FIRST = """
import os, sys, time
from pathlib import Path
from finetune import ranks
folder = Path(sys.argv[1])
def lost(message):
    (folder / "lost").write_text(message or "killed")
    os._exit(1)
with ranks.together(3, (sys.executable, "-c", OTHER, str(folder)), lost):
    assert os.environ["RANK"] == "0" and os.environ["WORLD_SIZE"] == "3"
    while not (folder / "end").exists():
        time.sleep(0.01)
assert "RANK" not in os.environ
"""
OTHER = """
import os, sys, time
from pathlib import Path
from finetune import ranks
ranks.follow()
assert os.environ["RANK"] == os.environ["LOCAL_RANK"] == sys.argv[2] and os.environ["MASTER_PORT"]
(Path(sys.argv[1]) / f"pid{sys.argv[2]}").write_text(str(os.getpid()))
while not (Path(sys.argv[1]) / "fail").exists():
    time.sleep(0.01)
print("noise")
print(f"rank {sys.argv[2]} has no memory", flush=True)
sys.exit(1)
"""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and ") Z" in state.read_text(encoding="utf-8"))


def until(what, *, most_s=30):
    end = time.monotonic() + most_s
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def three(tmp_path):
    """A running group: rank 0, and the ids of the other two."""
    script = f"OTHER = {OTHER!r}\n{textwrap.dedent(FIRST)}"
    first = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    files = [tmp_path / "pid1", tmp_path / "pid2"]
    until(lambda: all(f.exists() and f.read_text() for f in files))
    yield first, [int(f.read_text()) for f in files]
    first.kill()
    first.wait()


def test_the_others_end_with_the_first(three, tmp_path):
    first, others = three
    for other in others:
        os.kill(other, signal.SIGTERM)  # what stops a whole group is heard by the first alone
    (tmp_path / "end").touch()
    assert first.wait(30) == 0
    assert not any(map(alive, others)) and not (tmp_path / "lost").exists()


def test_no_orphan_is_left_where_the_first_is_killed(three):
    first, others = three
    first.kill()
    first.wait()
    until(lambda: not any(map(alive, others)))
    assert not any(map(alive, others))


def test_a_killed_one_takes_all_with_it(three, tmp_path):
    first, others = three
    os.kill(others[0], signal.SIGKILL)
    assert first.wait(30) == 1
    until(lambda: not any(map(alive, others)))
    assert (tmp_path / "lost").read_text() == "killed"


def test_why_one_failed_is_told(three, tmp_path):
    first, _ = three
    (tmp_path / "fail").touch()
    assert first.wait(30) == 1
    assert (tmp_path / "lost").read_text().endswith("has no memory")


@pytest.mark.parametrize(
    ("batch_size", "gpus", "extra", "found"),
    [
        (8, 0, {}, 1), (8, 1, {}, 1), (8, 4, {}, 4), (6, 4, {}, 3), (4, 8, {}, 4), (7, 4, {}, 1), (8, 8, {"processes": 2}, 2),
        (8, 0, {"processes": 2}, 2), (8, 8, {"processes": 1}, 1), (4, 2, {"sharded": True}, 2),
    ],
)  # fmt: skip
def test_as_many_as_share_every_batch_equally(batch_size, gpus, extra, found):
    assert ranks.count(Recipe(base="local:x", extra=extra), batch_size=batch_size, gpus=gpus) == found


@pytest.mark.parametrize(
    ("recipe", "batch_size", "gpus", "told"),
    [
        ({"extra": {"processes": 4}}, 8, 2, "4 processes are asked for, and this machine has 2 GPUs; set extra.processes to 2 or less"),
        ({"extra": {"processes": 2}}, 8, 1, "this machine has 1 GPU;"),
        ({"extra": {"processes": 4}}, 6, 8, "batch_size 6 is not divisible by 4 processes; set batch_size to 8, or extra.processes to 3"),
        ({"extra": {"processes": "all"}}, 8, 2, "processes is 'all'; set extra.processes to a whole number"),
        ({"extra": {"processes": 0}}, 8, 2, "processes is 0"),
        ({"extra": {"sharded": True}}, 8, 1, "sharded needs several GPUs"),
        ({"extra": {"sharded": True}, "weights": "qlora"}, 8, 2, "4-bit weights are not sharded; take extra.sharded out"),
    ],
)  # fmt: skip
def test_what_cannot_be_shared_is_said_in_one_line(recipe, batch_size, gpus, told):
    with pytest.raises(JobRefused) as raised:
        ranks.count(Recipe(base="local:x", **recipe), batch_size=batch_size, gpus=gpus)
    assert told in str(raised.value) and "\n" not in str(raised.value)


def test_more_processes_than_gpus_is_refused_before_anything_is_loaded(tmp_path, monkeypatch):
    pytest.importorskip("trl")
    pytest.importorskip("gguf")
    import tiny_base

    from finetune import training, weights

    monkeypatch.setattr(weights, "gpus", lambda: 2)
    monkeypatch.setattr(training, "train", lambda *_: pytest.fail("it was trained"))
    base = tiny_base.folder(tmp_path / "base")
    data = save(split(example(n) for n in range(40)), tmp_path / "datasets")
    folder = tmp_path / "jobs/j"
    recipe = Recipe(base=f"local:{base}", extra={"processes": 4})
    train.write_job(folder, key="j", recipe=recipe, dataset=data, adapters=tmp_path / "adapters")
    assert train.main([str(folder)]) == 1
    assert read(folder).message == (
        "4 processes are asked for, and this machine has 2 GPUs; set extra.processes to 2 or less"
    )
    jobs = Jobs(tmp_path / "state", backends=lambda name: Local())
    key = jobs.write(Recipe(base=f"local:{base}", extra={"processes": "two"}), data).key
    with pytest.raises(JobRefused, match="processes is 'two'"):
        jobs.submit(key)


@pytest.mark.parametrize(
    ("batch_size", "ranks", "least", "found"),
    [(8, 1, 1, 1), (8, 2, 1, 1), (8, 2, 2, 2), (8, 2, 3, 4), (8, 2, 9, 4), (6, 1, 4, 6), (6, 2, 0, 1)],
)
def test_parts_times_ranks_times_examples_is_the_batch(batch_size, ranks, least, found):
    pytest.importorskip("accelerate")
    from finetune.batches import accumulation

    assert accumulation(batch_size, ranks, least) == found
    assert batch_size // ranks % found == 0
