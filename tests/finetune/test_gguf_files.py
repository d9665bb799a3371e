"""GGUF: an adapter and merged weights in the packaged model's file give what Transformers gives; a merge that loses the change is seen."""

import json
import subprocess
import sys

import made_jobs
import numpy as np
import pytest

from advisor.cli import main
from finetune.adapters import Adapters
from finetune.bases import find, shape

pytest.importorskip("gguf")
import gguf

from finetune.gguf_files import ExportFailed, metadata, write_adapter, write_model
from finetune.progress import read


@pytest.fixture
def base(tmp_path):
    """A GGUF of one block, written with the library, its numbers known."""
    return written(tmp_path / "base.gguf", "llama")


def written(path, kind):
    chance = np.random.default_rng(0)
    shapes = {
        "token_embd": (40, 64), "output_norm": (64,), "blk.0.attn_norm": (64,), "blk.0.ffn_norm": (64,), "blk.0.attn_q": (64, 64), "blk.0.attn_k": (32, 64),
        "blk.0.attn_v": (32, 64), "blk.0.attn_output": (64, 64), "blk.0.ffn_gate": (96, 64), "blk.0.ffn_up": (96, 64), "blk.0.ffn_down": (64, 96),
    }  # fmt: skip
    writer = gguf.GGUFWriter(path, arch=kind)
    for name, value in {
        "block_count": 1,
        "embedding_length": 64,
        "feed_forward_length": 96,
        "context_length": 128,
        "vocab_size": 40,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
    }.items():
        writer.add_uint32(f"{kind}.{name}", value)
    writer.add_array("tokenizer.ggml.tokens", [f"t{n}" for n in range(40)])
    for name, size in shapes.items():
        value = chance.normal(size=size).astype(np.float32)
        kind = gguf.GGMLQuantizationType.Q4_1 if len(size) == 2 else gguf.GGMLQuantizationType.F32
        packed = gguf.quants.quantize(value, kind) if len(size) == 2 else value
        writer.add_tensor(f"{name}.weight", packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "blk.0.attn_norm": "model.layers.0.input_layernorm",
    "blk.0.ffn_norm": "model.layers.0.post_attention_layernorm", "blk.0.attn_q": "model.layers.0.self_attn.q_proj",
    "blk.0.attn_k": "model.layers.0.self_attn.k_proj", "blk.0.attn_v": "model.layers.0.self_attn.v_proj",
    "blk.0.attn_output": "model.layers.0.self_attn.o_proj", "blk.0.ffn_gate": "model.layers.0.mlp.gate_proj",
    "blk.0.ffn_up": "model.layers.0.mlp.up_proj", "blk.0.ffn_down": "model.layers.0.mlp.down_proj",
}  # fmt: skip


def unpacked(path):
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}


def turned_back(value, heads):
    """llama.cpp's order of rows to Transformers'."""
    half = value.shape[0] // heads // 2
    return value.reshape(heads, half, 2, *value.shape[1:]).swapaxes(1, 2).reshape(value.shape)


def as_transformers(path):
    found = {}
    for name, value in unpacked(path).items():
        stem = name.removesuffix(".weight")
        heads = {"blk.0.attn_q": 4, "blk.0.attn_k": 2}.get(stem)
        found[f"{NAMES[stem]}.weight"] = turned_back(value, heads) if heads else value
    return found


def test_the_sizes_are_read_off_the_head(base):
    found = shape(find(str(base)))
    assert (
        found.hidden,
        found.layers,
        found.heads,
        found.kv_heads,
        found.head_size,
        found.inner,
        found.tied,
    ) == (64, 1, 4, 2, 16, 96, True)
    assert found.parameters == sum(v.size for v in unpacked(base).values())
    assert found.adapter_parameters(8) == 8 * sum(i + o for i, o in found.linears.values())


def test_the_same_weights_come_out_the_same(base, tmp_path):
    kept = write_model(as_transformers(base), base, tmp_path / "m.gguf", quantisation="F32")
    assert kept.cosine == 1.0
    before, after = unpacked(base), unpacked(tmp_path / "m.gguf")
    assert set(before) == set(after)
    assert all(np.array_equal(before[n], after[n]) for n in before)
    head = metadata(tmp_path / "m.gguf")
    assert head["llama.attention.head_count_kv"] == 2 and head["general.architecture"] == "llama"
    assert list(gguf.GGUFReader(tmp_path / "m.gguf").fields["tokenizer.ggml.tokens"].contents())[:2] == [
        "t0",
        "t1",
    ]


