"""Published chat sets: ShareGPT, WildChat, LMSYS-Chat, arena votes, FastChat serve logs, MT-Bench answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from advisor.exchange import Feedback, FeedbackSource, Message
from advisor.logs.dialects.beside import fields, first
from advisor.logs.dialects.conversation import nothing
from advisor.logs.dialects.messages import ROLES, as_text, to_calls, to_messages, to_time, to_tools, unwrap
from advisor.logs.records import Call, Note, Skip

_TALK = ("conversations", "conversation", "items")
_SPEAKERS = {
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "prompter": "user",
    "tools": "tool",
}
_VOTES = ("chat", "upvote", "downvote", "flag", "leftvote", "rightvote", "tievote", "bothbad_vote")
_ONE_VOTE = {"upvote": 1, "downvote": -1, "flag": -1}
# Of the two sides: how the vote speaks of the left one and of the right one.
_TWO_VOTES = {
    "leftvote": (1, -1), "model_a": (1, -1), "rightvote": (-1, 1), "model_b": (-1, 1), "tievote": (0, 0), "tie": (0, 0),
    "bothbad_vote": (-1, -1), "tie (bothbad)": (-1, -1), "both_bad": (-1, -1),
}  # fmt: skip


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a published conversation, an arena vote, a serve log or an MT-Bench turn."""
    if any(_is_talk(record.get(key)) for key in _TALK):
        return True
    if "conversation_a" in record and "conversation_b" in record:
        return True
    if record.get("type") in _VOTES and ("state" in record or "states" in record):
        return True
    return "question_id" in record and (isinstance(record.get("turns"), list) or bool(_bench_turns(record)))


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the calls of one record."""
    if "conversation_a" in record and "conversation_b" in record:
        found: Sequence[Call | Note] = _arena(record, line)
    elif record.get("type") in _VOTES and ("state" in record or "states" in record):
        found = _served(record, line)
    elif "question_id" in record and not any(_is_talk(record.get(key)) for key in _TALK):
        found = _bench(record, line)
    else:
        found = _published(record, line)
    if found:
        yield from found
    else:
        yield nothing(record, line, "a conversation without a reply in it")


def _is_talk(value: Any) -> bool:
    value = unwrap(value)
    if not isinstance(value, list) or not value or not isinstance(value[0], Mapping):
        return False
    return ("from" in value[0] and "value" in value[0]) or ("role" in value[0] and "content" in value[0])


def _published(record: Mapping[str, Any], line: int) -> list[Call]:
    talk = next(unwrap(record[key]) for key in _TALK if _is_talk(record.get(key)))
    told = fields(record)
    told["ids"] = tuple(dict.fromkeys((*told.get("ids", ()), *_names(record, ("conversation_hash",)))))
    told["conversation_id"] = told.get("conversation_id") or first(record, ("conversation_hash", "id"))
    told["user"] = told.get("user") or first(record, ("hashed_ip",))
    told["time"] = told.get("time", to_time(record.get("tstamp")))
    told["model"] = first(record, ("model", "model_name"))
    told["tools"] = to_tools(record.get("tools"))
    messages = (*_system(record), *_spoken(talk))
    pair = {side: _spoken([record.get(side)]) for side in ("chosen", "rejected")}
    if pair["chosen"] and pair["rejected"]:
        given = (*told.pop("feedback", ()), _vote("rejected", -1, "annotator"))
        told["expected"] = pair["chosen"][0].content or None
        return [Call(line=line, messages=messages, reply=pair["rejected"][0], feedback=given, **told)]
    return [Call(line=line, messages=messages, **told)] if _answered(messages) else []


def _names(record: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        str(record[k])
        for k in keys
        if isinstance(record.get(k), str | int) and record[k] not in ("", True, False)
    )


def _system(record: Mapping[str, Any]) -> tuple[Message, ...]:
    text = record.get("system") or record.get("system_prompt")
    return (Message(role="system", content=text),) if isinstance(text, str) and text.strip() else ()


def _spoken(talk: Iterable[Any]) -> tuple[Message, ...]:
    """The messages of a list in `from`/`value` or in `role`/`content` form."""
    found: list[Message] = []
    for item in talk:
        if not isinstance(item, Mapping):
            continue
        who = str(item.get("from") or item.get("role") or "").lower()
        if who == "function_call":
            found.append(
                Message(role="assistant", tool_calls=to_calls(item.get("value", item.get("content"))))
            )
        elif "from" in item:
            role = ROLES.get(who) or _SPEAKERS.get(who)
            value = item.get("value")
            found.extend(
                to_messages([{**item, "role": role or who, "content": "" if value is None else value}])
            )
        else:
            found.extend(to_messages([item]))
    return tuple(found)


def _answered(messages: Iterable[Message]) -> bool:
    return any(m.role == "assistant" for m in messages)


def _vote(value: object, polarity: int | None, source: FeedbackSource = "user") -> Feedback:
    return Feedback(name="vote", value=str(value)[:200], polarity=polarity, source=source)


# --- arena --------------------------------------------------------------------------------------------------------


def _arena(record: Mapping[str, Any], line: int) -> list[Call]:
    winner = str(record.get("winner") or "")
    source: FeedbackSource = "llm_judge" if str(record.get("judge") or "").startswith("gpt") else "user"
    sides = []
    for side, polarity in zip("ab", _TWO_VOTES.get(winner.lower(), (None, None)), strict=True):
        talk = unwrap(record.get(f"conversation_{side}"))
        messages = _spoken(talk if isinstance(talk, list) else ())
        given = (_vote(winner, polarity, source),) if winner else ()
        model = first(record, (f"model_{side}",))
        sides.append((messages, {"feedback": given, "model": model}))
    shared: dict[str, Any] = {"time": to_time(record.get("tstamp")), "user": first(record, ("user_id",))}
    # Both sides answer the same question: without a thread id of its own each stays a conversation of its own.
    shared["ids"] = _names(record, ("question_id", "id"))
    return _sides(sides, line, shared)


def _sides(
    sides: Sequence[tuple[tuple[Message, ...], dict[str, Any]]], line: int, shared: dict[str, Any]
) -> list[Call]:
    """One call a side; the vote is on its last reply, the other side's last reply is the alternative."""
    found = []
    for index, (messages, told) in enumerate(sides):
        if not messages or messages[-1].role != "assistant":
            continue
        others = [m for i, (m, _) in enumerate(sides) if i != index and m and m[-1].role == "assistant"]
        other = tuple(dict.fromkeys(m[-1].content for m in others if m[-1].content))
        found.append(
            Call(line=line, messages=messages[:-1], reply=messages[-1], alternatives=other, **told, **shared)
        )
    return found


