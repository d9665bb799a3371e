"""What a span says, whichever convention it follows, as a call or as a note about the calls of its trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from advisor.exchange import Feedback, FeedbackSource, Message
from advisor.logs.dialects.loose import answered, asked
from advisor.logs.dialects.messages import (
    as_text,
    to_float,
    to_int,
    to_message,
    to_messages,
    to_passages,
    to_tools,
    unwrap,
)
from advisor.logs.dialects.spans import Event, Span, nest
from advisor.logs.feedback import feedback
from advisor.logs.records import Call, Note

_THREAD = (
    "gen_ai.conversation.id",
    "session.id",
    "ai.telemetry.metadata.sessionId",
    "ai.telemetry.metadata.threadId",
    "traceloop.association.properties.session_id",
    "langfuse.session.id",
    "gcp.vertex.agent.session_id",
    "thread.id",
)
_USER = (
    "user.id",
    "enduser.id",
    "ai.telemetry.metadata.userId",
    "traceloop.association.properties.user_id",
    "langfuse.user.id",
)
_TENANT = (
    "tenant.id",
    "tenant",
    "organization.id",
    "traceloop.association.properties.tenant_id",
    "metadata.tenant",
)
_MODEL = (
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.model_name",
    "ai.response.model",
    "ai.model.id",
    "embedding.model_name",
)
_INPUT_TOKENS = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "ai.usage.promptTokens",
    "ai.usage.inputTokens",
)
_OUTPUT_TOKENS = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "ai.usage.completionTokens",
    "ai.usage.outputTokens",
)
_FINISH = (
    "gen_ai.response.finish_reasons",
    "ai.response.finishReason",
    "llm.finish_reason",
    "gen_ai.completion.0.finish_reason",
)
_ID = ("gen_ai.response.id", "ai.response.id", "llm.response.id")
_OUTER = frozenset({"invoke_agent", "create_agent", "invoke_workflow", "chain", "agent", "workflow", "task"})
_NO_CALL = frozenset(
    {
        "execute_tool",
        "embeddings",
        "retrieval",
        "embedding",
        "tool",
        "retriever",
        "reranker",
        "guardrail",
        "evaluator",
        "prompt",
    }
)
_ROLE_EVENTS = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}


def read_span(span: Span, line: int) -> Iterator[Call | Note]:
    """Yield what a span and its events say; nothing if they hold neither words nor anything to join."""
    attributes = {**span.attributes, **_of_details(span.events)}
    shared = _shared(span, attributes)
    yield from _scores(span, attributes, line)
    kind = str(
        attributes.get("openinference.span.kind")
        or attributes.get("gen_ai.operation.name")
        or attributes.get("traceloop.span.kind")
        or ""
    ).lower()
    passages = _passages(attributes, kind)
    if passages is not None:
        yield Note(line=line, ids=_ids(span), parts={"passages": passages, **_who(attributes)})
        return
    messages, reply = _said(span, attributes, kind)
    if kind in _NO_CALL or not (messages or reply or (span.error and shared.get("model"))):
        yield from _about(span, attributes, shared, kind, line)
        return
    yield Call(
        line=line, messages=messages, reply=reply, tools=_tools(attributes), trace_id=span.trace_id, span_id=span.span_id, parent_id=span.parent_id,
        error=span.error if reply is None or not (reply.content or reply.tool_calls) else None, wrapper=_outer(span, attributes, kind), **shared,
    )  # fmt: skip


def read_event(trace: str | None, span: str | None, event: Event, line: int) -> Iterator[Call | Note]:
    """Yield what a log record of the GenAI conventions says."""
    ids = tuple(i for i in (span, trace) if i)
    attributes = event.attributes
    if event.name in _ROLE_EVENTS:
        message = _event_message(event, _ROLE_EVENTS[event.name])
        if message is not None and ids:
            yield Note(line=line, ids=ids, parts={"messages": (message,)}, time=event.time or 0.0)
    elif event.name == "gen_ai.choice":
        body = event.body if isinstance(event.body, Mapping) else attributes
        inner = unwrap(body.get("message"))
        reply = to_message(inner if inner is not None else {"role": "assistant", **body}, role="assistant")
        yield Call(
            line=line,
            reply=reply,
            trace_id=trace,
            span_id=span,
            time=event.time,
            finish_reason=_text(body.get("finish_reason")),
        )
    elif event.name == "gen_ai.evaluation.result":
        given = _evaluation(attributes)
        # As it was written: a right call, or a right object, is JSON and must stay so.
        correction = attributes.get("rightfix.correction")
        parts = {
            "feedback": (given,) if given is not None else None,
            "expected": correction if isinstance(correction, str) else None,
        }
        target = tuple(str(i) for i in (attributes.get("gen_ai.response.id"), span, trace) if i)
        if target and any(parts.values()):
            yield Note(line=line, ids=target, parts={k: v for k, v in parts.items() if v})
    else:
        whole = Span(
            trace_id=trace,
            span_id=span,
            parent_id=None,
            name=event.name,
            start=event.time,
            end=None,
            error=None,
            attributes={**attributes, **_of_body(event.body)},
        )
        if any(k.startswith(("gen_ai.", "llm.", "ai.")) for k in whole.attributes):
            yield from read_span(whole, line)


def _of_details(events: Sequence[Event]) -> dict[str, Any]:
    """Messages that a span carries in an event instead of an attribute."""
    found: dict[str, Any] = {}
    spoken: list[Message] = []
    for event in events:
        if event.name.endswith("operation.details") or event.name.startswith("gen_ai.content."):
            found.update(event.attributes)
        if event.name in _ROLE_EVENTS and (message := _event_message(event, _ROLE_EVENTS[event.name])):
            spoken.append(message)
        if event.name == "gen_ai.choice":
            body = event.body if isinstance(event.body, Mapping) else event.attributes
            found["_reply"] = to_message(
                unwrap(body.get("message")) or {"role": "assistant", **body}, role="assistant"
            )
        found.update(_of_body(event.body))
    return {**found, **({"_messages": tuple(spoken)} if spoken else {})}


def _of_body(body: Any) -> dict[str, Any]:
    """AWS's distribution puts messages into the event's body, as input and output."""
    if not isinstance(body, Mapping) or not ("input" in body or "output" in body):
        return {}
    found = {}
    for side, name in (("input", "gen_ai.input.messages"), ("output", "gen_ai.output.messages")):
        value = unwrap(body.get(side))
        value = unwrap(value.get("messages")) if isinstance(value, Mapping) and "messages" in value else value
        if value:
            found[name] = [_opened(v, side) for v in value] if isinstance(value, list) else value
    return found


def _opened(item: Any, side: str) -> Any:
    """A message whose words are the whole input of a chain, as JSON."""
    words = item.get("content") if isinstance(item, Mapping) else None
    words = words.get("content", words) if isinstance(words, Mapping) else words
    inner = unwrap(words)
    if not isinstance(inner, Mapping):
        return item
    spoken = asked(inner)[-1:] if side == "input" else tuple(m for m in (answered(inner),) if m)
    return {**item, "content": spoken[0].content} if spoken else item


def _event_message(event: Event, role: str) -> Message | None:
    body = event.body if isinstance(event.body, Mapping) else event.attributes
    call = {"tool_call_id": body.get("id")} if role == "tool" else {}
    return to_message({**call, **body, "role": role if body.get("role") is None else body["role"]})


def _ids(span: Span) -> tuple[str, ...]:
    return tuple(i for i in (span.span_id, span.trace_id) if i)


def _text(value: Any) -> str | None:
    value = unwrap(value)
    if isinstance(value, list):
        value = value[0] if value else None
    return (
        str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None
    )


def _mapping(value: Any) -> Mapping[str, Any] | None:
    value = unwrap(value)
    return value if isinstance(value, Mapping) else None


def _named(attributes: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((attributes[n] for n in names if attributes.get(n) not in (None, "")), None)


def _who(attributes: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "conversation_id": _text(_named(attributes, _THREAD)),
        "user": _text(_named(attributes, _USER)),
        "tenant": _text(_named(attributes, _TENANT)),
    }
    return {k: v for k, v in found.items() if v is not None}


def _shared(span: Span, attributes: Mapping[str, Any]) -> dict[str, Any]:
    took = (
        span.end - span.start
        if span.start is not None and span.end is not None and span.end >= span.start
        else None
    )
    own = _text(_named(attributes, _ID))
    found: dict[str, Any] = {
        "model": _text(_named(attributes, _MODEL)), "time": span.start, "latency": took, "finish_reason": _text(_named(attributes, _FINISH)),
        "input_tokens": to_int(_named(attributes, _INPUT_TOKENS)), "output_tokens": to_int(_named(attributes, _OUTPUT_TOKENS)),
        "cost": to_float(attributes.get("llm.cost.total")), "response_format": _mapping(attributes.get("rightfix.response_format")), **_who(attributes),
    }  # fmt: skip
    return {k: v for k, v in found.items() if v is not None} | ({"ids": (own,)} if own else {})


def _said(span: Span, attributes: Mapping[str, Any], kind: str) -> tuple[tuple[Message, ...], Message | None]:
    """The messages and the reply, by the first convention that the attributes follow."""
    system = (
        to_messages(
            [{"role": "system", "content": as_text(unwrap(attributes["gen_ai.system_instructions"]))}]
        )
        if attributes.get("gen_ai.system_instructions")
        else ()
    )
    for incoming, outgoing in (
        ("gen_ai.input.messages", "gen_ai.output.messages"),
        ("llm.input_messages", "llm.output_messages"),
        ("gen_ai.prompt", "gen_ai.completion"),
    ):
        messages, replies = (
            to_messages(nest(attributes, incoming)),
            to_messages(_as_replies(nest(attributes, outgoing))),
        )
        if messages or replies:
            reply = next((m for m in reversed(replies) if m.role == "assistant"), None)
            messages = messages or (asked(attributes["input.value"]) if "input.value" in attributes else ())
            if system and not any(m.role == "system" for m in messages):
                messages = (*system, *messages)
            return messages, reply
    if "_messages" in attributes or "_reply" in attributes:
        return attributes.get("_messages", ()), attributes.get("_reply")
    if any(name.startswith("ai.") for name in attributes):
        return _vercel(attributes)
    if attributes.get("gcp.vertex.agent.llm_request") not in (None, "", "{}"):
        return _adk(attributes)
    for incoming, outgoing in (
        ("input.value", "output.value"),
        ("traceloop.entity.input", "traceloop.entity.output"),
        ("langfuse.observation.input", "langfuse.observation.output"),
        ("mlflow.spanInputs", "mlflow.spanOutputs"),
        ("input", "output"),
    ):
        if kind not in _NO_CALL and (
            attributes.get(incoming) is not None or attributes.get(outgoing) is not None
        ):
            return asked(attributes.get(incoming)), answered(attributes.get(outgoing))
    return (), None


def _as_replies(value: Any) -> Any:
    """Completions that name no role are the assistant's."""
    if isinstance(value, list):
        return [
            {"role": "assistant", **v}
            if isinstance(v, Mapping) and "role" not in v and "message" not in v
            else v
            for v in value
        ]
    return [{"role": "assistant", "content": value}] if isinstance(value, str) else value


