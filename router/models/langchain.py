"""Models of vendors and of OpenAI-compatible servers, by LangChain."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal

from langchain.chat_models import init_chat_model
from langchain_core.messages import AIMessage, convert_to_messages

from router.models import bridge
from router.models.documents import Marking, as_documents, as_text
from router.models.port import (
    Completion,
    Delta,
    Messages,
    ModelError,
    ModelMissing,
    ModelRefused,
    ModelUnavailable,
    ToolRequest,
    Usage,
)

_TIMEOUT_S = 60
_RETRIES = 2
_BUSY = (408, 409, 425, 429)
_REPLY_TOOL = "reply"
_AZURE_VERSION = "2024-10-21"
_NO_BODY = "No 'output' key found"
"""What comes of a cut or garbled answer of Bedrock; boto3 takes it for an empty one."""
_PASSING = (
    "Timeout", "Connect", "Unavailable", "Throttl", "Protocol", "ReadError", "WriteError", "EventStream", "Checksum", "JSONDecode", "ResponseParser",
    "APIError", "ResponseValidation",
)  # fmt: skip
"""Words in the names of errors that came of the way, of overload, or of an answer that was cut or garbled: it may work later."""


def openai(name: str, *, base_url: str | None = None, **options: Any) -> LangChainModel:
    """Return an OpenAI model, or one of a compatible server at `base_url` (else `OPENAI_BASE_URL`)."""
    base_url = base_url or os.environ.get("OPENAI_BASE_URL")
    if base_url:
        options["base_url"] = base_url
        if not os.environ.get("OPENAI_API_KEY"):
            # Servers of one's own mostly want no key, but the client refuses to start without one.
            options.setdefault("api_key", "none")
    # Without being asked, the client counts the tokens of a stream only at OpenAI's own address.
    given = {"timeout": _TIMEOUT_S, "max_retries": _RETRIES, "stream_usage": True} | options
    return LangChainModel(_start(name, "openai", given))


def azure(name: str, **options: Any) -> LangChainModel:
    """Return a deployment of Azure OpenAI; where it is stands in `AZURE_OPENAI_ENDPOINT`, its key in `AZURE_OPENAI_API_KEY`."""
    version = os.environ.get("OPENAI_API_VERSION", _AZURE_VERSION)
    given = {
        "timeout": _TIMEOUT_S, "max_retries": _RETRIES, "stream_usage": True, "api_version": version, "http_async_client": _connections()
    }  # fmt: skip
    return LangChainModel(_start(name, "azure_openai", given | {"azure_deployment": name} | options))


@cache
def _connections() -> Any:
    """One pool for all deployments; LangChain keeps such a one for every other vendor, and leaves Azure's open for the garbage collector."""
    try:
        return import_module("openai").DefaultAsyncHttpxClient()
    except ImportError as error:
        raise ModelMissing(
            "azure needs the package 'openai'", hint="pip install 'rightfix[judge]'"
        ) from error


def anthropic(name: str, **options: Any) -> LangChainModel:
    """Return a model of Anthropic. It cites passages by itself, which is turned into labels like any other model's."""
    given = {"timeout": _TIMEOUT_S, "max_retries": _RETRIES} | options
    return LangChainModel(_start(name, "anthropic", given), schema_by="tool", takes_documents=True)


def mantle(name: str, *, base_url: str | None = None, **options: Any) -> LangChainModel:
    """Return a model at Bedrock's endpoint that speaks OpenAI's API; `AWS_BEARER_TOKEN_BEDROCK` is the key."""
    region = os.environ.get("AWS_REGION", "us-west-2")
    options.setdefault("api_key", os.environ.get("AWS_BEARER_TOKEN_BEDROCK"))
    return openai(name, base_url=base_url or f"https://bedrock-mantle.{region}.api.aws/v1", **options)


def bedrock(name: str, **options: Any) -> LangChainModel:
    """Return a model on Amazon Bedrock, by its Converse interface: an id, or the ARN of a custom deployment or of provisioned throughput."""
    given: dict[str, Any] = {"timeout": _TIMEOUT_S, "max_retries": _RETRIES}
    if name.startswith("arn:"):
        # An ARN does not say whose model it is, so nothing is ruled out beforehand; what it cannot do, it refuses.
        region = name.split(":")[3]
        given |= {
            "provider": "custom",
            "disable_streaming": False,
            "supports_tool_choice_values": ("auto", "any", "tool"),
        }
        given |= {"region_name": region} if region else {}
    return LangChainModel(_start(name, "bedrock_converse", given | options), schema_by="tool")


