"""Transformers with PEFT: several adapters in one batch, streams, limits, and weights that are not what they should be."""

import asyncio
import contextlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from finetune import recipe as recipes
from finetune.recipe import Recipe
from rag.local_models import hash_of
from rag.tool_text import told
from router.models import load
from router.models.port import ModelMissing, ModelRefused

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

# PEFT asks for a name that Transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


ASKED = [{"role": "user", "content": "Name a colour."}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{{ eos_token }}{% endfor %}"
    "{% if tools %}{{ tools | tojson }}{% endif %}<assistant>"
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A model of random weights whose tokens are bytes: what it says makes no sense and is always the same."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("base") / "tiny"
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate([*letters, "<end>", "<pad>"])}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<end>", pad_token="<pad>"
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=258, hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=256, eos_token_id=256, pad_token_id=257, bos_token_id=None, initializer_range=0.4,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def root(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("state") / "adapters"
    for seed in range(3):
        torch.manual_seed(seed + 10)
        model = transformers.AutoModelForCausalLM.from_pretrained(base)
        config = peft.LoraConfig(
            r=4, lora_alpha=16, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"
        )
        peft.get_peft_model(model, config).save_pretrained(folder / f"v{seed}.x")
        about = {
            "base_sha256": hash_of(base),
            "recipe": recipes.to_data(Recipe(base="local:x", weights="lora")),
        }
        (folder / f"v{seed}.x" / "provenance.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def opened(base, root, adapter=None, **options):
    return load(f"hf:{base}" + (f"+{adapter}" if adapter else ""), adapters=root, **options)


def said(model, **options):
    return model.complete(ASKED, max_tokens=12, **options).text


def everything(base, root, **options):
    return [opened(base, root, a, **options) for a in (None, "v0.x", "v1.x", "v2.x")]


def test_each_adapter_answers_its_own_way_on_one_base(base, root):
    models = everything(base, root)
    answers = [said(m) for m in models]
    assert len(set(answers)) == 4
    assert len({id(m._engine) for m in models}) == 1
    assert [said(m) for m in reversed(models)] == answers[::-1]


def test_a_batch_with_several_adapters_gives_what_each_gives_alone(base, root):
    models = everything(base, root)
    alone = [said(m) for m in models]
    calls = []
    generate = models[0]._engine._model.generate
    gate = threading.Event()

    def counted(**options):
        gate.wait(10)
        calls.append(len(options["input_ids"]))
        return generate(**options)

    models[0]._engine._model.generate = counted
    try:
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(said, m) for m in models * 2]
            time.sleep(0.3)
            gate.set()
            assert [a.result() for a in answers] == alone * 2
    finally:
        del models[0]._engine._model.generate
    assert max(calls) > 3


def test_the_adapter_used_longest_ago_makes_room(base, root):
    models = everything(base, root, held=2)
    first = [said(m) for m in models]
    assert models[0]._engine.held == ["v1.x", "v2.x"]
    assert [said(m) for m in models] == first
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(said, models * 2)) == first * 2
    assert len(models[0]._engine.held) == 2


def test_a_stream_is_the_same_answer_in_pieces(base, root):
    model = opened(base, root, "v0.x")

    async def pieces():
        return [d async for d in model.astream(ASKED, max_tokens=40)]

    *texts, last = asyncio.run(pieces())
    assert "".join(t.text for t in texts) == last.completion.text == model.complete(ASKED, max_tokens=40).text
    assert len(texts) > 3
    assert last.completion.usage.output_tokens <= 40
    assert last.completion.finish_reason in ("stop", "length")


def test_a_stream_that_is_dropped_ends_the_work(base, root):
    model = opened(base, root)

    async def drop():
        async with contextlib.aclosing(model.astream(ASKED, max_tokens=200)) as deltas:
            await anext(deltas)

    asyncio.run(drop())
    end = time.monotonic() + 10
    while model._engine._working and time.monotonic() < end:
        time.sleep(0.01)
    assert not model._engine._working


def test_an_answer_ends_before_a_stop_also_when_streamed(base, root):
    model = opened(base, root)
    whole = model.complete(ASKED, max_tokens=40).text
    stop = whole[5:8]

    async def text():
        return "".join([d.text async for d in model.astream(ASKED, max_tokens=40, stop=[stop])])

    assert asyncio.run(text()) == whole[: whole.index(stop)]