def _vercel(attributes: Mapping[str, Any]) -> tuple[tuple[Message, ...], Message | None]:
    prompt = unwrap(attributes.get("ai.prompt"))
    messages = to_messages(attributes.get("ai.prompt.messages"))
    if not messages and isinstance(prompt, Mapping):
        head = (
            [{"role": "system", "content": prompt["system"]}] if isinstance(prompt.get("system"), str) else []
        )
        messages = (*to_messages(head), *(to_messages(prompt.get("messages")) or asked(prompt.get("prompt"))))
    elif not messages:
        messages = asked(prompt)
    text = _named(
        attributes, ("ai.response.text", "ai.result.text", "ai.response.object", "ai.result.object")
    )
    calls = unwrap(_named(attributes, ("ai.response.toolCalls", "ai.result.toolCalls")))
    reply = (
        to_message({"role": "assistant", "content": as_text(text), "tool_calls": calls})
        if text or calls
        else None
    )
    return messages, reply


def _adk(attributes: Mapping[str, Any]) -> tuple[tuple[Message, ...], Message | None]:
    request, response = (
        unwrap(attributes["gcp.vertex.agent.llm_request"]),
        unwrap(attributes.get("gcp.vertex.agent.llm_response")),
    )
    if not isinstance(request, Mapping):
        return (), None
    settings = request.get("config")
    head = settings.get("system_instruction") if isinstance(settings, Mapping) else None
    messages = (
        *to_messages([{"role": "system", "content": as_text(head)}] if head else []),
        *to_messages(request.get("contents")),
    )
    content = response.get("content") if isinstance(response, Mapping) else None
    return messages, to_message(content, role="assistant") if content else None


