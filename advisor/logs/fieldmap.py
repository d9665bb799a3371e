"""A field map: where an unknown record shape keeps the fields of an exchange."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from advisor.exchange import Message
from advisor.logs.dialects.messages import (
    as_text,
    to_message,
    to_messages,
    to_passages,
    to_time,
    to_tools,
    unwrap,
)
from advisor.logs.feedback import feedback
from advisor.logs.files import InputError
from advisor.logs.records import Call, Skip

_INDEX = re.compile(r"-?[0-9]{1,9}")
FIELDS: dict[str, str] = {
    "question": "what the person said",
    "answer": "what the bot said",
    "system": "the system prompt",
    "messages": "a list of chat messages",
    "expected": "the right answer",
    "contexts": "the retrieved passages",
    "tools": "the offered tools",
    "rating": "a rating",
    "comment": "a comment of the person",
    "conversation_id": "the conversation",
    "tenant": "the tenant",
    "user": "the user (hashed at once)",
    "time": "when",
    "model": "the model",
    "id": "the id that feedback elsewhere names",
    "error": "an error in place of the answer",
}
"""Name to meaning of each field that a map may name."""


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Field name to dotted path in the record, for instance `{"question": "payload.q"}`."""

    paths: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, given: Mapping[str, str] | Iterable[str]) -> FieldMap:
        """Return a map of a mapping, or of `field=path` strings as on the command line.

        Raises:
            InputError: A field is unknown, or a string has no `=`.
        """
        pairs = given.items() if isinstance(given, Mapping) else [_pair(text) for text in given]
        paths: dict[str, tuple[str, ...]] = {}
        for name, path in pairs:
            if name not in FIELDS:
                close = get_close_matches(name, FIELDS, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(FIELDS)}"
                raise InputError(f"field map: unknown field {name!r}; {hint}")
            paths[name] = tuple(path.split("."))
        if not {"answer", "messages"} & set(paths):
            raise InputError("field map: needs `answer` or `messages`")
        return cls(paths)

    def fits(self, record: Mapping[str, Any]) -> bool:
        """Whether the record has the answer or the messages where the map says."""
        return any(
            self._get(record, name) is not None for name in ("answer", "messages") if name in self.paths
        )

    def read(self, record: Mapping[str, Any], line: int) -> Iterable[Call | Skip]:
        """Yield the call of one record."""
        get = {name: self._get(record, name) for name in self.paths}
        messages = to_messages(get.get("messages"))
        system = as_text(get.get("system"))
        question = as_text(get.get("question"))
        asked = (Message(role="user", content=question),) if question else ()
        reply = _reply(get["answer"]) if get.get("answer") is not None else None
        if reply is None and not any(m.role == "assistant" for m in messages):
            yield Skip(
                file="", line=line, reason="messages without a reply", keys=tuple(map(str, record))[:20]
            )
            return
        given = [feedback("rating", get["rating"])] if get.get("rating") not in (None, "") else []
        if get.get("comment"):
            given.append(feedback("comment", "", comment=get["comment"]))
        yield Call(
            line=line, messages=(*((Message(role="system", content=system),) if system else ()), *messages, *asked), reply=reply,
            tools=to_tools(get.get("tools")), passages=to_passages(get["contexts"]) if get.get("contexts") is not None else None,
            feedback=tuple(given), expected=as_text(get.get("expected")) or None, conversation_id=_text(get.get("conversation_id")),
            tenant=_text(get.get("tenant")), user=_text(get.get("user")), time=to_time(get.get("time")), model=_text(get.get("model")),
            ids=tuple(i for i in [_text(get.get("id"))] if i), error=_text(get.get("error")),
        )  # fmt: skip

    def _get(self, record: Any, name: str) -> Any:
        value = record
        for key in self.paths.get(name, ("\0",)):
            value = unwrap(value)
            if isinstance(value, Mapping):
                value = value.get(key)
            elif isinstance(value, list) and _INDEX.fullmatch(key) and -len(value) <= int(key) < len(value):
                value = value[int(key)]
            else:
                return None
        return value


def _reply(answer: Any) -> Message:
    """The answer as a message; an answer that is JSON itself stays the text that it was."""
    inner = unwrap(answer)
    if isinstance(inner, Mapping) and ("content" in inner or "role" in inner):
        return to_message(inner, role="assistant") or Message(role="assistant", content=as_text(answer))
    return Message(role="assistant", content=as_text(answer))


def _pair(text: str) -> tuple[str, str]:
    name, mark, path = text.partition("=")
    if not mark or not path:
        raise InputError(f"field map: {text!r} is not of the form field=path")
    return name.strip(), path.strip()


def _text(value: Any) -> str | None:
    return str(value) if value not in (None, "") else None
