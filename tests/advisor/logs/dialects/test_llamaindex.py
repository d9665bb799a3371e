import json

from advisor.logs import read
from advisor.logs.dialects import llamaindex
from advisor.logs.records import Skip


def said(role, text, **more):
    return {"role": role, "additional_kwargs": more, "blocks": [{"block_type": "text", "text": text}]}


def exchanges(tmp_path, record):
    path = tmp_path / "log.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    return sorted(read([path]), key=lambda e: (e.conversation_id or "", e.turn))


def test_a_store_has_a_conversation_a_key(tmp_path):
    store = {"u1": [said("system", "Be brief."), said("user", "Where?"), said("assistant", "Here.")],
             "u2": [said("user", "When?"), said("assistant", "Now.")]}  # fmt: skip
    found = exchanges(tmp_path, {"store": store, "class_name": "SimpleChatStore"})
    assert [(e.conversation_id, e.question, e.reply.content, e.system) for e in found] == [
        ("u1", "Where?", "Here.", "Be brief."),
        ("u2", "When?", "Now.", ""),
    ]


def test_a_memory_holds_its_store(tmp_path):
    inner = json.dumps(
        {
            "store": {"k": [said("user", "Where?"), said("assistant", "Here.")]},
            "class_name": "SimpleChatStore",
        }
    )
    (only,) = exchanges(tmp_path, {"chat_store": inner, "chat_store_key": "k", "token_limit": 3000})
    assert only.reply.content == "Here."


def test_tool_calls_in_either_place(tmp_path):
    asked = [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}]
    block = {"block_type": "tool_call", "tool_call_id": "c2", "tool_name": "mul", "tool_kwargs": {"a": 2}}
    store = {"k": [
        said("user", "sum?"), said("assistant", "", tool_calls=asked), said("tool", "1", tool_call_id="c1", name="add"),
        {"role": "assistant", "additional_kwargs": {}, "blocks": [block]}, said("tool", "2", tool_call_id="c2"),
        said("assistant", "Done."),
    ]}  # fmt: skip
    (only,) = exchanges(tmp_path, {"store": store, "class_name": "SimpleChatStore"})
    calls = [c for m in only.conversation for c in m.tool_calls]
    assert [(c.id, c.name, json.loads(c.arguments)) for c in calls] == [
        ("c1", "add", {"a": 1}),
        ("c2", "mul", {"a": 2}),
    ]
    assert [m.tool_call_id for m in only.conversation if m.role == "tool"] == ["c1", "c2"]


def test_a_response_with_its_nodes(tmp_path):
    node = {"id_": "n1", "text": "It was here.", "metadata": {"file_name": "a.md"}, "class_name": "TextNode"}
    (only,) = exchanges(
        tmp_path,
        {
            "query": "Where?",
            "response": "Here.",
            "source_nodes": [{"node": node, "score": 0.5}],
            "metadata": None,
        },
    )
    assert (only.question, only.reply.content) == ("Where?", "Here.")
    assert [(p.id, p.title, p.text, p.score) for p in only.passages] == [("n1", "a.md", "It was here.", 0.5)]


def test_a_response_that_found_nothing_says_so(tmp_path):
    (only,) = exchanges(tmp_path, {"query": "Where?", "response": "Empty Response", "source_nodes": []})
    assert only.passages == ()


def test_an_agents_tools_stand_before_its_answer(tmp_path):
    source = {
        "content": "7",
        "tool_name": "add",
        "raw_input": {"args": [], "kwargs": {"a": 3, "b": 4}},
        "is_error": False,
    }
    (only,) = exchanges(
        tmp_path, {"question": "3+4?", "response": "7", "sources": [source], "source_nodes": []}
    )
    assert [m.role for m in only.conversation] == ["user", "assistant", "tool"]
    assert json.loads(only.conversation[1].tool_calls[0].arguments) == {"a": 3, "b": 4}


def test_an_empty_store_is_skipped():
    (only,) = llamaindex.read({"store": {}, "class_name": "SimpleChatStore"}, 1)
    assert isinstance(only, Skip)


def test_other_records_are_left_alone():
    assert not llamaindex.matches({"store": "Berlin", "sales": 3})
    assert not llamaindex.matches({"store": {"a": [1, 2]}})
    assert not llamaindex.matches({"response": "x"})
