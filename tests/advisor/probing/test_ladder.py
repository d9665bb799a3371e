"""The ladder on bots that fail for one known reason each: the rung that turns them is the one that was planted."""

import json
import math
import random
import sqlite3
import time
from contextlib import closing
from dataclasses import replace

import pytest

from advisor.checks.context import Context
from advisor.exchange import Exchange, Message, Passage, Source, Tool
from advisor.probing.asking import Budget, CapReached, Remembered, size_of
from advisor.probing.judging import Answer, expected_calls, judge, same_calls
from advisor.probing.ladder import Ladder, Sample
from advisor.probing.rungs import Means, Shown, consistent, nearest
from advisor.probing.subject import Logged, at_address
from router.contract.rules import Contract, Rule
from router.models.port import Completion, ModelUnavailable, ToolRequest
from router.models.scripted import Scripted
from router.prompts import Part, Prompt
from router.releases import Price

PLACES = [
    "Ireland",
    "Norway",
    "Italy",
    "Spain",
    "Poland",
    "Greece",
    "Malta",
    "Latvia",
    "Croatia",
    "Cyprus",
    "Sweden",
    "Austria",
]
CTA = "Anything else?"
ENDS = Contract(rules=(Rule(kind="ends_with", params={"text": CTA}, cause="required_element"),))
SCHEMA = {"type": "object", "properties": {"price": {"type": "integer"}}, "required": ["price"]}


def price(place):
    return PLACES.index(place) + 3


def page(place):
    return Passage(
        id=place.lower(),
        title=f"Delivery to {place}",
        text=f"A parcel to {place} costs {price(place)} euros.",
    )


def exchange(place, reply, *, passages=None, expected=None, system="You help.", **more):
    return Exchange(
        id=f"{place}-{len(reply)}", conversation=(Message(role="system", content=system), Message(role="user", content=f"What does a parcel to {place} cost?")),
        reply=Message(role="assistant", content=reply), source=Source(file="log", line=1, dialect="rows"),
        passages=(page("Malta") if place != "Malta" else page("Italy"),) if passages is None else passages, expected=expected, **more,
    )  # fmt: skip


def right(place):
    return f"A parcel to {place} costs {price(place)} euros."


class Bot(Scripted):
    """Reads the passages; what else it does is planted."""

    def __init__(self, *, closes=lambda messages: True, reads=True, errs=lambda n: False):
        super().__init__(outputs=self.answer)
        self.closes, self.reads, self.errs = closes, reads, errs

    def answer(self, messages):
        if self.errs(len(self.asked)):
            return ModelUnavailable("busy")
        last = next(m["content"] for m in reversed(messages) if "cost?" in m["content"])
        place = next(p for p in PLACES if f"to {p} cost?" in last)
        held = right(place) in last.rpartition("Question:")[0]
        text = right(place) if held and self.reads else "I do not have any information about that."
        return f"{text} {CTA}" if self.closes(messages) else text


def climb(
    tmp_path, bot, failures, *, good=(), contract=ENDS, budget=None, repeats=1, stand_in=False, **means
):
    context = Context(contract=contract)
    model = Remembered("scripted:bot", bot, tmp_path / "probes.db", budget or Budget())
    oracle = {e.id: (page(e.id.partition("-")[0]),) for e in failures if e.id.partition("-")[0] in PLACES}
    made = Means(
        **{"contract": contract, "rules": (f"End every reply with: {CTA}",), "oracle": oracle, **means}
    )
    sample = Sample(failures=tuple(failures), good=tuple(good), means=made, stand_in=stand_in)
    ladder = Ladder(Logged("scripted:bot", bot), model, context, repeats=repeats)
    return {p.gap: p for p in ladder.climb(sample)}


UNKNOWN = [exchange(p, "I do not know.", expected=right(p)) for p in PLACES[:8]]
SERVED = [exchange(p, right(p), passages=(page(p),)) for p in PLACES[:8]]
GOOD = [exchange(p, f"{right(p)} {CTA}", passages=(page(p),)) for p in PLACES[8:]]