def test_a_small_change_is_lost_in_four_bits_and_that_is_seen(base, tmp_path):
    chance = np.random.default_rng(1)
    changed = {
        n: v + (1e-3 * chance.normal(size=v.shape).astype(np.float32) if v.ndim == 2 else 0)
        for n, v in as_transformers(base).items()
    }
    told = {
        q: write_model(changed, base, tmp_path / f"{q}.gguf", quantisation=q).cosine
        for q in ("F32", "F16", "Q8_0", "Q4_1")
    }
    assert told["F32"] > 0.99 > told["Q8_0"] > told["Q4_1"]
    assert told["Q4_1"] < 0.2


def test_the_rounding_of_a_base_in_four_bits_does_not_pass_for_what_was_learnt(base, tmp_path):
    """An adapter that learnt on 4-bit weights is merged into those, which differ from the base's file by more than it adds."""
    chance = np.random.default_rng(1)
    changed, added = as_transformers(base), {}
    for name in [n for n, v in changed.items() if v.ndim == 2]:
        rounding = 0.1 * chance.normal(size=changed[name].shape).astype(np.float32)
        outs, ins = changed[name].shape
        b, a = (chance.normal(size=s).astype(np.float32) for s in ((outs, 2), (2, ins)))
        added[name] = (3e-3 * b, a)
        changed[name] = changed[name] + rounding + 3e-3 * b @ a

    def told(quantisation, **more):
        return write_model(changed, base, tmp_path / "m.gguf", quantisation=quantisation, **more)

    assert told("Q4_1").cosine > 0.5, "what the file differs by"
    assert told("Q4_1", added=added).cosine < 0.1 and told("Q4_1", added=added).is_lost
    assert told("F16", added=added).cosine > 0.99
    assert told("Q4_1", added={}).cosine == 1.0, "what no adapter changed cannot be lost"


