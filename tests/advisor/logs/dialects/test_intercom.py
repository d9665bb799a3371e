import json

from advisor.logs import read
from advisor.logs.dialects import intercom
from advisor.logs.records import Skip


def part(kind, body, at, **more):
    author = {"type": kind, "id": "a", **more.pop("author", {})}
    return {
        "id": f"p{at}",
        "part_type": "comment",
        "body": body,
        "created_at": 1700000000 + at,
        "author": author,
        **more,
    }


def conversation(*parts, **more):
    return {
        "type": "conversation", "id": "77", "created_at": 1700000000,
        "source": {"id": "s1", "body": "<p>Where is my &amp; your order?</p>", "author": {"type": "user"}},
        "contacts": {"contacts": [{"id": "k1", "external_id": "person-1"}]},
        "conversation_parts": {"type": "conversation_part.list", "conversation_parts": list(parts)}, **more,
    }  # fmt: skip


def exchanges(tmp_path, *records):
    path = tmp_path / "log.json"
    path.write_text(json.dumps(list(records)), encoding="utf-8")
    return sorted(read([path]), key=lambda e: e.turn)


def test_the_bot_is_judged_and_people_are_context(tmp_path):
    found = exchanges(
        tmp_path,
        conversation(
            part("bot", "<p>It left<br>on Monday.</p>", 1),
            part("user", "<p>Which Monday?</p>", 2),
            part("admin", "<p>Jo here: the 3rd.</p>", 3),
            part("user", "thanks", 4),
        ),
    )
    (only,) = found
    assert only.question == "Where is my & your order?"
    assert only.reply.content == "It left\non Monday."
    assert [(m.role, m.name, m.content) for m in only.later] == [
        ("user", None, "Which Monday?"),
        ("assistant", "human_agent", "Jo here: the 3rd."),
        ("user", None, "thanks"),
    ]
    assert only.time == 1700000001 and only.conversation_id == "77" and "p1" in only.ids
    assert only.user and only.user != "person-1"


def test_an_ai_answer_from_an_admin_seat_is_the_bots(tmp_path):
    (only,) = exchanges(
        tmp_path,
        conversation(part("admin", "<p>Soon.</p>", 1, author={"from_ai_agent": True, "is_ai_answer": True})),
    )
    assert only.reply.content == "Soon." and only.reply.name is None


def test_ratings_and_outcome_speak_of_the_whole_conversation(tmp_path):
    found = exchanges(
        tmp_path,
        conversation(
            part("bot", "One.", 1), part("user", "And?", 2), part("bot", "Two.", 3),
            conversation_rating={"rating": 2, "remark": "slow"}, ai_agent_participated=True,
            ai_agent={"resolution_state": "escalated", "rating": 5, "rating_remark": None, "content_sources": []},
        ),
    )  # fmt: skip
    assert [len(e.feedback) for e in found] == [0, 3]
    said = {f.name: (f.value, f.polarity, f.comment, f.source, f.target) for f in found[1].feedback}
    assert said["conversation_rating"] == ("2", -1, "slow", "user", "conversation")
    assert said["resolution_state"] == ("escalated", -1, "", "system", "conversation")
    assert said["ai_agent_rating"][1] == 1


def test_assumed_resolution_proves_nothing():
    record = conversation(part("bot", "One.", 1), ai_agent={"resolution_state": "assumed_resolution"})
    (call,) = intercom.read(record, 1)
    assert [f.polarity for f in call.feedback] == [0]


def test_a_rating_given_to_a_colleague_is_not_the_bots():
    record = conversation(
        part("bot", "One.", 1), conversation_rating={"rating": 1, "teammate": {"type": "admin", "id": "9"}}
    )
    (call,) = intercom.read(record, 1)
    assert call.feedback == ()


def test_notes_between_colleagues_are_not_said(tmp_path):
    (only,) = exchanges(
        tmp_path, conversation(part("admin", "rude customer", 1, part_type="note"), part("bot", "Hi.", 2))
    )
    assert "rude" not in json.dumps([m.content for m in (*only.conversation, *only.later, only.reply)])


def test_reasons_for_skipping():
    listed = {"type": "conversation", "id": "1", "source": {"body": "x", "author": {"type": "admin"}}}
    (no_parts,) = intercom.read(listed, 1)
    (people,) = intercom.read(conversation(part("admin", "hello", 1)), 1)
    (silent,) = intercom.read(conversation(), 1)
    assert all(isinstance(s, Skip) for s in (no_parts, people, silent))
    assert (
        "list entry" in no_parts.reason and "people" in people.reason and "without a reply" in silent.reason
    )


def test_other_conversations_are_left_alone():
    assert not intercom.matches({"type": "conversation", "messages": []})
    assert intercom.matches(conversation())