def _tools(attributes: Mapping[str, Any]) -> Any:
    for name in ("gen_ai.tool.definitions", "llm.tools", "llm.request.functions", "ai.prompt.tools"):
        value = nest(attributes, name)
        if isinstance(value, list):
            return to_tools(
                [
                    unwrap(v.get("json_schema", v))
                    if isinstance(v, Mapping) and "json_schema" in v
                    else unwrap(v)
                    for v in value
                ]
            )
        if value:
            return to_tools(value)
    return ()


def _passages(attributes: Mapping[str, Any], kind: str) -> Any:
    found = (
        nest(attributes, "retrieval.documents")
        or nest(attributes, "gen_ai.retrieval.documents")
        or nest(attributes, "reranker.output_documents")
    )
    if found is None and kind in ("retriever", "retrieval"):
        found = (
            unwrap(
                _named(
                    attributes, ("output.value", "traceloop.entity.output", "mlflow.spanOutputs", "output")
                )
            )
            or []
        )
    if found is None:
        return None
    return to_passages(found) or ()


def _outer(span: Span, attributes: Mapping[str, Any], kind: str) -> bool:
    operation = str(attributes.get("ai.operationId") or "")
    return kind in _OUTER or (operation.startswith("ai.") and ".do" not in operation)


def _about(
    span: Span, attributes: Mapping[str, Any], shared: Mapping[str, Any], kind: str, line: int
) -> Iterator[Note]:
    """A span without words may still know the session, the model and the times of what others say."""
    names = (
        set(shared)
        if any(
            k.startswith(("gen_ai.request", "gen_ai.response", "gen_ai.usage", "llm.")) for k in attributes
        )
        and kind not in _NO_CALL
        else set(_who(attributes))
    )
    parts = {k: v for k, v in shared.items() if k in names}
    if span.error and shared.get("model"):
        parts["error"] = span.error
    if parts and _ids(span):
        yield Note(line=line, ids=_ids(span), parts=parts)


