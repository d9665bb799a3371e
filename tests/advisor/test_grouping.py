import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.grouping import group, wilson
from advisor.issues import Broken, Member

ENDING = Broken(rule="ends_with(text=Bye)", origin="system", words='End with "Bye".')


def member(number, **fields):
    given_fields = {
        "gaps": ("knowledge",), "cause": "missing_content", "confidence": 0.8, "signature": ("feedback.negative",),
        "question": f"Do you ship parcel {number} to Canada?", "reply": "I do not know.",
    } | fields  # fmt: skip
    return Member(id=f"{number:016x}", **given_fields)


def style(number, **fields):
    return member(
        number,
        **(
            {
                "gaps": ("style",),
                "cause": "required_element",
                "broken": (ENDING,),
                "signature": ("rule.broken:" + ENDING.rule,),
            }
            | fields
        ),
    )


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_gives_the_published_intervals(count, total, low, high):
    # 81 of 263: Newcombe 1998, table I, method 3.
    rate = wilson(count, total)
    assert rate.low == pytest.approx(low, abs=5e-4)
    assert rate.high == pytest.approx(high, abs=5e-4)
    assert (rate.count, rate.total) == (count, total)


def test_of_nothing_nothing_is_known():
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


def test_knowledge_is_cut_by_topic_and_named_by_it():
    gifts = [member(100 + i, question=f"Can you wrap a gift for person {i}?") for i in range(3)]
    ships = [member(i, question=f"Do you ship to Canada, order {i}?") for i in range(5)]
    first, second = group([*gifts, *ships], total=100, clock={})
    assert first.exchange_ids == tuple(m.id for m in ships)
    assert "canada" in first.title.lower() and first.title.startswith("No document answers")
    assert {"gift", "wrap"} & set(second.topic)
    assert (first.rate.count, first.rate.total) == (5, 100)


def test_form_is_grouped_by_rule_whatever_the_topic():
    questions = ["Where is it?", "How much is it?", "Who are you?"]
    (issue,) = group([style(i, question=q) for i, q in enumerate(questions)], total=9, clock={})
    assert issue.title == 'Replies leave out the ending "Bye"'
    assert issue.broken == (ENDING,)


def test_of_two_broken_rules_the_commoner_one_names_the_issue():
    cites = Broken(rule="cites(like=[1])", origin="system", words="Cite.")
    both = style(9, broken=(cites, ENDING))
    issues = group([style(1), style(2), both], total=9, clock={})
    assert [i.rate.count for i in issues] == [3]


def test_what_one_person_asked_for_is_grouped_by_kind():
    asked = [
        style(i, broken=(Broken(rule=f"words(max={i})", origin="request", words=f"at most {i} words"),))
        for i in range(4)
    ]
    (issue,) = group(asked, total=9, clock={})
    assert issue.title == "Replies break what the person asked for: words"


def test_undetermined_failures_are_one_issue():
    (issue,) = group(
        [member(i, gaps=(), cause=None, question=q) for i, q in enumerate("abc")], total=3, clock={}
    )
    assert issue.undetermined == 3
    assert "does not show why" in issue.title


def test_near_duplicates_count_once_as_distinct():
    same = [member(i, question=f"Ship to Canada, order {i}?") for i in range(6)]
    (issue,) = group(
        [*same, member(50, question="Canada: what does shipping cost there?")], total=20, clock={}
    )
    assert (issue.rate.count, issue.distinct) == (7, 2)


def test_a_rise_is_called_one_only_if_it_is_more_than_chance():
    clock = dict.fromkeys(range(80), 10)
    late = [member(i, time=3600.0 * (60 + i % 20)) for i in range(20)]
    even = [member(i, time=3600.0 * (4 * i)) for i in range(20)]
    assert group(late, total=800, clock=clock)[0].trend.direction == "rising"
    assert group(even, total=800, clock=clock)[0].trend.direction == "steady"
    assert group(late[:5], total=800, clock=clock)[0].trend.direction == "unknown"
    assert group(late, total=800, clock={})[0].trend.direction == "unknown"
    trend = group(late, total=800, clock=clock)[0].trend
    assert sum(trend.counts) == 20 and sum(trend.totals) == 800


def test_the_examples_are_three_and_the_surest_comes_first():
    sure = member(7, confidence=0.99)
    (issue,) = group([*(member(i) for i in range(6)), sure], total=20, clock={})
    assert issue.examples[0] == sure.id
    assert len(set(issue.examples)) == 3


MEMBERS = st.lists(
    st.builds(
        lambda i, gaps, cause, q, broken: member(i, gaps=gaps, cause=cause, question=q, broken=broken),
        st.integers(0, 10**6),
        st.sampled_from([(), ("knowledge",), ("style",), ("style", "knowledge"), ("tool_call",)]),
        st.sampled_from([None, "missing_content", "format"]),
        st.text(alphabet="abc 配送カナダ?", max_size=20),
        st.sampled_from([(), (ENDING,)]),
    ),
    max_size=25,
    unique_by=lambda m: m.id,
)


@settings(max_examples=60, deadline=None)
@given(members=MEMBERS, seed=st.integers(0, 99))
def test_order_does_not_matter_and_every_failure_is_in_one_issue(members, seed):
    shuffled = list(members)
    random.Random(seed).shuffle(shuffled)
    issues = group(members, total=100, clock={})
    assert issues == group(shuffled, total=100, clock={})
    assert sorted(i for issue in issues for i in issue.exchange_ids) == sorted(m.id for m in members)
    assert len({i.id for i in issues}) == len(issues)
    assert all(
        0 <= i.rate.low <= i.rate.value <= i.rate.high <= 1 and not math.isnan(i.confidence) for i in issues
    )
