"""Irrelevance: what calls for no tool teaches on one half and judges on the other; a model that calls at it has broken a good reply."""

from dataclasses import replace

import pytest

from advisor.exchange import Exchange, Message, Source, Tool
from advisor.gate import general, irrelevance
from advisor.gate.decision import Pair, decide
from advisor.gate.trial import Case
from router.models.port import ToolRequest
from router.replies import Intervention, Reply

NEEDS = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
TOOLS = (Tool(name="get_order", parameters=NEEDS), Tool(name="cancelOrder", parameters=NEEDS), Tool(name="list_shops", parameters={"type": "object"}))  # fmt: skip


def case(exchange):
    return Case(id=exchange.id, group="g", kind="good", exchange=exchange)


@pytest.fixture
def asked():
    offered = Exchange(
        id="e", conversation=(Message(role="system", content="You help."), Message(role="user", content="Where is SH-1?")),
        reply=Message(role="assistant", content="No."), source=Source(file="log", line=1, dialect="rows"), tools=TOOLS, expected="x",
    )  # fmt: skip
    return {judging: irrelevance.cases([case(offered)], judging=judging) for judging in (False, True)}


def test_what_teaches_does_not_judge(asked):
    taught, judged = ({c.exchange.question for c in asked[judging]} for judging in (False, True))
    assert taught and judged and not taught & judged
    assert not {i.ask for i in general.items()} & (taught | judged)
    assert (
        len({c.id for part in asked.values() for c in part}) == len(taught | judged) <= 2 * irrelevance.MOST
    )
    for case in asked[True]:
        assert (case.exchange.system, case.exchange.tools, case.exchange.expected) == (
            "You help.",
            TOOLS,
            None,
        )


def test_a_bot_without_tools_is_not_asked(asked):
    bare = case(replace(asked[True][0].exchange, tools=()))
    assert irrelevance.cases([bare], judging=True) == []
    assert irrelevance.cases([bare, asked[True][0]], judging=True) == asked[True]


def test_a_tool_is_named_and_given_nothing_unless_it_needs_nothing(asked):
    for part in asked.values():
        said = [c.exchange.question for c in part]
        assert sum("get order" in s for s in said) == sum("cancel order" in s for s in said) == 2
        assert not any("shops" in s for s in said)
        assert any("get order" in s for s in said[:3]), "the first are of every kind"


@pytest.mark.parametrize(
    ("tool", "others", "named"),
    [
        (
            Tool(name="web_search", parameters={"properties": {"query": {}}, "required": ["query"]}),
            False,
            False,
        ),
        (
            Tool(name="escalate", parameters={"properties": {"reason": {}}, "required": ["reason"]}),
            True,
            False,
        ),
        (Tool(name="get_order", parameters=NEEDS), True, True),
        (Tool(name="tell_story", parameters={"properties": {"topic": {}}, "required": "topic"}), True, False),
        (Tool(name="bare"), True, False),
    ],
    ids=lambda t: getattr(t, "name", t),
)
def test_what_may_well_be_a_call_is_not_asked(asked, tool, others, named):
    offered = replace(asked[True][0].exchange, tools=(tool,))
    said = [c.exchange.question for j in (True, False) for c in irrelevance.cases([case(offered)], judging=j)]
    assert ("Why is the sky blue?" in said) is others and "Hi!" in said
    assert any(tool.name.replace("_", " ") in s for s in said) is named
    assert ("Tell me a story about a dragon." in said) is (others and tool.name != "tell_story")


def test_a_call_where_the_base_made_none_is_broken(asked):
    cases = asked[True]
    says, calls = Reply(text="Yes?", id="r"), Reply(text="", id="r", tool_calls=(ToolRequest(name="get_order", arguments="{}"),))  # fmt: skip
    dropped = Reply(text="", id="r", interventions=(Intervention(kind="call_dropped", note="order_id is missing"),))  # fmt: skip
    before = {c.id: [calls, dropped, says, says][min(n, 3)] for n, c in enumerate(cases)}
    found = irrelevance.unneeded(
        cases, before, {c.id: dropped if n % 2 else calls for n, c in enumerate(cases)}
    )
    assert len(found) == len(cases) - 2 and not any(p.after for p in found)
    assert "It calls a tool at" in found[0].note
    mended = [Pair(id=f"t{n}", group=f"t{n}", kind="target", issue="i", before=False, after=True) for n in range(20)]  # fmt: skip
    refused = decide([*mended, *found])
    assert refused.verdict == "refuse" and "requests that call for no tool are broken" in refused.reason
    # They do not thin out what is broken of the log's own.
    good = [Pair(id=f"g{n}", group=f"g{n}", kind="good", before=True, after=n > 1) for n in range(70)]
    kept = irrelevance.unneeded(cases, before, before)
    assert decide([*mended, *good]).verdict == decide([*mended, *good, *kept]).verdict == "refuse"
    assert decide([*mended, *irrelevance.unneeded(cases, before, before)]).verdict != "refuse"
    assert irrelevance.unneeded(cases, before, {}) == []
