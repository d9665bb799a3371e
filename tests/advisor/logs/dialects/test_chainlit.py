import json

import pytest

from advisor.logs import read
from advisor.logs.dialects import chainlit
from advisor.logs.records import Skip


def step(kind, output, at, **more):
    when = f"2026-01-01T10:00:{at:02d}Z"
    return {"id": f"st{at}", "type": kind, "name": more.pop("name", kind), "input": "", "output": output, "start": when,
            "createdAt": when, "isError": 0, "generation": "{}", "feedback": None, **more}  # fmt: skip


def thread(*steps, **more):
    return {"id": "t1", "createdAt": "2026-01-01T10:00:00Z", "userIdentifier": "u1", "metadata": '{"tenant": "acme"}',
            "steps": list(steps), **more}  # fmt: skip


def exchanges(tmp_path, *records):
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return sorted(read([path]), key=lambda e: e.turn)


def test_a_thread_with_retrieval_thumb_and_model(tmp_path):
    made = json.dumps({"model": "m-1", "inputTokenCount": 50, "outputTokenCount": 7, "messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where?"}]})  # fmt: skip
    found = exchanges(
        tmp_path,
        thread(
            step(
                "assistant_message",
                "Arlington.",
                3,
                generation=made,
                feedback={"value": 0, "comment": "Which?"},
            ),
            step("user_message", "Where?", 1),
            step("retrieval", json.dumps([{"page_content": "It was in Arlington."}]), 2),
            step("user_message", "And when?", 4),
            step("assistant_message", "2020.", 5, feedback={"value": 1}),
        ),
    )
    assert [(e.question, e.reply.content) for e in found] == [
        ("Where?", "Arlington."),
        ("And when?", "2020."),
    ]
    first, second = found
    assert [(f.polarity, f.comment) for f in first.feedback] == [(-1, "Which?")]
    assert [f.polarity for f in second.feedback] == [1]
    assert first.passages[0].text == "It was in Arlington." and second.passages is None
    assert (first.model, first.input_tokens, first.output_tokens, first.tenant) == ("m-1", 50, 7, "acme")
    assert first.system == "Be brief." and "st3" in first.ids and first.conversation_id == "t1"
    assert second.time == first.time + 2


def test_tools_are_steps_of_the_turn(tmp_path):
    (only,) = exchanges(
        tmp_path,
        thread(
            step("user_message", "Rain?", 1),
            step("tool", "timeout", 2, name="weather", input='{"city": "Oslo"}', isError=1),
            step("assistant_message", "I could not look.", 3),
        ),
    )
    call, answer = only.conversation[1:]
    assert (call.tool_calls[0].name, json.loads(call.tool_calls[0].arguments)) == (
        "weather",
        {"city": "Oslo"},
    )
    assert (answer.role, answer.content, answer.error) == ("tool", "timeout", True)


def test_an_error_bubble_is_an_error(tmp_path):
    (only,) = exchanges(
        tmp_path,
        thread(step("user_message", "Rain?", 1), step("assistant_message", "Broken.", 2, isError=True)),
    )
    assert (only.reply.content, only.error) == ("Broken.", "Broken.")


def test_literal_scores_keep_their_source(tmp_path):
    scores = [
        {"name": "helpful", "value": 0, "type": "HUMAN", "comment": "meh"},
        {"name": "correctness", "value": 1, "type": "AI"},
    ]
    words = {"content": "Hello."}
    (only,) = exchanges(
        tmp_path,
        thread(
            step("user_message", {"content": "Hi"}, 1), step("assistant_message", words, 2, scores=scores)
        ),
    )
    assert only.question == "Hi" and only.reply.content == "Hello."
    assert [(f.name, f.polarity, f.source, f.comment) for f in only.feedback] == [
        ("helpful", -1, "user", "meh"),
        ("correctness", 1, "llm_judge", ""),
    ]


def test_a_thread_without_a_reply_is_skipped():
    (only,) = chainlit.read(thread(step("user_message", "Hi", 1)), 2)
    assert isinstance(only, Skip) and "without a reply" in only.reason


@pytest.mark.parametrize(
    "record", [{"steps": []}, {"steps": [{"source": "user"}], "createdAt": "x"}, {"steps": 3, "userId": "u"}]
)
def test_other_records_are_left_alone(record):
    assert not chainlit.matches(record)