def _scores(span: Span, attributes: Mapping[str, Any], line: int) -> Iterator[Note]:
    given = [
        f
        for f in (_evaluation(e.attributes) for e in span.events if e.name == "gen_ai.evaluation.result")
        if f
    ]
    for name in ("annotations", "evaluations"):
        found = nest(attributes, name)
        for item in found if isinstance(found, list) else []:
            inner = (
                item.get("annotation") or item.get("evaluation") or item
                if isinstance(item, Mapping)
                else None
            )
            if isinstance(inner, Mapping):
                given.append(scored(inner))
    if given and _ids(span):
        yield Note(line=line, ids=_ids(span), parts={"feedback": tuple(given)})


def scored(item: Mapping[str, Any]) -> Feedback:
    """Return an annotation of Phoenix or OpenInference as feedback."""
    inner = item.get("result")
    result = inner if isinstance(inner, Mapping) else item
    sources: dict[str, FeedbackSource] = {"HUMAN": "user", "LLM": "llm_judge", "CODE": "code"}
    return feedback(
        str(item.get("name") or "annotation"), result.get("score"), label=_text(result.get("label")), comment=result.get("explanation"),
        source=sources.get(str(item.get("annotator_kind") or "HUMAN").upper(), "user"),
    )  # fmt: skip


def _evaluation(attributes: Mapping[str, Any]) -> Feedback | None:
    name = attributes.get("gen_ai.evaluation.name")
    value, label = (
        attributes.get("gen_ai.evaluation.score.value"),
        _text(attributes.get("gen_ai.evaluation.score.label")),
    )
    comment = attributes.get("gen_ai.evaluation.explanation")
    if name is None or (value is None and label is None and not comment):
        return None
    by_person = attributes.get("rightfix.feedback.source") == "user"
    return feedback(
        str(name), value, label=label, comment=comment, source="user" if by_person else "llm_judge"
    )
