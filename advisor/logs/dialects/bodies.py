"""Request and response bodies of model APIs, whole or streamed: OpenAI, Anthropic, Converse, Titan, Llama, Cohere, Mistral."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from advisor.exchange import Message
from advisor.logs.dialects.loose import answered
from advisor.logs.dialects.messages import as_text, to_float, to_message, to_messages, unwrap

_DATA = re.compile(r"^data:\s*(.*)$", re.MULTILINE)
_TURN = re.compile(
    r"<\|start_header_id\|>(\w+)<\|end_header_id\|>\s*(.*?)(?=<\|eot_id\|>|<\|start_header_id\|>|\Z)|\[INST\](.*?)\[/INST\]|\n\n(Human|Assistant):(.*?)(?=\n\n(?:Human|Assistant):|\Z)",
    re.DOTALL,
)
_TEXT = ("generation", "completion", "outputText", "text", "output", "response", "generated_text", "answer")
_FINISH = ("stopReason", "stop_reason", "completionReason", "finish_reason", "stop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a request and its response say."""

    messages: tuple[Message, ...] = ()
    reply: Message | None = None
    finish_reason: str | None = None
    latency: float | None = None


def said_in(request: Any, response: Any) -> Said:
    """Return what was sent and what came back, from the bodies of any of these APIs."""
    response = streamed(response)
    return Said(
        messages=sent(request),
        reply=_reply(response),
        finish_reason=_finish(response),
        latency=_latency(response),
    )


def sent(body: Any) -> tuple[Message, ...]:
    """Return the messages of a request body."""
    body = unwrap(body)
    if isinstance(body, str):
        return _templated(body)
    if not isinstance(body, Mapping):
        return to_messages(body) if isinstance(body, list) else ()
    system = (
        body.get("system")
        or body.get("instructions")
        or body.get("system_instruction")
        or body.get("preamble")
    )
    head = to_messages([{"role": "system", "content": as_text(system)}]) if system else ()
    listed = next(
        (body[k] for k in ("messages", "contents", "input", "chat_history") if isinstance(body.get(k), list)),
        None,
    )
    if listed is not None:
        last = (
            to_messages([{"role": "user", "content": body["message"]}])
            if isinstance(body.get("message"), str)
            else ()
        )
        return (*head, *to_messages(listed), *last)
    text = next(
        (
            body[k]
            for k in ("prompt", "inputText", "inputs", "message", "input", "text")
            if isinstance(body.get(k), str)
        ),
        "",
    )
    return (*head, *_templated(text))


def _templated(text: str) -> tuple[Message, ...]:
    """A prompt with a chat template's marks written into it, else one message."""
    found = []
    for match in _TURN.finditer(text):
        role = (match[1] or ("user" if match[3] is not None else match[4]) or "user").lower()
        words = next(w for w in (match[2], match[3], match[5], "") if w is not None).strip()
        if words:
            found.append({"role": "user" if role == "human" else role, "content": words})
    return (
        to_messages(found)
        if found
        else to_messages([{"role": "user", "content": text}] if text.strip() else [])
    )


def _reply(body: Any) -> Message | None:
    body = unwrap(body)
    if isinstance(body, str):
        return Message(role="assistant", content=body) if body.strip() else None
    if not isinstance(body, Mapping):
        return answered(body)
    output = body.get("output")
    if isinstance(output, Mapping) and "message" in output:
        return to_message(output["message"], role="assistant")
    if isinstance(output, list):
        return _of_items(output)
    if body.get("choices"):
        return answered(body)
    if isinstance(body.get("content"), list) or "role" in body:
        return to_message({"role": "assistant", **body})
    results = body.get("results") or body.get("outputs") or body.get("generations") or body.get("candidates")
    if isinstance(results, list) and results and isinstance(results[0], Mapping):
        inner = results[0].get("content")
        return to_message(inner, role="assistant") if isinstance(inner, Mapping) else _reply(results[0])
    text = next((body[k] for k in _TEXT if isinstance(body.get(k), str)), None)
    return Message(role="assistant", content=text) if text is not None else None


def _of_items(items: list[Any]) -> Message | None:
    """The output items of the Responses API: words and calls of one reply."""
    found = [m for m in to_messages(items) if m.role == "assistant"]
    if not found:
        return None
    return Message(
        role="assistant",
        content="\n".join(m.content for m in found if m.content),
        tool_calls=tuple(c for m in found for c in m.tool_calls),
    )


def _finish(body: Any) -> str | None:
    body = unwrap(body)
    if not isinstance(body, Mapping):
        return None
    inside = [
        body,
        *(
            v[0]
            for k in ("choices", "results", "outputs")
            if isinstance(v := body.get(k), list) and v and isinstance(v[0], Mapping)
        ),
    ]
    return next((str(node[k]) for node in inside for k in _FINISH if isinstance(node.get(k), str)), None)


def _latency(body: Any) -> float | None:
    metrics = (
        body.get("metrics") or body.get("amazon-bedrock-invocationMetrics")
        if isinstance(body, Mapping)
        else None
    )
    took = (
        to_float(metrics.get("latencyMs", metrics.get("invocationLatency")))
        if isinstance(metrics, Mapping)
        else None
    )
    return took / 1000 if took is not None else None


