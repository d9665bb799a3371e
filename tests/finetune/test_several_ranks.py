"""Two ranks, on the processor by gloo: they come to what one comes to, one of them speaks, and they stop and die together."""

import os
import signal
import subprocess
import sys
import time

import made_jobs
import pytest
from test_ranks import alive, until

from finetune.adapters import Adapters
from finetune.progress import CANCEL, Progress, read
from finetune.recipe import Recipe
from rag.local_models import sha256_of

pytest.importorskip("trl")
pytest.importorskip("bitsandbytes")

# Loaded by every process at its start: notes which rank tells how the job stands.
NOTES = """
import os
from finetune import progress
def write(text, path, inner=progress.write):
    with open(os.environ["TOLD_BY"], "a") as file:
        file.write(os.environ.get("RANK", "0") + "\\n")
    inner(text, path)
progress.write = write
"""


# Loaded likewise: accelerate shards on GPUs only unless it is told that it does; torch shards on the processor too.
SHARDS = """
import sys
if "finetune.train" in sys.orig_argv:
    from accelerate import state
    from accelerate.utils import DistributedType
    from finetune import weights
    def init(self, *given, inner=state.AcceleratorState.__init__, fsdp_plugin=None, **named):
        inner(self, *given, fsdp_plugin=fsdp_plugin, **named)
        if fsdp_plugin is not None:
            self.fsdp_plugin = fsdp_plugin
            self.distributed_type = state.PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    state.AcceleratorState.__init__ = init
    weights.gpus = lambda: 2
"""


def job(place, base, data, *, processes=2, extra=None, **more):
    extra = {"processes": processes, **(extra or {})}
    return made_jobs.job(place, base, data, extra=extra, **{"epochs": 2, **more})


def begun(folder, **environment):
    with (folder / "train.log").open("ab") as log:
        command = [sys.executable, "-m", "finetune.train", str(folder)]
        return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})


def done(folder, **environment):
    begun(folder, **environment).wait()
    found = read(folder)
    assert found.stage == "succeeded", (found, (folder / "train.log").read_text()[-3000:])
    return found


def at_step(folder, process, step):
    """Wait until a training is there, and return the id of its second rank."""
    while (read(folder) or Progress(stage="starting")).step < step:
        assert process.poll() is None, (folder / "train.log").read_text()[-3000:]
        time.sleep(0.005)
    (other,) = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True
    ).stdout.split()
    return int(other)


