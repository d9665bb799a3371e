"""Traces sent on to a collector: a real HTTP server that keeps, refuses, fails and hangs."""

import gzip
import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from router.chatbot import Chatbot
from router.collector import Collector, Misdirected, service_of, target_of
from router.models.scripted import Scripted
from router.prompts import Prompt, Prompts
from router.releases import Release, Releases
from router.traces import Tracing


@pytest.fixture
def collecting():
    """A collector: `answers` are given in order, then 200; `got` is what came."""
    got, answers = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            status, said, pause = answers.pop(0) if answers else (200, {}, 0)
            time.sleep(pause)
            got.append((self.path, self.headers, json.loads(body), status))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            with suppress(BrokenPipeError):
                self.wfile.write(json.dumps(said).encode())

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got, answers
    server.shutdown()
    thread.join()
    server.server_close()


def spans(*numbers):
    return {"resourceSpans": [{"n": n} for n in numbers]}


def numbers(got, status=200):
    return [
        p["n"]
        for path, _, body, s in got
        if s == status and path == "/v1/traces"
        for p in body["resourceSpans"]
    ]


def test_replies_and_feedback_of_a_chatbot_arrive(collecting, tmp_path):
    address, got, _ = collecting
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{address}/", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b,x-other=c",
        "OTEL_SERVICE_NAME": "shop", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test,service.name=other",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    }  # fmt: skip
    collector = Collector(target_of(environment), every_s=0.05)
    tracing = Tracing(onward=collector, service=service_of(environment))
    with Chatbot(tmp_path, load=lambda r: Scripted(outputs=lambda m: "Hello."), tracing=tracing) as bot:
        bot.pointer.promote(Releases(tmp_path).add(Release(model="scripted:a", prompt=Prompts(tmp_path).add(Prompt.of("Help.")))))  # fmt: skip
        reply = bot.reply([{"role": "user", "content": "Hi"}])
        bot.feedback(reply.id, thumb="up")
    collector.close()
    assert collector.lost == 0
    (traces,) = [body for path, _, body, _ in got if path == "/v1/traces"]
    (logs,) = [body for path, _, body, _ in got if path == "/v1/logs"]
    about = {
        a["key"]: a["value"]["stringValue"] for a in traces["resourceSpans"][0]["resource"]["attributes"]
    }
    assert about == {"service.name": "shop", "deployment.environment": "test"}
    (span,) = traces["resourceSpans"][0]["scopeSpans"][0]["spans"]
    (record,) = logs["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert span["name"].startswith("chat") and record["traceId"] == span["traceId"]
    assert {h["x-key"] for _, h, _, _ in got} == {"a b"} and {h["x-other"] for _, h, _, _ in got} == {"c"}


def test_many_go_in_few_batches_in_order(collecting):
    address, got, _ = collecting
    collector = Collector(target_of({"OTEL_EXPORTER_OTLP_ENDPOINT": address}), every_s=0.2)
    for n in range(600):
        collector(spans(n))
    collector.close()
    assert numbers(got) == list(range(600)) and len(got) <= 5 and collector.lost == 0


def test_what_may_work_later_is_sent_again_and_what_will_not_is_given_up(collecting, caplog):
    address, got, answers = collecting
    answers += [(429, {}, 0), (503, {}, 0), (200, {}, 0), (400, {}, 0)]
    collector = Collector(target_of({"OTEL_EXPORTER_OTLP_ENDPOINT": address}), every_s=0.01)
    collector(spans(1))
    while numbers(got) != [1]:
        time.sleep(0.01)
    collector(spans(2))
    while len(got) < 4:
        time.sleep(0.01)
    collector(spans(3))
    collector.close()
    assert numbers(got) == [1, 3] and [s for *_, s in got] == [429, 503, 200, 400, 200]
    assert collector.lost == 1 and "answered 400" in caplog.text


def test_a_collector_that_rejects_a_part_says_so(collecting):
    address, _, answers = collecting
    answers.append((200, {"partialSuccess": {"rejectedSpans": "2", "errorMessage": "too old"}}, 0))
    collector = Collector(target_of({"OTEL_EXPORTER_OTLP_ENDPOINT": address}), every_s=0.01)
    collector(spans(1, 2, 3))
    collector.close()
    assert collector.lost == 2


def test_nobody_waits_for_a_collector_that_hangs(collecting):
    address, _, answers = collecting
    answers += [(200, {}, 1.5)] * 2
    collector = Collector(
        target_of({"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_EXPORTER_OTLP_TIMEOUT": "200"}),
        every_s=0.01,
        tries=1,
    )
    collector(spans(0))
    time.sleep(0.1)
    began = time.perf_counter()
    for n in range(5000):
        collector(spans(n))
    assert time.perf_counter() - began < 0.5
    assert collector.lost >= 5000 - 2048 - 256
    collector.close()


def test_nobody_waits_for_a_collector_that_is_not_there():
    collector = Collector(target_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}), every_s=0.01)
    collector(spans(1))
    time.sleep(0.1)
    began = time.perf_counter()
    collector.close()
    assert time.perf_counter() - began < 5 and collector.lost == 1


@pytest.mark.parametrize(
    ("environment", "addresses"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/base/"}, {"resourceSpans": "http://c:4318/base/v1/traces", "resourceLogs": "http://c:4318/base/v1/logs"}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/t"}, {"resourceSpans": "https://c/t"}),
    ],
)  # fmt: skip
def test_variables_are_read_as_the_standard_says(environment, addresses):
    target = target_of(environment)
    assert (dict(target.addresses) if target else None) == addresses


@pytest.mark.parametrize(
    ("more", "said"), [({"_ENDPOINT": "c:4317"}, "http://"), ({"_PROTOCOL": "grpc"}, "4318"), ({"_TIMEOUT": "10s"}, "milliseconds")]
)  # fmt: skip
def test_variables_that_make_no_sense_are_told(more, said):
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"} | {
        f"OTEL_EXPORTER_OTLP{k}": v for k, v in more.items()
    }
    with pytest.raises(Misdirected, match=said):
        target_of(environment)