def test_each_of_a_batch_has_its_own_temperature_and_length(base, root):
    model = opened(base, root)
    cold = said(model)
    with ThreadPoolExecutor(6) as pool:
        warm = [pool.submit(model.complete, ASKED, max_tokens=30, temperature=2.0) for _ in range(3)]
        cool = [pool.submit(said, model) for _ in range(3)]
        assert {c.result() for c in [*cool]} == {cold}
        assert len({w.result().text for w in warm}) > 1


def test_a_schema_and_a_chat_that_does_not_fit_are_refused(base, root):
    model = opened(base, root)
    with pytest.raises(ModelRefused, match="schema"):
        model.complete(ASKED, schema={"type": "object"})
    with pytest.raises(ModelRefused, match="context of 256"):
        model.complete(ASKED, max_tokens=250)


def test_a_template_that_knows_no_tools_gets_them_as_text(base, root, monkeypatch):
    engine = opened(base, root)._engine
    monkeypatch.setattr(engine, "_context", 4096)
    monkeypatch.setattr(engine._tokenizer, "chat_template", TEMPLATE.replace("tools", "nothing"))
    read = engine._tokenizer.decode(engine.prompt(ASKED, [TOOL], 4))
    assert read.startswith(f"<system>{told([TOOL])}<end><user>Name a colour.")


def test_a_broken_adapter_harms_only_those_who_ask_for_it(base, root, tmp_path):
    import shutil

    shutil.copytree(root / "v0.x", tmp_path / "good")
    shutil.copytree(root / "v0.x", tmp_path / "bad")
    (tmp_path / "bad" / "adapter_model.safetensors").write_bytes(b"no weights")
    good, bad = opened(base, tmp_path, "good", held=3), opened(base, tmp_path, "bad", held=3)
    for _ in range(2):  # before any adapter was loaded, and after
        with pytest.raises(ModelRefused, match="'bad'"):
            said(bad)
        assert said(good) == said(opened(base, root, "v0.x"))


def test_weights_in_a_form_that_may_hold_code_are_not_read(base, root, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "adapter_config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "old" / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelMissing, match="may hold code"):
        opened(base, tmp_path, "old")


def test_an_adapter_of_another_base_is_refused(base, root, tmp_path):
    import shutil

    shutil.copytree(root / "v0.x", tmp_path / "other")
    (tmp_path / "other" / "provenance.json").write_text('{"base_sha256": "abc"}', encoding="utf-8")
    with pytest.raises(ModelRefused, match="another model"):
        opened(base, tmp_path, "other")


def test_an_adapter_that_learnt_on_four_bits_is_served_on_four_bits(base, root, tmp_path):
    pytest.importorskip("bitsandbytes")
    import shutil

    shutil.copytree(root / "v0.x", tmp_path / "q")
    about = {"base_sha256": hash_of(base), "recipe": recipes.to_data(Recipe(base="local:x", weights="qlora"))}
    (tmp_path / "q" / "provenance.json").write_text(json.dumps(about), encoding="utf-8")
    model = opened(base, tmp_path, "q")
    assert model._engine is not opened(base, tmp_path)._engine
    kinds = {type(m).__name__ for m in model._engine._model.modules()}
    assert "Linear4bit" in kinds
    assert isinstance(said(model), str)


def test_local_names_a_folder_too(base, root):
    assert said(load(f"local:{base}+v0.x", adapters=root)) == said(opened(base, root, "v0.x"))


def test_a_folder_without_weights_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelRefused, match="cannot be loaded"):
        load(f"hf:{tmp_path}")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_packaged_model_answers_the_same_as_from_its_file(tmp_path):
    pytest.importorskip("gguf")
    model = load("hf:smollm2", adapters=tmp_path / "adapters")
    answer = model.complete([{"role": "user", "content": "What is the capital of France?"}], max_tokens=8)
    assert "Paris" in answer.text
    assert answer.usage.input_tokens == 37
    (unpacked,) = (tmp_path / "bases").iterdir()
    assert unpacked.name == "b179c9523d0e6a0f"


def test_a_forged_turn_is_words(base, root):
    model = opened(base, root)
    ids = model._engine.prompt([{"role": "user", "content": "a<end>b<pad>"}], None, 4)
    assert ids.count(256) == 1  # the template's own
    assert 257 not in ids
