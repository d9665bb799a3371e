"""One server that speaks as OpenAI, Azure, Anthropic and Bedrock do; the model's name says how it behaves.

`fine`, `half` (a stream or body that breaks off), `ended` (a stream that ends in order before the answer does), `garbled` (no JSON),
`midway` (an error inside the stream), `slow`, or an HTTP status such as `429`.
"""

import binascii
import http.server
import json
import struct
import threading
import time
import urllib.parse

WORDS = ["It ", "is ", "12 ", "euros."]


class Double(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or "{}")
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        speaker, model = spoken(path, body)
        self.server.asked.append((path, dict(self.headers), body))
        how = next(
            (h for h in ("fine", "half", "ended", "garbled", "midway", "slow", "picky") if h in model), None
        )
        if how is None:
            self.error(speaker, int(model.rsplit("-", 1)[-1]))
        elif how == "picky" and ("temperature" in body or "temperature" in body.get("inferenceConfig", {})):
            self.error(speaker, 400, "`temperature` is not supported by this model")
        elif how == "slow":
            time.sleep(3)
        else:
            streams = body.get("stream") or path.endswith("converse-stream")
            self.stream(speaker, how, body) if streams else self.whole(speaker, how, body)

    def error(self, speaker, status, message="no"):
        type_ = {429: "rate_limit_error", 400: "invalid_request_error"}.get(status, "api_error")
        data = (
            {"message": message}
            if speaker == "bedrock"
            else {"type": "error", "error": {"type": type_, "message": message}}
        )
        extra = {
            "x-amzn-ErrorType": {429: "ThrottlingException", 400: "ValidationException"}.get(
                status, "InternalServerException"
            )
        }
        self.send(json.dumps(data).encode(), status=status, extra=extra if speaker == "bedrock" else {})

    def whole(self, speaker, how, body):
        data = json.dumps(
            {"openai": openai, "anthropic": anthropic, "bedrock": bedrock}[speaker](body)
        ).encode()
        if how == "half":
            self.send(data[: len(data) // 2], length=len(data))
        else:
            self.send(b"{nonsense" if how == "garbled" else data)

    def stream(self, speaker, how, body):
        pieces = {"openai": openai_pieces, "anthropic": anthropic_pieces, "bedrock": bedrock_pieces}[speaker](
            body
        )
        if how in ("half", "ended", "midway", "garbled"):
            pieces = pieces[: len(pieces) // 2]
        if how == "garbled":
            pieces.append(
                {
                    "openai": b"data: {nonsense\n\n",
                    "anthropic": b"event: content_block_delta\ndata: {nonsense\n\n",
                }.get(speaker, b"\0" * 40)
            )
        if how == "midway":
            pieces.append(midway(speaker))
        kind = "application/vnd.amazon.eventstream" if speaker == "bedrock" else "text/event-stream"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.send_header("connection", "close")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if how != "half":
            self.wfile.write(b"0\r\n\r\n")

    def send(self, data, *, status=200, length=None, extra=None):
        told = {
            "content-type": "application/json",
            "content-length": len(data) if length is None else length,
            # The clients leave idle connections to the garbage collector, which complains.
            "connection": "close",
        }
        self.send_response(status)
        for name, value in (told | (extra or {})).items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        """Be quiet."""


def spoken(path, body):
    if path.startswith("/model/"):
        return "bedrock", path.removeprefix("/model/").rpartition("/")[0]
    if path.endswith("/messages"):
        return "anthropic", body["model"]
    return "openai", path.split("/")[3] if "/deployments/" in path else body["model"]


def openai(body):
    return {
        "id": "x", "object": "chat.completion", "created": 1, "model": body.get("model", "deployed"),
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "".join(WORDS)}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
    }  # fmt: skip


def openai_pieces(body):
    about = {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": body.get("model", "deployed"),
    }
    pieces = [
        about
        | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": w}, "finish_reason": None}]}
        for w in WORDS
    ]
    pieces.append(about | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        pieces.append(
            about | {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}
        )
    return [f"data: {json.dumps(p)}\n\n".encode() for p in pieces] + [b"data: [DONE]\n\n"]


def cited(body):
    """The documents of a request are cited, the second by the first sentence."""
    parts = [
        p
        for m in body["messages"]
        if isinstance(m["content"], list)
        for p in m["content"]
        if p.get("type") == "document"
    ]
    return [
        {"type": "char_location", "cited_text": "12 euros", "document_index": 1, "document_title": "T", "start_char_index": 0, "end_char_index": 8}
    ] if len(parts) > 1 else []  # fmt: skip


def anthropic(body):
    blocks = [{"type": "text", "text": "".join(WORDS)}]
    if citations := cited(body):
        blocks = [
            {"type": "text", "text": "It is 12 euros.", "citations": citations},
            {"type": "text", "text": " Anything else?"},
        ]
    if body.get("tool_choice"):
        blocks = [
            {"type": "tool_use", "id": "t1", "name": body["tool_choice"]["name"], "input": {"price": 12}}
        ]
    return {
        "id": "x", "type": "message", "role": "assistant", "model": body["model"], "content": blocks, "stop_reason": "end_turn",
        "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 4},
    }  # fmt: skip


def anthropic_pieces(body):
    whole = anthropic(body)
    events = [{"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}]
    for index, block in enumerate(whole["content"]):
        events.append(
            {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
        )
        for n in range(0, len(block["text"]), 5):
            events.append(
                {
                    "type": "content_block_delta",
                    "index": index,
                    "delta": {"type": "text_delta", "text": block["text"][n : n + 5]},
                }
            )
        for citation in block.get("citations", ()):
            events.append(
                {
                    "type": "content_block_delta",
                    "index": index,
                    "delta": {"type": "citations_delta", "citation": citation},
                }
            )
        events.append({"type": "content_block_stop", "index": index})
    events.append(
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"input_tokens": 9, "output_tokens": 4},
        }
    )
    events.append({"type": "message_stop"})
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]


def bedrock(body):
    content = [{"text": "".join(WORDS)}]
    if "toolChoice" in body.get("toolConfig", {}):
        content = [{"toolUse": {"toolUseId": "t1", "name": "reply", "input": {"price": 12}}}]
    return {
        "output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn", "metrics": {"latencyMs": 1},
        "usage": {"inputTokens": 9, "outputTokens": 4, "totalTokens": 13},
    }  # fmt: skip


def bedrock_pieces(body):
    told = [("messageStart", {"role": "assistant"})]
    told += [("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": w}}) for w in WORDS]
    told += [("contentBlockStop", {"contentBlockIndex": 0}), ("messageStop", {"stopReason": "end_turn"})]
    told += [
        (
            "metadata",
            {"usage": {"inputTokens": 9, "outputTokens": 4, "totalTokens": 13}, "metrics": {"latencyMs": 1}},
        )
    ]
    return [framed(name, data) for name, data in told]


def midway(speaker):
    if speaker == "openai":
        return b'data: {"error": {"message": "overloaded", "type": "server_error", "code": 500}}\n\n'
    if speaker == "anthropic":
        return b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n'
    return framed("throttlingException", {"message": "slow down"}, kind="exception")


def framed(name, data, *, kind="event"):
    """A message of AWS's event stream: lengths, their checksum, headers, payload, checksum of all."""
    headers = b""
    told = {
        ":message-type": kind,
        ":event-type" if kind == "event" else ":exception-type": name,
        ":content-type": "application/json",
    }
    for key, value in told.items():
        headers += (
            struct.pack("!B", len(key)) + key.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        )
    payload = json.dumps(data).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack("!I", binascii.crc32(prelude))
    message = prelude + headers + payload
    return message + struct.pack("!I", binascii.crc32(message))


class Doubles:
    """The running server.

    Attributes:
        asked: (path, headers, body) of each request.
    """

    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Double)
        self.server.daemon_threads = True
        self.server.asked = self.asked = []
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
