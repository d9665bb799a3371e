"""Which bot is asked again."""

from dataclasses import replace

import pytest

from advisor import config as settings
from advisor.exchange import Message
from advisor.logs.files import InputError
from advisor.probing.subjects import bots, subject
from router.live import Live
from router.prompts import Prompt, Prompts
from router.releases import Release, Releases


@pytest.fixture
def state(tmp_path):
    (tmp_path / "script.json").write_text('{"a": "b"}', encoding="utf-8")
    for task, words in ((None, "You help."), ("tickets", "You sort tickets.")):
        prompt = Prompts(tmp_path).add(Prompt.of(words))
        release = Releases(tmp_path).add(
            Release(model=f"scripted:{tmp_path}/script.json", prompt=prompt, note=words)
        )
        Live(tmp_path).promote(release, task=task)
    return tmp_path


def told(exchange, words):
    return replace(exchange, conversation=(Message(role="system", content=words), *exchange.conversation[1:]))


def configured(state, bot):
    return settings.load(None, {"state": state, "probe.bot": bot})


def test_each_issue_is_asked_of_the_bot_that_is_live_with_its_prompt(state, exchange):
    tickets, other = (told(exchange, s) for s in ("You sort  tickets.", "You do something else."))
    found = bots(configured(state, "live"), [(tickets, None), (other, None)])
    releases = {r.note: f"release {r.id}" for r in Releases(state).all()}
    assert found.of([tickets]).reference == releases["You sort tickets."]
    assert found.of([other]).reference == releases["You help."] == found.default.reference


def test_one_model_stands_in_for_all_bots_of_a_log(state, exchange):
    tickets = told(exchange, "You sort tickets.")
    found = bots(configured(state, f"scripted:{state}/script.json"), [(tickets, None)])
    assert found.of([tickets]).reference == f"scripted:{state}/script.json"


def test_no_bot_is_a_clear_error(state):
    with pytest.raises(InputError, match=r"no bot to ask; set `probe\.bot`"):
        subject(settings.load(None, {"state": state}))
