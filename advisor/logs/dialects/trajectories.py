"""Agent trajectories with a reward: tau-bench runs, simulations, ATIF steps, and the like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from advisor.exchange import Feedback, Message, ToolCall
from advisor.logs.dialects.beside import fields, first
from advisor.logs.dialects.conversation import nothing
from advisor.logs.dialects.messages import as_text, dumps, to_calls, to_messages, to_tools, unwrap
from advisor.logs.feedback import feedback
from advisor.logs.records import Call, Note, Skip

_TALK = ("traj", "trajectory", "messages", "conversation", "history", "rollout", "transcript")
_REWARD = ("reward", "reward_info", "total_reward", "final_reward")
_SPEAKERS = {"agent": "assistant", "environment": "tool", "env": "tool"}


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a list of messages with a reward, a file of simulations, or ATIF steps."""
    if any(key in record for key in _REWARD) or "traj" in record:
        return _talk(record) is not None
    if isinstance(record.get("simulations"), list):
        return any(isinstance(s, Mapping) and matches(s) for s in record["simulations"][:3])
    return _is_atif(record)


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield a call for each run."""
    runs = (
        record["simulations"]
        if isinstance(record.get("simulations"), list) and _talk(record) is None
        else [record]
    )
    found = False
    for run in runs:
        for call in _run(run, line) if isinstance(run, Mapping) else ():
            found = True
            yield call
    if not found:
        yield nothing(record, line, "a run without a reply in it")


def _talk(record: Mapping[str, Any]) -> list[Any] | None:
    for key in _TALK:
        value = unwrap(record.get(key))
        if isinstance(value, list) and (not value or (isinstance(value[0], Mapping) and "role" in value[0])):
            return value
    return None


def _is_atif(record: Mapping[str, Any]) -> bool:
    steps = record.get("steps")
    listed = isinstance(steps, list) and bool(steps) and isinstance(steps[0], Mapping)
    return listed and "source" in record["steps"][0] and ("schema_version" in record or "agent" in record)


def _run(record: Mapping[str, Any], line: int) -> Iterator[Call]:
    talk = _talk(record)
    messages = tuple(_spoken(talk)) if talk is not None else tuple(_atif(record.get("steps")))
    # A task's number names no conversation: the same task is run by every model and many times over.
    told = fields(record)
    told["feedback"] = (*_rewards(record), *told.get("feedback", ()))
    told["model"] = _model(record)
    told["tools"] = to_tools(record.get("tools")) or to_tools(
        _mapping(record.get("agent")).get("tool_definitions")
    )
    told["error"] = _error(record)
    if any(m.role == "assistant" for m in messages):
        # Why it broke off is no error of the replies that it had given before.
        yield Call(line=line, messages=messages, **{**told, "error": None})
    elif told["error"]:
        yield Call(line=line, messages=messages, **told)


def _spoken(talk: Iterable[Any]) -> Iterator[Message]:
    for item in talk:
        if isinstance(item, Mapping):
            role = str(item.get("role") or "").lower()
            yield from to_messages([{**item, "role": _SPEAKERS.get(role, role)}])


def _atif(steps: Any) -> Iterator[Message]:
    for step in steps if isinstance(steps, list) else ():
        if not isinstance(step, Mapping):
            continue
        who = str(step.get("source") or "").lower()
        text = as_text(step.get("message"))
        if who in ("system", "user"):
            yield Message(role="system" if who == "system" else "user", content=text)
            continue
        asked = step.get("tool_calls")
        yield Message(
            role="assistant",
            content=text,
            tool_calls=tuple(_called(asked if isinstance(asked, list) else ())),
        )
        results = _mapping(step.get("observation")).get("results")
        for result in results if isinstance(results, list) else ():
            if isinstance(result, Mapping):
                yield Message(
                    role="tool",
                    content=as_text(result.get("content")),
                    tool_call_id=first(result, ("source_call_id",)),
                )


def _called(asked: Iterable[Any]) -> Iterator[ToolCall]:
    for item in asked:
        if isinstance(item, Mapping) and isinstance(item.get("function_name"), str):
            given = item.get("arguments")
            text = given if isinstance(given, str) else dumps(given if given is not None else {})
            yield ToolCall(name=item["function_name"], arguments=text, id=first(item, ("tool_call_id",)))
        else:
            yield from to_calls([item])


def _rewards(record: Mapping[str, Any]) -> Iterator[Feedback]:
    value = next((record[k] for k in _REWARD if record.get(k) is not None), None)
    if isinstance(value, Mapping):
        value = value.get("reward")
    if isinstance(value, str | int | float) and value != "":
        yield replace(feedback("reward", value, source="code"), target="conversation")


def _model(record: Mapping[str, Any]) -> str | None:
    return first(record, ("model", "model_name", "agent_model")) or first(
        _mapping(record.get("agent")), ("model_name", "model")
    )


def _error(record: Mapping[str, Any]) -> str | None:
    """Why a run broke off before anything was said."""
    given = record.get("error") or _mapping(record.get("info")).get("error")
    return as_text(given)[:2000] or None if given else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
