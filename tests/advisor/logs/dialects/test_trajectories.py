import json

import pytest

from advisor.logs import read
from advisor.logs.dialects import load, trajectories
from advisor.logs.records import Skip

TALK = [
    {"role": "system", "content": "Be an airline agent."},
    {"role": "user", "content": "Cancel my flight."},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "function": {"name": "cancel", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "name": "cancel", "content": "ok"},
    {"role": "assistant", "content": "It is cancelled."},
    {"role": "user", "content": "Refund?"},
    {"role": "assistant", "content": "In a week."},
    {"role": "user", "content": "bye"},
]


def exchanges(tmp_path, *records):
    path = tmp_path / "log.json"
    path.write_text(json.dumps(list(records)), encoding="utf-8")
    reading = read([path])
    return sorted(reading, key=lambda e: e.turn), reading


@pytest.mark.parametrize(("reward", "polarity"), [(0.0, -1), (1.0, 1), (0.5, 0), (-1, -1), (17.5, None)])
def test_the_reward_is_on_the_conversation(tmp_path, reward, polarity):
    found, _ = exchanges(tmp_path, {"task_id": 3, "reward": reward, "info": {}, "traj": TALK, "trial": 0})
    assert [(e.question, e.reply.content) for e in found] == [
        ("Cancel my flight.", "It is cancelled."),
        ("Refund?", "In a week."),
    ]
    assert found[0].feedback == ()
    (given,) = found[1].feedback
    assert (given.name, given.polarity, given.target, given.source) == (
        "reward",
        polarity,
        "conversation",
        "code",
    )
    assert [m.role for m in found[0].conversation] == ["system", "user", "assistant", "tool"]
    assert [m.content for m in found[1].later] == ["bye"]


def test_runs_of_one_task_stay_apart(tmp_path):
    other = [*TALK[:6], {"role": "assistant", "content": "Never."}]
    found, _ = exchanges(
        tmp_path, {"task_id": 3, "reward": 1, "traj": TALK}, {"task_id": 3, "reward": 0, "traj": other}
    )
    said = {e.reply.content: [f.polarity for f in e.feedback] for e in found}
    assert said == {"It is cancelled.": [], "In a week.": [1], "Never.": [-1]}


def test_a_file_of_simulations():
    run = {
        "id": "run-1",
        "task_id": "t",
        "messages": TALK,
        "reward_info": {"reward": 0.0, "reward_basis": []},
    }
    record = {
        "timestamp": "2026-01-01T00:00:00",
        "info": {},
        "tasks": [],
        "simulations": [run, {"id": "empty", "messages": []}],
    }
    assert trajectories.matches(record)
    (call,) = trajectories.read(record, 1)
    assert call.ids == ("run-1",) and [f.polarity for f in call.feedback] == [-1]


def test_atif_steps():
    steps = [
        {"step_id": 1, "source": "user", "message": "Fix it."},
        {"step_id": 2, "source": "agent", "message": "Looking.", "tool_calls": [
            {"tool_call_id": "c1", "function_name": "ls", "arguments": {"path": "."}}],
         "observation": {"results": [{"source_call_id": "c1", "content": "a.py"}]}},
        {"step_id": 3, "source": "agent", "message": "Fixed."},
    ]  # fmt: skip
    record = {
        "schema_version": "ATIF-v1.5",
        "session_id": "s1",
        "agent": {"name": "a", "model_name": "m"},
        "steps": steps,
    }
    assert trajectories.matches(record) and not load("chainlit").matches(record)
    (call,) = trajectories.read(record, 1)
    assert [m.role for m in call.messages] == ["user", "assistant", "tool", "assistant"]
    assert call.messages[1].tool_calls[0].arguments == '{"path":"."}'
    assert (call.model, call.conversation_id) == ("m", "s1")


def test_a_run_that_broke_off_is_an_error(tmp_path):
    (only,), _ = exchanges(
        tmp_path, {"task_id": 1, "reward": 0.0, "info": {"error": "rate limit"}, "traj": []}
    )
    assert only.error == "rate limit" and only.reply.content == ""


def test_an_expected_answer_is_the_last_replys(tmp_path):
    found, _ = exchanges(tmp_path, {"reward": 0, "traj": TALK, "ground_truth": "In two weeks."})
    assert [e.expected for e in found] == [None, "In two weeks."]


def test_a_run_without_a_reply_is_skipped():
    (only,) = trajectories.read({"reward": 1, "traj": TALK[:2]}, 1)
    assert isinstance(only, Skip)


def test_other_records_are_left_alone():
    assert not trajectories.matches({"messages": TALK})
    assert not trajectories.matches({"reward": 1, "state": [1, 2]})
