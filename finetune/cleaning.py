"""Cleaning: what no example may hold, and what examples need not say twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from finetune.examples import Example, text_of
from rag.duplicates import apart, first_like
from rag.masking import masked_spans

MOST_ALIKE = 12
"""Examples of a log that nearly repeat each other: a dozen shows the form, and more teaches nothing new."""

LONGEST = 4_000
"""Characters by which a request or a reply is told from others."""


def cleaned(examples: Iterable[Example], *, mask: bool = True) -> list[Example]:
    """Return examples without personal data, and without those that repeat an earlier one.

    What stands in a file is left out only if it is the same to the letter: whoever wrote it chose it. Of what a log gives, more than a dozen
    near-repetitions are left out too; they differ by a name or a number.

    Args:
        examples: Theirs is the order.
        mask: Whether personal data is masked; what the system prompt and the passages say never is, such as the address people are to write to.
    """
    return _once([masked(e) for e in examples] if mask else list(examples))


def first_asked(texts: Sequence[str]) -> list[int]:
    """Return for each text the index of the first that it nearly repeats, apart from what more than a dozen of them hold in common; see `first_like`."""
    return first_like(apart(texts, most=MOST_ALIKE), longest=LONGEST)


def masked(example: Example) -> Example:
    """Return an example with personal data masked in all its messages and the arguments of their calls."""
    own = " ".join([*(text_of(m) for m in example.messages if m.get("role") == "system"), *example.passages])
    rejected = example.rejected
    return replace(
        example,
        messages=tuple(_message(m, own) for m in example.messages),
        rejected=rejected if rejected is None else _message(rejected, own),
    )


def _message(message: Mapping[str, Any], own: str) -> Mapping[str, Any]:
    found = dict(message)
    if isinstance(found.get("content"), str):
        found["content"] = _text(found["content"], own)
    elif found.get("content"):
        found["content"] = [
            {**p, "text": _text(p["text"], own)}
            if isinstance(p, Mapping) and isinstance(p.get("text"), str)
            else p
            for p in found["content"]
        ]
    if found.get("tool_calls"):
        found["tool_calls"] = [_call(c, own) for c in found["tool_calls"]]
    return found


def _call(call: Mapping[str, Any], own: str) -> Mapping[str, Any]:
    function = call.get("function") or {}
    said = function.get("arguments")
    if not isinstance(said, str):
        return call
    try:
        given = json.loads(said)
    except ValueError:
        return {**call, "function": {**function, "arguments": _text(said, own)}}
    # Value by value: a card's number that is a number in JSON would else leave what is none.
    told = _value(given, own)
    if told == given:
        return call
    return {**call, "function": {**function, "arguments": json.dumps(told, ensure_ascii=False)}}


def _value(value: Any, own: str) -> Any:
    if isinstance(value, dict):
        return {k: _value(v, own) for k, v in value.items()}
    if isinstance(value, list):
        return [_value(v, own) for v in value]
    if isinstance(value, str):
        return _text(value, own)
    if isinstance(value, int | float) and not isinstance(value, bool):
        told = _text(str(value), own)
        return value if told == str(value) else told
    return value


def _text(text: str, own: str) -> str:
    parts, at = [], 0
    for span in masked_spans(text):
        if text[span.start : span.end] not in own:
            parts += [text[at : span.start], span.label]
            at = span.end
    return "".join((*parts, text[at:]))


def _once(examples: Sequence[Example]) -> list[Example]:
    """Return examples without those that repeat an earlier one."""
    alike = iter(_alike([e for e in examples if e.origin != "file"]))
    said: set[object] = set()
    near: Counter[object] = Counter()
    kept = []
    for example in examples:
        taught = (example.request, text_of(example.target), str(example.target.get("tool_calls")))
        if example.origin == "file":
            letter = json.dumps(
                [example.messages, example.tools, example.rejected], sort_keys=True, default=str
            )
            if not {letter, taught} & said:
                kept.append(example)
            said.add(letter)
            continue
        first = next(alike)
        near[first] += taught not in said
        # Of calls the values are what is to be learnt: to take them from the request.
        if taught not in said and (near[first] <= MOST_ALIKE or example.target.get("tool_calls")):
            kept.append(example)
        said.add(taught)
    return kept


def _alike(examples: Sequence[Example]) -> list[tuple[int, int]]:
    """Return for each example the first whose request it nearly repeats, and the first whose reply: near-repetitions have both in common."""
    asked = first_asked([e.request for e in examples])
    told = first_like([text_of(e.target) for e in examples], longest=LONGEST)
    return list(zip(asked, told, strict=True))
