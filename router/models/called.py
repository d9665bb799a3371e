"""Bots that are reached as a whole: a Python function, or an HTTP endpoint of the operator's own.

An endpoint gets `POST {"messages": [...]}` and answers with JSON that holds the reply under `reply`, `answer`, `content`,
`text` or `message`, or in the form of OpenAI's chat completions; or with plain text.
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from router.models.port import (
    Completion,
    Delta,
    Messages,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    calls_in,
)

TOKEN_VARIABLE = "RIGHTFIX_BOT_TOKEN"
_TIMEOUT_S = 60
_LONGEST = 4 * 2**20
_KEYS = ("reply", "answer", "content", "text", "message", "output", "response")

Function = Callable[[Messages], "str | Completion"]
"""From messages in OpenAI form to the reply."""


class Called:
    """A Python function as a chat model. What it raises becomes a `ModelError`; options it does not know are not handed on."""

    def __init__(self, function: Function) -> None:
        self._function = function

    def complete(self, messages: Messages, **options: Any) -> Completion:
        """Return what the function answers; see `ChatModel`."""
        try:
            answer = self._function(messages)
        except ModelError:
            raise
        except Exception as error:
            raise ModelUnavailable(f"the bot failed: {error!r}") from error
        return answer if isinstance(answer, Completion) else Completion(text=str(answer))

    async def astream(self, messages: Messages, **options: Any) -> AsyncGenerator[Delta, None]:
        """Give the answer in one piece; see `ChatModel`."""
        answer = await asyncio.to_thread(self.complete, messages, **options)
        yield Delta(text=answer.text)
        yield Delta(completion=answer)


def endpoint(url: str, *, headers: Mapping[str, str] | None = None, timeout_s: float = _TIMEOUT_S) -> Called:
    """Return the bot behind an address; a token in `RIGHTFIX_BOT_TOKEN` goes along as a bearer's.

    Args:
        url: `http://` or `https://`.
        headers: Further ones.
        timeout_s: Longest wait for an answer.
    """
    given = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
    token = os.environ.get(TOKEN_VARIABLE)
    if token:
        given["Authorization"] = f"Bearer {token}"

    def ask(messages: Messages) -> Completion:
        body = json.dumps({"messages": [dict(m) for m in messages]}, ensure_ascii=False).encode()
        request = urllib.request.Request(url, data=body, headers=given, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as response:
                text = response.read(_LONGEST).decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            told = f"{url} answered {error.code} {error.reason}"
            raise (
                ModelUnavailable(told)
                if error.code in (408, 425, 429) or error.code >= 500
                else ModelRefused(told)
            ) from None
        except (urllib.error.URLError, TimeoutError, OSError) as error:
            raise ModelUnavailable(f"{url} cannot be reached: {getattr(error, 'reason', error)}") from None
        return completion_of(text)

    return Called(ask)


def completion_of(text: str) -> Completion:
    """Return the reply in what an endpoint sent.

    Raises:
        ModelRefused: There is none in it.
    """
    try:
        value = json.loads(text)
    except ValueError:
        if text.lstrip().startswith(("{", "[")):
            raise ModelUnavailable("the bot's answer is JSON that breaks off") from None
        return Completion(text=text)
    if isinstance(value, str):
        return Completion(text=value)
    if not isinstance(value, Mapping):
        raise ModelRefused("the bot's answer holds no reply", hint=f"put it under one of {', '.join(_KEYS)}")
    choices = value.get("choices")
    if isinstance(choices, Sequence) and choices and isinstance(choices[0], Mapping):
        return _chosen(choices[0])
    found = next((value[k] for k in _KEYS if value.get(k) is not None), None)
    if isinstance(found, Mapping):
        found = found.get("content", found.get("text"))
    if not isinstance(found, str):
        raise ModelRefused("the bot's answer holds no reply", hint=f"put it under one of {', '.join(_KEYS)}")
    return Completion(text=found)


def _chosen(choice: Mapping[str, Any]) -> Completion:
    message = choice.get("message") or {}
    return Completion(
        text=message.get("content") or "",
        tool_calls=calls_in(message),
        finish_reason=choice.get("finish_reason"),
    )
