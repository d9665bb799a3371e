"""Rows: examples as tokens with labels, rendered by the model's own chat template, so that what is learnt is what is served.

Only assistant messages are learnt: their words and the token that ends them. Where they begin and end is found by rendering the
conversation up to them with and without them, which needs nothing of the template but that it renders a beginning alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from finetune.examples import Example, text_of
from rag.tool_text import knows_tools, with_tools

IGNORED = -100
"""Label of a token that is read and not learnt."""


class RowFailed(ValueError):
    """An example that cannot be rendered."""


class Tokenizer(Protocol):
    """What is needed of a tokeniser of Transformers."""

    chat_template: Any

    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> Any:
        """Render a conversation."""
        ...

    def __call__(self, text: str, **kwargs: Any) -> Any:
        """Return the ids of a text, and the offsets of each."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An example as tokens.

    Attributes:
        ids: Tokens of the whole conversation.
        labels: The same where a token is learnt, else `IGNORED`.
    """

    ids: list[int]
    labels: list[int]

    @property
    def learnt(self) -> int:
        """Tokens that are learnt."""
        return sum(label != IGNORED for label in self.labels)


def row(example: Example, tokenizer: Tokenizer) -> Row:
    """Return an example as tokens.

    Raises:
        RowFailed: The template renders a beginning otherwise than a whole, or nothing is left to learn.
    """
    messages, tools = fitted(example.messages, example.tools, tokenizer)
    whole = _rendered(tokenizer, messages, tools, ask=False)
    spans = []
    for place, message in enumerate(example.messages):
        if message.get("role") != "assistant" or message.get("weight", 1) == 0:
            continue
        at = place + len(messages) - len(example.messages)
        before = _rendered(tokenizer, messages[:at], tools, ask=True)
        until = _rendered(tokenizer, messages[: at + 1], tools, ask=False)
        if not whole.startswith(before) or not whole.startswith(until.rstrip()):
            raise RowFailed(
                f"{example.source}: the chat template renders message {place} otherwise once more messages follow"
            )
        spans.append((len(before), len(until.rstrip())))
    found = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    ids, labels, at = list(found["input_ids"]), [], 0
    for id, (start, end) in zip(ids, found["offset_mapping"], strict=True):
        while at < len(spans) and spans[at][1] <= start:
            at += 1
        inside = at < len(spans) and spans[at][0] <= start and end <= spans[at][1] and end > start
        labels.append(id if inside else IGNORED)
    made = Row(ids=ids, labels=labels)
    if not made.learnt:
        raise RowFailed(
            f"{example.source}: nothing of it is to be learnt; every assistant message has weight 0"
        )
    return made


def prompted(example: Example, tokenizer: Tokenizer) -> str:
    """Return the text of an example's prompt, up to where the reply begins.

    Raises:
        RowFailed: The template cannot render it.
    """
    messages, tools = fitted(example.prompt, example.tools, tokenizer)
    return _rendered(tokenizer, messages, tools, ask=True)


def pair(example: Example, tokenizer: Tokenizer) -> dict[str, str]:
    """Return an example as texts for preference tuning: `prompt`, `chosen`, `rejected`, each ready to be tokenised.

    Raises:
        RowFailed: It has no rejected reply.
    """
    if example.rejected is None:
        raise RowFailed(f"{example.source}: preference tuning needs a rejected reply beside the good one")
    prompt, tools = fitted(example.prompt, example.tools, tokenizer)
    begun = prompted(example, tokenizer)
    found = {"prompt": begun}
    for name, reply in (("chosen", example.target), ("rejected", example.rejected)):
        (message,), _ = fitted((reply,), (), tokenizer)
        whole = _rendered(tokenizer, [*prompt, message], tools, ask=False).rstrip()
        if not whole.startswith(begun):
            raise RowFailed(
                f"{example.source}: the chat template renders the prompt otherwise before a reply"
            )
        found[name] = whole[len(begun) :]
    return found


def fitted(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], tokenizer: Tokenizer
) -> tuple[list[dict[str, Any]], list[dict[str, Any]] | None]:
    """Return messages and tools as the template takes them.

    A template that knows no tools gets them and their calls as text (`rag.tool_text`), as the engines that serve the model do.
    """
    plain = [_plain(m) for m in messages]
    if knows_tools(tokenizer.chat_template):
        return plain, [dict(t) for t in tools] or None
    return with_tools(plain, tools), None


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"role": str(message.get("role", "user")), "content": text_of(message)}
    if calls := message.get("tool_calls") or ():
        found["tool_calls"] = [_call(c) for c in calls]
    if message.get("tool_call_id"):
        found["tool_call_id"] = message["tool_call_id"]
    return found


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """Templates want the arguments as an object; OpenAI has them as text."""
    function = dict(call.get("function", call))
    if isinstance(function.get("arguments"), str):
        function["arguments"] = json.loads(function["arguments"] or "{}")
    return {"type": "function", "function": function, **({"id": call["id"]} if call.get("id") else {})}


def _rendered(tokenizer: Tokenizer, messages: Sequence[Mapping[str, Any]], tools: Any, *, ask: bool) -> str:
    try:
        text: str = tokenizer.apply_chat_template(
            list(messages), tools=tools, tokenize=False, add_generation_prompt=ask
        )
    except Exception as error:
        # A template is a program of the model's maker; whatever it raises, it cannot render this.
        raise RowFailed(f"the chat template cannot render it: {error}") from error
    return text
