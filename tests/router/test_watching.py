"""Canaries while they run: a bad one goes back, a good one stays or is taken up, whoever looks."""

import asyncio

import pytest

from router.chatbot import Chatbot
from router.contract.rules import Contract, Rule
from router.models.port import ModelUnavailable
from router.models.scripted import Scripted
from router.prompts import Prompt, Prompts
from router.releases import Release, Releases
from router.watching import Watch

CONTRACT = Contract(rules=(Rule(kind="words", params={"max": 3}),))


def release(state, model):
    prompt = Prompts(state).add(Prompt.of("You help."))
    return Releases(state).add(Release(model=model, prompt=prompt, contract=CONTRACT))


def outputs(reference):
    """A good model, one whose replies break the contract, and one that is not there."""
    said = {
        "scripted:good": "Fine so far.",
        "scripted:bad": "Far too many words here.",
        "scripted:same": "Fine too.",
    }
    return Scripted(outputs=lambda m: said.get(reference, ModelUnavailable("gone")))


@pytest.fixture
def bot(tmp_path):
    with Chatbot(tmp_path, load=outputs, tracing=None) as found:
        found.pointer.promote(release(tmp_path, "scripted:good"))
        yield found


def tried(bot, tmp_path, model, *, talks, tenant=None):
    id = release(tmp_path, model)
    bot.pointer.canary(id, share=0.5, tenant=tenant)
    said = [
        bot.reply([{"role": "user", "content": f"Question {n}"}], conversation=f"c-{n}", tenant=tenant).text
        for n in range(talks)
    ]
    bot.outcomes.flush()
    return id, said


@pytest.mark.parametrize("promote", [False, True])
def test_one_that_breaks_its_contract_is_taken_back(bot, tmp_path, promote):
    id, _ = tried(bot, tmp_path, "scripted:bad", talks=80)
    told = []
    (looked,) = Watch(bot.pointer, bot.outcomes, promote=promote, told=told.append).look()
    assert (looked.canary, looked.seen.verdict, looked.done) == (id, "return", True) and told == [looked]
    route = bot.pointer.routes()["*"]
    assert route.canary is None and route.release != id
    assert route.changes[0].what == "stop" and "contract fell" in route.changes[0].why
    assert Watch(bot.pointer, bot.outcomes).look() == []


def test_one_whose_model_fails_costs_nobody_an_answer_and_is_taken_back(bot, tmp_path):
    id, said = tried(bot, tmp_path, "scripted:gone", talks=80)
    assert said == ["Fine so far."] * 80
    assert bot.outcomes.tally(route="*", release=id).replies > 20
    (looked,) = Watch(bot.pointer, bot.outcomes).look()
    assert looked.seen.verdict == "return" and bot.pointer.routes()["*"].canary is None


def test_one_that_cannot_even_be_opened_costs_nobody_an_answer(bot, tmp_path):
    bot.pointer.canary("nosuch", share=0.99)
    assert bot.reply([{"role": "user", "content": "Hi"}], conversation="c").text == "Fine so far."
    assert (
        "".join(p.text for p in bot.stream([{"role": "user", "content": "Hi"}], conversation="c"))
        == "Fine so far."
    )


def test_one_that_is_no_worse_is_taken_up_only_where_that_is_wished(bot, tmp_path):
    id, _ = tried(bot, tmp_path, "scripted:same", talks=1000)
    (looked,) = Watch(bot.pointer, bot.outcomes).look()
    assert (looked.seen.verdict, looked.done) == ("promote", False)
    assert bot.pointer.routes()["*"].canary == id
    (looked,) = Watch(bot.pointer, bot.outcomes, promote=True).look()
    assert looked.done and bot.pointer.routes()["*"].release == id


def test_what_somebody_else_did_meanwhile_stays(bot, tmp_path):
    bad, _ = tried(bot, tmp_path, "scripted:bad", talks=80)

    class Slow(Watch):
        def _done(self, name, canary, seen):
            other = release(tmp_path, "scripted:same")
            bot.pointer.canary(other, share=0.1)
            return super()._done(name, canary, seen)

    Slow(bot.pointer, bot.outcomes).look()
    assert bot.pointer.routes()["*"].canary == release(tmp_path, "scripted:same") != bad
    bot.pointer.promote(bad, tried=True)
    assert bot.pointer.routes()["*"].release != bad


def test_each_route_by_itself(bot, tmp_path):
    bot.pointer.promote(release(tmp_path, "scripted:good"), tenant="acme")
    tried(bot, tmp_path, "scripted:bad", talks=80, tenant="acme")
    bot.pointer.canary(release(tmp_path, "scripted:same"), share=0.1)
    Watch(bot.pointer, bot.outcomes).look()
    assert bot.pointer.routes()["acme"].canary is None
    assert bot.pointer.routes()["*"].canary is not None


def test_it_goes_on_looking_after_a_fault(bot, tmp_path, caplog):
    tried(bot, tmp_path, "scripted:bad", talks=80)
    whole = (tmp_path / "live.json").read_text()
    (tmp_path / "live.json").write_text("{")

    async def watched():
        task = asyncio.create_task(Watch(bot.pointer, bot.outcomes).run(0.02))
        await asyncio.sleep(0.2)
        (tmp_path / "live.json").write_text(whole)
        for _ in range(200):
            await asyncio.sleep(0.02)
            if bot.pointer.routes()["*"].canary is None:
                break
        task.cancel()

    asyncio.run(watched())
    assert "could not be looked at" in caplog.text
    assert bot.pointer.routes()["*"].canary is None
