import json

from advisor.logs import read
from advisor.logs.dialects import rasa
from advisor.logs.records import Skip


def user(text, at, intent="ask"):
    return {"event": "user", "text": text, "timestamp": 1700000000 + at, "parse_data": {"intent": {"name": intent, "confidence": 0.9}},
            "message_id": f"m{at}"}  # fmt: skip


def bot(text, at, **data):
    return {"event": "bot", "text": text, "timestamp": 1700000000 + at, "data": data}


def action(name, at=0):
    return {"event": "action", "name": name, "timestamp": 1700000000 + at}


def exchanges(tmp_path, *records):
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    reading = read([path])
    return sorted(reading, key=lambda e: (e.conversation_id or "", e.turn)), reading


def test_bubbles_become_one_reply(tmp_path):
    events = [
        action("action_listen"),
        user("hours?", 1),
        bot("Monday to Friday.", 2),
        bot("9 to 5.", 3),
        user("thanks", 9),
    ]
    (only,), _ = exchanges(tmp_path, {"sender_id": "s1", "slots": {}, "events": events})
    assert (only.question, only.reply.content) == ("hours?", "Monday to Friday.\n9 to 5.")
    assert only.time == 1700000002 and [m.content for m in only.later] == ["thanks"]
    assert only.conversation_id == "s1" and only.user not in (None, "s1")


def test_without_bot_events_the_response_names_are_left(tmp_path):
    events = [user("hi", 1), action("utter_greet", 2), action("action_listen", 3)]
    (only,), _ = exchanges(tmp_path, {"sender_id": "s1", "slots": {}, "events": events})
    assert only.reply.content == "utter_greet"


def test_response_names_are_no_replies_where_the_words_are_known(tmp_path):
    events = [user("hi", 1), action("utter_greet", 2), bot("Hello!", 2)]
    (only,), _ = exchanges(tmp_path, {"sender_id": "s1", "slots": {}, "events": events})
    assert only.reply.content == "Hello!"


def test_a_fallback_is_held_against_its_reply(tmp_path):
    events = [
        user("hi", 1), bot("Hello!", 2),
        user("blub", 3, intent="nlu_fallback"), action("action_default_fallback", 4), bot("Sorry?", 5),
    ]  # fmt: skip
    found, _ = exchanges(tmp_path, {"sender_id": "s1", "slots": {}, "events": events})
    assert [[(f.value, f.polarity, f.source) for f in e.feedback] for e in found] == [
        [],
        [("nlu_fallback", -1, "system"), ("action_default_fallback", -1, "system")],
    ]


def test_a_paused_tracker_was_handed_over(tmp_path):
    events = [user("a human please", 1), bot("One moment.", 2), {"event": "pause", "timestamp": 1700000003}]
    (only,), _ = exchanges(tmp_path, {"sender_id": "s1", "slots": {}, "events": events})
    assert [(f.name, f.polarity, f.target) for f in only.feedback] == [("handoff", -1, "conversation")]


def test_a_new_session_answers_nothing_before_it(tmp_path):
    events = [
        action("action_session_start"), {"event": "session_started"}, user("hi", 1), bot("Hello!", 2),
        {"event": "session_started"}, user("hi again", 5000), bot("Welcome back!", 5001),
    ]  # fmt: skip
    found, _ = exchanges(tmp_path, {"sender_id": "s1", "slots": {}, "events": events})
    assert [(e.conversation_id, e.turn, e.reply.content, e.later) for e in found] == [
        ("s1", 0, "Hello!", ()),
        ("s1#2", 0, "Welcome back!", ()),
    ]


def test_buttons_without_text_are_what_was_shown(tmp_path):
    events = [user("help", 1), bot(None, 2, buttons=[{"title": "Orders"}, {"title": "Returns"}])]
    (only,), _ = exchanges(tmp_path, {"sender_id": "s1", "slots": {}, "events": events})
    assert only.reply.content == "Orders\nReturns"


def test_one_event_a_row(tmp_path):
    rows = [
        {
            "id": 2,
            "sender_id": "s1",
            "type_name": "bot",
            "timestamp": 1700000002,
            "data": json.dumps(bot("Hello!", 2)),
        },
        {
            "id": 1,
            "sender_id": "s1",
            "type_name": "user",
            "timestamp": 1700000001,
            "data": json.dumps(user("hi", 1)),
        },
        {"sender_id": "s1", "event": "slot", "name": "x", "value": 1, "timestamp": 1700000003},
    ]
    (only,), reading = exchanges(tmp_path, *rows)
    assert (only.question, only.reply.content) == ("hi", "Hello!")
    assert reading.counts.skipped == 1 and "without words" in reading.skips[0].reason


def test_a_tracker_without_a_reply_is_skipped():
    (only,) = rasa.read({"sender_id": "s", "events": [user("hi", 1)]}, 3)
    assert isinstance(only, Skip) and only.line == 3


def test_other_records_are_left_alone():
    assert not rasa.matches({"events": [], "slots": {}})
    assert not rasa.matches({"sender_id": "s1", "text": "hi"})
