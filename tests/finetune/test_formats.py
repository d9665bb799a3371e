"""Formats: the same examples in every provider's form, byte-stable, and back again."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_examples import example

from finetune.examples import Example
from finetune.formats import FORMATS, Unfit, read, write

WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), min_size=1
)
SYSTEM = st.one_of(st.none(), WORDS)
TURNS = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4)
ALL = ("local", "openai_chat", "bedrock_conversation", "bedrock_claude")


def talk(system, turns, n=0):
    head = ({"role": "system", "content": system},) if system else ()
    said = [
        {"role": role, "content": t}
        for pair in turns
        for role, t in zip(("user", "assistant"), pair, strict=True)
    ]
    return Example(messages=(*head, *said), group=f"g{n}", origin="approved", source=f"log:{n}")


@given(st.lists(st.tuples(SYSTEM, TURNS), min_size=1, max_size=5))
def test_the_same_examples_come_back_from_every_format(talks):
    examples = [talk(system, turns, n) for n, (system, turns) in enumerate(talks)]
    read_back = []
    for format in ALL:
        data = write(examples, format)
        assert data == write(tuple(examples), format)
        assert data.count(b"\n") == len(examples)
        read_back.append([t.messages for t in read_lines(data, format)])
    assert all(found == [e.messages for e in examples] for found in read_back)


def read_lines(data, format):
    return [FORMATS[format].read(json.loads(line)) for line in data.decode().split("\n") if line]


def test_bytes_are_the_same_for_any_order_of_keys():
    one = Example(
        messages=({"role": "user", "content": "A?"}, {"role": "assistant", "content": "B", "weight": 1}),
        group="g",
        origin="file",
        source="s",
    )
    two = Example(
        messages=({"content": "A?", "role": "user"}, {"weight": 1, "content": "B", "role": "assistant"}),
        group="g",
        origin="file",
        source="s",
    )
    assert write([one], "openai_chat") == write([two], "openai_chat")


GOLDEN = {
    "local": '{"messages":[{"content":"Be brief.","role":"system"},{"content":"Hi – ok?","role":"user"},{"content":"Ja.","role":"assistant"}]}',
    "openai_chat": '{"messages":[{"content":"Be brief.","role":"system"},{"content":"Hi – ok?","role":"user"},{"content":"Ja.","role":"assistant"}]}',
    "openai_preference": '{"input":{"messages":[{"content":"Be brief.","role":"system"},{"content":"Hi – ok?","role":"user"}]},'
    '"non_preferred_output":[{"content":"Nein.","role":"assistant"}],"preferred_output":[{"content":"Ja.","role":"assistant"}]}',
    "openai_reinforcement": '{"messages":[{"content":"Be brief.","role":"system"},{"content":"Hi – ok?","role":"user"}],"reference_answer":"Ja."}',
    "bedrock_conversation": '{"messages":[{"content":[{"text":"Hi – ok?"}],"role":"user"},{"content":[{"text":"Ja."}],"role":"assistant"}],'
    '"schemaVersion":"bedrock-conversation-2024","system":[{"text":"Be brief."}]}',
    "bedrock_prompt": '{"completion":"Ja.","prompt":"Be brief.\\n\\nHi – ok?"}',
    "bedrock_claude": '{"messages":[{"content":"Hi – ok?","role":"user"},{"content":"Ja.","role":"assistant"}],"system":"Be brief."}',
}  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_written_as_its_provider_documents_it(format):
    rejected = {"role": "assistant", "content": "Nein."} if format == "openai_preference" else None
    one = Example(
        messages=({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi – ok?"}, {"role": "assistant", "content": "Ja."}),
        rejected=rejected, group="g", origin="file", source="s",
    )  # fmt: skip
    data = write([one], format)
    assert data.decode() == GOLDEN[format] + "\n"
    back = read(data, format)[0]
    assert back.messages[-1] == {"role": "assistant", "content": "Ja."}
    assert back.rejected == rejected


def test_tools_go_through_openai_and_local_and_nowhere_else():
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
    one = Example(messages=({"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [call]}), tools=(tool,), group="g", origin="file", source="a.jsonl:7")  # fmt: skip
    for format in ("local", "openai_chat"):
        back = read(write([one], format), format)[0]
        assert (back.messages, back.tools) == (one.messages, (tool,))
    for format in ("bedrock_conversation", "bedrock_prompt", "bedrock_claude"):
        with pytest.raises(Unfit, match=r"a\.jsonl:7: .*tool calls"):
            write([one], format)


@pytest.mark.parametrize(
    ("format", "messages", "said"),
    [
        ("bedrock_prompt", [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")], "one question and one answer"),
        ("bedrock_claude", [("user", "a"), ("system", "s"), ("assistant", "b")], "at the beginning"),
        ("openai_preference", [("user", "a"), ("assistant", "b")], "rejected reply"),
        ("openai_chat", [("user", "\ud83d"), ("assistant", "b")], "surrogates"),
    ],
)  # fmt: skip
def test_what_a_format_cannot_say_is_refused_by_name(format, messages, said):
    one = Example(messages=tuple({"role": r, "content": c} for r, c in messages), group="g", origin="file", source="here:1")  # fmt: skip
    with pytest.raises(Unfit, match=f"here:1: .*{said}"):
        write([one], format)


def test_what_would_be_left_out_is_refused():
    odd = example(1)
    odd = Example(messages=({**odd.messages[0], "mood": "sad"}, odd.messages[1]), group="g", origin="file", source="s:1")  # fmt: skip
    with pytest.raises(Unfit, match="`mood`"):
        write([odd], "openai_chat")
    early = Example(
        messages=({"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}),
        group="g", origin="file", source="s:1",
    )  # fmt: skip
    assert b'"weight":0' in write([early], "openai_chat")
    with pytest.raises(Unfit, match="weight 0"):
        write([early], "bedrock_conversation")


@pytest.mark.parametrize("data", [b"{", b"{}", b'{"messages": 3}', b'{"schemaVersion":"1","messages":[]}'])
def test_a_line_of_another_format_is_named_by_number(data):
    with pytest.raises(Unfit, match="line 1"):
        read(data, "bedrock_conversation")
