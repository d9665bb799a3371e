"""Cases as pairs: what can be lost, and chance that is not a loss."""

from dataclasses import replace

from advisor.gate.decision import part
from advisor.gate.trial import Case, pairs
from advisor.probing.judging import Judged


def good(n, exchange):
    return Case(id=f"{n}", group=f"{n}", kind="good", exchange=exchange, reference="It is lost.")


def judged(*said):
    return {f"{n}": Judged(gaps={"knowledge": fine}) for n, fine in enumerate(said)}


def test_a_good_reply_that_the_bot_does_not_repeat_cannot_be_broken(exchange):
    cases = [good(n, replace(exchange, expected=None)) for n in range(2)]
    found = pairs(cases, judged(True, False), judged(False, False))
    assert [(p.before, p.after) for p in found] == [(True, False), (None, None)]


def test_a_lucky_answer_that_does_not_come_again_is_no_loss(exchange):
    cases = [good(n, exchange) for n in range(4)]
    first, second, after = (
        judged(True, True, True, False),
        judged(False, True, True, True),
        judged(False, True, True, True),
    )
    biased = part(list(pairs(cases, first, after)))
    fair = part(list(pairs(cases, second, after, chosen=first)))
    assert (biased.lost, biased.n) == (1, 3)
    assert (fair.lost, fair.gained, fair.n) == (0, 0, 3)
