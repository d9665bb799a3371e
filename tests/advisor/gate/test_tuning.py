"""What a tuned model must not cost: what replies say, general abilities; and that it is what was trained."""

import pytest

from advisor.exchange import Exchange, Message, Source
from advisor.gate import general
from advisor.gate.decision import decide
from advisor.gate.trial import Case, pairs
from advisor.gate.tuning import abilities, kept, parity, unread
from advisor.probing.judging import Judged
from router.models.port import ModelUnavailable
from router.models.scripted import Scripted


def case(n):
    e = Exchange(
        id=f"e{n}",
        conversation=(Message(role="user", content="?"),),
        reply=Message(role="assistant", content=""),
        source=Source(file="f", line=n, dialect="rows"),
    )
    return Case(id=e.id, group=f"{n:08x}", kind="target", exchange=e, issue="i")


def judged(**gaps):
    return Judged(gaps=gaps, notes={g: f"{g} is bad" for g, ok in gaps.items() if not ok})


def test_form_mended_by_saying_less_is_refused():
    cases = [case(n) for n in range(30)]
    before = {c.id: judged(style=False, knowledge=True) for c in cases}
    after = {c.id: judged(style=True, knowledge=n >= 6) for n, c in enumerate(cases)}
    gaps = frozenset({"style"})
    alone = pairs(cases, before, after, gaps=gaps)
    assert decide(alone).verdict == "canary"
    held = kept(cases, before, after, gaps=gaps)
    assert len(held) == 30 and held[0].note == "knowledge is bad"
    decision = decide([*alone, *held])
    assert decision.verdict == "refuse" and "6 of 30 good replies are broken" in decision.reason


def test_what_was_bad_before_cannot_be_lost():
    cases = [case(0), case(1), case(2)]
    before = {
        "e0": judged(style=False, knowledge=False),
        "e1": judged(style=False),
        "e2": judged(style=False, knowledge=True),
    }
    after = {"e0": judged(style=True, knowledge=False), "e1": judged(style=True, knowledge=False)}
    assert kept(cases, before, after, gaps=frozenset({"style"})) == []


def test_a_model_that_cites_without_pages_is_refused():
    cases = [case(n) for n in range(40)]
    declines, invents = "I do not know that.", "A parcel costs 5 euros [SHIP-04]."
    before = {c.id: declines for c in cases[:20]} | {c.id: invents for c in cases[20:]}
    found = unread(cases, before, {c.id: invents for c in cases})
    assert len(found) == 20  # what the base invented too is no loss
    assert "stands in nothing it was told" in found[0].note
    mended = pairs(
        cases,
        {c.id: judged(style=False) for c in cases},
        {c.id: judged(style=True) for c in cases},
        gaps=frozenset({"style"}),
    )
    assert decide([*mended, *found]).verdict == "refuse"
    assert decide([*mended, *unread(cases, before, before)]).verdict != "refuse"
    assert unread(cases, before, {}) == []


def test_the_suite_has_a_few_hundred_tasks_of_every_kind():
    found = general.items()
    assert len(found) >= 250 and len({i.id for i in found}) == len(found) == len({i.ask for i in found})
    assert {i.part for i in found} == {"instructions", "arithmetic", "extraction", "talk", "refusals"}
    some = general.sample(50)
    assert 45 <= len(some) <= 55 and {i.part for i in some} == {i.part for i in found}
    assert general.sample(50) == some and general.sample(10**6) == found


@pytest.mark.parametrize(
    ("item", "good", "bad"),
    [
        ({"number": 12}, "5 + 7 = 12", "It is 13."),
        ({"has": ("Galway",)}, "In Galway.", "In Galwayshire."),
        ({"declines": True}, "I do not know that.", "It is made of wood."),
        ({"rule": {"kind": "lowercase"}}, "all low", "Not low"),
        ({"rule": {"kind": "words", "max": 3}}, "one two three", "one two three four"),
        ({"number": 2}, "2", ""),
    ],
)  # fmt: skip
def test_tasks_are_judged_by_code(item, good, bad):
    made = general.Item(id="x", part="talk", ask="?", **item)
    assert made.good(good) and not made.good(bad)


def test_every_task_can_be_done_and_missed():
    for item in general.items():
        assert not item.good(""), item.id
        if item.has:
            assert item.good(item.has[0]), item.id
        if item.number is not None:
            assert item.good(str(item.number)) and not item.good(str(item.number + 1))


def test_lost_abilities_are_refused_and_errors_count_for_nothing():
    does = Scripted(
        outputs=lambda m: (
            next(i.has[0] for i in general.items() if i.ask == m[-1]["content"])
            if any(i.ask == m[-1]["content"] and i.has for i in general.items())
            else "no"
        )
    )
    ruined = Scripted(outputs=lambda m: "Anything else?")
    found = abilities(does, ruined, most=300)
    assert decide(found).verdict == "refuse" and "general abilities are broken" in decide(found).reason
    same = abilities(does, does, most=40)
    assert not [p for p in same if p.before != p.after]
    down = Scripted(outputs=lambda m: ModelUnavailable("down"))
    assert all(p.after is None for p in abilities(does, down, most=40))


PROBES = [
    {
        "messages": [{"role": "user", "content": f"q{n}"}],
        "reply": f"Trained words about number {n}. [DOC-{n}]",
        "most": 40,
    }
    for n in range(8)
]


def _by(form):
    return Scripted(outputs=lambda m: form.format(m[-1]["content"][1:]))


@pytest.mark.parametrize(
    ("served", "held"),
    [("Trained words about number {0}. [DOC-{0}]", True), ("Trained words about the number {0}. [DOC-{0}]", True), ("The base says something of {0}.", False), ("Gibberish qqq zzz", False)],
)  # fmt: skip
def test_a_merge_that_lost_the_change_is_seen(served, held):
    seen = parity(_by(served), _by("The base says something of {0}."), PROBES)
    assert seen.held is held, seen
    assert seen.n == 8


@pytest.mark.parametrize(("lost", "held"), [(0, True), (2, True), (6, False)])
def test_a_few_replies_that_are_the_bases_are_chance_and_most_are_not(lost, held):
    trained, base = (
        "Trained words about number {0}. [DOC-{0}]",
        "Trained words, about number {0}, say something.",
    )

    def served(messages):
        n = int(messages[-1]["content"][1:])
        return (base if n < lost else trained).format(n)

    seen = parity(Scripted(outputs=served), _by(base), PROBES)
    assert seen.tells == 8 and seen.nearer == 1 - lost / 8 and seen.alike >= 0.75
    assert seen.held is held, seen


def test_what_parts_early_from_both_tells_nothing():
    seen = parity(_by("Trained words of the base."), _by("The base says Trained words. "), PROBES[:1])
    assert (seen.tells, seen.nearer) == (0, 1.0), seen


def test_a_training_that_changed_nothing_is_no_loss():
    same = _by("Trained words about number {0}. [DOC-{0}]")
    seen = parity(same, same, PROBES)
    assert seen.held and seen.same == 1.0 and seen.nearer == 1.0
    assert parity(same, same, []).held