def made(folder):
    adapters = Adapters(folder.parent.parent / "adapters")
    (found,) = adapters.all()
    return sha256_of(adapters.path(found.id) / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def two(tmp_path_factory, base, data):
    """What two ranks made, undisturbed, and who told of it."""
    place = tmp_path_factory.mktemp("two")
    (place / "sitecustomize.py").write_text(NOTES)
    folder = job(place, base, data)
    path = os.pathsep.join([str(place), *filter(None, sys.path)])
    return folder, done(folder, PYTHONPATH=path, TOLD_BY=str(place / "told")), place / "told"


@pytest.mark.slow
def test_two_come_to_what_one_comes_to_and_one_tells_of_it(tmp_path, base, data, two):
    folder, together, told = two
    alone = done(job(tmp_path, base, data, processes=1))
    for name in ("held_loss", "first_held_loss", "train_loss", "steps", "best_step"):
        assert together.metrics[name] == pytest.approx(alone.metrics[name], rel=1e-5), name
    assert made(folder)  # one adapter is registered
    assert set(told.read_text().split()) == {"0"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [{"objective": "dpo"}, {"weights": "full", "extra": {"accumulate": 2}}, {"weights": "qlora"}],
    ids=str,
)
def test_so_with_every_method(tmp_path, base, data, more):
    two, one = (done(job(tmp_path / str(n), base, data, processes=n, **more)) for n in (2, 1))
    for name in ("held_loss", "first_held_loss", "train_loss", "steps"):
        assert two.metrics[name] == pytest.approx(one.metrics[name], rel=1e-5), name
    assert len(Adapters(tmp_path / "2/adapters").all()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["lora", "full"])
def test_sharded_on_the_processor_it_comes_to_the_same(tmp_path, base, data, weights):
    (tmp_path / "sitecustomize.py").write_text(SHARDS)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    two = done(job(tmp_path / "2", base, data, weights=weights, extra={"sharded": True}), PYTHONPATH=path)
    one = done(job(tmp_path / "1", base, data, processes=1, weights=weights))
    for name in ("held_loss", "first_held_loss", "train_loss", "steps"):
        assert two.metrics[name] == pytest.approx(one.metrics[name], rel=1e-5), name
    sizes = [
        {f.name: f.stat().st_size for f in (tmp_path / n / "adapters").rglob("*.safetensors")} for n in "12"
    ]
    assert sizes[0] == sizes[1] and sizes[0], "what is kept is whole"


@pytest.mark.slow
def test_whichever_is_killed_all_are_gone_and_it_comes_to_the_same_weights(tmp_path, base, data, two):
    folder = job(tmp_path, base, data)
    for step, which in ((7, "second"), (12, "first")):
        process = begun(folder)
        other = at_step(folder, process, step)
        os.kill(process.pid if which == "first" else other, signal.SIGKILL)
        process.wait(60)
        until(lambda other=other: not alive(other))
        assert read(folder).stage == "training"
    done(folder)
    assert made(folder) == made(two[0])


@pytest.mark.slow
def test_all_stop_at_the_same_step_and_go_on_or_stop_for_good(tmp_path, base, data):
    folder = job(tmp_path, base, data, epochs=60)
    process = begun(folder)
    other = at_step(folder, process, 4)
    os.kill(other, signal.SIGTERM)  # not for it to decide
    process.terminate()
    assert process.wait(60) == 0 and not alive(other)
    paused = read(folder)
    assert paused.stage == "paused"
    assert (folder / f"checkpoints/checkpoint-{paused.step}/rng_state_1.pth").is_file()
    process = begun(folder)
    other = at_step(folder, process, paused.step + 3)
    (folder / CANCEL).touch()
    assert process.wait(60) == 0 and not alive(other)
    assert read(folder).stage == "cancelled" and not (folder / "checkpoints").exists()


@pytest.mark.filterwarnings("ignore:.gradient_checkpointing. is deprecated:FutureWarning")
def test_sharding_is_what_the_trainer_understands(tmp_path, monkeypatch):
    accelerate = pytest.importorskip("accelerate")
    from trl import SFTConfig

    from finetune import training
    from finetune.defaults import settle

    recipe = Recipe(base="local:x", batch_size=8, extra={"sharded": True, "checkpointing": True})
    ways = training.Ways(folder=tmp_path, cache=tmp_path, tell=print, stop=bool, ranks=2)
    given = training._arguments(recipe, settle(recipe, parameters=10**9, examples=40), ways, 64, judged=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    config = SFTConfig(**given)
    assert config.per_device_train_batch_size * 2 * config.gradient_accumulation_steps == 8
    assert not config.gradient_checkpointing, "sharding computes them twice in its own way"
    plugin = accelerate.FullyShardedDataParallelPlugin(**config.fsdp_plugin_args)
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True
    assert "FULL_STATE_DICT" in str(plugin.state_dict_type) and plugin.activation_checkpointing is True
    assert "transformer_auto_wrap_policy" in str(plugin.auto_wrap_policy)


@pytest.mark.parametrize("adapter", [True, False])
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_what_was_sharded_is_put_together(base, adapter):
    import torch
    from peft import get_peft_model

    from finetune import weights
    from finetune.bases import find

    own = find(f"local:{base}")
    trained = weights.model(own)
    if adapter:
        trained = get_peft_model(trained, weights.lora(rank=2, alpha=4, dropout=0.0))
    for value in trained.parameters():
        torch.nn.init.normal_(value.data, std=0.1)
    whole = weights.gathered(trained, trained.state_dict(), weights.model(own))
    asked = {"input_ids": torch.arange(3, 13).reshape(1, -1)}
    assert torch.equal(whole.eval()(**asked).logits, trained.eval()(**asked).logits)


@pytest.mark.gpu
@pytest.mark.parametrize("more", [{}, {"extra": {"sharded": True}}, {"weights": "full", "extra": {"sharded": True}}, {"weights": "qlora"}], ids=str)  # fmt: skip
def test_two_gpus_come_to_what_one_comes_to(tmp_path, base, data, more):
    import torch

    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    alone = {name: value for name, value in more.items() if name != "extra"}
    two = done(job(tmp_path / "two", base, data, **more))
    one = done(job(tmp_path / "one", base, data, processes=1, **alone))
    for name in ("held_loss", "first_held_loss"):
        assert two.metrics[name] == pytest.approx(one.metrics[name], rel=1e-2), name
    assert len(Adapters(tmp_path / "two/adapters").all()) == 1
