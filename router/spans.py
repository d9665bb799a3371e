"""Spans: a reply, and what somebody said of it, as OpenTelemetry GenAI data in OTLP JSON.

Field names follow the GenAI semantic conventions (all of status Development); what they have no name for stands under
`rightfix.`. One line is one export that any collector takes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rag.hits import Hit
from rag.masking import mask
from router.models.port import ToolRequest, calls_in
from router.prompts import Prompt
from router.replies import Reply, Request, words_of

_PROVIDERS = {
    "openai": "openai",
    "azure": "azure.ai.openai",
    "anthropic": "anthropic",
    "bedrock": "aws.bedrock",
}
_SCOPE = {"name": "rightfix.router"}

Shown = Callable[[str], str]
"""What is done to words before they are written: nothing, masking, or leaving them out."""


def as_they_are(text: str) -> str:
    """Return the text."""
    return text


def masked(text: str) -> str:
    """Return the text without personal data and secrets that their form gives away."""
    return mask(text)


def reply_lines(
    request: Request,
    reply: Reply,
    prompt: Prompt,
    *,
    resource: Mapping[str, str],
    shown: Shown | None = as_they_are,
    error: str = "",
) -> dict[str, Any]:
    """Return a reply as an export of spans: one of the retrieval, if there was one, and one of the chat.

    Args:
        request: What was asked.
        reply: What was answered.
        prompt: What the bot was told.
        resource: Attributes of whatever answered.
        shown: What is done to words; None leaves all words out.
        error: Why no answer came; empty if one did.
    """
    trace, own = _ids(reply.id)
    common = {"trace": trace, "parent": own, "time": reply.time}
    spans = [
        _span(
            f"chat {reply.model}",
            own,
            common | {"parent": ""},
            reply.timings.total,
            _chat(request, reply, prompt, shown),
            error,
        )
    ]
    if reply.passages is not None:
        attributes = {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.data_source.id": reply.index or "",
            "rightfix.arm": reply.arm,
        }
        if shown is not None:
            attributes["gen_ai.retrieval.documents"] = _json([_document(h, shown) for h in reply.passages])
        spans.append(
            _span(
                "retrieval",
                _digest(reply.id + "/retrieval")[:16],
                common,
                reply.timings.retrieve,
                attributes,
                "",
            )
        )
    return {
        "resourceSpans": [
            {"resource": {"attributes": _pairs(resource)}, "scopeSpans": [{"scope": _SCOPE, "spans": spans}]}
        ]
    }


def feedback_line(
    reply_id: str,
    *,
    time: float,
    thumb: str | None,
    comment: str,
    correction: str | None,
    resource: Mapping[str, str],
    shown: Shown | None = as_they_are,
) -> dict[str, Any]:
    """Return what a person said of a reply as an export of log records."""
    trace, own = _ids(reply_id)
    attributes: dict[str, Any] = {
        "gen_ai.response.id": reply_id,
        "gen_ai.evaluation.name": "thumbs",
        "rightfix.feedback.source": "user",
    }
    if thumb is not None:
        attributes["gen_ai.evaluation.score.label"] = thumb
        attributes["gen_ai.evaluation.score.value"] = 1.0 if thumb == "up" else 0.0
    if comment and shown is not None:
        attributes["gen_ai.evaluation.explanation"] = shown(comment)
    if correction is not None and shown is not None:
        attributes["rightfix.correction"] = shown(correction)
    record = {
        "timeUnixNano": str(int(time * 1e9)), "eventName": "gen_ai.evaluation.result", "traceId": trace, "spanId": own, "attributes": _pairs(attributes)
    }  # fmt: skip
    return {
        "resourceLogs": [
            {
                "resource": {"attributes": _pairs(resource)},
                "scopeLogs": [{"scope": _SCOPE, "logRecords": [record]}],
            }
        ]
    }


def _chat(request: Request, reply: Reply, prompt: Prompt, shown: Shown | None) -> dict[str, Any]:
    provider, _, name = reply.model.partition(":")
    found: dict[str, Any] = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": _PROVIDERS.get(provider, provider), "gen_ai.request.model": name,
        "gen_ai.response.model": reply.answered_by or name, "gen_ai.response.id": reply.id, "gen_ai.conversation.id": None if request.untold else request.conversation,
        "gen_ai.response.finish_reasons": [reply.finish_reason] if reply.finish_reason else [],
        "gen_ai.usage.input_tokens": reply.usage.input_tokens, "gen_ai.usage.output_tokens": reply.usage.output_tokens,
        "llm.cost.total": reply.cost_usd, "tenant.id": request.tenant, "user.id": _digest(request.user)[:16] if request.user else None,
        "rightfix.release.id": reply.release, "rightfix.prompt.id": reply.prompt, "rightfix.index.version": reply.index,
        "rightfix.route": reply.route, "rightfix.arm": reply.arm, "rightfix.model_calls": reply.calls, "rightfix.declined": reply.declined,
        "rightfix.interventions": _json([{"kind": i.kind, "rule": i.rule, "note": i.note} for i in reply.interventions]) if reply.interventions else None,
        "rightfix.breaches": _json([b.rule for b in reply.breaches]) if reply.breaches else None,
        "rightfix.timings": _json({k: round(v, 6) for k, v in (("retrieve", reply.timings.retrieve), ("generate", reply.timings.generate), ("hold", reply.timings.hold))}),
    }  # fmt: skip
    if request.schema is not None:
        found |= {"gen_ai.output.type": "json", "rightfix.response_format": _json(request.schema)}
    if request.tools:
        found["gen_ai.tool.definitions"] = _json(
            [{"type": "function", **t.get("function", {})} for t in request.tools]
        )
    if shown is not None:
        found |= _words(request, reply, prompt, shown)
    return {key: value for key, value in found.items() if value not in (None, "", [])}


def _words(request: Request, reply: Reply, prompt: Prompt, shown: Shown) -> dict[str, Any]:
    system = [words_of(m) for m in request.messages if m.get("role") in ("system", "developer")]
    told = "\n\n".join(filter(None, (prompt.system, *system)))
    asked = [_message(m, shown) for m in request.messages if m.get("role") not in ("system", "developer")]
    parts = [{"type": "text", "content": shown(reply.text)}] if reply.text else []
    said = {
        "role": "assistant",
        "parts": [*parts, *map(_call, reply.tool_calls)],
        "finish_reason": reply.finish_reason or "stop",
    }
    return {
        # The prompt is the operator's own text; masking an address in it would make every trace look different from the release.
        "gen_ai.system_instructions": _json([{"type": "text", "content": told}]) if told else None,
        "gen_ai.input.messages": _json(asked), "gen_ai.output.messages": _json([said]),
        "rightfix.citations": _json([{"label": c.label, "chunk": c.chunk, "document": c.document} for c in reply.citations]) if reply.citations else None,
    }  # fmt: skip


def _message(message: Mapping[str, Any], shown: Shown) -> dict[str, Any]:
    role, text = str(message.get("role")), words_of(message)
    if role == "tool":
        part = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": shown(text)}
        return {"role": "tool", "parts": [part]}
    parts: list[dict[str, Any]] = [{"type": "text", "content": shown(text)}] if text else []
    return {"role": role, "parts": [*parts, *map(_call, calls_in(message))]}


def _call(call: ToolRequest) -> dict[str, Any]:
    return {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}


def _document(hit: Hit, shown: Shown) -> dict[str, Any]:
    found = {
        "id": hit.document,
        "chunk": hit.id,
        "title": hit.title,
        "content": shown(hit.text),
        "uri": hit.link,
        "score": round(hit.score, 4),
        "code": hit.code,
    }
    return {key: value for key, value in found.items() if value is not None}


def _span(
    name: str, id: str, common: Mapping[str, Any], took: float, attributes: Mapping[str, Any], error: str
) -> dict[str, Any]:
    start = int(common["time"] * 1e9)
    span = {
        "traceId": common["trace"], "spanId": id, "name": name, "kind": 3, "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + int(took * 1e9)), "attributes": _pairs(attributes), "status": {"code": 2, "message": error} if error else {},
    }  # fmt: skip
    return span | ({"parentSpanId": common["parent"]} if common["parent"] else {})


def _ids(reply_id: str) -> tuple[str, str]:
    """Trace and span id of a reply: made from its own, so that feedback finds them without a table."""
    digest = _digest(reply_id)
    return digest[:32], digest[32:48]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, Sequence):
        return {"arrayValue": {"values": [_value(v) for v in value]}}
    return {"stringValue": str(value)}
