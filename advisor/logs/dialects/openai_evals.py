"""OpenAI evals logs: what was sampled, and whether it matched, joined by run and sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from advisor.exchange import Feedback
from advisor.logs.dialects.bodies import sent
from advisor.logs.dialects.loose import answered
from advisor.logs.dialects.messages import as_text, to_messages, to_time, unwrap
from advisor.logs.records import Call, Note, Skip


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a line of such a log."""
    if isinstance(record.get("spec"), Mapping) and "eval_name" in record["spec"]:
        return True
    return ("final_report" in record and len(record) <= 3) or all(
        k in record for k in ("run_id", "event_id", "sample_id", "type")
    )


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the call of a sampling event, and what a match event says of it."""
    data = unwrap(record.get("data"))
    kind = record.get("type")
    if not isinstance(data, Mapping) or kind not in ("sampling", "match", "error"):
        yield Skip(file="", line=line, reason=f"no chat in it ({kind or next(iter(record), 'empty')})")
        return
    key = f"{record.get('run_id')}/{record.get('sample_id')}"
    if kind == "sampling":
        prompt = unwrap(data.get("prompt"))
        sampled = unwrap(data.get("sampled"))
        reply = answered(sampled[0] if isinstance(sampled, list) and sampled else sampled)
        messages = to_messages(prompt) if isinstance(prompt, list) else sent(as_text(prompt))
        yield Call(
            line=line, messages=messages, reply=reply, ids=(key,), time=to_time(record.get("created_at"))
        )
    elif kind == "match":
        expected = data.get("expected")
        right = as_text(expected[0] if isinstance(expected, list) and expected else expected)
        parts: dict[str, Any] = {"expected": right} if right else {}
        if isinstance(data.get("correct"), bool):
            parts["feedback"] = (
                Feedback(
                    name="match",
                    value=str(data["correct"]),
                    polarity=1 if data["correct"] else -1,
                    source="code",
                ),
            )
        yield Note(line=line, ids=(key,), parts=parts)
    else:
        yield Note(line=line, ids=(key,), parts={"error": as_text(data.get("message") or data)[:500]})
