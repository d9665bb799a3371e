"""Sentences: a rule of the contract as a line for the prompt."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from router.contract.checkers.verdict import words_of
from router.contract.rules import Rule

Params = Mapping[str, Any]


def sentence_for(rule: Rule) -> str:
    """Return a rule in words: those it was read from, or a plain sentence of its kind."""
    if rule.quote:
        return rule.quote.strip()
    told = _SENTENCES.get(rule.kind)
    return told(rule.params) if told is not None else f"Keep to this rule in every reply: {rule.id}."


def _listed(params: Params, key: str) -> str:
    return ", ".join(f'"{w}"' for w in words_of(params, key))


def _limit(params: Params, unit: str) -> str:
    low, high = params.get("min"), params.get("max")
    if low == high:
        return f"Write exactly {low} {unit}."
    if high is None:
        return f"Write at least {low} {unit}."
    return f"Write at most {high} {unit}." if not low else f"Write {low} to {high} {unit}."


def _json(params: Params) -> str:
    schema = params.get("schema")
    shape = f" that fits this JSON Schema: {json.dumps(schema, ensure_ascii=False)}" if schema else ""
    return f"Reply with one JSON object{shape} and nothing else."


_SENTENCES: Mapping[str, Callable[[Params], str]] = {
    "ends_with": lambda p: f"End every reply with exactly this sentence: {words_of(p, 'text')[0]}",
    "starts_with": lambda p: f"Begin every reply with exactly these words: {words_of(p, 'text')[0]}",
    "not_starts_with": lambda p: f"Never begin a reply with {_listed(p, 'text')}.",
    "required": lambda p: f"Every reply must contain {_listed(p, 'words')}.",
    "forbidden": lambda p: f"Never use these words: {_listed(p, 'words')}.",
    "one_of": lambda p: f"Use one of these phrases: {_listed(p, 'options')}.",
    "cites": lambda p: (
        f"After the answer name its source in square brackets, for example {p.get('like', '[1]')}."
    ),
    "words": lambda p: _limit(p, "words"),
    "sentences": lambda p: _limit(p, "sentences"),
    "paragraphs": lambda p: _limit(p, "paragraphs"),
    "characters": lambda p: _limit(p, "characters"),
    "bullets": lambda p: _limit(p, "bullet points"),
    "language": lambda p: f"Always answer in the language with the code {p.get('code')}.",
    "same_language": lambda p: "Answer in the language of the request.",
    "json": _json,
    "label": lambda p: (
        f"Reply with exactly one of these labels and nothing else: {', '.join(map(str, p.get('labels', ())))}."
    ),
    "uppercase": lambda p: "Write in capital letters only.",
    "lowercase": lambda p: "Write in small letters only.",
    "no_commas": lambda p: "Never use a comma.",
    "no_exclamations": lambda p: "Never use an exclamation mark.",
    "no_emoji": lambda p: "Never use emoji.",
    "no_markdown": lambda p: "Write plain text without markdown.",
    "no_ai_mention": lambda p: "Never say that you are a machine or a model.",
    "ends_with_question": lambda p: "End every reply with a question.",
}
