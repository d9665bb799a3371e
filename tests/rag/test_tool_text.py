"""Tools as text: what is written is read again, and what nobody can read is kept as it is."""

import pytest

from rag.tool_text import knows_tools, parted, told, with_tools, written

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def call(arguments):
    return {"id": "c", "type": "function", "function": {"name": "look", "arguments": arguments}}


@pytest.mark.parametrize("arguments", ['{"at": "sky"}', '{"at": "Zürich", "n": [1]}', "{}"])
def test_what_is_written_is_read_again(arguments):
    text, calls = parted(f"Well.\n{written([call(arguments), call(arguments)])}")
    assert text == "Well."
    assert calls == 2 * [{"name": "look", "arguments": arguments}]


def test_what_breaks_off_is_a_call_without_a_name():
    text, calls = parted(
        'Well. <tool_call>\n{"name": "look", "arguments": {"at": "x"}}\n</tool_call><tool_call>{"na'
    )
    assert text == "Well."
    assert calls == [{"name": "look", "arguments": '{"at": "x"}'}, {"name": "", "arguments": '{"na'}]


def test_a_reply_without_calls_is_left_alone():
    assert parted(" 2 < 3 ") == (" 2 < 3 ", [])


def test_arguments_that_are_no_json_stand_as_they_are():
    """A client may send such a history: it is no reason to fail."""
    assert written([call("at the sky")]) == '<tool_call>{"name": "look", "arguments": at the sky}</tool_call>'
    assert parted(written([call("at the sky")]))[1][0]["name"] == ""


def test_tools_stand_behind_the_system_message_or_in_one_of_their_own():
    chat = [
        {"role": "system", "content": "Be kind."},
        {"role": "assistant", "content": None, "tool_calls": [call("{}")]},
    ]
    told_, said = with_tools(chat, [TOOL])
    assert told_["content"] == f"Be kind.\n\n{told([TOOL])}"
    assert said == {"role": "assistant", "content": written([call("{}")])}
    assert with_tools(chat[1:], [TOOL])[0] == {"role": "system", "content": told([TOOL])}
    assert with_tools(chat, [])[0] == chat[0]


def test_a_template_says_whether_it_knows_tools():
    assert knows_tools("{% if tools %}{{ tools }}{% endif %}") and not knows_tools("{{ messages }}")
    assert not knows_tools(None)
