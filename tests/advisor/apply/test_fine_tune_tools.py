"""Training a bot to call tools: what calls for none is taught from the bot's own replies, and a model that calls at everything is refused."""

import json
import math
import re
import sqlite3
from contextlib import closing

import pytest

from advisor.apply import fine_tune, paying
from advisor.apply.workplace import Workplace
from advisor.cli import main
from finetune import datasets
from finetune.backends import BACKENDS
from finetune.backends.port import Standing
from finetune.backends.scripted import Scripted as Trainer
from router import models
from router.chatbot import Chatbot
from router.models.port import Completion, ToolRequest, Usage
from router.models.scripted import Scripted

CONFIG = (
    "probe: {price: {input: 0, output: 0}}\ngate: {general: 20}\n"
    "chat: {model: 'orders:base', prompt: prompt.txt, retrieve: false}\ntrain: {base: 'local:smollm2'}\n"
)
TOOL = {
    "type": "function",
    "function": {
        "name": "get_order", "description": "Get the state of an order.",
        "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
    },
}  # fmt: skip
ASKS = ("Where is order {}?", "What is the state of {}?", "Please look up {} for me.")


def make(name, **options):
    def answer(messages):
        said = messages[-1]["content"]
        named = re.search(r"SH-\d+", said)
        if name == "base" or (name.startswith("caller") and named is None):
            return f"I can only talk about {said.rstrip('?.')}."
        arguments = json.dumps({"order_id": named.group() if named else "SH-00001"})
        call = ToolRequest(name="get_order", arguments=arguments, id="c")
        return Completion(text="", tool_calls=(call,), usage=Usage(), finish_reason="tool_calls", model=name)

    return Scripted(name, outputs=answer)


class Backend(Trainer):
    model = "orders:caller"

    def __init__(self):
        super().__init__([Standing(state="succeeded", raw="ok", model=self.model, metrics={})])


@pytest.fixture
def place(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(models.PROVIDERS, "orders", "test_fine_tune_tools:make")
    monkeypatch.setitem(BACKENDS, "local", "test_fine_tune_tools:Backend")
    monkeypatch.setattr(Backend, "model", "orders:caller")
    (tmp_path / "prompt.txt").write_text("You look after orders.", encoding="utf-8")
    (tmp_path / "advisor.yaml").write_text(CONFIG, encoding="utf-8")
    assert main(["release", "make", "--promote"]) == 0
    with Chatbot() as bot:
        for n in range(60):
            order = f"SH-{10000 + 37 * n}"
            asked = ASKS[n % 3].format(order)
            reply = bot.reply([{"role": "user", "content": asked}], conversation=f"o{n}", tools=[TOOL])
            right = json.dumps({"name": "get_order", "arguments": {"order_id": order}})
            # Every third is complained of by nobody: no witness that declining was right.
            if n % 3 != 2:
                bot.feedback(reply.id, thumb="down", correction=right)
        for n in range(12):
            asked = f"What do you think of {'abcdefghijkl'[n]}?"
            reply = bot.reply([{"role": "user", "content": asked}], conversation=f"i{n}", tools=[TOOL])
            bot.feedback(reply.id, thumb="up")
        bot.flush()
    assert main([".advisor/traces"]) == 0
    return tmp_path


def applied(capsys):
    capsys.readouterr()
    main(["apply", "--only", "FineTune", "--yes", "--json"])
    (done,) = json.loads(capsys.readouterr().out)
    return done


def test_a_third_of_what_is_learnt_is_not_to_call(place, capsys):
    done = applied(capsys)
    assert done["action"] in ("promoted", "canary"), done
    asked = done["decision"]["irrelevance"]
    assert asked["lost"] == 0 and asked["n"] >= 15
    assert "of 20 requests that call for no tool broken" in done["reason"]
    (folder,) = (place / ".advisor/datasets").iterdir()
    made = datasets.load(folder)
    learnt = [e for e in (*made.train, *made.validation) if e.tools]
    unique = {e.hash: e for e in learnt if e.origin != "replay"}.values()
    calls = sum(bool(e.target.get("tool_calls")) for e in unique)
    silent = len(unique) - calls + sum(e.origin == "replay" for e in learnt)
    assert calls >= 15 and silent == math.ceil(calls / 2)
    own = [e for e in learnt if e.origin == "replay"]
    assert made.about["its own"] == len(own) and all(e.messages[0]["role"] == "system" for e in own)
    assert not any("SH-" in str(e.request) and not e.target.get("tool_calls") for e in learnt), (
        "silence taught"
    )


@pytest.mark.parametrize(("witnesses", "chosen"), [(True, 1.0), (False, 0.5)])
def test_one_that_breaks_nothing_is_taken_whole(place, capsys, monkeypatch, witnesses, chosen):
    """Whether to call is one thing or the other, and nothing between; where nothing could be broken, that shows nothing."""
    monkeypatch.setattr(Backend, "model", "orders:caller+whole")
    monkeypatch.setattr(fine_tune, "weakened", lambda adapters, id, strength: (id, strength))
    monkeypatch.setattr(fine_tune.Adapters, "reference", lambda self, made: "orders:caller+half")
    if not witnesses:
        monkeypatch.setattr(Workplace, "good", lambda self, **which: [])
    (tried,) = applied(capsys)["tried"]
    assert tried["about"]["strength"]["chosen"] == chosen, tried


def test_a_model_that_calls_at_everything_is_refused(place, capsys, monkeypatch):
    monkeypatch.setattr(Backend, "model", "orders:eager")
    done = applied(capsys)
    assert done["action"] == "refused", done
    asked = done["tried"][0]["decision"]["irrelevance"]
    assert asked["after"] == 0.0 and asked["lost"] == asked["n"] >= 15


def test_what_it_may_cost_covers_what_is_asked(place, capsys, monkeypatch):
    """Whatever is agreed to is a bound that nothing is asked beyond."""
    told = []
    estimate = paying.calls
    monkeypatch.setattr(paying, "calls", lambda *given: told.append(estimate(*given)) or told[-1])
    (place / "advisor.yaml").write_text(
        CONFIG.replace("input: 0, output: 0", "input: 1, output: 1"), encoding="utf-8"
    )
    capsys.readouterr()
    assert main(["apply", "--only", "FineTune", "--yes", "--pay", "100", "--json"]) == 0
    with closing(sqlite3.connect(place / ".advisor/probes.db")) as db:
        (answers,) = db.execute("SELECT count(*) FROM answers").fetchone()
    assert 0 < answers <= sum(told)
