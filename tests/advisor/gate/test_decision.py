"""The gate's decision: what it accepts, what it refuses, and how often it is wrong."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.gate.decision import Pair, better, decide, holm, part


def pairs(kind, counts, *, issue="i", size=1):
    """Pairs from (both good, gained, lost, neither); `size` of them a conversation."""
    outcomes = (
        [(True, True)] * counts[0]
        + [(False, True)] * counts[1]
        + [(True, False)] * counts[2]
        + [(False, False)] * counts[3]
    )
    return [
        Pair(
            id=f"{kind}{issue}{n}",
            group=f"{kind}{n // size}",
            kind=kind,
            issue=issue if kind == "target" else "",
            before=b,
            after=a,
        )
        for n, (b, a) in enumerate(outcomes)
    ]


MENDED, USELESS = (0, 18, 0, 2), (1, 1, 1, 17)
SAFE, FEW, BROKEN = (300, 0, 0, 0), (30, 0, 0, 0), (80, 0, 20, 0)


@pytest.mark.parametrize(
    ("target", "good", "verdict", "said"),
    [
        (MENDED, SAFE, "promote", "18 of 20 held-out failures are mended"),
        (MENDED, FEW, "canary", "too few cases to exclude a drop of 2%"),
        (MENDED, (0, 0, 0, 0), "canary", "what it breaks is not known"),
        (MENDED, BROKEN, "refuse", "20 of 100 good replies are broken"),
        (USELESS, SAFE, "refuse", "it does not mend what it is for"),
        ((0, 4, 0, 10), SAFE, "not enough evidence", "2 or more further cases"),
        ((0, 0, 0, 3), SAFE, "not enough evidence", "3 cases are too few"),
        ((0, 0, 0, 0), SAFE, "not enough evidence", "no held-out failure could be judged"),
        ((5, 0, 15, 0), SAFE, "refuse", "gets worse"),
    ],
)
def test_verdicts(target, good, verdict, said):
    found = decide([*pairs("target", target), *pairs("good", good)])
    assert found.verdict == verdict
    assert said in found.reason


def test_general_abilities_count_as_what_was_good():
    found = decide([*pairs("target", MENDED), *pairs("good", SAFE), *pairs("general", (170, 0, 30, 0))])
    assert (found.verdict, found.general.lost) == ("refuse", 30)
    assert "general abilities" in found.reason


def test_a_model_of_which_no_good_reply_was_asked_is_not_given_to_everybody():
    found = decide([*pairs("target", MENDED), *pairs("general", (277, 0, 0, 0))])
    assert found.verdict == "canary"
    assert "no good reply could be asked again" in found.reason


def test_what_could_not_be_judged_is_no_evidence_and_is_counted():
    open_ = [
        Pair(id="x", group="x", kind="target", issue="i", before=None, after=True),
        Pair(id="y", group="y", kind="target", issue="i", before=False, after=None),
    ]
    found = decide([*pairs("target", MENDED), *open_, *pairs("good", SAFE)])
    assert (found.target.n, found.target.unjudged) == (20, 2)


def test_cases_of_one_conversation_are_not_many():
    alone = decide([*pairs("target", (0, 8, 0, 0)), *pairs("good", SAFE)])
    together = decide([*pairs("target", (0, 8, 0, 0), size=8), *pairs("good", SAFE)])
    assert alone.verdict == "promote"
    assert together.verdict == "not enough evidence"
    assert together.target.p == 1.0


def test_several_issues_are_corrected_for():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}, 0.05) == {"a"}
    assert holm({"a": 0.01, "b": 0.02, "c": 0.03}, 0.05) == {"a", "b", "c"}
    # One of five looks mended, the others change their minds either way: that is what chance does.
    counts = [(0, 6, 0, 6), *[(0, 3, 3, 6)] * 4]
    many = [p for n, c in enumerate(counts) for p in renamed(pairs("target", c, issue=f"i{n}"), n)]
    assert decide([*many, *pairs("good", SAFE)]).verdict == "not enough evidence"
    assert decide([*pairs("target", (0, 6, 0, 6)), *pairs("good", SAFE)]).verdict == "promote"


def test_issues_too_small_to_show_anything_may_show_it_together():
    small = [p for n in range(4) for p in renamed(pairs("target", (0, 3, 0, 0), issue=f"i{n}"), n)]
    found = decide([*small, *pairs("good", SAFE)])
    assert found.verdict == "promote", found.reason
    assert all(part.p > 0.05 for part in found.issues.values())
    assert decide([*small[:5], *pairs("good", SAFE)]).verdict == "not enough evidence"


def renamed(own, n):
    return [replace(p, group=f"{n}-{p.group}") for p in own]


def test_the_cheaper_one_wins_unless_the_dearer_is_shown_to_be_better():
    none = pairs("target", (0, 0, 0, 30))
    cheap = [*pairs("target", (0, 20, 0, 10))]
    dear = [*pairs("target", (0, 22, 0, 8))]
    assert better(dear, cheap)[0] is False
    assert better(dear, none)[0] is True
    assert better(cheap, dear)[1].lost == 2


@given(st.tuples(*[st.integers(0, 30)] * 4), st.tuples(*[st.integers(0, 30)] * 4))
def test_never_promoted_without_gain_or_with_many_breaks(target, good):
    found = decide([*pairs("target", target), *pairs("good", good)])
    if found.verdict in ("promote", "canary"):
        assert target[1] > target[2]
        assert good[2] - good[1] < 2 or (good[2] - good[1]) / sum(good) <= 0.02
    assert found.target.low <= found.target.difference <= found.target.high or found.target.n == 0


def test_an_empty_part_says_nothing():
    nothing = part([])
    assert (nothing.n, nothing.low, nothing.high, nothing.p) == (0, -1.0, 1.0, 1.0)


def drawn(chance, n, before, after):
    return [(chance.random() < before, chance.random() < after) for _ in range(n)]


def accepted(chance, *, mends, breaks):
    target = [
        Pair(
            id=f"t{n}", group=f"t{n}", kind="target", issue="i", before=b, after=b or chance.random() < mends
        )
        for n, (b, _) in enumerate(drawn(chance, 30, 0.1, 0))
    ]
    noisy = [
        Pair(
            id=p.id,
            group=p.group,
            kind="target",
            issue="i",
            before=p.before,
            after=p.after if chance.random() > 0.1 else not p.after,
        )
        for p in target
    ]
    good = [
        Pair(id=f"g{n}", group=f"g{n}", kind="good", before=True, after=chance.random() >= breaks)
        for n in range(100)
    ]
    return decide([*(noisy if mends else flat(chance)), *good]).verdict in ("promote", "canary")


def flat(chance):
    """A bot that is asked twice and changes its mind as often one way as the other."""
    return [
        Pair(
            id=f"t{n}",
            group=f"t{n}",
            kind="target",
            issue="i",
            before=chance.random() < 0.3,
            after=chance.random() < 0.3,
        )
        for n in range(30)
    ]


def test_a_remedy_that_does_nothing_is_hardly_ever_accepted():
    chance = random.Random(1)
    wrong = sum(accepted(chance, mends=0, breaks=0.0) for _ in range(400))
    assert wrong / 400 <= 0.05


def test_a_remedy_that_mends_and_breaks_is_refused():
    chance = random.Random(2)
    assert sum(accepted(chance, mends=0.9, breaks=0.1) for _ in range(200)) / 200 <= 0.05
    assert sum(accepted(chance, mends=0.9, breaks=0.0) for _ in range(200)) / 200 >= 0.95
