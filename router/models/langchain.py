"""Models of vendors and of OpenAI-compatible servers, by LangChain."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

from langchain.chat_models import init_chat_model
from langchain_core.messages import AIMessage, convert_to_messages

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


def anthropic(name: str, **options: Any) -> LangChainModel:
    """Return a model of Anthropic."""
    given = {"timeout": _TIMEOUT_S, "max_retries": _RETRIES} | options
    return LangChainModel(_start(name, "anthropic", given), schema_by="tool")


def bedrock(name: str, **options: Any) -> LangChainModel:
    """Return a model on Amazon Bedrock, by its Converse interface."""
    return LangChainModel(_start(name, "bedrock_converse", options), schema_by="tool")


class LangChainModel:
    """Any LangChain chat model.

    Args:
        model: The LangChain model.
        schema_by: How it is held to a schema: by its response format, or by a tool it is forced to call.
    """

    def __init__(self, model: Any, *, schema_by: Literal["format", "tool"] = "format") -> None:
        self._model = model
        self._schema_by = schema_by

    def complete(
        self,
        messages: Messages,
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        tools: Sequence[Mapping[str, Any]] | None = None,
        stop: Sequence[str] | None = None,
    ) -> Completion:
        """Return the next assistant message; see `ChatModel`."""
        asked = self._asked(
            messages, schema, tools, max_tokens=max_tokens, temperature=temperature, stop=stop
        )
        try:
            answer = asked.model.invoke(asked.messages, **asked.given)
        except Exception as error:
            raise _translated(error) from error
        return _completion(answer, forced=asked.forced)

    async def astream(
        self,
        messages: Messages,
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        tools: Sequence[Mapping[str, Any]] | None = None,
        stop: Sequence[str] | None = None,
    ) -> AsyncGenerator[Delta, None]:
        """Give the same piece by piece; see `ChatModel`."""
        asked = self._asked(
            messages, schema, tools, max_tokens=max_tokens, temperature=temperature, stop=stop
        )
        whole: Any = None
        try:
            async with aclosing(asked.model.astream(asked.messages, **asked.given)) as chunks:
                async for chunk in chunks:
                    whole = chunk if whole is None else whole + chunk
                    if not asked.forced and (text := str(chunk.text)):
                        yield Delta(text=text)
        except Exception as error:
            raise _translated(error) from error
        completion = _completion(whole, forced=asked.forced) if whole is not None else None
        if completion is None or completion.finish_reason is None:
            raise ModelUnavailable("the answer broke off before its end")
        if asked.forced and completion.text:
            yield Delta(text=completion.text)
        yield Delta(completion=completion)

    def _asked(
        self,
        messages: Messages,
        schema: Mapping[str, Any] | None,
        tools: Sequence[Mapping[str, Any]] | None,
        *,
        stop: Sequence[str] | None,
        **given: Any,
    ) -> _Asked:
        model = self._model
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
            converted = convert_to_messages([dict(m) for m in messages])
        except Exception as error:
            raise _translated(error) from error
        return _Asked(model=model, messages=converted, given=given, forced=forced)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request as LangChain wants it.

    Attributes:
        forced: Whether the reply comes as the arguments of a tool.
    """

    model: Any
    messages: Sequence[Any]
    given: Mapping[str, Any]
    forced: bool


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


def _completion(answer: AIMessage, *, forced: bool) -> Completion:
    calls = _calls(answer)
    reply = next((c.arguments for c in calls if c.name == _REPLY_TOOL), None) if forced else None
    usage = answer.usage_metadata or {}
    meta = answer.response_metadata
    return Completion(
        text=reply if reply is not None else str(answer.text),
        tool_calls=() if forced else calls,
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
    status = getattr(error, "status_code", None)
    response = getattr(error, "response", None)
    if status is None and isinstance(response, Mapping):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    said = f"{type(error).__name__}: {_first_line(error)}"
    if not isinstance(status, int):
        gone = any(word in type(error).__name__ for word in ("Timeout", "Connect", "Unavailable", "Throttl"))
        return ModelUnavailable(said) if gone else ModelRefused(said)
    if status in _BUSY or status >= 500:
        return ModelUnavailable(said)
    hint = "check the key and what it may do" if status in (401, 403) else ""
    return ModelRefused(said, hint=hint)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:300]
