"""Remedies put together: two that change the prompt are both in the release that goes live, or are not said to be."""

import json

import pytest
from planted_bot import PLACES, page, question, right

from advisor.cli import main
from advisor.state import opened
from router import models
from router.chatbot import Chatbot
from router.live import Live
from router.prompts import Prompts
from router.releases import Releases

RULES = "contract: {rules: [{kind: forbidden, words: [euros], cause: format}, {kind: forbidden, words: [cheers], cause: tone}]}\n"
CONFIG = (
    "documents: [help]\nprobe: {bot: live, price: {input: 0, output: 0}}\ngate: {margin: 0.6}\n"
    "index: {embedder: static, store: memory, sources: [help]}\n"
    "chat: {model: 'planted:obeying', prompt: prompt.txt, cite: false, grounded: false}\n"
)


def told(capsys, *args, code=0):
    capsys.readouterr()
    assert main(list(args)) == code, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.fixture
def place(tmp_path, monkeypatch, capsys):
    """A bot that breaks one rule for every even place and another for every odd one, until its prompt states it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(models.PROVIDERS, "planted", "planted_bot:make")
    (tmp_path / "help").mkdir()
    for p in PLACES:
        (tmp_path / "help" / f"{p.lower()}.md").write_text(page(p), encoding="utf-8")
    (tmp_path / "prompt.txt").write_text("You help customers of a shop.", encoding="utf-8")
    (tmp_path / "advisor.yaml").write_text(CONFIG, encoding="utf-8")
    told(capsys, "index", "build")
    told(capsys, "release", "make", "--promote")
    (tmp_path / "advisor.yaml").write_text(CONFIG + RULES, encoding="utf-8")
    with Chatbot() as bot:
        for n in range(3):
            for number, p in enumerate(PLACES):
                reply = bot.reply([{"role": "user", "content": question(p, n)}], conversation=f"{p}-{n}")
                bot.feedback(reply.id, thumb="down", correction=right(p).replace("euros", "EUR"))
        bot.flush()
    told(capsys, ".advisor/traces")
    return tmp_path


def test_two_changes_of_the_prompt_are_both_in_what_goes_live(place, capsys):
    (done,) = json.loads(told(capsys, "apply", "--yes", "--json", "--only", "ChangePrompt"))
    assert [t["standing"] for t in done["tried"]] == ["accepted", "accepted"], done
    state = place / ".advisor"
    route = Live(state).routes()["*"]
    assert done["release"] in (route.release, route.canary)
    live = Prompts(state).get(Releases(state).get(done["release"]).prompt).system
    assert "euros" in live and "cheers" in live
    assert all(part["after"] == 1.0 for part in done["decision"]["issues"].values())
    with opened(state) as db:
        assert [o.verdict for o in db.outcomes()] == [f"applied: {done['action']}"] * 2
    again = json.loads(told(capsys, "apply", "--yes", "--json", "--only", "ChangePrompt"))
    assert again[0]["release"] == done["release"]


def test_a_change_that_another_takes_back_waits(place, capsys, monkeypatch):
    """Each is accepted alone; with both rules stated the bot follows the first only."""
    monkeypatch.setitem(models.PROVIDERS, "planted", "planted_bot:forgetful")
    (done,) = json.loads(told(capsys, "apply", "--yes", "--json", "--only", "ChangePrompt"))
    assert [t["standing"] for t in done["tried"]] == ["accepted", "left for later"], done
    assert "others change the prompt too" in done["tried"][1]["why"]
    with opened(place / ".advisor") as db:
        assert [o.verdict for o in db.outcomes()] == [f"applied: {done['action']}", "left for later"]
