import dataclasses

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import advisor.tally as tally_module
from advisor.evidence import Evidence, quote
from advisor.tally import Limits, Tally, member_of, seen


def test_a_member_keeps_what_broke_and_where_the_rule_was_read(exchange, diagnosis):
    broken = Evidence(
        check="rule.broken", gap="style", cause="required_element", strength=0.9, note="It ends otherwise.", rule="ends_with(text=Bye)",
        quotes=(quote('End with "Bye".', "system"), quote("It is lost.", "reply")),
    )  # fmt: skip
    held = dataclasses.replace(broken, check="rule.held", strength=-0.3)
    member = member_of(exchange, dataclasses.replace(diagnosis, named=("style",), evidence=(broken, held)))
    assert member.signature == ("rule.broken:ends_with(text=Bye)",)
    assert [(b.rule, b.origin, b.words) for b in member.broken] == [
        ("ends_with(text=Bye)", "system", 'End with "Bye".')
    ]
    assert member.corrected


def test_counts_are_exact_and_good_replies_are_no_members(exchange, diagnosis):
    tally = Tally()
    tally.add(seen(exchange, diagnosis, Limits()))
    good = dataclasses.replace(diagnosis, failed=0.1, named=())
    tally.add(seen(dataclasses.replace(exchange, id="00ff00ff00ff00ff"), good, Limits()))
    assert (tally.exchanges, tally.failed, tally.gaps["knowledge"], tally.served) == (2, 1, 1, 2)
    assert [m.id for m in tally.members()] == [exchange.id]
    assert [key for key, _, _ in tally.stored()] == [exchange.id, "00ff00ff00ff00ff"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(order=st.permutations([f"{i * 2654435761 % 2**32:016x}" for i in range(40)]))
def test_the_sample_does_not_depend_on_the_order(exchange, diagnosis, order):
    tally = Tally(_failures=tally_module._Sample(10))
    for key in order:
        tally.add(seen(dataclasses.replace(exchange, id=key), diagnosis, tally.limits()))
    assert [m.id for m in tally.members()] == sorted(order)[:10]
    assert tally.failed == 40
