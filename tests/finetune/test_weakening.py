"""A part of what an adapter learnt: the same matrices at another scale, and served as such."""

import json

import pytest
from made_examples import example
from made_jobs import job, run

from finetune.adapters import AdapterMissing, Adapters
from finetune.backends.port import JobRefused
from finetune.datasets import save, split
from router.models import load

pytest.importorskip("trl")

from advisor.gate.tuning import parity
from finetune import weights
from finetune.weakening import weakened

pytestmark = pytest.mark.slow


def test_an_adapter_at_half_of_its_strength(tmp_path, base):
    data = save(split(example(n) for n in range(40)), tmp_path / "datasets")
    assert run(job(tmp_path, base, data, epochs=20)).stage == "succeeded"
    adapters = Adapters(tmp_path / "adapters")
    (whole,) = adapters.all()
    half = weakened(adapters, whole.id, 0.5)
    assert (half.of, half.strength, half.dataset) == (whole.id, 0.5, whole.dataset) and half.id != whole.id
    assert weakened(adapters, whole.id, 0.5).id == half.id and len(adapters.all()) == 2
    assert not adapters.faults(half.id) and not list(adapters.folder.glob(".weaker*"))

    def told(id):
        served, bare = (load(f"hf:{base}{which}", adapters=adapters.folder) for which in (f"+{id}", ""))
        return parity(served, bare, adapters.probes(id))

    assert told(half.id).same == told(whole.id).same == 1.0
    (first, alpha), (second, part) = (weights.adapter_arrays(adapters.path(p.id)) for p in (whole, half))
    assert part == alpha / 2 and all((first[n] == second[n]).all() for n in first)
    replies = [[p["reply"] for p in adapters.probes(i)] for i in (whole.id, half.id)]
    assert replies[0] != replies[1], (
        "half of it replies as the whole does: this test could not tell them apart"
    )


def test_what_cannot_be_weakened_says_so(tmp_path, base):
    adapters = Adapters(tmp_path / "adapters")
    for strength in (0.0, 1.0, 1.5):
        with pytest.raises(ValueError, match="does not weaken"):
            weakened(adapters, "a", strength)
    with pytest.raises(AdapterMissing):
        weakened(adapters, "a", 0.5)
    made = tmp_path / "made"
    made.mkdir()
    (made / "model.gguf").write_bytes(b"x")
    about = {
        "base": f"local:{base}",
        "base_sha256": "0",
        "dataset": "d",
        "recipe": {},
        "recipe_hash": "r",
        "job": "j",
    }
    whole = adapters.add(made, about)
    with pytest.raises(JobRefused, match="it is no adapter"):
        weakened(adapters, whole.id, 0.5)
    made.mkdir(exist_ok=True)
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (made / name).write_text(json.dumps({"lora_alpha": 16}))
    found = adapters.add(made, about)
    with pytest.raises(JobRefused, match="is not the base"):
        weakened(adapters, found.id, 0.5)
    (adapters.path(found.id) / "adapter_model.safetensors").write_bytes(b"changed")
    with pytest.raises(JobRefused, match="was changed"):
        weakened(adapters, found.id, 0.5)
