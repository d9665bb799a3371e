"""Files of an operator's own as examples: OpenAI chat lines, preference pairs, ShareGPT, and tables of question and answer or text and label."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune.examples import Example

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
    "tool": "tool",
}
_ASKED = ("question", "prompt", "input", "instruction", "user", "query")
_ANSWERED = ("answer", "completion", "response", "output", "assistant", "reply")


class UnreadableFile(ValueError):
    """A file, or a record in it, that is not of a form that is known here."""


def read(
    paths: Iterable[Path], *, author: str | None = None, approved_by: str | None = None
) -> Iterator[Example]:
    """Yield the examples of files, in order.

    Args:
        paths: `.jsonl`, `.json` (a list) or `.csv` files.
        author: Who wrote them, if one wants that to be known.
        approved_by: Who approved them.

    Raises:
        UnreadableFile: The file or a record cannot be read; file, line and what was expected are named.
    """
    for path in paths:
        for number, record in _records(path):
            source = f"{path}:{number}"
            try:
                fields = _example(record)
            except (KeyError, TypeError, AttributeError, IndexError) as error:
                raise UnreadableFile(f"{source}: not an example of a known form ({error!r})") from None
            if fields is None:
                raise UnreadableFile(
                    f"{source}: no known form; wanted are `messages`, `conversations`, `prompt` with `chosen` and `rejected`, "
                    f"`preferred_output`, or columns such as question and answer, or text and label"
                )
            group = record.get("conversation_id") or record.get("group") or _name(fields["messages"])
            yield Example(
                **fields, group=str(group), origin="file", source=source, author=author or record.get("author"), approved_by=approved_by
            )  # fmt: skip


def _records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(f"{path}: cannot be read ({error}); name a UTF-8 file") from None
    try:
        if path.suffix == ".csv":
            yield from enumerate(csv.DictReader(io.StringIO(text, newline="")), 2)
            return
        if text.lstrip().startswith("["):
            yield from enumerate(json.loads(text), 1)
            return
        # Not `splitlines`: JSON may hold U+2028 and the like as they are.
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield number, json.loads(line)
    except (json.JSONDecodeError, csv.Error) as error:
        raise UnreadableFile(f"{path}: {error}") from None


def _example(record: Mapping[str, Any]) -> dict[str, Any] | None:
    return next((made for form in _FORMS if (made := form(record)) is not None), None)


def _preferred(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """OpenAI's preference lines."""
    if "preferred_output" not in record:
        return None
    given = record["input"]
    return {
        "messages": (*given["messages"], record["preferred_output"][-1]), "rejected": record["non_preferred_output"][-1],
        "tools": tuple(given.get("tools") or ()),
    }  # fmt: skip


def _pair(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """TRL's and Anthropic's pairs: texts or messages."""
    if "chosen" not in record or "rejected" not in record:
        return None
    prompt = _messages(record.get("prompt"), "user")
    chosen, rejected = (_messages(record[k], "assistant") for k in ("chosen", "rejected"))
    if not prompt:
        prompt, chosen = chosen[:-1], chosen[-1:]
    return {
        "messages": (*prompt, chosen[-1]),
        "rejected": rejected[-1],
        "tools": tuple(record.get("tools") or ()),
    }


def _chat(record: Mapping[str, Any]) -> dict[str, Any] | None:
    if "messages" not in record:
        return None
    rejected = record.get("rejected")
    return {
        "messages": _ended(record["messages"]), "tools": tuple(record.get("tools") or ()), "label": record.get("label"),
        "rejected": rejected if isinstance(rejected, Mapping) else None, "passages": tuple(record.get("passages") or ()),
    }  # fmt: skip


def _sharegpt(record: Mapping[str, Any]) -> dict[str, Any] | None:
    if "conversations" not in record:
        return None
    turns = record["conversations"]
    messages = tuple(
        {"role": _ROLES[t.get("from") or t["role"]], "content": t.get("value") or t["content"]} for t in turns
    )
    system = record.get("system")
    return {"messages": _ended(({"role": "system", "content": system}, *messages) if system else messages)}


def _labelled(record: Mapping[str, Any]) -> dict[str, Any] | None:
    text, label = record.get("text") or record.get("message"), record.get("label") or record.get("intent")
    if not text or not label:
        return None
    return {
        "messages": ({"role": "user", "content": text}, {"role": "assistant", "content": str(label)}),
        "label": str(label),
    }


def _row(record: Mapping[str, Any]) -> dict[str, Any] | None:
    plain = {str(k).strip().lower(): v for k, v in record.items() if isinstance(v, str)}
    asked = next((plain[k] for k in _ASKED if plain.get(k)), None)
    answered = next((plain[k] for k in _ANSWERED if plain.get(k)), None)
    if asked is None or answered is None:
        return None
    system = [{"role": "system", "content": plain["system"]}] if plain.get("system") else []
    return {
        "messages": (*system, {"role": "user", "content": asked}, {"role": "assistant", "content": answered})
    }


_FORMS: Sequence[Callable[[Mapping[str, Any]], dict[str, Any] | None]] = (
    _preferred,
    _pair,
    _chat,
    _sharegpt,
    _labelled,
    _row,
)


def _messages(value: Any, role: str) -> tuple[Mapping[str, Any], ...]:
    if not value:
        return ()
    return ({"role": role, "content": value},) if isinstance(value, str) else tuple(value)


def _ended(messages: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """What follows the last assistant message teaches nothing."""
    found = list(messages)
    while found and found[-1].get("role") != "assistant":
        found.pop()
    if not found:
        raise IndexError("no assistant message")
    return tuple(found)


def _name(messages: Sequence[Mapping[str, Any]]) -> str:
    """Conversations that begin with the same request are one group."""
    first = next((m for m in messages if m.get("role") == "user"), messages[0])
    return hashlib.sha256(json.dumps(first.get("content"), sort_keys=True).encode()).hexdigest()[:16]