def test_all_weights_are_stored_so_that_what_they_learnt_is_kept(base, tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("trl")
    from finetune import train, weights
    from finetune.training import Trained

    def stored(change):
        model = weights.model(find(str(base)), exact=True)
        torch.manual_seed(0)
        for value in model.parameters():
            if value.ndim == 2:
                value.data += change * torch.randn_like(value)
        train._saved(tmp_path / "made", Trained(model=model, tokenizer=None, stopped=False), find(str(base)))
        return metadata(tmp_path / "made/model.gguf")["general.file_type"]

    assert stored(1e-1) == gguf.LlamaFileType.MOSTLY_Q8_0
    assert stored(2e-4) == gguf.LlamaFileType.MOSTLY_F16


@pytest.mark.slow
def test_a_base_that_could_not_be_served_is_not_trained(tmp_path, dataset):
    pytest.importorskip("trl")
    folder = made_jobs.job(tmp_path, written(tmp_path / "other.gguf", "mamba"), dataset)
    assert (
        subprocess.run([sys.executable, "-m", "finetune.train", str(folder)], capture_output=True).returncode
        == 1
    )
    told = read(folder)
    assert (told.stage, told.step) == (
        "failed",
        0,
    ) and "architecture 'mamba' is not one of llama" in told.message


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_a_merge_that_lost_the_change_is_not_written(base, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch, peft = pytest.importorskip("torch"), pytest.importorskip("peft")
    from finetune import weights

    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj", "down_proj"])
    model = peft.get_peft_model(weights.model(find(str(base))), config)
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value.data, std=1e-3)
    model.save_pretrained(tmp_path / "made", save_embedding_layers=False)
    about = {"base": f"local:{base}", "base_sha256": find(str(base)).hash, "dataset": "d", "recipe": {}, "recipe_hash": "r", "job": "k"}  # fmt: skip
    found = Adapters(tmp_path / ".advisor/adapters").add(tmp_path / "made", about)
    export = ["finetune", "export", found.id, "--merged", "--out", "out.gguf", "--quantisation"]
    assert main([*export, "F16"]) == 0
    whole = (tmp_path / "out.gguf").read_bytes()
    assert "the change stored is the one learnt" in capsys.readouterr().out
    assert main([*export, "Q4_1"]) == 1
    out, err = capsys.readouterr()
    said = err.splitlines()[-1]
    assert not out and said.startswith("advise: not written: what was learnt is lost in Q4_1")
    assert said.endswith("; store it as F16, or serve the adapter on its base")
    assert (tmp_path / "out.gguf").read_bytes() == whole and not list(tmp_path.glob(".out*"))


def test_a_base_that_cannot_be_written_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    other = written(tmp_path / "other.gguf", "mamba")
    (tmp_path / "made").mkdir()
    (tmp_path / "made/adapter_model.safetensors").write_text("never read")
    about = {"base": f"local:{other}", "base_sha256": find(str(other)).hash, "dataset": "d", "recipe": {}, "recipe_hash": "r", "job": "k"}  # fmt: skip
    found = Adapters(tmp_path / ".advisor/adapters").add(tmp_path / "made", about)
    assert main(["finetune", "export", found.id, "--merged", "--out", "out.gguf"]) == 2
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 1
    assert "architecture 'mamba' is not one of llama" in err and "convert_lora_to_gguf.py" in err
    assert not list(tmp_path.glob("*out.gguf*"))


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_what_was_trained_is_saved_without_asking_the_hub(tmp_path, monkeypatch):
    pytest.importorskip("trl")
    peft = pytest.importorskip("peft")
    import tiny_base

    from finetune import train, weights
    from finetune.bases import Base
    from finetune.training import Trained

    def asked(*_, **__):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", asked)
    small = find(f"local:{tiny_base.folder(tmp_path / 'base')}")
    model = peft.get_peft_model(weights.model(small), weights.lora(rank=2, alpha=4, dropout=0.0))
    done = Trained(model=model, tokenizer=None, stopped=False)
    made = train._saved(tmp_path / "made", done, Base(name="owner/name", kind="hub", path=None, hash="0"))
    assert json.loads((made / "adapter_config.json").read_text())["base_model_name_or_path"] == "owner/name"


def test_an_adapter_adds_what_the_merge_adds(base, tmp_path):
    chance = np.random.default_rng(2)
    whole, adapter, rank, alpha = as_transformers(base), {}, 4, 8.0
    for name in [n for n in whole if "_proj" in n]:
        outs, ins = whole[name].shape
        a, b = (
            chance.normal(size=(rank, ins)).astype(np.float32),
            chance.normal(size=(outs, rank)).astype(np.float32),
        )
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        adapter |= {f"{stem}.lora_A.weight": a, f"{stem}.lora_B.weight": b}
        whole[name] = whole[name] + alpha / rank * b @ a
    write_adapter(adapter, base, tmp_path / "a.gguf", alpha=alpha)
    write_model(whole, base, tmp_path / "m.gguf", quantisation="F32")
    parts, before, merged = unpacked(tmp_path / "a.gguf"), unpacked(base), unpacked(tmp_path / "m.gguf")
    for stem in [n.removesuffix(".lora_a") for n in parts if n.endswith(".lora_a")]:
        served = before[stem] + alpha / rank * parts[f"{stem}.lora_b"] @ parts[f"{stem}.lora_a"]
        assert np.allclose(served, merged[stem], atol=1e-3), stem
    assert metadata(tmp_path / "a.gguf")["adapter.lora.alpha"] == alpha


def test_what_has_no_name_there_is_not_left_out_in_silence(base, tmp_path):
    with pytest.raises(ExportFailed, match="has no name in a GGUF file"):
        write_adapter(
            {"base_model.model.model.layers.0.mystery.lora_A.weight": np.zeros((4, 4), np.float32)},
            base,
            tmp_path / "a.gguf",
            alpha=1.0,
        )
    some = as_transformers(base)
    del some["model.norm.weight"]
    with pytest.raises(ExportFailed, match=r"output_norm\.weight of the base is not among the weights"):
        write_model(some, base, tmp_path / "m.gguf")
