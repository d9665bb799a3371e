"""ChangePrompt: the least change that mends what suggested it; nothing where nothing does; a model's rewriting within its limits."""

from dataclasses import replace

import pytest

from advisor.apply.change_prompt import Edit, NoChange, Trying, propose
from advisor.checks.context import Context
from advisor.exchange import Exchange, Message, Source
from advisor.gate.trial import Bench, Case
from advisor.probing.asking import Budget, Remembered
from advisor.probing.rungs import Means, Shown
from advisor.probing.subject import Setup
from router.contract.rules import Contract, Rule
from router.models.port import ModelUnavailable
from router.models.scripted import Scripted
from router.prompts import Part, Prompt
from router.releases import Generation, Release, Retrieving

RULE = "Never use a comma."
NO_COMMAS = Contract(rules=(Rule(kind="no_commas"),))


def exchange(n):
    return Exchange(
        id=f"e{n}", conversation=(Message(role="user", content=f"What about thing number {n}?"),), reply=Message(role="assistant", content=f"Thing, {n}."),
        source=Source(file="log", line=n, dialect="rows"),
    )  # fmt: skip


def case(n, kind="target"):
    good = Message(role="assistant", content=f"Thing {n}.")
    return Case(
        id=f"e{n}",
        group=f"{n:08x}",
        kind=kind,
        exchange=exchange(n),
        issue="i" if kind == "target" else "",
        reference=good.content if kind == "good" else None,
    )


TEACHING = [*(case(n) for n in range(8)), *(case(n, "good") for n in range(100, 106))]


def bot(obeys, *, always_good_from=100):
    def answer(messages):
        number = (
            int(messages[-1]["content"].rstrip("?").split()[-1]) if "number" in messages[-1]["content"] else 0
        )
        return f"Thing {number}." if number >= always_good_from or obeys(messages) else f"Thing, {number}."

    return Scripted(outputs=answer)


def setup(prompt="You help."):
    release = Release(
        model="scripted:bot",
        prompt="p",
        generation=Generation(strict=False, retries=0),
        retrieving=Retrieving(cite=False, grounded=False),
    )
    return Setup(release=release, prompt=Prompt.of(prompt))


def how(tmp_path, contract=NO_COMMAS, budget=None, **more):
    def remembered(subject):
        return Remembered(subject.model_reference, subject.model, tmp_path / "p.db", budget or Budget())

    return Trying(bench=Bench(model=remembered, context=Context(contract=contract)), **more)


def test_a_rule_where_a_rule_is_enough(tmp_path):
    found = propose(
        setup(), bot(lambda m: RULE in m[0]["content"]), Means(rules=(RULE,)), TEACHING, how(tmp_path)
    )
    assert found.name == f"state at the end: {RULE}"
    assert found.prompt.system == f"You help.\n{RULE}"
    assert f"+{RULE}" in found.diff
    assert found.release.prompt == found.prompt.id
    assert [(s.good, s.n, s.broken) for s in found.tried] == [(8, 8, 0)]


def test_examples_where_a_rule_is_not(tmp_path):
    obeys = lambda m: sum(x["role"] == "assistant" for x in m) >= 2  # noqa: E731
    shown = tuple(
        Shown(id=f"s{n}", request=f"What about item {w}?", reply=f"Item {w}.")
        for n, w in enumerate(["ten", "boots", "gift cards", "tents", "refunds"])
    )
    found = propose(setup(), bot(obeys), Means(rules=(RULE,), exemplars=shown), TEACHING, how(tmp_path))
    assert found.name == "show 2 examples"
    assert len(found.prompt.examples) == 4
    assert [s.edit.cost for s in found.tried] == sorted(s.edit.cost for s in found.tried)


def test_a_setting_before_any_word(tmp_path):
    ends = Contract(rules=(Rule(kind="ends_with", params={"text": "Bye for now."}),))
    found = propose(
        setup(),
        bot(lambda m: True),
        Means(contract=ends, rules=("End with: Bye for now.",)),
        TEACHING,
        how(tmp_path, ends),
    )
    assert found.name == "hold every reply to the contract at run time"
    assert found.diff == ()
    assert found.release.contract == ends


def test_what_contradicts_a_rule_is_taken_out(tmp_path):
    contract = Contract(rules=(Rule(kind="words", params={"max": 2}),))
    obeys = lambda m: "hundred" not in m[0]["content"] and "100" not in m[0]["content"]  # noqa: E731
    made = bot(obeys)
    inner = made._outputs
    made._outputs = lambda m: inner(m) if obeys(m) else "Thing is here and there and everywhere today."
    found = propose(
        setup("You help. Write at least 100 words."),
        made,
        Means(contract=contract),
        TEACHING,
        how(tmp_path, contract),
    )
    assert found.name == "take out what contradicts the rules"
    assert found.prompt.system == "You help."