def _served(record: Mapping[str, Any], line: int) -> list[Call]:
    """FastChat writes a line a reply and a line a vote, each with the whole state of the talk."""
    states = _listed(record.get("states")) or [record.get("state")]
    kind = str(record.get("type"))
    votes = _TWO_VOTES.get(kind, (None, None)) if len(states) == 2 else (_ONE_VOTE.get(kind),)
    models = _listed(record.get("models")) or [record.get("model")]
    sides = []
    for index, state in enumerate(states[:2]):
        if not isinstance(state, Mapping):
            continue
        model = models[index] if index < len(models) and isinstance(models[index], str) else None
        polarity = votes[index] if index < len(votes) else None
        told = {
            "conversation_id": first(state, ("conv_id",)), "model": model or first(state, ("model_name",)),
            "feedback": () if kind == "chat" else (_vote(kind, polarity),),
        }  # fmt: skip
        sides.append((_state(state), told))
    # The vote comes later than the reply it is on, so its time is not the reply's.
    when = to_time(record.get("start")) if kind == "chat" else None
    return _sides(sides, line, {"time": when, "user": first(record, ("ip",))})


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _state(state: Mapping[str, Any]) -> tuple[Message, ...]:
    roles = state.get("roles")
    bot = roles[1] if isinstance(roles, list | tuple) and len(roles) > 1 else "ASSISTANT"
    given = state.get("messages")
    offset = state.get("offset") if isinstance(state.get("offset"), int) else 0
    system = state.get("system_message") or state.get("system")
    found = [Message(role="system", content=system)] if isinstance(system, str) and system.strip() else []
    # What stands before the offset are the template's examples, which nobody said.
    for pair in given[max(offset or 0, 0) :] if isinstance(given, list) else ():
        if isinstance(pair, list) and len(pair) >= 2 and pair[1] is not None:
            text = (
                pair[1]
                if isinstance(pair[1], str)
                else as_text(pair[1][:1] if isinstance(pair[1], list) else pair[1])
            )
            found.append(Message(role="assistant" if pair[0] == bot else "user", content=text))
    return tuple(found)


# --- MT-Bench -----------------------------------------------------------------------------------------------------


def _bench_turns(record: Mapping[str, Any]) -> list[Any]:
    choices = record.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        return []
    return _listed(choices[0].get("turns"))


def _bench(record: Mapping[str, Any], line: int) -> list[Call | Note]:
    """Questions and answers stand in different files; they meet by the question's number and the turn."""
    number = as_text(record.get("question_id"))
    if not isinstance(record.get("turns"), list):
        own = first(record, ("answer_id",)) or ""
        model, when = first(record, ("model_id",)), to_time(record.get("tstamp"))
        return [
            Call(
                line=line, reply=Message(role="assistant", content=as_text(text)), model=model, time=when,
                ids=(*((f"{own}#{turn}",) if own else ()), _turn_id(number, turn)),
            )
            for turn, text in enumerate(_bench_turns(record), 1)
        ]  # fmt: skip
    asked = [as_text(text) for text in record["turns"]]
    answers = _listed(record.get("reference"))
    found: list[Call | Note] = []
    for turn in range(1, len(asked) + 1):
        parts: dict[str, Any] = {
            "messages": tuple(Message(role="user", content=text) for text in asked[:turn])
        }
        if turn <= len(answers) and answers[turn - 1]:
            parts["expected"] = as_text(answers[turn - 1])
        found.append(Note(line=line, ids=(_turn_id(number, turn),), parts=parts))
    return found


def _turn_id(number: str, turn: int) -> str:
    return f"mt-bench {number}#{turn}"
