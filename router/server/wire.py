"""Wire: OpenAI's chat completions, read into what the chatbot takes and written from what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from router.chatbot import Asked
from router.models.port import call_data
from router.replies import Reply
from router.server.faults import Fault, wrong
from router.server.schemas import checked

LIVE = "live"
"""The model that stands for whatever is live; `live/TASK` for one task."""

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_CUT = frozenset({"length", "max_tokens", "MAX_TOKENS"})
_MOST_MESSAGES = 2000
_MOST_TOOLS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A request as its body says it.

    Attributes:
        model: As it was named, to be said again.
        asked: What the chatbot is told beside the messages.
        stream: Whether words are sent as they come.
        usage: Whether a stream ends with its tokens.
    """

    model: str
    messages: list[Mapping[str, Any]]
    asked: Asked
    stream: bool = False
    usage: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Feedback as its body says it; see `Chatbot.feedback`."""

    reply: str
    given: dict[str, Any] = field(default_factory=dict)


def data_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        Fault: It holds none.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise wrong(f"the body is not JSON ({error})", code="invalid_json") from None
    if not isinstance(data, dict):
        raise wrong("the body must be a JSON object", code="invalid_json")
    return data


def wanted_of(body: bytes) -> Wanted:
    """Return what a body asks for.

    Parameters that would not change what is said here (`seed`, `top_p`, `store`, ...) are passed over; those that ask for something
    else than one reply in words or calls are refused.

    Raises:
        Fault: It cannot be served.
    """
    data = data_of(body)
    model = _text(data, "model", most=200)
    if not model:
        raise wrong(f"name a model; `{LIVE}` stands for whatever is live", param="model")
    if data.get("n") not in (None, 1):
        raise wrong("one reply at a time; leave `n` out", param="n")
    asked: dict[str, Any] = {
        "tools": _tools(data), "schema": _schema(data.get("response_format")), "stop": _stop(data.get("stop")),
        "max_tokens": _number(data, "max_completion_tokens", 1, 2**20, whole=True) or _number(data, "max_tokens", 1, 2**20, whole=True),
        "temperature": _number(data, "temperature", 0, 2), "user": _text(data, "user", most=500) or None,
        "conversation": _conversation(data.get("metadata")),
    }  # fmt: skip
    if model == LIVE or model.startswith(f"{LIVE}/"):
        asked["task"] = model.removeprefix(LIVE).removeprefix("/") or None
    else:
        asked["release"] = model
    options = data.get("stream_options")
    return Wanted(
        model=model, messages=_messages(data.get("messages")), asked=asked, stream=data.get("stream") is True,  # type: ignore[arg-type]
        usage=isinstance(options, dict) and options.get("include_usage") is True,
    )  # fmt: skip


def said_of(body: bytes) -> Said:
    """Return the feedback of a body.

    Raises:
        Fault: It is none.
    """
    data = data_of(body)
    reply = _text(data, "reply", most=200)
    if not reply:
        raise wrong("name the reply by its id", param="reply")
    thumb = data.get("thumb")
    if thumb not in (None, "up", "down"):
        raise wrong("a thumb is `up` or `down`", param="thumb")
    comment, correction = _text(data, "comment", most=20_000), _text(data, "correction", most=100_000)
    if thumb is None and not comment and not correction:
        raise wrong("say `thumb`, `comment` or `correction`")
    return Said(reply=reply, given={"thumb": thumb, "comment": comment, "correction": correction or None})


def completion(reply: Reply, wanted: Wanted) -> bytes:
    """Return a reply as the body of a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.tool_calls:
        message["tool_calls"] = call_data(reply.tool_calls)
    if reply.citations:
        message["annotations"] = notes(reply)
    elif not reply.tool_calls:
        message["content"] = reply.text
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _ended(reply)}
    body = {
        "id": reply.id, "object": "chat.completion", "created": int(reply.time), "model": wanted.model, "choices": [choice],
        "usage": _usage(reply), "system_fingerprint": reply.release, "rightfix": beside(reply),
    }  # fmt: skip
    return orjson.dumps(body)


