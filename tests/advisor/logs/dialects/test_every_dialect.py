"""The contract every reader keeps, on a short record of each that we wrote ourselves."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.logs import read
from advisor.logs.dialects import DIALECTS, load
from advisor.logs.records import Call, Note, Skip

Q, A = "Where is my parcel?", "It is in Cork."
CHAT = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": Q}]
SAID = {"role": "assistant", "content": A}


def kv(**attributes):
    return [
        {
            "key": k.replace("__", "."),
            "value": {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v},
        }
        for k, v in attributes.items()
    ]


def otlp(attributes, *, span="a1b2c3d4e5f60718", parent="", events=(), status=None):
    one = {
        "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": span, "parentSpanId": parent, "name": "chat", "startTimeUnixNano": "1790000000000000000",
        "endTimeUnixNano": "1790000001500000000", "attributes": attributes, "events": list(events), "status": status or {},
    }  # fmt: skip
    return {"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}


def parts(*messages):
    return json.dumps(
        [{"role": m["role"], "parts": [{"type": "text", "content": m["content"]}]} for m in messages]
    )


def event(name, body, second):
    record = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "a1b2c3d4e5f60718",
        "eventName": name,
        "timeUnixNano": f"179000000{second}000000000",
        "body": body,
    }
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}


def text(words):
    return {"kvlistValue": {"values": [{"key": "content", "value": {"stringValue": words}}]}}


CHOICE = {
    "kvlistValue": {
        "values": [{"key": "index", "value": {"intValue": "0"}}, {"key": "message", "value": text(A)}]
    }
}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1790000000,
    "model": "m",
    "choices": [{"index": 0, "message": SAID, "finish_reason": "stop"}],
}
ANTHROPIC = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": A}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 4},
}
SSE = "\n".join(
    f"data: {json.dumps(d)}"
    for d in (
        {"type": "message_start", "message": {"id": "msg_1"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "It is "}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "in Cork."}},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}},
    )
)
LANGCHAIN = [
    {"type": "human", "data": {"content": Q}},
    {"type": "ai", "data": {"content": A, "additional_kwargs": {}}},
]

# dialect, what is special about the record, the records, what else the exchange must have
CASES = [
    ("otlp", "current", [otlp(kv(gen_ai__operation__name="chat", gen_ai__input__messages=parts(*CHAT), gen_ai__output__messages=parts(SAID), gen_ai__request__model="m", gen_ai__conversation__id="t-1", gen_ai__usage__input_tokens=9))], {"model": "m", "conversation_id": "t-1", "input_tokens": 9, "latency": 1.5, "system": "Be kind."}),
    ("otlp", "system instructions apart", [otlp(kv(gen_ai__system_instructions=json.dumps([{"type": "text", "content": "Be kind."}]), gen_ai__input__messages=parts(CHAT[1]), gen_ai__output__messages=parts(SAID)))], {"system": "Be kind."}),
    ("otlp", "events before 1.37, in any order", [event("gen_ai.choice", CHOICE, 3), event("gen_ai.user.message", text(Q), 2), event("gen_ai.system.message", text("Be kind."), 1)], {"system": "Be kind."}),
    ("otlp", "OpenLLMetry", [otlp(kv(gen_ai__prompt__0__role="user", gen_ai__prompt__0__content=Q, gen_ai__completion__0__role="assistant", gen_ai__completion__0__content=A, traceloop__association__properties__session_id="s-1"))], {"conversation_id": "s-1"}),
    ("otlp", "Vercel", [otlp(kv(ai__operationId="ai.generateText.doGenerate", ai__prompt__messages=json.dumps(CHAT), ai__response__text=A, ai__telemetry__metadata__userId="u-1", ai__response__finishReason="stop"))], {"finish_reason": "stop"}),
    ("otlp", "Google ADK", [otlp(kv(gcp__vertex__agent__llm_request=json.dumps({"config": {"system_instruction": "Be kind."}, "contents": [{"role": "user", "parts": [{"text": Q}]}]}), gcp__vertex__agent__llm_response=json.dumps({"content": {"role": "model", "parts": [{"text": A}]}})))], {"system": "Be kind."}),
    ("otlp", "OpenInference attributes", [otlp(kv(openinference__span__kind="LLM", llm__input_messages__0__message__role="user", llm__input_messages__0__message__content=Q, llm__output_messages__0__message__role="assistant", llm__output_messages__0__message__content=A, llm__model_name="m"))], {"model": "m"}),
    ("otlp", "a retriever beside", [otlp(kv(openinference__span__kind="RETRIEVER", retrieval__documents__0__document__content="Parcels wait in Cork."), span="00000000000000b2"), otlp(kv(gen_ai__input__messages=parts(*CHAT), gen_ai__output__messages=parts(SAID)))], {"passages": ["Parcels wait in Cork."]}),
    ("otlp", "an evaluation event", [otlp(kv(gen_ai__input__messages=parts(*CHAT), gen_ai__output__messages=parts(SAID)), events=[{"name": "gen_ai.evaluation.result", "attributes": kv(gen_ai__evaluation__name="correctness", gen_ai__evaluation__score__label="fail")}])], {"polarity": [-1]}),
    ("otlp", "a span with dict attributes", [{"trace_id": "t1", "span_id": "s1", "name": "chat", "attributes": {"gen_ai.input.messages": parts(*CHAT), "gen_ai.output.messages": parts(SAID)}}], {}),
    ("openinference", "Phoenix and its annotation", [
        {"id": "x", "name": "llm", "context": {"trace_id": "t1", "span_id": "ab12"}, "span_kind": "LLM", "parent_id": None, "attributes": {"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": Q, "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": A}},
        {"span_id": "ab12", "name": "user feedback", "annotator_kind": "HUMAN", "result": {"label": "thumbs-down", "score": 0, "explanation": "no"}},
    ], {"polarity": [-1]}),
    ("openinference", "a table with nested lists", [{"context.span_id": "ab", "context.trace_id": "cd", "span_kind": "LLM", "attributes.llm.input_messages": [{"message.role": "user", "message.content": Q}], "attributes.llm.output_messages": [{"message.role": "assistant", "message.content": A}]}], {}),
    ("bedrock", "Converse", [{"schemaType": "ModelInvocationLog", "timestamp": "2026-03-11T00:38:02Z", "requestId": "r-1", "modelId": "amazon.nova-lite-v1:0", "operation": "Converse", "requestMetadata": {"tenant": "cork"}, "input": {"inputBodyJson": {"system": [{"text": "Be kind."}], "messages": [{"role": "user", "content": [{"text": Q}]}]}, "inputTokenCount": 4}, "output": {"outputBodyJson": {"output": {"message": {"role": "assistant", "content": [{"text": A}]}}, "stopReason": "end_turn", "metrics": {"latencyMs": 250}}}}], {"tenant": "cork", "latency": 0.25, "finish_reason": "end_turn", "system": "Be kind."}),
    ("bedrock", "InvokeModel of Llama with its template", [{"schemaType": "ModelInvocationLog", "modelId": "meta.llama3", "input": {"inputBodyJson": {"prompt": f"<|start_header_id|>user<|end_header_id|>\n{Q}<|eot_id|>"}}, "output": {"outputBodyJson": {"generation": A, "stop_reason": "stop"}}}], {}),
    ("bedrock", "a stream of chunks", [{"schemaType": "ModelInvocationLog", "modelId": "anthropic.claude", "input": {"inputBodyJson": {"messages": CHAT[1:]}}, "output": {"outputBodyJson": [{"type": "content_block_delta", "delta": {"text": "It is "}}, {"type": "content_block_delta", "delta": {"text": "in Cork."}}, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}]}}], {"finish_reason": "end_turn"}),
    ("langfuse", "a trace download", [{"trace": {"id": "t", "sessionId": "s-1", "input": Q, "output": A, "scores": [{"name": "thumbs", "value": 0, "dataType": "BOOLEAN", "source": "API"}, {"name": "c", "value": 0, "dataType": "CORRECTION", "stringValue": "It is in Galway."}]}, "observations": [{"id": "o", "type": "GENERATION", "model": "m", "input": CHAT, "output": SAID, "startTime": "2026-01-01T00:00:00Z", "level": "DEFAULT"}, {"id": "r", "type": "RETRIEVER", "output": [{"page_content": "Parcels wait in Cork."}]}]}], {"conversation_id": "s-1", "polarity": [-1], "expected": "It is in Galway.", "passages": ["Parcels wait in Cork."], "model": "m"}),
    ("langfuse", "exported tables in snake case", [{"id": "o", "trace_id": "t", "type": "GENERATION", "level": "DEFAULT", "start_time": "2026-01-01 00:00:00", "provided_model_name": "m", "input": json.dumps(CHAT), "output": A}, {"id": "s", "trace_id": "t", "observation_id": "o", "name": "rating", "value": 0, "string_value": "bad", "data_type": "CATEGORICAL", "source": "API"}], {"polarity": [-1], "model": "m"}),
    ("mlflow", "a trace with assessments", [{"info": {"trace_id": "tr-1", "state": "OK", "trace_metadata": {"mlflow.trace.session": "s-1"}, "assessments": [{"assessment_name": "thumbs", "source": {"source_type": "HUMAN"}, "feedback": {"value": False}, "rationale": "no"}, {"assessment_name": "expected_response", "expectation": {"value": "Galway"}}]}, "data": {"spans": [{"span_id": "AAAAAAAAAAE=", "name": "llm", "attributes": {"mlflow.spanType": '"CHAT_MODEL"', "mlflow.spanInputs": json.dumps({"messages": CHAT}), "mlflow.spanOutputs": json.dumps({"choices": [{"message": SAID}]})}}]}}], {"conversation_id": "s-1", "polarity": [-1], "expected": "Galway"}),
    ("litellm", "a payload", [{"id": "chatcmpl-1", "call_type": "completion", "hidden_params": {}, "response_cost": 0.01, "status": "success", "model": "m", "messages": CHAT, "response": COMPLETION, "metadata": {"user_api_key_team_alias": "cork"}}], {"tenant": "cork", "cost": 0.01}),
    ("langsmith", "a run with feedback in another record", [{"id": "run-1", "trace_id": "run-1", "run_type": "llm", "dotted_order": "x", "inputs": {"messages": CHAT}, "outputs": COMPLETION, "extra": {"metadata": {"thread_id": "t-1"}}}, {"run_id": "run-1", "key": "correctness", "score": 0, "correction": {"answer": "Galway"}}], {"conversation_id": "t-1", "polarity": [-1], "expected": "Galway"}),
    ("langsmith", "halves of a batch", [{"post": [{"id": "r", "trace_id": "r", "run_type": "llm", "dotted_order": "x", "inputs": {"messages": CHAT}}], "patch": [{"id": "r", "trace_id": "r", "dotted_order": "x", "outputs": {"choices": [{"message": SAID}]}}]}], {}),
    ("langchain", "messages to dict", [{"messages": LANGCHAIN}], {}),
    ("langchain", "dumps", [{"messages": [{"lc": 1, "type": "constructor", "id": ["langchain", "HumanMessage"], "kwargs": {"content": Q}}, {"lc": 1, "type": "constructor", "id": ["langchain", "AIMessage"], "kwargs": {"content": A}}]}], {}),
    ("openai", "request and response", [{"request": {"messages": CHAT}, "response": COMPLETION}], {"finish_reason": "stop"}),
    ("openai", "a stored completion and its page of messages", [{"object": "list", "data": [COMPLETION]}, {"object": "list", "data": [{"id": "chatcmpl-1-0", "role": "user", "content": Q}]}], {}),
    ("openai", "a preference pair", [{"input": {"messages": CHAT}, "preferred_output": [{"role": "assistant", "content": "Galway"}], "non_preferred_output": [SAID]}], {"expected": "Galway", "polarity": [-1]}),
    ("openai_batch", "input and output", [{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": CHAT}}, {"id": "b", "custom_id": "1", "response": {"status_code": 200, "body": COMPLETION}, "error": None}], {"system": "Be kind."}),
    ("openai_evals", "sampling and match", [{"run_id": "r", "event_id": 0, "sample_id": "s", "type": "sampling", "data": {"prompt": CHAT, "sampled": [A]}}, {"run_id": "r", "event_id": 1, "sample_id": "s", "type": "match", "data": {"correct": False, "expected": "Galway"}}], {"expected": "Galway", "polarity": [-1]}),
    ("anthropic", "request and response", [{"request": {"system": "Be kind.", "messages": CHAT[1:], "metadata": {"user_id": "u"}}, "response": ANTHROPIC}], {"finish_reason": "end_turn", "system": "Be kind.", "output_tokens": 4}),
    ("anthropic", "a batch and its request", [{"custom_id": "1", "params": {"messages": CHAT[1:]}}, {"custom_id": "1", "result": {"type": "succeeded", "message": ANTHROPIC}}], {}),
    ("openwebui", "a chat whose reply was edited and regenerated", [{"id": "c-1", "chat": {"history": {"currentId": "3", "messages": {"1": {"id": "1", "parentId": None, "childrenIds": ["2", "3"], "role": "user", "content": Q}, "2": {"id": "2", "parentId": "1", "role": "assistant", "content": "Dunno."}, "3": {"id": "3", "parentId": "1", "role": "assistant", "content": "It is in Galway.", "originalContent": A, "annotation": {"rating": -1, "reason": "wrong"}}}}}}], {"conversation_id": "c-1", "expected": "It is in Galway.", "polarity": [-1], "alternatives": ("Dunno.",)}),
    ("openwebui", "a rating with its chat", [{"type": "rating", "data": {"rating": -1}, "meta": {"message_id": "2"}, "snapshot": {"chat": {"id": "c", "chat": {"history": {"currentId": "2", "messages": {"1": {"id": "1", "parentId": None, "role": "user", "content": Q}, "2": {"id": "2", "parentId": "1", "role": "assistant", "content": A}}}}}}}], {"polarity": [-1]}),
    ("vercel_ui", "messages with a tool step", [{"id": "c-1", "messages": [{"id": "u", "role": "user", "parts": [{"type": "text", "text": Q}]}, {"id": "a", "role": "assistant", "metadata": {"model": "m"}, "parts": [{"type": "tool-find", "toolCallId": "1", "state": "output-error", "input": {}, "errorText": "down"}, {"type": "text", "text": A}]}]}], {"conversation_id": "c-1", "model": "m", "tool_error": True}),
    ("tensorzero", "an inference and a metric", [{"id": "i-1", "episode_id": "e-1", "function_name": "f", "variant_name": "v", "input": json.dumps({"messages": [{"role": "user", "content": [{"type": "text", "text": Q}]}]}), "output": json.dumps([{"type": "text", "text": A}])}, {"target_id": "i-1", "metric_name": "is_correct", "value": False}], {"conversation_id": "e-1", "polarity": [-1]}),
    ("recordings", "nock", [{"scope": "https://x", "method": "POST", "path": "/v1", "body": {"messages": CHAT}, "status": 200, "response": COMPLETION}], {"finish_reason": "stop"}),
    ("recordings", "server-sent events", [{"request_body": {"messages": CHAT}, "response_body": SSE, "response_status": 200, "request_id": "r"}], {"finish_reason": "max_tokens"}),
    ("trajectories", "a reward", [{"task_id": 1, "reward": 0.0, "traj": [*CHAT, SAID]}], {}),
    ("sharegpt", "turns", [{"id": "1", "conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": A}]}], {}),
    ("rows", "columns", [{"question": Q, "answer": A, "rating": "down", "contexts": ["Parcels wait in Cork."]}], {"polarity": [-1], "passages": ["Parcels wait in Cork."]}),
]  # fmt: skip


def write(tmp_path: Path, records) -> Path:
    path = tmp_path / "log"
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "what", "records", "more"), CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES])
def test_a_record_becomes_the_one_exchange_it_is(tmp_path, name, what, records, more):
    reading = read([write(tmp_path, records)])
    (exchange,) = reading
    assert (exchange.question, exchange.reply.content) == (Q, A)
    assert exchange.source.dialect == name
    assert reading.counts.skipped == 0
    assert reading.counts.notes == reading.counts.joined
    shown = {
        "polarity": [f.polarity for f in exchange.feedback], "passages": [p.text for p in exchange.passages or ()],
        "tool_error": any(m.error for m in exchange.conversation),
    }  # fmt: skip
    for key, value in more.items():
        got = shown[key] if key in shown else getattr(exchange, key)
        assert got == (pytest.approx(value) if isinstance(value, float) else value), key


@pytest.mark.parametrize(("name", "what", "records", "more"), CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES])
def test_the_order_of_records_does_not_matter(tmp_path, name, what, records, more):
    def strip(exchange):
        return (
            exchange.id,
            exchange.conversation,
            exchange.reply,
            exchange.feedback,
            exchange.passages,
            exchange.expected,
        )

    one = [strip(e) for e in read([write(tmp_path, records)])]
    other = [strip(e) for e in read([write(tmp_path, records[::-1])])]
    assert one == other


ERRORS = [
    (
        "otlp",
        otlp(
            kv(gen_ai__input__messages=parts(*CHAT), gen_ai__request__model="m"),
            status={"code": 2, "message": "overloaded"},
        ),
    ),
    (
        "bedrock",
        {
            "schemaType": "ModelInvocationLog",
            "errorCode": "overloaded",
            "input": {"inputBodyJson": {"messages": CHAT[1:]}},
            "output": {},
        },
    ),
    (
        "litellm",
        {
            "call_type": "completion",
            "response_cost": 0,
            "status": "failure",
            "messages": CHAT,
            "response": {},
            "error_information": {"error_message": "overloaded"},
        },
    ),
    (
        "anthropic",
        {
            "request": {"messages": CHAT[1:]},
            "response": {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}},
        },
    ),
    (
        "recordings",
        {
            "scope": "x",
            "path": "/",
            "body": {"messages": CHAT},
            "status": 529,
            "response": {"error": {"message": "overloaded"}},
        },
    ),
    (
        "langsmith",
        {
            "id": "1",
            "trace_id": "1",
            "run_type": "llm",
            "inputs": {"messages": CHAT},
            "outputs": None,
            "error": "overloaded",
        },
    ),
]


@pytest.mark.parametrize(("name", "record"), ERRORS, ids=[e[0] for e in ERRORS])
def test_an_error_in_place_of_a_reply_is_kept(tmp_path, name, record):
    (exchange,) = read([write(tmp_path, [record])])
    assert exchange.source.dialect == name
    assert "overloaded" in exchange.error
    assert (exchange.question, exchange.reply.content) == (Q, "")


SILENT = [
    (otlp(kv(http__method="GET")), "no words of a chat"),
    ({"resourceMetrics": []}, "metrics"),
    (
        {
            "schemaType": "ModelInvocationLog",
            "input": {"inputBodyS3Path": "s3://b/x_input.json.gz"},
            "output": {},
        },
        "s3://b/x_input.json.gz",
    ),
    (
        {"request_id": "r", "call_type": "acompletion", "spend": 0.1, "messages": "{}", "response": "{}"},
        "store_prompts_in_spend_logs",
    ),
    ({"spec": {"eval_name": "x"}}, "no chat"),
]


@pytest.mark.parametrize(("record", "reason"), SILENT)
def test_a_record_without_a_chat_is_listed_with_the_mend(tmp_path, record, reason):
    reading = read([write(tmp_path, [record])])
    assert list(reading) == []
    (skip,) = reading.skips
    assert reason in skip.reason


def test_history_repeated_in_every_span_is_told_once(tmp_path):
    first = otlp(
        kv(
            gen_ai__input__messages=parts(*CHAT),
            gen_ai__output__messages=parts(SAID),
            gen_ai__conversation__id="t",
        )
    )
    again = {"role": "user", "content": "When will it move?"}
    second = otlp(
        kv(
            gen_ai__input__messages=parts(*CHAT, SAID, again),
            gen_ai__output__messages=parts({"role": "assistant", "content": "On Monday."}),
            gen_ai__conversation__id="t",
        ),
        span="00000000000000c3",
    )
    second["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"] = "1af7651916cd43dd8448eb211c80319c"
    found = sorted(read([write(tmp_path, [first, second])]), key=lambda e: e.turn)
    assert [(e.question, e.reply.content) for e in found] == [(Q, A), ("When will it move?", "On Monday.")]
    assert found[0].later[0].content == "When will it move?"


def test_a_wrapper_span_is_no_second_exchange(tmp_path):
    inner = otlp(
        kv(
            gen_ai__operation__name="chat",
            gen_ai__input__messages=parts(*CHAT),
            gen_ai__output__messages=parts(SAID),
        ),
        parent="00000000000000ff",
    )
    outer = otlp(
        kv(
            openinference__span__kind="CHAIN",
            input__value=json.dumps({"question": Q}),
            output__value=A,
            session__id="s-9",
        ),
        span="00000000000000ff",
    )
    (exchange,) = read([write(tmp_path, [outer, inner])])
    assert exchange.system == "Be kind."
    assert exchange.conversation_id == "s-9"


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from([Q, "[]", "{}", '{"a": 1}', "ai", "user", "message", "error"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                sorted(
                    {
                        "role",
                        "content",
                        "type",
                        "messages",
                        "id",
                        "name",
                        "value",
                        "text",
                        "message",
                        "output",
                        "input",
                        "tool_calls",
                        "function",
                        "parts",
                        "events",
                        "data",
                        "error",
                    }
                )
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def keys_of(name):
    """Top-level keys that lead a record to the reader, out of the cases above."""
    return sorted(
        {
            key
            for case in (*CASES, *((n, "", [r], {}) for n, r in ERRORS))
            if case[0] == name
            for record in case[2]
            for key in record
        }
    )


@pytest.mark.parametrize("name", sorted({c[0] for c in CASES}))
def test_any_junk_under_the_right_keys_gives_parts_or_nothing_and_never_an_error(name):
    dialect = load(name)
    good = [record for case in CASES if case[0] == name for record in case[2]]

    @settings(deadline=None)
    @given(st.dictionaries(st.sampled_from(keys_of(name)), JUNK, max_size=6), st.sampled_from(good))
    def check(junk, record):
        for mixed in (junk, {**record, **junk}):
            if dialect.matches(mixed):
                assert all(isinstance(part, Call | Note | Skip) for part in dialect.read(mixed, 1))

    check()


def test_every_reader_is_tested_here_or_beside():
    beside = {p.stem.removeprefix("test_") for p in Path(__file__).parent.glob("test_*.py")}
    assert set(DIALECTS) <= {c[0] for c in CASES} | beside | {"transcript"}


def test_a_transcript_knows_system_and_tool_lines(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text(f"System: Be kind.\nHuman: {Q}\nTool: parcels\nAI: {A}\n", encoding="utf-8")
    (exchange,) = read([path])
    assert (exchange.system, exchange.question, exchange.reply.content) == ("Be kind.", Q, A)
