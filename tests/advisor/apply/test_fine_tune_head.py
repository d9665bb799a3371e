"""A bot that sorts tickets wrong: a head on frozen embeddings is trained on the teaching half, and judged on the other."""

import json

import pytest
from planted_bot import told

from finetune import datasets
from finetune.backends import BACKENDS
from router import models
from router.chatbot import Chatbot
from router.models.scripted import Scripted

WORDS = {
    "card": [
        "My {0} card is lost",
        "the {0} card was stolen from me",
        "please block my {0} card",
        "where is my new {0} card",
    ],
    "parcel": [
        "My {0} parcel is late",
        "where is the {0} parcel now",
        "the {0} delivery has not come",
        "track my {0} package please",
    ],
    "invoice": [
        "I need a {0} invoice",
        "send me the {0} bill again",
        "the {0} invoice is wrong",
        "a {0} receipt for my taxes",
    ],
}
KINDS = ["blue", "second", "business", "old", "gold", "family"]
TEXTS = [(t.format(k), label) for k in KINDS for label, own in WORDS.items() for t in own]
CONFIG = (
    "contract: {labels: [card, parcel, invoice]}\nlabelled: labelled.csv\nprobe: {price: {input: 0, output: 0}}\nchat: {model: 'sorter:x', prompt: prompt.txt, retrieve: false, strict: false, retries: 0}\n"
    "index: {embedder: static, store: memory}\ntrain: {base: 'local:smollm2'}\n"
)


def make(name, **options):
    return Scripted(
        name,
        outputs=lambda m: "card" if len(m[-1]["content"]) % 3 else dict(TEXTS).get(m[-1]["content"], "card"),
    )


def inline(folder, job=None):
    """The trainer in this process; what a process of its own does is tested where it lives."""
    from finetune import train

    return train.main([str(folder)])


class Inline:
    def __init__(self):
        from finetune.backends.local import Local

        self._local = Local()
        self._local._start = inline

    def __getattr__(self, name):
        return getattr(self._local, name)


def test_a_head_is_trained_gated_and_served(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(models.PROVIDERS, "sorter", "test_fine_tune_head:make")
    monkeypatch.setitem(BACKENDS, "local", "test_fine_tune_head:Inline")
    monkeypatch.setattr("rag.embedders.default", lambda: "static")
    (tmp_path / "prompt.txt").write_text("Sort the ticket.", encoding="utf-8")
    (tmp_path / "labelled.csv").write_text(
        "text,label\n"
        + "".join(f"{t.format('other')},{label}\n" for label, own in WORDS.items() for t in own),
        encoding="utf-8",
    )
    (tmp_path / "advisor.yaml").write_text(CONFIG, encoding="utf-8")
    told(capsys, "release", "make", "--no-retrieval", "--promote")
    with Chatbot() as bot:
        for n, (text, label) in enumerate(TEXTS):
            reply = bot.reply([{"role": "user", "content": text}], conversation=f"c{n}")
            if reply.text == label:
                bot.feedback(reply.id, thumb="up")
            else:
                bot.feedback(reply.id, thumb="down", correction=label)
        bot.flush()
    told(capsys, ".advisor/traces")
    plan = json.loads((tmp_path / ".advisor/plan.json").read_text(encoding="utf-8"))
    if not any(r["details"].get("method") == "classifier_head" for r in plan["remedies"]):
        pytest.fail(f"no head in the plan: {[r['action'] for r in plan['remedies']]}")
    (done,) = json.loads(told(capsys, "apply", "--only", "FineTune", "--yes", "--json"))
    (tried,) = done["tried"]
    assert tried["standing"] == "accepted", done
    assert done["decision"]["target"]["after"] > 0.8 > done["decision"]["target"]["before"]
    (folder,) = (tmp_path / ".advisor/datasets").iterdir()
    taught = {e.request for e in datasets.load(folder).train}
    release = json.loads((tmp_path / f".advisor/releases/{done['release']}.json").read_text(encoding="utf-8"))
    assert release["model"].startswith("head:") and taught
