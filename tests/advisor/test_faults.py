import pytest

from advisor import checks
from advisor.checks.context import Context
from advisor.diagnosis import Diagnosis
from advisor.exchange import Exchange, Message, Source, Tool, ToolCall
from advisor.faults import failed, path
from advisor.grouping import group
from advisor.issues import Broken, Member
from advisor.tally import member_of

ORDER = Tool(
    name="create_order",
    description="Create an order for an article.",
    parameters={
        "type": "object", "required": ["article", "quantity"], "additionalProperties": False,
        "properties": {"article": {"type": "string"}, "quantity": {"type": "integer"}, "size": {"enum": ["S", "M"]}},
    },
)  # fmt: skip


def called(number, arguments, name="create_order"):
    """The member of a reply with one faulty call, as the checks see it."""
    asked = Message(role="user", content="Please order two of the rain jackets for me.")
    exchange = Exchange(
        id=f"{number:016x}", conversation=(asked,), tools=(ORDER,), source=Source(file="a", line=1, dialect="openai"),
        reply=Message(role="assistant", tool_calls=(ToolCall(name=name, arguments=arguments),)),
    )  # fmt: skip
    seen = checks.run(exchange, Context())
    gaps = {"knowledge": 0.1, "style": 0.1, "tool_call": 0.8, "classification": 0.0}
    return member_of(
        exchange,
        Diagnosis(
            exchange_id=exchange.id, failed=0.9, gaps=gaps, named=("tool_call",), cause="schema_violation", standing="inferred", calibrated=False,
            evidence=tuple(sorted(seen, key=lambda e: -e.strength)),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        ('{"article": "jacket"}', "Calls to create_order lack `quantity`"),
        ('{"article": "jacket", "quantity": "two"}', "Calls to create_order give `quantity` the wrong type"),
        (
            '{"article": "jacket", "quantity": 2, "size": "XL"}',
            "Calls to create_order give `size` a value that is not allowed",
        ),
        (
            '{"article": "jacket", "quantity": 2, "colour": "red"}',
            "Calls to create_order have `colour`, which the tool does not know",
        ),
        ('{"article": ', "Calls to create_order have arguments that are not JSON"),
    ],
)
def test_a_faulty_call_is_named_by_its_tool_and_argument(arguments, title):
    (issue,) = group([called(i, arguments) for i in range(3)], total=9, clock={})
    assert issue.title == title


def test_a_tool_that_does_not_exist_is_named():
    (issue,) = group([called(i, "{}", name="make_order") for i in range(3)], total=9, clock={})
    assert issue.title == "Calls to make_order, which does not exist"


def test_rare_faults_of_one_tool_are_one_issue_beside_the_common_one():
    lack, rare = (
        '{"article": "jacket"}',
        ['{"article": 1, "quantity": 2}', '{"article": "x", "quantity": 2, "size": "XL"}'],
    )
    issues = group(
        [*(called(i, lack) for i in range(5)), *(called(90 + i, a) for i, a in enumerate(rare))],
        total=9,
        clock={},
    )
    assert [(i.title, i.rate.count) for i in issues] == [
        ("Calls to create_order lack `quantity`", 5),
        ("Calls to create_order break its schema", 2),
    ]


def member(**fields):
    return Member(
        **(
            {
                "id": "a",
                "gaps": ("classification",),
                "cause": "misrouted",
                "confidence": 0.8,
                "signature": ("label.neighbours",),
            }
            | fields
        )
    )


def test_wrong_labels_are_told_apart_by_the_label_that_was_given():
    assert path(member(reply=" Billing\n"), {}) == ("label", "billing")
    assert path(member(reply="I think that this might well be about billing, or is it?"), {}) == ("label",)
    assert path(member(reply="Billing.", signature=("label.not_allowed",)), {}) == ("label.not_allowed",)


def test_of_several_rules_the_commonest_counts_and_requests_by_kind():
    rules = (
        Broken(rule="cites(like=[1])", origin="system", words=""),
        Broken(rule="words(max=9)", origin="request", words=""),
    )
    both = member(gaps=("style",), cause="format", broken=rules, signature=("rule.broken:cites(like=[1])",))
    assert failed(both) == {"cites(like=[1])", "words"}
    assert path(both, {"words": 7, "cites(like=[1])": 3}) == ("words",)
    assert path(both, {}) == ("cites(like=[1])",)


def test_what_topics_or_nothing_tell_apart_has_no_path():
    assert path(member(gaps=("knowledge",), signature=("knowledge.nowhere",)), {}) == ()
    assert path(member(gaps=()), {}) == ()