def test_a_page_that_is_missing_is_turned_by_the_passage_and_by_nothing_else(tmp_path):
    proofs = climb(tmp_path, Bot(), UNKNOWN, good=GOOD)
    assert proofs["style"].refutes  # it closes as it should now, and did not in the log
    proof = proofs["knowledge"]
    assert (proof.named, proof.settled) == ("oracle", True)
    assert {r.name: r.verdict for r in proof.rungs} == {
        "unchanged": "no",
        "settings": "no",
        "rule": "no",
        "oracle": "yes",
    }
    assert "oracle turned" in proof.told


def test_a_rule_that_the_prompt_lacks_is_turned_by_the_rule(tmp_path):
    bot = Bot(closes=lambda messages: messages[0]["content"].endswith(CTA))
    mechanical = Contract(rules=(Rule(kind="no_commas"),))
    proofs = climb(tmp_path, bot, SERVED, good=GOOD)
    assert proofs["style"].named == "settings"
    assert set(proofs) == {"style"}
    bot = Bot(closes=lambda messages: "Never use a comma." in messages[0]["content"])
    broken = climb(
        tmp_path / "other", _commas(bot), SERVED, contract=mechanical, rules=("Never use a comma.",)
    )
    assert broken["style"].named == "rule"


def test_an_example_that_breaks_the_rules_beyond_mending_is_left_out_beside_them():
    shown = Prompt.of("You help.")
    for number, answer in enumerate(
        ("It costs 3 euros.", f"It costs 4 euros. {CTA}", "It costs 5 hundred."), 1
    ):
        shown = shown.with_part(Part(kind="example", name=f"shown-{number}", text="And that?", answer=answer))
    never = Rule(kind="forbidden", params={"words": ["hundred"]})
    found = consistent(shown, Contract(rules=(*ENDS.rules, never)))
    assert [p.name for p in found.parts] == ["text", "shown-1", "shown-2"]
    assert found == shown.without("shown-3")
    assert consistent(found, ENDS) == found


def _commas(bot):
    """Every reply that does not close holds a comma, which nothing can mend without asking."""
    inner = bot.answer
    bot._outputs = lambda messages: (
        inner(messages).replace(f" {CTA}", "")
        if bot.closes(messages)
        else inner(messages).replace(" costs", ", costs")
    )
    return bot


def test_what_only_examples_show_is_turned_by_examples(tmp_path):
    bot = _commas(
        Bot(
            closes=lambda messages: any(
                m["role"] == "assistant" and "," not in m["content"] for m in messages
            )
        )
    )
    shown = [
        Shown(id=f"s{n}", request=f"What does a parcel to {p} cost?", reply=right(p))
        for n, p in enumerate(PLACES[8:])
    ]
    proofs = climb(
        tmp_path,
        bot,
        SERVED,
        contract=Contract(rules=(Rule(kind="no_commas"),)),
        rules=("Never use a comma.",),
        exemplars=tuple(shown),
    )
    assert proofs["style"].named == "exemplars"


def test_what_nothing_in_the_prompt_turns_is_left_for_training(tmp_path):
    bot = _commas(Bot(closes=lambda messages: False))
    proofs = climb(
        tmp_path,
        bot,
        SERVED,
        contract=Contract(rules=(Rule(kind="no_commas"),)),
        rules=("Never use a comma.",),
    )
    assert (proofs["style"].named, proofs["style"].settled) == (None, True)


def test_both_gaps_are_shown_apart(tmp_path):
    bot = Bot(closes=lambda messages: False)
    proofs = climb(tmp_path, bot, UNKNOWN, good=GOOD)
    assert {g: p.named for g, p in proofs.items()} == {"knowledge": "oracle", "style": "settings"}


def test_a_page_that_is_there_and_not_read_is_nobodys_page(tmp_path):
    proof = climb(tmp_path, Bot(reads=False), UNKNOWN)["knowledge"]
    assert (proof.named, proof.settled) == (None, True)


def test_what_is_good_when_asked_again_is_refuted(tmp_path):
    gone = [exchange(p, "I do not know.", passages=(page(p),), expected=right(p)) for p in PLACES[:8]]
    proofs = climb(tmp_path, Bot(), gone)
    assert {g: (p.named, p.refutes, p.shows) for g, p in proofs.items()} == {
        "knowledge": ("unchanged", True, False),
        "style": ("unchanged", True, False),
    }
    assert "unchanged turned 8 of 8" in proofs["knowledge"].told


