import json

from advisor.logs import read
from advisor.logs.dialects import dialogflow_cx
from advisor.logs.records import Skip


def turn(number, asked, said, **more):
    result = {"text": asked, "responseMessages": [{"text": {"text": [said]}}], **more.pop("result", {})}
    return {
        "requestUtterances": asked, "responseUtterances": said, "createTime": f"2026-01-01T10:0{number}:00Z",
        "request": {"session": "s"}, "response": {"responseId": f"r{number}", "queryResult": result}, **more,
    }  # fmt: skip


def exchanges(tmp_path, *records):
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return sorted(read([path]), key=lambda e: e.turn)


def test_turns_are_put_into_their_order(tmp_path):
    record = {
        "name": "conv/1",
        "interactions": [turn(2, "and Sunday?", "Closed."), turn(1, "open?", "Until six.")],
    }
    found = exchanges(tmp_path, record)
    assert [(e.question, e.reply.content, e.conversation_id) for e in found] == [
        ("open?", "Until six.", "conv/1"),
        ("and Sunday?", "Closed.", "conv/1"),
    ]
    assert found[0].ids >= {"r1"} and found[0].time == 1767261660.0


def test_thumbs_reasons_and_misses(tmp_path):
    down = {"rating": "THUMBS_DOWN", "ratingReason": {"reasonLabels": ["wrong"], "feedback": "It is five"}}
    record = {
        "name": "conv/1",
        "interactions": [
            turn(1, "open?", "Until six.", answerFeedback=down),
            turn(2, "blub", "Pardon?", result={"match": {"matchType": "NO_MATCH", "confidence": 0.3}}),
            turn(3, "ok", "Bye.", answerFeedback={"rating": "THUMBS_UP"}),
        ],
        "metrics": {"hasLiveAgentHandoff": True},
    }
    found = exchanges(tmp_path, record)
    assert [[(f.name, f.polarity) for f in e.feedback] for e in found] == [
        [("answer_feedback", -1)],
        [("match", -1)],
        [("handoff", -1), ("answer_feedback", 1)],
    ]
    assert found[0].feedback[0].comment == "wrong; It is five"


def test_snippets_tools_and_failed_webhooks(tmp_path):
    result = {
        "dataStoreConnectionSignals": {
            "searchSnippets": [{"documentTitle": "Hours", "documentUri": "https://x/h", "text": "Open until five."}],
            "groundingSignals": {"decision": "REJECTED_BY_GROUNDING"},
        },
        "generativeInfo": {"actionTracingInfo": {"actions": [
            {"toolUse": {"tool": "projects/p/tools/t", "action": "lookup", "inputActionParameters": {"day": "Mo"},
                         "outputActionParameters": {"until": 17}}}]}},
        "webhookDisplayNames": ["crm"], "webhookStatuses": [{"code": 14, "message": "unavailable"}],
    }  # fmt: skip
    (only,) = exchanges(
        tmp_path, {"name": "conv/1", "interactions": [turn(1, "open?", "Until six.", result=result)]}
    )
    assert [(p.title, p.text) for p in only.passages] == [("Hours", "Open until five.")]
    assert [(m.role, m.error) for m in only.conversation] == [
        ("user", False), ("assistant", False), ("tool", False), ("assistant", False), ("tool", True),
    ]  # fmt: skip
    assert only.conversation[1].tool_calls[0].name == "lookup"
    assert [f.value for f in only.feedback] == ["REJECTED_BY_GROUNDING"]


def test_rows_of_one_turn_each(tmp_path):
    rows = [
        {"conversation_name": "c", "turn_position": 2, "request_time": "2026-01-01T10:02:00Z", "request": "{}",
         "response": json.dumps({"query_result": {"text": "and?", "response_messages": [{"text": {"text": ["No."]}}]}})},
        {"conversation_name": "c", "turn_position": 1, "request_time": "2026-01-01T10:01:00Z",
         "request": {"query_input": {"text": {"text": "open?"}}}, "response": {"response_id": "r", "query_result": {
             "response_messages": [{"text": {"text": ["Yes.", "Until six."]}}]}}, "bot_answer_feedback": {"rating": "THUMBS_UP"}},
    ]  # fmt: skip
    found = exchanges(tmp_path, *rows)
    assert [(e.question, e.reply.content, e.turn) for e in found] == [
        ("open?", "Yes.\nUntil six.", 0),
        ("and?", "No.", 1),
    ]
    assert [f.polarity for f in found[0].feedback] == [1]


def test_a_turn_that_got_no_words_back_is_an_empty_reply(tmp_path):
    (only,) = exchanges(tmp_path, {"name": "c", "interactions": [turn(1, "open?", "")]})
    assert only.question == "open?" and only.reply.content == ""


def test_no_turn_at_all_is_skipped():
    (only,) = dialogflow_cx.read({"name": "c", "metrics": {}, "interactions": []}, 1)
    assert isinstance(only, Skip)


def test_other_records_are_left_alone():
    assert not dialogflow_cx.matches({"interactions": ["x"], "name": "n"})
    assert not dialogflow_cx.matches({"request": {}, "response": {}})