def test_an_example_that_breaks_a_rule_is_taken_out(tmp_path):
    """Of a model that does as it is shown, whatever it is told."""
    base = setup()
    for name, answer in (("kept", "Thing 4."), ("broken", "Thing, 5.")):
        part = Part(kind="example", name=name, text="What about thing number 4?", answer=answer)
        base = replace(base, prompt=base.prompt.with_part(part))
    made = bot(lambda m: not any("," in x["content"] for x in m if x["role"] == "assistant"))
    means = Means(contract=NO_COMMAS, rules=(RULE,))
    found = propose(base, made, means, TEACHING, how(tmp_path))
    assert found.name == "take out what contradicts the rules"
    assert [p.name for p in found.prompt.parts] == ["text", "kept"]
    assert any(line.startswith("-") and "Thing, 5." in line for line in found.diff)


def test_nothing_is_proposed_where_nothing_helps(tmp_path):
    found = propose(setup(), bot(lambda m: False), Means(rules=(RULE,)), TEACHING, how(tmp_path))
    assert isinstance(found, NoChange) and found.fruitless and "mends any" in str(found)


def test_what_could_not_be_tried_shows_nothing(tmp_path):
    nothing = propose(setup(), bot(lambda m: False), Means(), TEACHING, how(tmp_path))
    assert isinstance(nothing, NoChange) and not nothing.fruitless and "no setting" in str(nothing)
    down = Scripted(outputs=lambda m: ModelUnavailable("down"))
    unasked = propose(setup(), down, Means(rules=(RULE,)), TEACHING, how(tmp_path / "b"))
    assert isinstance(unasked, NoChange) and not unasked.fruitless and "could be asked" in str(unasked)


def test_a_change_that_breaks_good_replies_is_not_proposed(tmp_path):
    def answer(messages):
        told = RULE in messages[0]["content"]
        number = int(messages[-1]["content"].rstrip("?").split()[-1])
        return (
            f"Thing {number}."
            if told == (number < 100)
            else "I do not know."
            if told
            else f"Thing, {number}."
        )

    def good(messages):
        number = int(messages[-1]["content"].rstrip("?").split()[-1])
        return (
            f"Thing {number}." if number >= 100 and RULE not in messages[0]["content"] else answer(messages)
        )

    found = propose(setup(), Scripted(outputs=good), Means(rules=(RULE,)), TEACHING, how(tmp_path))
    assert isinstance(found, NoChange) and not found.fruitless and "breaks good replies" in str(found)


def test_what_is_dear_is_made_only_if_it_is_needed(tmp_path):
    asked = []

    def more():
        asked.append(True)
        return [Edit(name="dear", cost=4, setup=setup("Write without any comma."))]

    assert propose(
        setup(),
        bot(lambda m: RULE in m[0]["content"]),
        Means(rules=(RULE,)),
        TEACHING,
        how(tmp_path, more=more),
    ).name.startswith("state")
    assert not asked
    found = propose(
        setup(),
        bot(lambda m: "without any comma" in m[0]["content"]),
        Means(rules=(RULE,)),
        TEACHING,
        how(tmp_path / "b", more=more),
    )
    assert found.name == "dear"


def remembered(tmp_path, writer, budget=None):
    return Remembered("scripted:writer", writer, tmp_path / "w.db", budget or Budget())


def test_a_model_rewrites_the_prompt_from_what_failed(tmp_path):
    pytest.importorskip("gepa")
    from advisor.apply.optimising import optimise

    writer = Scripted(outputs=lambda messages: "```\nYou help. Write without any comma.\n```")
    obeys = bot(lambda m: "without any comma" in m[0]["content"])
    base = setup()
    prompt = optimise(base, obeys, remembered(tmp_path, writer), TEACHING, how(tmp_path).bench, calls=60)
    assert prompt.system == "You help. Write without any comma."
    shown = str(writer.asked[0].messages)
    assert "They are data from a log" in shown and "What about thing number" in shown
    rerun = Scripted(outputs=[])
    again = optimise(base, obeys, remembered(tmp_path, rerun), TEACHING, how(tmp_path).bench, calls=60)
    assert again == prompt and not rerun.asked


def test_what_was_found_until_a_cap_is_reached_is_not_lost(tmp_path):
    pytest.importorskip("gepa")
    from advisor.apply.optimising import optimise

    writer = Scripted(outputs=["```\nWrite without any comma.\n```"])
    most = bot(lambda m: "without any comma" in m[0]["content"] and not m[-1]["content"].endswith("5?"))
    budget = Budget(calls=20)
    prompt = optimise(
        setup(), most, remembered(tmp_path, writer), TEACHING, how(tmp_path, budget=budget).bench, calls=200
    )
    assert budget.spent_calls == 20
    assert prompt.system == "Write without any comma."


def test_a_rewriting_that_is_too_long_or_not_paid_for_is_not_taken(tmp_path):
    pytest.importorskip("gepa")
    from advisor.apply.optimising import optimise

    base = setup()
    wordy = Scripted(outputs=lambda messages: f"```\nWrite without any comma. {'Really. ' * 400}\n```")
    obeys = bot(lambda m: "without any comma" in m[0]["content"])
    found = optimise(base, obeys, remembered(tmp_path, wordy), TEACHING, how(tmp_path).bench, calls=40)
    assert found is None
    stopped = remembered(tmp_path / "b", Scripted(outputs=lambda m: "```\nx\n```"), Budget(calls=0))
    found = optimise(base, bot(lambda m: False), stopped, TEACHING, how(tmp_path / "b").bench, calls=40)
    assert found is None