def streamed(body: Any) -> Any:
    """Return the whole of what came in chunks (a list of them, or server-sent events); any other body as it is."""
    if isinstance(body, str) and "data:" in body[:2000]:
        chunks = [c for c in (unwrap(d) for d in _DATA.findall(body)) if isinstance(c, Mapping)]
        return _merged(chunks) if chunks else body
    body = unwrap(body)
    if isinstance(body, list) and body and all(isinstance(c, Mapping) for c in body):
        opened = [inner if isinstance(inner := unwrap(_bytes(c)), Mapping) else c for c in body]
        return _merged(opened) if any(_is_chunk(c) for c in opened) else body
    return body


def _bytes(chunk: Mapping[str, Any]) -> Any:
    inner = chunk.get("chunk")
    return inner.get("bytes") if isinstance(inner, Mapping) else chunk


def _is_chunk(chunk: Mapping[str, Any]) -> bool:
    kinds = (
        "delta",
        "contentBlockDelta",
        "contentBlockStart",
        "messageStart",
        "message_start",
        "outputText",
        "generation",
        "choices",
        "amazon-bedrock-invocationMetrics",
    )
    return any(k in chunk for k in kinds) or str(chunk.get("type", "")).startswith(
        ("content_block", "message_", "response.")
    )


def _merged(chunks: list[Mapping[str, Any]]) -> dict[str, Any]:
    """One body out of chunks: text joined, tool inputs joined by their block, the last finish reason."""
    whole = next((c.get("response") for c in reversed(chunks) if c.get("type") == "response.completed"), None)
    if isinstance(whole, Mapping):
        return dict(whole)
    text: list[str] = []
    calls: dict[str, dict[str, Any]] = {}
    merged: dict[str, Any] = {}
    for chunk in chunks:
        for key in ("id", "model", "metrics", "amazon-bedrock-invocationMetrics"):
            if chunk.get(key):
                merged[key] = chunk[key]
        text.extend(_words(chunk))
        for at, part in _call_parts(chunk):
            call = calls.setdefault(at, {"id": None, "name": "", "arguments": ""})
            call["id"] = part.get("id") or call["id"]
            call["name"] = part.get("name") or call["name"]
            call["arguments"] += part.get("arguments") or ""
        reason = _reason(chunk)
        if reason:
            merged["stop_reason"] = reason
    message: dict[str, Any] = {"role": "assistant", "content": "".join(text)}
    if calls:
        message["tool_calls"] = list(calls.values())
    return {**merged, "output": {"message": message}}


def _words(chunk: Mapping[str, Any]) -> Iterator[str]:
    delta = chunk.get("delta")
    block = chunk.get("contentBlockDelta")
    if isinstance(block, Mapping):
        delta = block.get("delta")
    if isinstance(delta, str):
        if "reasoning" not in str(chunk.get("type", "")) and "arguments" not in str(chunk.get("type", "")):
            yield delta
    elif isinstance(delta, Mapping) and isinstance(delta.get("text"), str):
        yield delta["text"]
    for choice in chunk.get("choices") or ():
        inner = choice.get("delta") or choice.get("message") if isinstance(choice, Mapping) else None
        if isinstance(inner, Mapping) and isinstance(inner.get("content"), str):
            yield inner["content"]
        elif isinstance(choice, Mapping) and isinstance(choice.get("text"), str):
            yield choice["text"]
    yield from (
        str(chunk[k]) for k in ("outputText", "generation", "completion") if isinstance(chunk.get(k), str)
    )


def _call_parts(chunk: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    at = str(chunk.get("index", ""))
    block = chunk.get("content_block")
    if isinstance(block, Mapping) and block.get("type") == "tool_use":
        yield at, {"id": block.get("id"), "name": block.get("name")}
    delta = chunk.get("delta")
    if isinstance(delta, Mapping) and isinstance(delta.get("partial_json"), str):
        yield at, {"arguments": delta["partial_json"]}
    start, moved = chunk.get("contentBlockStart"), chunk.get("contentBlockDelta")
    if (
        isinstance(start, Mapping)
        and isinstance(start.get("start"), Mapping)
        and isinstance(start["start"].get("toolUse"), Mapping)
    ):
        used = start["start"]["toolUse"]
        yield str(start.get("contentBlockIndex")), {"id": used.get("toolUseId"), "name": used.get("name")}
    if (
        isinstance(moved, Mapping)
        and isinstance(moved.get("delta"), Mapping)
        and isinstance(moved["delta"].get("toolUse"), Mapping)
    ):
        yield (
            str(moved.get("contentBlockIndex")),
            {"arguments": str(moved["delta"]["toolUse"].get("input") or "")},
        )
    for choice in chunk.get("choices") or ():
        inner = choice.get("delta") if isinstance(choice, Mapping) else None
        for call in (inner.get("tool_calls") or ()) if isinstance(inner, Mapping) else ():
            function = call.get("function") if isinstance(call, Mapping) else None
            if isinstance(function, Mapping):
                yield (
                    str(call.get("index")),
                    {
                        "id": call.get("id"),
                        "name": function.get("name"),
                        "arguments": function.get("arguments"),
                    },
                )


def _reason(chunk: Mapping[str, Any]) -> str | None:
    stop, delta = chunk.get("messageStop"), chunk.get("delta")
    for node in (stop, delta, chunk, *(chunk.get("choices") or ())):
        if isinstance(node, Mapping):
            found = next((node[k] for k in _FINISH if isinstance(node.get(k), str)), None)
            if found:
                return str(found)
    return None
