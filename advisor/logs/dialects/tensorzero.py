"""TensorZero: inferences, datapoints, and feedback on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from advisor.exchange import Feedback, Message
from advisor.logs.dialects.conversation import nothing
from advisor.logs.dialects.loose import answered
from advisor.logs.dialects.messages import as_text, dumps, to_messages, to_time, to_tools, unwrap
from advisor.logs.feedback import feedback
from advisor.logs.records import Call, Note, Skip


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is an inference, a datapoint or feedback."""
    if (
        "function_name" in record
        and "input" in record
        and ("episode_id" in record or "dataset_name" in record or "variant_name" in record)
    ):
        return True
    return ("target_id" in record and ("value" in record or "metric_name" in record)) or (
        "inference_id" in record and "value" in record and "id" in record
    )


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the call, or what was said of one."""
    if "function_name" not in record or "input" not in record:
        yield _feedback(record, line)
        return
    given = unwrap(record.get("input"))
    given = given if isinstance(given, Mapping) else {}
    messages = _messages(given)
    output = unwrap(record.get("output"))
    reply = _reply(output)
    if reply is None:
        yield nothing(record, line, "a datapoint without an output")
        return
    settings = unwrap(record.get("tool_params"))
    settings = settings if isinstance(settings, Mapping) else {}
    tags = unwrap(record.get("tags"))
    tags = tags if isinstance(tags, Mapping) else {}
    found: dict[str, Any] = {
        "conversation_id": record.get("episode_id"),
        "user": tags.get("user") or tags.get("user_id"),
        "tenant": tags.get("tenant"),
    }
    schema = unwrap(record.get("output_schema"))
    who: dict[str, Any] = {k: str(v) for k, v in found.items() if v}
    yield Call(
        line=line, messages=messages, reply=reply, tools=to_tools(settings.get("tools_available") or ()), ids=(str(record["id"]),) if record.get("id") else (),
        time=to_time(record.get("timestamp") or record.get("updated_at")), model=as_text(record.get("variant_name")) or None,
        response_format=schema if isinstance(schema, Mapping) else None, **who,
    )  # fmt: skip


def _messages(given: Mapping[str, Any]) -> tuple[Message, ...]:
    system, listed = given.get("system"), given.get("messages")
    head = (
        [{"role": "system", "content": system if isinstance(system, str) else dumps(system)}]
        if system
        else []
    )
    return (
        *to_messages(head),
        *to_messages(
            [_spelled(m) for m in (listed if isinstance(listed, list) else ()) if isinstance(m, Mapping)]
        ),
    )


def _spelled(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A templated message logs its variables; they are all there is of its words."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    parts = [
        {"type": "text", "text": dumps(p.get("arguments"))}
        if isinstance(p, Mapping) and p.get("type") == "template"
        else p
        for p in content
    ]
    parts = [
        {**p, "text": dumps(p["value"])}
        if isinstance(p, Mapping) and p.get("type") == "text" and "text" not in p and "value" in p
        else p
        for p in parts
    ]
    return {**message, "content": parts}


def _reply(output: Any) -> Message | None:
    if isinstance(output, list):
        found = to_messages([{"role": "assistant", "content": output}])
        return found[-1] if found else None
    if isinstance(output, Mapping) and "raw" in output:
        return Message(role="assistant", content=as_text(output["raw"]))
    return answered(output)


def _feedback(record: Mapping[str, Any], line: int) -> Note | Skip:
    ids = tuple(str(record[k]) for k in ("target_id", "inference_id") if record.get(k))
    value = record.get("value")
    if not ids or value is None:
        return nothing(record, line, "feedback without a target or a value")
    name = record.get("metric_name")
    if name:
        return Note(line=line, ids=ids, parts={"feedback": (feedback(str(name), value),)})
    if "inference_id" in record:
        said = _reply(unwrap(value))
        return Note(
            line=line, ids=ids, parts={"expected": said.content if said is not None else as_text(value)}
        )
    return Note(
        line=line, ids=ids, parts={"feedback": (Feedback(name="comment", comment=as_text(value)[:2000]),)}
    )
