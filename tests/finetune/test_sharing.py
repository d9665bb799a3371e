"""Batches that share beginnings: the same loss and gradients as apart, of fewer tokens; not for models that see otherwise."""

import made_jobs
import pytest
from made_examples import example

from finetune.datasets import Dataset, save
from finetune.rows import IGNORED, Row

pytest.importorskip("trl")

from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import (
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
)

from finetune import sharing, weights
from finetune.adapters import Adapters

SMALL = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
TOLD = tuple(range(1, 21))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SMALL))


def made(asked, said, *, told=TOLD):
    ids = [*told, *asked, *said]
    return Row(ids=ids, labels=[IGNORED] * (len(ids) - len(said)) + list(said))


def learnt(model, batches):
    model.zero_grad()
    for batch in batches:
        inputs = {k: v for k, v in batch.items() if k not in ("labels", "apart")}
        logits = model(**inputs, use_cache=False).logits
        torch.nn.functional.cross_entropy(
            logits[0, :-1], batch["labels"][0, 1:], ignore_index=IGNORED, reduction="sum"
        ).backward()
    return torch.cat([p.grad.flatten().clone() for p in model.parameters()])


def apart(rows):
    return [{"input_ids": torch.tensor([r.ids]), "labels": torch.tensor([r.labels])} for r in rows]


def together(rows):
    return weights.collated([{"input_ids": r.ids, "labels": r.labels} for r in rows])


token = st.integers(1, 39)
some = st.builds(
    made,
    st.lists(token, max_size=5),
    st.lists(token, min_size=1, max_size=4),
    told=st.sampled_from([TOLD, TOLD[:7], (30, 31, 32), (1,)]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(some, min_size=1, max_size=6))
def test_what_is_learnt_together_is_what_is_learnt_apart(model, rows):
    batch = together(rows)
    assert batch["input_ids"].shape[1] <= sum(len(r.ids) for r in rows) == int(batch["apart"])
    assert (batch["labels"] != IGNORED).sum() == sum(r.learnt for r in rows)
    assert torch.allclose(learnt(model, apart(rows)), learnt(model, [batch]), atol=1e-4)


def shares(model, rows, batch_size):
    tried = sharing.saving(model.config, rows, batch_size)
    return bool(tried) and weights.same_together(model, tried)


def test_a_common_beginning_is_read_once():
    rows = [made([n, n + 1], [n + 2]) for n in (21, 25, 30)]
    assert together(rows)["input_ids"].tolist() == [[*TOLD, 21, 22, 23, 25, 26, 27, 30, 31, 32]]
    # The same prompt with two replies: its last token tells the first of each.
    rows = [made([25], [n]) for n in (30, 31)]
    assert together(rows)["input_ids"].tolist() == [[*TOLD, 25, 30, 25, 31]]
    assert together(rows)["position_ids"].tolist() == [[*range(20), 20, 21, 20, 21]]


def test_it_is_done_only_where_it_saves(model):
    rows = [made([n], [n]) for n in range(21, 29)]
    assert shares(model, rows, 4)
    assert not shares(model, rows, 1)
    assert not shares(model, [made([], [n] * 3, told=(n,)) for n in range(21, 29)], 4)
    assert not shares(model, [], 4)
    # Attention over all of a long batch costs more than the little that is common.
    long = [made([n] * 90, [n] * 10, told=TOLD * 2) for n in range(21, 29)]
    assert not shares(model, long, 8)


SEEING_OTHERWISE = [
    MistralForCausalLM(MistralConfig(**SMALL, num_key_value_heads=4, sliding_window=4)),
    MixtralForCausalLM(MixtralConfig(**SMALL, num_key_value_heads=4, num_local_experts=2)),
    LlamaForCausalLM(LlamaConfig(**SMALL, attn_implementation="eager")),
    Lfm2ForCausalLM(Lfm2Config(**SMALL, layer_types=["conv", "full_attention"])),
]


@pytest.mark.parametrize("other", SEEING_OTHERWISE, ids=lambda m: type(m).__name__)
def test_models_that_see_otherwise_are_left_alone(other):
    assert not shares(other, [made([n], [n]) for n in range(21, 29)], 4)


def test_a_model_that_gives_another_loss_is_left_alone(model):
    class Blind(LlamaForCausalLM):
        """Takes a mask and does not look at it."""

        def forward(self, input_ids, attention_mask=None, **more):
            return super().forward(input_ids, **more)

    assert not shares(Blind(model.config), [made([n], [n]) for n in range(21, 29)], 4)


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    """The folder of examples that begin alike: 15 to learn, so that the last batch is not whole, and 5 to look at."""
    rules = {"role": "system", "content": "You are the bot of a shop. " * 6}
    examples = [example(n) for n in range(20)]
    examples = tuple(replace(e, messages=(rules, *e.messages)) for e in examples)
    return save(Dataset(train=examples[:15], validation=examples[15:]), tmp_path_factory.mktemp("alike"))


def tuned(place):
    (adapter,) = Adapters(place / "adapters").all()
    return Adapters(place / "adapters").path(adapter.id) / "adapter_model.safetensors"


WAYS = [{}, {"extra": {"accumulate": 2}}, {"extra": {"checkpointing": True}}, {"weights": "qlora"}]


# PEFT asks for a name that Transformers has renamed.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_training_that_shares_comes_to_the_same(tmp_path, base, alike, way):
    found, told = {}, {}
    for share in (True, False):
        place = tmp_path / str(share)
        given = {**way, "extra": {**way.get("extra", {}), "sharing": share}}
        done = made_jobs.run(made_jobs.job(place, base, alike, epochs=2, **given))
        assert done.stage == "succeeded", done.message
        found[share], told[share] = load_file(tuned(place)), done.metrics
    assert told[True]["spared_tokens"] > 0 == told[False]["spared_tokens"]
    assert told[True]["trained_tokens"] == told[False]["trained_tokens"]
    assert told[True]["train_loss"] == pytest.approx(told[False]["train_loss"], rel=1e-4)
    assert told[True]["held_loss"] == pytest.approx(told[False]["held_loss"], rel=0.01)
    for name, weight in found[True].items():
        assert torch.allclose(weight, found[False][name], atol=1e-4), name


@pytest.mark.slow
def test_a_training_that_shares_is_resumed_to_the_same_bytes(tmp_path, base, alike):
    whole, killed = (made_jobs.job(tmp_path / name, base, alike, epochs=4) for name in ("a", "b"))
    assert made_jobs.run(whole).metrics["spared_tokens"] > 0
    assert made_jobs.run(killed, kill_at=7).stage == "training"
    assert made_jobs.run(killed).stage == "succeeded"
    assert tuned(tmp_path / "a").read_bytes() == tuned(tmp_path / "b").read_bytes()