def test_what_the_judge_cannot_see_in_the_log_it_cannot_see_gone(tmp_path):
    held = [
        exchange(p, f"{right(p)} {CTA}", passages=(page(p),), expected=right(p)) for p in PLACES[:8]
    ]  # somebody disliked these for what no check sees
    assert climb(tmp_path, Bot(), held) == {}


def test_what_another_bot_does_well_refutes_nothing(tmp_path):
    gone = [exchange(p, "I do not know.", passages=(page(p),), expected=right(p)) for p in PLACES[:8]]
    assert climb(tmp_path, Bot(), gone, stand_in=True) == {}
    assert climb(tmp_path, Bot(), gone[:3]) == {}  # too few to say


class Flaky(Bot):
    """Closes as it should now and then, by chance and whatever it is told; mends nothing."""

    def __init__(self, share, *, heeds=False):
        self.chance = random.Random(3)
        super().__init__(closes=lambda m: (heeds and RULE in m[0]["content"]) or self.chance.random() < share)


RULE = "Never use a comma."
COMMAS = Contract(rules=(Rule(kind="no_commas"),))
MANY = [
    replace(e, id=f"{e.id}-{n}", conversation=(*e.conversation[:1], Message(role="user", content=f"{n}: {e.question}")))
    for n in range(12)
    for e in SERVED
]  # fmt: skip


def test_luck_of_a_flaky_bot_is_not_the_work_of_a_remedy(tmp_path):
    proof = climb(tmp_path, _commas(Flaky(0.66)), MANY, contract=COMMAS, rules=(RULE,), repeats=3)["style"]
    assert proof.named in (None, "unchanged")
    ruled = proof.rung("rule")
    assert ruled.turned / ruled.asked > 0.4 and ruled.alone > 0.4
    assert ruled.verdict != "yes"
    assert f"{ruled.alone:.2f} by itself" in proof.told


def test_a_remedy_of_a_flaky_bot_is_named_all_the_same(tmp_path):
    bot = _commas(Flaky(0.3, heeds=True))
    proof = climb(tmp_path, bot, SERVED + MANY[:16], contract=COMMAS, rules=(RULE,), repeats=3)["style"]
    assert proof.named == "rule"
    assert proof.rung("rule").verdict == "yes"
    assert 0 < proof.rung("unchanged").turned < proof.rung("unchanged").asked


def test_only_what_is_good_each_time_can_be_broken(tmp_path):
    good = [exchange(p, right(p), passages=(page(p),)) for p in PLACES[8:]]
    inner = Bot().answer
    flaky = random.Random(1)

    class Shaky(Bot):
        """Told the rule, it heeds it where it failed; where it was good it is so half the time, told or not."""

        def answer(self, messages):
            text = inner(messages).replace(f" {CTA}", "")
            bad = text.replace(" costs", ", costs")
            if any(f"to {p} cost?" in messages[-1]["content"] for p in PLACES[8:]):
                return text if flaky.random() < 0.5 else bad
            return text if RULE in messages[0]["content"] else bad

    proof = climb(tmp_path, Shaky(), SERVED, good=good, contract=COMMAS, rules=(RULE,), repeats=3)["style"]
    assert proof.named == "rule"
    assert proof.rung("rule").good < len(good)


def test_a_rung_that_breaks_good_replies_is_not_named(tmp_path):
    inner = Bot().answer

    class Shy(Bot):
        """Told a rule, it closes as it should and forgets what it knew of everything else."""

        def answer(self, messages):
            told = "Never use a comma." in messages[0]["content"]
            text = inner(messages).replace(f" {CTA}", "")
            asked = messages[-1]["content"]
            if any(f"to {p} cost?" in asked for p in PLACES[8:]):
                return "I do not have any information about that." if told else text
            return text if told else text.replace(" costs", ", costs")

    plain = [exchange(p, right(p), passages=(page(p),)) for p in PLACES[8:]]
    contract = Contract(rules=(Rule(kind="no_commas"),))
    proof = climb(tmp_path, Shy(), SERVED, good=plain, contract=contract, rules=("Never use a comma.",))[
        "style"
    ]
    assert proof.rung("rule").verdict == "yes"
    assert (proof.rung("rule").good, proof.rung("rule").broken) == (4, 4)
    assert proof.named is None


