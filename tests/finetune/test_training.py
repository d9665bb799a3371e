"""The trainer itself, on a model of two layers: one seed, one result, also after kill -9; and what llama.cpp is given."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import made_jobs
import pytest
from made_examples import example
from made_jobs import run

from advisor.gate.tuning import parity
from finetune.adapters import Adapters
from finetune.bases import find, shape
from finetune.datasets import load as load_dataset
from finetune.datasets import save, split
from finetune.defaults import settle
from finetune.progress import Progress, read
from finetune.recipe import Recipe
from rag.local_models import sha256_of
from router.models import load

pytest.importorskip("trl")
pytest.importorskip("bitsandbytes")

from finetune import training, weights

pytestmark = [
    pytest.mark.slow,
    # PEFT and TRL ask for names that Transformers has renamed.
    pytest.mark.filterwarnings("ignore:.(is_)?gradient_checkpointing. is deprecated:FutureWarning"),
]


def job(place, base, data, **more):
    return made_jobs.job(place, base, data, **{"epochs": 4, **more})


def weights_of(place):
    adapters = Adapters(place / "adapters")
    (found,) = adapters.all()
    return sha256_of(adapters.path(found.id) / "adapter_model.safetensors"), found


def trained(place, base, data, **more):
    """Train in this process; checkpoints stay in `place/checkpoints`."""
    recipe, known = Recipe(base=f"local:{base}", **more), load_dataset(data)
    settings = settle(recipe, parameters=90624, examples=len(known.train))
    ways = training.Ways(folder=place / "checkpoints", cache=place, tell=lambda _: None, stop=lambda: False)
    return training.train(find(recipe.base), recipe, settings, (known.train, known.validation), ways)


def test_killed_anywhere_it_comes_to_the_same_weights(tmp_path, base, data):
    whole = run(job(tmp_path / "a", base, data))
    assert whole.stage == "succeeded", whole.message
    folder = job(tmp_path / "b", base, data)
    killed = [run(folder, kill_at=step) for step in (3, 12)]
    assert [k.stage for k in killed] == ["training", "training"]
    assert run(folder).stage == "succeeded"
    first, about = weights_of(tmp_path / "a")
    second, _ = weights_of(tmp_path / "b")
    assert first == second
    assert about.metrics["held_loss"] < about.metrics["first_held_loss"]
    assert about.recipe["seed"] == 0 and about.base_sha256 == find(f"local:{base}").hash
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize("more", [{"weights": "qlora"}, {"weights": "full"}, {"objective": "dpo"}], ids=str)
def test_every_method_learns_and_is_kept(tmp_path, base, data, more):
    done = run(job(tmp_path, base, data, **more))
    assert done.stage == "succeeded", done.message
    assert done.metrics["held_loss"] < done.metrics["first_held_loss"]
    (found,) = Adapters(tmp_path / "adapters").all()
    assert found.is_adapter == (more.get("weights") != "full")
    assert not Adapters(tmp_path / "adapters").faults(found.id)


def test_what_learnt_tools_is_served_as_it_learnt_them(tmp_path, base):
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
    calling = {"role": "assistant", "content": None, "tool_calls": [call]}
    made = (replace(e, messages=(*e.prompt, calling), tools=(tool,)) for e in map(example, range(40)))
    done = run(job(tmp_path, base, save(split(made), tmp_path / "datasets"), epochs=20))
    assert done.stage == "succeeded", done.message
    adapters = Adapters(tmp_path / "adapters")
    (found,) = adapters.all()
    assert found.tools_in_text
    served, bare = (load(f"hf:{base}{which}", adapters=adapters.folder) for which in (f"+{found.id}", ""))
    seen = parity(served, bare, adapters.probes(found.id))
    assert seen.n == 16 and seen.same == 1.0, str(seen)


def test_a_longest_example_is_refused_and_not_cut(tmp_path, base, data):
    done = run(job(tmp_path, base, data, max_tokens=20))
    assert done.stage == "failed"
    assert "more than the 20 of max_tokens; it is not cut" in done.message
    assert done.message.endswith("raise max_tokens, or take long examples out")


def test_the_limit_is_the_context_of_the_base(tmp_path, base, data):
    other = tmp_path / "other"
    shutil.copytree(base, other)
    for context in (64, 16000):
        config = json.loads((other / "config.json").read_text()) | {"max_position_embeddings": context}
        (other / "config.json").write_text(json.dumps(config))
        assert weights.tokenizer(find(f"local:{other}")).model_max_length == context
    long = replace(example(0), messages=({"role": "user", "content": "x" * 9000}, *example(0).messages[1:]))
    tok = weights.tokenizer(find(f"local:{other}"))
    assert training._tables(Recipe(base="local:x"), ([long], []), tok)[1] > 9000, (
        "longer than any cap of ours"
    )
    tok.model_max_length = 64
    for most in (None, 20, 100_000):
        with pytest.raises(
            training.TrainingFailed, match=r"more than the 64 of the base's context.*a longer context$"
        ):
            training._tables(Recipe(base="local:x", max_tokens=most), ([long], []), tok)


def test_stopped_and_taken_up_again(tmp_path, base, data):
    folder = job(tmp_path, base, data, epochs=60)
    process = subprocess.Popen(
        [sys.executable, "-m", "finetune.train", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while (read(folder) or Progress(stage="starting")).step < 4:
        time.sleep(0.01)
    process.terminate()
    assert process.wait(60) == 0
    paused = read(folder)
    assert paused.stage == "paused" and list((folder / "checkpoints").glob("checkpoint-*"))
    assert shape(find(f"local:{base}")).parameters == 90624


def test_killed_after_it_was_stopped_early_it_takes_no_step_more(tmp_path, base, data, monkeypatch):
    # A model of two layers cannot learn so much that its held-out loss is plainly worse.
    monkeypatch.setattr(training, "_BORNE", 1.0)

    def weights_and_metrics():
        # At this rate the held-out loss soon falls no more.
        done = trained(tmp_path, base, data, learning_rate=0.3, epochs=9.5, extra={"look_every": 2, "patience": 2})  # fmt: skip
        return {n: v.detach().clone() for n, v in done.model.state_dict().items()}, done.metrics

    (first, whole), (second, again) = weights_and_metrics(), weights_and_metrics()
    assert 0 < whole["best_step"] < whole["steps"] < 66
    assert all((first[n] == second[n]).all() for n in first)
    for name in ("steps", "best_step", "held_loss", "train_loss"):
        assert again[name] == whole[name], name


def test_later_weights_are_kept_unless_the_held_out_loss_is_plainly_worse(tmp_path):
    ways = training.Ways(folder=tmp_path, cache=tmp_path, tell=print, stop=bool)
    watch, seen = training._watch(ways), []
    history: list[dict[str, float]] = []
    for step, loss in (
        (7, 0.64),
        (14, 0.14),
        (21, 0.17),
        (28, 0.18),
        (35, 0.12),
        (42, 0.16),
        (49, float("nan")),
    ):
        history.append({"eval_loss": loss, "step": step})
        metrics = {"eval_loss": loss}
        watch.on_evaluate(None, SimpleNamespace(global_step=step, log_history=history), None, metrics=metrics)
        seen.append(metrics["eval_kept"])
    assert seen == [7, 14, 21, -1, 35, -1, -1]
    assert training._held_at(SimpleNamespace(best_global_step=35, log_history=history)) == 0.12


def test_all_weights_are_trained_in_float32_where_the_machine_computes_in_bf16(
    tmp_path, base, data, monkeypatch
):
    import torch

    monkeypatch.setattr(weights, "machine", lambda: weights.Machine(device="cpu", bf16=True, gib=8.0))
    done, before = trained(tmp_path, base, data, weights="full", epochs=1, learning_rate=1e-6), weights.model(find(f"local:{base}"), exact=True)  # fmt: skip
    assert all(v.dtype == torch.float32 for v in done.model.parameters())
    moved = [(v.detach() != before.state_dict()[n]).float().mean().item() for n, v in done.model.named_parameters() if v.ndim == 2]  # fmt: skip
    assert min(moved) > 0.5, "bf16 would round nearly all of such steps away"


def test_one_process_keeps_to_one_gpu(tmp_path):
    from trl import SFTConfig

    ways = training.Ways(folder=tmp_path, cache=tmp_path, tell=print, stop=bool)
    given = SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, per_device_train_batch_size=3)
    given._n_gpu = 4  # as on a machine that has so many
    assert training._alone(given, ways).train_batch_size == 3
    given._n_gpu = 4
    assert training._alone(given, replace(ways, ranks=2)).train_batch_size == 12
