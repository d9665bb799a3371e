"""Which failures are asked again: those that do not judge remedies later, where they are enough."""

from dataclasses import replace

from advisor.apply.cases import group_of, held_out
from advisor.exchange import Message
from advisor.issues import Issue, Rate, Trend
from advisor.probing.means import by_issue


def told(exchange, count):
    return {
        f"e{n}": replace(
            exchange, id=f"e{n}", conversation=(Message(role="user", content=f"What about {n}?"),)
        )
        for n in range(count)
    }


def issue(ids):
    return Issue(
        id="i", title="i", gaps=("style",), cause=None, signature=(), topic=(), exchange_ids=tuple(ids), distinct=5,
        rate=Rate(count=5, total=50, value=0.1, low=0.0, high=0.2), trend=Trend(period_days=1.0, counts=(), totals=(), direction="unknown"),
        tenants=(), confidence=0.9, undetermined=0, examples=(), proofs=(),
    )  # fmt: skip


def test_what_judges_later_is_asked_only_where_the_rest_is_too_little(exchange):
    seen = told(exchange, 40)
    asked = by_issue(issue(seen), seen, 12)
    assert len(asked) == 12 and not any(held_out(group_of(e)) for e in asked)
    teaching = [e.id for e in seen.values() if not held_out(group_of(e))]
    judging = [e.id for e in seen.values() if held_out(group_of(e))]
    few = by_issue(issue([*teaching[:7], *judging[:5]]), seen, 12)
    assert {e.id for e in few} == {*teaching[:7], *judging[:5]}