def test_errors_are_no_evidence(tmp_path):
    bot = Bot(errs=lambda n: n % 3 == 0)
    proof = climb(tmp_path, bot, UNKNOWN)["knowledge"]
    oracle = proof.rung("oracle")
    assert oracle.asked == oracle.turned
    assert sum(r.failed for r in proof.rungs) > 0
    assert climb(tmp_path / "b", Bot(errs=lambda n: True), UNKNOWN) == {}


def test_few_that_could_be_judged_settle_nothing(tmp_path):
    proof = climb(tmp_path, Bot(), UNKNOWN[:2])["knowledge"]
    assert (proof.named, proof.settled) == (None, False)


def test_asking_twice_asks_once(tmp_path):
    bot, again = Bot(), Bot()
    first = climb(tmp_path, bot, UNKNOWN, good=GOOD)
    assert climb(tmp_path, again, UNKNOWN, good=GOOD) == first
    assert len(bot.asked) > 20
    assert not again.asked


def test_it_stops_early_and_at_the_cap(tmp_path):
    budget = Budget()
    climb(tmp_path, Bot(), UNKNOWN, budget=budget)
    assert budget.spent_calls < 8 * 5
    tight = Budget(calls=5)
    with pytest.raises(CapReached, match="after 5 calls"):
        climb(tmp_path / "b", Bot(), UNKNOWN, budget=tight)
    kept = Budget(calls=5)
    with pytest.raises(CapReached):
        climb(tmp_path / "b", Bot(), UNKNOWN, budget=kept)
    assert kept.free >= 5


def test_calls_are_priced_by_what_the_log_read_and_wrote():
    counted = replace(GOOD[0], input_tokens=4000, output_tokens=50)
    assert size_of([counted]) == (4000, 50)
    told = replace(
        counted,
        input_tokens=None,
        output_tokens=None,
        conversation=(Message(role="user", content="x" * 400),),
        passages=(Passage(text="y" * 800),),
        reply=Message(role="assistant", content="z" * 80),
        tools=(),
    )
    assert size_of([told]) == (300, 20) and size_of([counted, told]) == (2150, 35)
    assert size_of([]) == (600, 100)
    budget = Budget(price=Price(input=2.0, output=8.0), size=(4000, 50))
    assert budget.cost(1000) == pytest.approx(8.4)
    assert Budget().cost(1) == math.inf


def test_a_bot_that_is_reached_as_a_whole_is_asked_what_it_can_be_asked(tmp_path):
    bot = Scripted(outputs=lambda messages: "I do not have any information about that.")
    model = Remembered("http://bot", bot, tmp_path / "p.db", Budget())
    sample = Sample(
        failures=tuple(UNKNOWN), good=(), means=Means(contract=ENDS, rules=("Be kind.",)), stand_in=False
    )
    subject = Logged("http://bot", bot, open_to=frozenset())
    (proof,) = [
        p for p in Ladder(subject, model, Context(contract=ENDS)).climb(sample) if p.gap == "knowledge"
    ]
    assert [r.name for r in proof.rungs] == ["unchanged"]
    assert (proof.named, proof.settled) == (None, False)
    assert {m["role"] for a in bot.asked for m in a.messages} == {"user"}


TOOLS = (
    Tool(
        name="get_order",
        description="Look up an order.",
        parameters={
            "type": "object",
            "properties": {"id": {"type": "string", "pattern": "^SH-"}},
            "required": ["id"],
        },
    ),
)


def call(arguments, name="get_order"):
    return ToolRequest(name=name, arguments=arguments)


@pytest.mark.parametrize(
    ("calls", "good"),
    [((call('{"id": "SH-1"}'),), True), ((call('{"id": "1"}'),), False), ((call("{"),), False), ((call('{"id": "SH-1"}', "get"),), False), ((call('{"id": "SH-2"}'),), False)],
)  # fmt: skip
def test_calls_are_judged_by_the_right_ones_or_their_schema(calls, good):
    asked = exchange(
        "Malta", "", tools=TOOLS, passages=(), expected='{"name": "get_order", "arguments": {"id": "SH-1"}}'
    )
    assert judge(asked, Answer(text="", calls=calls), Context()).gaps["tool_call"] is good


