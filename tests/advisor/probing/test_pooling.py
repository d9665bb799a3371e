"""Small issues of one bot with one cause settle each other, and nothing else."""

from dataclasses import replace

import pytest

from advisor.issues import Issue, Rate, Trend
from advisor.probing.pooling import pooled
from advisor.proof import Proof, Rung


def rung(name, turned, asked):
    return Rung(name=name, asked=asked, turned=turned, low=0.1, high=0.9, verdict="open")


def issue(id, *rungs, cause="missing_content", subject="release a", settled=False):
    proof = Proof(gap="knowledge", rungs=(rung("unchanged", 0, 3), *rungs), named=None, settled=settled, subject=subject, stand_in=False)  # fmt: skip
    return Issue(
        id=id, title=id, gaps=("knowledge",), cause=cause, signature=(), topic=(), exchange_ids=(), distinct=5,
        rate=Rate(count=5, total=50, value=0.1, low=0.0, high=0.2), trend=Trend(period_days=1.0, counts=(), totals=(), direction="unknown"),
        tenants=(), confidence=0.9, undetermined=0, examples=(), proofs=(proof,),
    )  # fmt: skip


def named(*issues):
    return [i.proofs[0].named for i in pooled(issues)]


def test_what_three_show_together_settles_each():
    parts = [issue(str(n), rung("rule", 0, 3), rung("oracle", 3, 3)) for n in range(3)]
    found = list(pooled(parts))
    assert [(i.proofs[0].named, i.proofs[0].settled) for i in found] == [("oracle", True)] * 3
    assert (found[0].proofs[0].pooled.turned, found[0].proofs[0].pooled.asked) == (9, 9)
    assert "With the bot's other issues of this cause, oracle turned 9 of 9" in found[0].proofs[0].told


def test_an_issue_whose_own_cases_say_otherwise_stays_open():
    agreeing = [issue(str(n), rung("oracle", 4, 4)) for n in range(3)]
    assert named(*agreeing, issue("odd", rung("oracle", 0, 2)), issue("unasked", rung("oracle", 0, 0)))[3:] == [None, None]  # fmt: skip


@pytest.mark.parametrize("other", [{"cause": "retrieval_miss"}, {"subject": "release b"}])
def test_other_causes_and_other_bots_are_not_pooled(other):
    first, second = issue("1", rung("oracle", 4, 4)), issue("2", rung("oracle", 4, 4), **other)
    assert named(first, second) == [None, None]


def test_the_cheapest_rung_that_turns_them_is_named():
    parts = [issue(str(n), rung("rule", 3, 3), rung("oracle", 3, 3)) for n in range(3)]
    assert named(*parts) == ["rule"] * 3


def test_a_rung_that_breaks_good_replies_is_not():
    broken = replace(rung("rule", 3, 3), good=4, broken=2)
    parts = [issue(str(n), broken, rung("oracle", 3, 3)) for n in range(3)]
    assert named(*parts) == ["oracle"] * 3