class Chunks:
    """A reply as server-sent events, piece by piece.

    Args:
        id: Of the reply.
        created: Seconds since the epoch.
        wanted: The request.
    """

    def __init__(self, id: str, created: int, wanted: Wanted) -> None:
        self._head = {"id": id, "object": "chat.completion.chunk", "created": created, "model": wanted.model}
        self._usage = wanted.usage
        self._before = (
            b"data: " + orjson.dumps(self._head)[:-1] + b',"choices":[{"index":0,"delta":{"content":'
        )
        self._after = b'},"logprobs":null,"finish_reason":null}]}\n\n'

    def first(self) -> bytes:
        """Return the event that opens the message."""
        return self._event([self._choice({"role": "assistant", "content": ""})])

    def words(self, text: str) -> bytes:
        """Return the event of what comes next."""
        return self._before + orjson.dumps(text) + self._after

    def last(self, reply: Reply) -> bytes:
        """Return the events that end the message: calls, citations, why it ended, and the tokens if they were asked for."""
        events = []
        if reply.tool_calls:
            calls = [{"index": n, **call} for n, call in enumerate(call_data(reply.tool_calls))]
            events.append(self._event([self._choice({"tool_calls": calls})]))
        delta = {"annotations": notes(reply)} if reply.citations else {}
        told = {"system_fingerprint": reply.release, "rightfix": beside(reply)}
        events.append(self._event([self._choice(delta, _ended(reply))], **told))
        if self._usage:
            events.append(self._event([], usage=_usage(reply)))
        return b"".join((*events, b"data: [DONE]\n\n"))

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        return b"data: " + orjson.dumps({**self._head, "choices": choices, **more}) + b"\n\n"

    @staticmethod
    def _choice(delta: Mapping[str, Any], ended: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": ended}


def broken(fault: Fault) -> bytes:
    """Return the event of a stream that breaks off."""
    return b"data: " + orjson.dumps(fault.body()) + b"\n\n"


def notes(reply: Reply) -> list[dict[str, Any]]:
    """Return the citations that have an address in OpenAI's form; places count characters of the reply."""
    found = []
    for c in reply.citations:
        at = reply.text.find(f"[{c.label}]")
        if c.link and at >= 0:
            place = {"start_index": at, "end_index": at + len(c.label) + 2}
            found.append({"type": "url_citation", "url_citation": {**place, "title": c.title, "url": c.link}})
    return found


def beside(reply: Reply) -> dict[str, Any]:
    """Return what OpenAI's form has no field for and a front end may want to show."""
    cited = [
        {"label": c.label, "title": c.title, "link": c.link, "quote": c.quote, "document": c.document, "sentence": c.sentence}
        for c in reply.citations
    ]  # fmt: skip
    return {"release": reply.release, "declined": reply.declined, "citations": cited}


def _ended(reply: Reply) -> str:
    if reply.tool_calls:
        return "tool_calls"
    if reply.finish_reason in _CUT:
        return "length"
    return "content_filter" if reply.finish_reason == "content_filter" else "stop"


def _usage(reply: Reply) -> dict[str, int] | None:
    asked, said = reply.usage.input_tokens, reply.usage.output_tokens
    if asked is None or said is None:
        return None
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def _messages(given: Any) -> list[Mapping[str, Any]]:
    if not isinstance(given, list) or not given:
        raise wrong("`messages` must be a list of at least one message", param="messages")
    if len(given) > _MOST_MESSAGES:
        raise wrong(f"at most {_MOST_MESSAGES} messages", param="messages")
    return [_message(m, f"messages[{n}]") for n, m in enumerate(given)]


def _message(given: Any, at: str) -> Mapping[str, Any]:
    if not isinstance(given, dict) or given.get("role") not in _ROLES:
        raise wrong(f"each message is an object with a role of {', '.join(sorted(_ROLES))}", param=at)
    message = {k: given[k] for k in ("role", "content", "name", "tool_call_id", "tool_calls") if k in given}
    content, calls = given.get("content"), given.get("tool_calls")
    if given["role"] == "tool" and not isinstance(given.get("tool_call_id"), str):
        raise wrong("a tool's result names its call", param=f"{at}.tool_call_id")
    if calls is not None and not (isinstance(calls, list) and all(map(_is_call, calls))):
        raise wrong("calls are a list of functions with name and arguments", param=f"{at}.tool_calls")
    if content is None and given["role"] == "assistant":
        return message
    if isinstance(content, str):
        return message
    if not isinstance(content, list) or not all(isinstance(p, dict) for p in content):
        raise wrong("content is a text or a list of parts", param=f"{at}.content")
    if any(
        p.get("type") not in ("text", "refusal") or not isinstance(p.get(p["type"]), str) for p in content
    ):
        raise wrong("only text can be read, no images, sounds or files", param=f"{at}.content")
    return message


def _is_call(given: Any) -> bool:
    function = given.get("function") if isinstance(given, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str) and isinstance(function.get("arguments"), str)  # fmt: skip


def _tools(data: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    tools, choice = data.get("tools") or [], data.get("tool_choice")
    if not isinstance(tools, list) or len(tools) > _MOST_TOOLS:
        raise wrong(f"tools are a list of at most {_MOST_TOOLS} functions", param="tools")
    for n, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise wrong("a tool is a function with a name", param=f"tools[{n}]")
        checked(function.get("parameters"), f"tools[{n}].function.parameters")
    if choice == "none":
        return ()
    if isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        # No engine is made to call; but what it may call is narrowed to what is wanted.
        return tuple(t for t in tools if t["function"]["name"] == choice["function"].get("name"))
    return tuple(tools)


def _schema(given: Any) -> Mapping[str, Any] | None:
    if given is None:
        return None
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return {}
    held = given.get("json_schema") if kind == "json_schema" else None
    schema = held.get("schema") if isinstance(held, dict) else None
    if not isinstance(schema, dict):
        raise wrong(
            "a format is `text`, `json_object` or `json_schema` with a schema", param="response_format"
        )
    checked(schema, "response_format.json_schema.schema")
    return schema


def _stop(given: Any) -> tuple[str, ...]:
    stops = [given] if isinstance(given, str) else given or []
    if not isinstance(stops, list) or len(stops) > 4 or not all(isinstance(s, str) and s for s in stops):
        raise wrong("`stop` is a text or a list of at most four", param="stop")
    return tuple(stops)


def _conversation(given: Any) -> str:
    if given is None:
        return ""
    if not isinstance(given, dict):
        raise wrong("`metadata` is an object of texts", param="metadata")
    return _text(given, "conversation", most=200)


def _text(data: Mapping[str, Any], name: str, *, most: int) -> str:
    value = data.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most:
        raise wrong(f"`{name}` is a text of at most {most} characters", param=name)
    return value


def _number(data: Mapping[str, Any], name: str, least: float, most: float, *, whole: bool = False) -> Any:
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not least <= value <= most:  # fmt: skip
        raise wrong(f"`{name}` is a {'whole ' if whole else ''}number from {least} to {most}", param=name)
    return value
