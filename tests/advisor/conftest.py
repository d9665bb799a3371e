"""One exchange of every kind of field, for tests of what carries exchanges about."""

import pytest

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence, quote
from advisor.exchange import Exchange, Feedback, Message, Passage, Source, Tool, ToolCall


@pytest.fixture
def exchange() -> Exchange:
    return Exchange(
        id="ab12ab12ab12ab12",
        conversation=(
            Message(role="system", content="Be kind."),
            Message(role="user", content="Where is order 77?"),
            Message(role="assistant", tool_calls=(ToolCall(name="find", arguments='{"id": 77}', id="c1"),)),
            Message(role="tool", content="lost", tool_call_id="c1", error=True),
        ),
        reply=Message(role="assistant", content="It is lost."),
        source=Source(file="a.jsonl", line=3, dialect="openai"),
        tools=(Tool(name="find", parameters={"type": "object"}),),
        passages=(Passage(text="Orders can be lost.", id="p1", score=0.5),),
        feedback=(Feedback(name="thumbs", value="down", polarity=-1, comment="no!"),),
        later=(Message(role="user", content="That is no help"),),
        alternatives=("It is gone.",),
        expected="It is in Cork.",
        ids=frozenset({"resp-1", "trace-9"}),
        tenant="cork",
        time=1_790_000_000.0,
    )


@pytest.fixture
def diagnosis(exchange) -> Diagnosis:
    seen = Evidence(
        check="feedback.negative",
        gap=None,
        strength=1.0,
        note="Thumbs down.",
        quotes=(quote("no!", "feedback"),),
    )
    return Diagnosis(
        exchange_id=exchange.id, failed=0.9, gaps={"knowledge": 0.8, "style": 0.1, "tool_call": 0.05, "classification": 0.05},
        named=("knowledge",), cause="missing_content", standing="inferred", calibrated=False, evidence=(seen,),
    )  # fmt: skip
