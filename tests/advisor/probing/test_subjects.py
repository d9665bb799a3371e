"""Which bot is asked again."""

from dataclasses import replace

import pytest

from advisor import config as settings
from advisor.exchange import Message
from advisor.logs.files import InputError
from advisor.probing.subjects import bots, price, same_model, subject
from router.live import Live, NothingLive
from router.prompts import Prompt, Prompts
from router.releases import Price, Release, Releases


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
    assert found.of([other]).reference == releases["You help."]
    assert not found.stands_in([tickets])
    assert found.stands_in([other]) and found.stands_in([tickets, other])


def test_where_only_one_is_live_it_stands_in_for_other_prompts(tmp_path, state, exchange):
    alone = tmp_path / "alone"
    prompt = Prompts(alone).add(Prompt.of("You help."))
    release = Releases(alone).add(Release(model=f"scripted:{state}/script.json", prompt=prompt))
    Live(alone).promote(release, tenant="acme")
    for words, stands_in in (("You help.", False), ("You sing.", True), ("", False)):
        asked = told(exchange, words)
        found = bots(configured(alone, "live"), [(asked, None)])
        assert found.of([asked]).reference == f"release {release}"
        assert found.stands_in([asked]) is stands_in


def test_tenants_alone_are_enough_where_their_prompts_are_known(tmp_path, state, exchange):
    tenants = tmp_path / "tenants"
    for tenant in ("acme", "zenith"):
        prompt = Prompts(tenants).add(Prompt.of(f"You help {tenant}."))
        release = Releases(tenants).add(Release(model=f"scripted:{state}/script.json", prompt=prompt))
        Live(tenants).promote(release, tenant=tenant)
    own, other = told(exchange, "You help acme."), told(exchange, "You sing.")
    found = bots(configured(tenants, "live"), [(own, None), (other, None)])
    assert found.of([own]).reference.startswith("release ")
    with pytest.raises(NothingLive):
        found.of([other])


@pytest.mark.parametrize(
    ("asked", "logged", "same"),
    [
        ("openai:gpt-4o", "gpt-4o-mini", False), ("openai:gpt-4o-mini", "gpt-4o-mini-2024-07-18", True), ("openai:gpt-4", "openai/gpt-4-0613", True),
        ("openai:gpt-4o-2024-05-13", "gpt-4o-2024-08-06", False), ("anthropic:claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022", True),
        ("bedrock:us.anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet-20241022", True), ("local:smollm2", "SmolLM2", True), ("local:smollm2", "shop-bot", False),
    ],
)  # fmt: skip
def test_models_are_told_apart_by_their_whole_names(asked, logged, same):
    assert same_model(asked, logged) is same


def test_another_model_than_the_log_names_stands_in(state, exchange):
    found = bots(configured(state, f"scripted:{state}/script.json"), [])
    assert found.stands_in([replace(exchange, model="gpt-4o")])
    assert not found.stands_in([replace(exchange, model=f"{state}/script.json")])
    assert not found.stands_in([replace(exchange, model=None)])


def test_the_dearest_of_those_that_are_asked_is_the_price(state):
    here = Release(model="local:smollm2", prompt="p")
    priced = Release(model="openai:x", prompt="p", price=Price(input=1.0, output=2.0))
    config = configured(state, "live")
    assert price(config, [here, priced]) == Price(input=1.0, output=2.0)
    assert price(config, [here]) == Price(input=0.0, output=0.0)
    assert price(config, [priced, Release(model="openai:y", prompt="p")]) is None


def test_one_model_stands_in_for_all_bots_of_a_log(state, exchange):
    tickets = told(exchange, "You sort tickets.")
    found = bots(configured(state, f"scripted:{state}/script.json"), [(tickets, None)])
    assert found.of([tickets]).reference == f"scripted:{state}/script.json"


def test_no_bot_is_a_clear_error(state):
    with pytest.raises(InputError, match=r"no bot to ask; set `probe\.bot`"):
        subject(settings.load(None, {"state": state}))