class LangChainModel:
    """Any LangChain chat model.

    Args:
        model: The LangChain model.
        schema_by: How it is held to a schema: by its response format, or by a tool it is forced to call.
        takes_documents: Whether it takes passages as documents and cites them by itself; see `router.models.documents`.
    """

    def __init__(
        self, model: Any, *, schema_by: Literal["format", "tool"] = "format", takes_documents: bool = False
    ) -> None:
        self._model = model
        self._schema_by = schema_by
        self._takes_temperature = True
        self.takes_documents = takes_documents

    def complete(self, messages: Messages, **options: Any) -> Completion:
        """Return the next assistant message; see `ChatModel`."""
        asked = self._asked(messages, **options)
        try:
            answer = asked.model.invoke(asked.messages, **asked.given)
        except Exception as error:
            if self._may_try_again(error):
                return self.complete(messages, **options)
            raise _translated(error) from error
        return _completion(answer, asked)

    async def astream(self, messages: Messages, **options: Any) -> AsyncGenerator[Delta, None]:
        """Give the same piece by piece; see `ChatModel`."""
        async with aclosing(bridge.on_one_loop(lambda: self._astream(messages, **options))) as deltas:
            async for delta in deltas:
                yield delta

    async def _astream(self, messages: Messages, **options: Any) -> AsyncGenerator[Delta, None]:
        asked = self._asked(messages, **options)
        whole: Any = None
        marking = Marking(asked.labels)
        try:
            async with aclosing(asked.model.astream(asked.messages, **asked.given)) as chunks:
                async for chunk in chunks:
                    whole = chunk if whole is None else whole + chunk
                    if not asked.forced and (text := marking.fed(chunk.content)):
                        yield Delta(text=text)
        except Exception as error:
            if whole is not None or not self._may_try_again(error):
                raise _translated(error) from error
        if whole is None and not self._takes_temperature and "temperature" in asked.given:
            async with aclosing(self._astream(messages, **options)) as deltas:
                async for delta in deltas:
                    yield delta
            return
        completion = _completion(whole, asked) if whole is not None else None
        if completion is None or completion.finish_reason is None:
            raise ModelUnavailable("the answer broke off before its end")
        if rest := completion.text if asked.forced else marking.ended():
            yield Delta(text=rest)
        yield Delta(completion=completion)

    def _may_try_again(self, error: Exception) -> bool:
        """Some models refuse any temperature; they are asked without from then on."""
        if not self._takes_temperature or "temperature" not in str(error) or _status(error) not in (400, 422):
            return False
        self._takes_temperature = False
        return True

    def _asked(
        self,
        messages: Messages,
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        tools: Sequence[Mapping[str, Any]] | None = None,
        stop: Sequence[str] | None = None,
    ) -> _Asked:
        model = self._model
        given: dict[str, Any] = {"max_tokens": max_tokens}
        if self._takes_temperature:
            given["temperature"] = temperature
        if stop:
            given["stop"] = list(stop)
        forced = schema is not None and self._schema_by == "tool"
        try:
            if forced:
                model = model.bind_tools([_reply_tool(schema or {})], tool_choice=_REPLY_TOOL)
            elif schema is not None:
                given["response_format"] = {
                    "type": "json_schema",
                    "json_schema": {"name": "reply", "schema": dict(schema)},
                }
            elif tools:
                model = model.bind_tools([dict(t) for t in tools])
            # An answer in the form of a tool's arguments cannot cite.
            takes = self.takes_documents and not forced
            told, named = as_documents(messages) if takes else (as_text(messages), ())
            converted = convert_to_messages(told)
        except Exception as error:
            raise _translated(error) from error
        return _Asked(model=model, messages=converted, given=given, forced=forced, labels=named)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request as LangChain wants it.

    Attributes:
        forced: Whether the reply comes as the arguments of a tool.
        labels: Of the documents that went along.
    """

    model: Any
    messages: Sequence[Any]
    given: Mapping[str, Any]
    forced: bool
    labels: Sequence[str]


def _start(name: str, provider: str, options: Mapping[str, Any]) -> Any:
    try:
        return init_chat_model(name, model_provider=provider, **options)
    except ImportError as error:
        raise ModelMissing(f"{provider}: {error}") from error
    except Exception as error:
        raise ModelMissing(f"{provider}:{name} cannot be set up: {_first_line(error)}") from error


def _reply_tool(schema: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": _REPLY_TOOL, "description": "Give the reply.", "parameters": dict(schema)}
    return {"type": "function", "function": function}


def _completion(answer: AIMessage, asked: _Asked) -> Completion:
    calls = _calls(answer)
    reply = next((c.arguments for c in calls if c.name == _REPLY_TOOL), None) if asked.forced else None
    marking = Marking(asked.labels)
    usage = answer.usage_metadata or {}
    meta = answer.response_metadata
    return Completion(
        text=reply if reply is not None else marking.fed(answer.content) + marking.ended(),
        tool_calls=() if asked.forced else calls,
        usage=Usage(input_tokens=usage.get("input_tokens"), output_tokens=usage.get("output_tokens")),
        finish_reason=meta.get("finish_reason") or meta.get("stop_reason") or meta.get("stopReason"),
        model=str(meta.get("model_name") or meta.get("model") or ""),
    )


def _calls(answer: AIMessage) -> tuple[ToolRequest, ...]:
    # In a stream's sum broken arguments were mended already; the chunks hold them as they were written.
    written = getattr(answer, "tool_call_chunks", None)
    if written:
        return tuple(
            ToolRequest(name=c.get("name") or "", arguments=c.get("args") or "{}", id=c.get("id"))
            for c in written
        )
    return tuple(
        ToolRequest(name=c["name"], arguments=json.dumps(c["args"], ensure_ascii=False), id=c.get("id"))
        for c in answer.tool_calls
    ) + tuple(
        ToolRequest(name=c.get("name") or "", arguments=c.get("args") or "", id=c.get("id"))
        for c in answer.invalid_tool_calls
    )


def _translated(error: Exception) -> ModelError:
    """Every vendor has its own errors; what they share is an HTTP status, or a name that tells."""
    status = _status(error)
    said = f"{type(error).__name__}: {_first_line(error)}"
    if status is None:
        names = " ".join(c.__name__ for c in type(error).__mro__)
        cut = _NO_BODY in str(error)
        return (
            ModelUnavailable(said) if cut or any(word in names for word in _PASSING) else ModelRefused(said)
        )
    # An error inside a stream that began well has the status of the beginning.
    if status in _BUSY or status >= 500 or status < 400:
        return ModelUnavailable(said)
    hint = "check the key and what it may do" if status in (401, 403) else ""
    return ModelRefused(said, hint=hint)


def _status(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    response = getattr(error, "response", None)
    if status is None and isinstance(response, Mapping):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:300]
