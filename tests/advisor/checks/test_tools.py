import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.checks.context import Context
from advisor.checks.tool_fit import fit, given_values
from advisor.checks.tool_text import asked_as_text, written_calls
from advisor.checks.tools import check_tool_need, check_tools
from advisor.exchange import Exchange, Message, Source, Tool, ToolCall

WEATHER = Tool(
    name="get_weather", description="Get the weather forecast of a city.",
    parameters={"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["c", "f"]}, "days": {"type": "integer"}}},
)  # fmt: skip
ORDER = Tool(
    name="cancel_order", description="Cancel an order of a customer.",
    parameters={"type": "dict", "required": ["order_id"], "properties": {"order_id": {"type": "string"}}},
)  # fmt: skip
TEXT_PROMPT = "You should only return the function calls in the format [name(param=value)]."


def turn(question, *calls, reply="", tools=(WEATHER, ORDER), system="", before=()):
    made = tuple(ToolCall(name=n, arguments=a if isinstance(a, str) else json.dumps(a)) for n, a in calls)
    head = (Message(role="system", content=system),) if system else ()
    return Exchange(
        id="e", conversation=(*head, Message(role="user", content=question), *before), reply=Message(role="assistant", content=reply, tool_calls=made),
        source=Source(file="f", line=1, dialect="openai"), tools=tools,
    )  # fmt: skip


def seen(exchange):
    return {
        e.check.removeprefix("tool."): e
        for check in (check_tools, check_tool_need)
        for e in check(exchange, Context())
    }


def test_a_right_call_speaks_for_itself():
    found = seen(turn("What is the weather forecast in Cork?", ("get_weather", {"city": "Cork"})))
    assert found["ok"].strength < 0
    assert found["unneeded"].strength < 0
    assert "missing_calls" not in found or found["missing_calls"].strength < 0


@pytest.mark.parametrize(
    ("call", "check", "cause", "said"),
    [
        (("get_weather", '{"city": "Cork"'), "arguments_json", "malformed", "not JSON"),
        (("get_wether", {"city": "Cork"}), "unknown", "wrong_tool", "get_wether"),
        (("get_weather", {}), "schema", "schema_violation", "'city' is a required property"),
        (("get_weather", {"city": 5}), "schema", "schema_violation", "city"),
        (("get_weather", {"city": "Cork", "unit": "k"}), "schema", "schema_violation", "unit"),
        (("get_weather", {"city": "Cork", "days": "3"}), "schema", "schema_violation", "days"),
        (("get_weather", {"city": "Cork", "mood": "good"}), "schema", "schema_violation", "mood"),
    ],
)
def test_each_fault_is_named_with_its_cause_and_quoted(call, check, cause, said):
    evidence = seen(turn("weather forecast in Cork", call))[check]
    assert evidence.cause == cause
    assert evidence.strength >= 0.9
    assert said in evidence.note
    assert evidence.quotes


def test_type_names_of_programming_languages_are_understood():
    found = seen(turn("cancel order A-1234 please", ("cancel_order", {"order_id": "A-1234"})))
    assert "schema" not in found and found["ok"].strength < 0


def test_a_number_that_nobody_gave_is_invented():
    assert (
        seen(turn("cancel my order please", ("cancel_order", {"order_id": "A-1234"})))["invented"].cause
        == "wrong_arguments"
    )
    assert "invented" not in seen(
        turn("cancel my order a1234 please", ("cancel_order", {"order_id": "A-1234"}))
    )


def test_the_same_call_twice_is_told():
    call = ("get_weather", {"city": "Cork"})
    assert "duplicate" in seen(turn("weather forecast in Cork", call, call))


def test_no_call_where_the_request_needs_one():
    needed = seen(
        turn("What is the weather forecast for the city of Cork?", reply="It is usually mild there.")
    )
    assert needed["missing_call"].strength > 0.3 and needed["missing_call"].cause == "missing_call"
    unneeded = seen(turn("Who wrote Ulysses?", reply="James Joyce."))
    assert unneeded["missing_call"].strength < 0
    asked = seen(turn("Cancel my order please", reply="Could you tell me the order number?"))
    assert "missing_call" not in asked or asked["missing_call"].strength <= 0.1


def test_a_call_that_has_nothing_to_do_with_the_request():
    found = seen(turn("Who wrote Ulysses?", ("get_weather", {"city": "Dublin"})))
    assert found["unneeded"].strength > 0.5 and found["unneeded"].cause == "unneeded_call"


def test_a_tool_that_fits_better_is_named():
    found = seen(turn("Please cancel the order 55123 of this customer", ("get_weather", {"city": "Cork"})))
    assert found["wrong_fit"].strength > 0 and "cancel_order" in found["wrong_fit"].note


def test_fewer_calls_than_the_request_names():
    found = seen(
        turn(
            "What is the weather forecast in Cork, in Galway, in Sligo and in Dublin?",
            ("get_weather", {"city": "Cork"}),
        )
    )
    assert found["missing_calls"].strength > 0
    assert "galway" in found["missing_calls"].note


@pytest.mark.parametrize(
    ("text", "calls", "fault"),
    [
        ("[get_weather(city='Cork'), cancel_order(order_id='7')]", 2, False),
        ('{"name": "get_weather", "arguments": {"city": "Cork"}}', 1, False),
        ('<tool_call>{"name": "get_weather", "arguments": {"city": "Cork"}}</tool_call>', 1, False),
        ("```python\n[get_weather(city='Cork')]\n```", 1, True),
        ("I would call get_weather(city='Cork') for you.", 0, True),
        ("[get_weather({'city': 'Cork'})]", 0, True),
        ("['get_weather', {'city': 'Cork'}]", 0, True),
        ("I can look up the weather.", 0, False),
        ("[get_weather(city=__import__('os'))]", 0, True),
    ],
)
def test_calls_written_as_text_are_read_or_their_fault_is_told(text, calls, fault):
    found = written_calls(text, ["get_weather", "cancel_order"])
    assert (len(found.calls), found.fault is not None) == (calls, fault)


def test_text_calls_are_right_only_where_the_prompt_asks_for_them():
    assert asked_as_text(TEXT_PROMPT) and not asked_as_text("You are kind.")
    text = "[get_weather(city='Cork')]"
    assert seen(turn("weather in Cork", reply=text, system=TEXT_PROMPT))["text_ok"].strength < 0
    assert seen(turn("weather in Cork", reply=text))["text_malformed"].strength > 0
    prose = seen(turn("weather in Cork", reply="Call get_weather(city='Cork') now.", system=TEXT_PROMPT))
    assert prose["text_malformed"].cause == "malformed"


def test_calls_of_earlier_steps_of_the_turn_count_and_later_rounds_are_not_judged_by_need():
    before = (
        Message(
            role="assistant", tool_calls=(ToolCall(name="get_weather", arguments='{"city": 5}', id="1"),)
        ),
        Message(role="tool", content="no such city", tool_call_id="1", error=True),
    )
    found = seen(turn("weather in Cork", reply="I could not find it.", before=before))
    assert "schema" in found and "error" in found
    assert not {"missing_call", "unneeded", "missing_calls"} & set(found)


def test_without_tools_nothing_is_said():
    assert seen(turn("weather in Cork", reply="Mild.", tools=())) == {}


def test_fit_goes_by_name_and_description():
    assert fit("weather forecast for a city", WEATHER) > 0.7 > 0.3 > fit("cancel it", WEATHER)


def test_values_of_a_request_are_numbers_quoted_words_and_names():
    assert given_values("Send 'red shoes' and 1,500 grams to John Smith in Cork") == [
        "1500",
        "red shoes",
        "john smith",
        "cork",
    ]


@given(
    st.text(max_size=200),
    st.text(max_size=60),
    st.text(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda x: st.dictionaries(st.text(max_size=8), x, max_size=3),
        max_leaves=8,
    ),
)
def test_anything_at_all_gives_graded_evidence_and_never_an_error(question, name, arguments, parameters):
    tool = Tool(name=name, parameters=parameters if isinstance(parameters, dict) else None)
    for exchange in (
        turn(question, (name, arguments), tools=(tool,)),
        turn(question, reply=arguments, tools=(tool,)),
    ):
        for evidence in (*check_tools(exchange, Context()), *check_tool_need(exchange, Context())):
            assert -1 <= evidence.strength <= 1