def test_right_calls_are_read_in_the_forms_people_write_them():
    def wanted(text):
        return expected_calls(exchange("Malta", "", expected=text))

    assert wanted('[{"function": {"name": "a", "arguments": "{\\"x\\": 1}"}}]') == [("a", {"x": 1})]
    assert wanted("There is no need for a tool.") == []
    assert wanted('{"x": 1}') is None
    assert wanted(None) is None
    assert same_calls([call('{"x": 1}', "a"), call("{}", "b")], [("b", {}), ("a", {"x": 1})])
    assert not same_calls([call("{}", "a")], [])


def test_what_cannot_be_told_is_left_open():
    asked = exchange("Malta", "x", expected=None, passages=())
    assert judge(asked, Answer(text="Perhaps."), Context()).gaps == {}
    assert judge(asked, Answer(text="Perhaps."), Context(), referee=lambda e: False).gaps == {
        "knowledge": False
    }
    assert judge(asked, Answer(text=""), Context()).good is False


def test_a_good_reply_must_go_on_saying_what_it_said():
    asked = exchange("Malta", right("Malta"), passages=())
    said = lambda text: judge(asked, Answer(text=text), Context(), reference=right("Malta")).good  # noqa: E731
    assert said(f"It costs {price('Malta')} euros.") is True
    assert said("It costs 99 euros.") is False
    assert said("I do not know.") is False


def test_labels_are_judged_by_the_right_one():
    contract = Contract(labels=("refund", "return"))
    asked = exchange("Malta", "return", expected="refund", passages=())
    assert judge(asked, Answer(text="Refund."), Context(contract=contract)).gaps["classification"] is True
    assert judge(asked, Answer(text="return"), Context(contract=contract)).gaps["classification"] is False


def test_json_is_judged_by_its_schema():
    asked = exchange("Malta", "", response_format=SCHEMA, passages=())
    assert judge(asked, Answer(text=json.dumps({"price": 3})), Context()).gaps["style"] is True
    assert judge(asked, Answer(text="{"), Context()).gaps["style"] is False


def test_exemplars_are_near_and_unlike_each_other():
    pool = [
        Shown(id=str(n), request=r, reply="x")
        for n, r in enumerate(
            ["parcel to Norway", "parcel to Norway", "parcel to Italy", "gift cards for boots"]
        )
    ]
    assert [s.id for s in nearest("parcel to Norway today", pool, 2)] == ["0", "2"]
    assert nearest("anything", [], 2) == ()
    assert len(nearest("parcel", pool, 9)) == 3


def test_answers_older_than_wanted_are_asked_for_anew(tmp_path):
    asked = [{"role": "user", "content": "x"}]
    file = tmp_path / "p.db"
    with closing(sqlite3.connect(file)) as db:  # as an earlier version made it
        db.execute("CREATE TABLE answers (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID")
    bot = Scripted(outputs=["old", "new", "newer"])
    assert Remembered("m", bot, file, Budget()).complete(asked).text == "old"
    assert Remembered("m", bot, file, Budget()).complete(asked).text == "old"
    fresh = Remembered("m", bot, file, Budget(), since=time.time())
    assert [fresh.complete(asked).text, fresh.complete(asked).text] == ["new", "new"]
    assert Remembered("m", bot, file, Budget()).complete(asked).text == "new"


def test_two_servers_share_no_answers(monkeypatch):
    assert at_address("openai:x", "http://a/v1") != at_address("openai:x", "http://b/v1")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://c/v1")
    assert at_address("openai:x") == "openai:x at http://c/v1"
    assert at_address("local:x") == "local:x"


def test_completions_survive_the_cache(tmp_path):
    made = Completion(text="", tool_calls=(call("{}"),))
    bot = Scripted(outputs=[made])
    model = Remembered("m", bot, tmp_path / "p.db", Budget())
    assert (
        model.complete([{"role": "user", "content": "x"}])
        == model.complete([{"role": "user", "content": "x"}])
        == made
    )
    with pytest.raises(Exception, match="the script ends"):
        model.repeated(1).complete([{"role": "user", "content": "x"}])
