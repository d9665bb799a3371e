"""The chatbot as a LangChain Runnable."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk, convert_to_messages, convert_to_openai_messages
from langchain_core.runnables import Runnable, RunnableConfig, RunnableGenerator

from router.replies import Piece, Reply

if TYPE_CHECKING:
    from router.chatbot import Asked, Chatbot


def runnable(chatbot: Chatbot, asked: Asked) -> Runnable[Any, AIMessage]:
    """Return a Runnable that takes a text, messages, or `{"messages": …}` and gives an AI message, streamed if wanted."""
    return _Chat(chatbot, asked)


class _Chat(Runnable[Any, AIMessage]):  # type: ignore[misc]
    def __init__(self, chatbot: Chatbot, asked: Asked) -> None:
        self._chatbot = chatbot
        self._asked = asked

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        return self._call_with_config(
            lambda i: _message(self._chatbot.reply(_messages(i), **self._asked)), input, config, **kwargs
        )

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        async def answered(given: Any) -> AIMessage:
            return _message(await self._chatbot.areply(_messages(given), **self._asked))

        return await self._acall_with_config(answered, input, config, **kwargs)

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[AIMessage]:
        def pieces(inputs: Iterator[Any]) -> Iterator[AIMessageChunk]:
            for given in inputs:
                yield from map(_chunk, self._chatbot.stream(_messages(given), **self._asked))

        yield from RunnableGenerator(pieces).stream(input, config, **kwargs)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessage]:
        async def pieces(inputs: AsyncIterator[Any]) -> AsyncIterator[AIMessageChunk]:
            async for given in inputs:
                async for piece in self._chatbot.astream(_messages(given), **self._asked):
                    yield _chunk(piece)

        async for chunk in RunnableGenerator(pieces).astream(input, config, **kwargs):
            yield chunk


def _messages(given: Any) -> list[dict[str, Any]]:
    if isinstance(given, Mapping) and "messages" in given:
        given = given["messages"]
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    value = given.to_messages() if hasattr(given, "to_messages") else given
    found: list[dict[str, Any]] = convert_to_openai_messages(convert_to_messages(value))
    return found


def _message(reply: Reply) -> AIMessage:
    return AIMessage(content=reply.text, id=reply.id, **_beside(reply))


def _chunk(piece: Piece) -> AIMessageChunk:
    if piece.reply is None:
        return AIMessageChunk(content=piece.text)
    return AIMessageChunk(content="", id=piece.reply.id, **_beside(piece.reply))


def _beside(reply: Reply) -> dict[str, Any]:
    calls = [
        {"name": c.name, "args": json.loads(c.arguments or "{}"), "id": c.id, "type": "tool_call"}
        for c in reply.tool_calls
    ]
    found: dict[str, Any] = {
        "tool_calls": calls,
        "response_metadata": {
            "model_name": reply.answered_by or reply.model, "finish_reason": reply.finish_reason, "release": reply.release,
            "citations": [{"label": c.label, "title": c.title, "link": c.link, "quote": c.quote} for c in reply.citations],
        },
    }  # fmt: skip
    used = reply.usage
    if used.input_tokens is not None and used.output_tokens is not None:
        total = used.input_tokens + used.output_tokens
        found["usage_metadata"] = {
            "input_tokens": used.input_tokens,
            "output_tokens": used.output_tokens,
            "total_tokens": total,
        }
    return found
