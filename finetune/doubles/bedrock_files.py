"""What Bedrock says of a training file, once a job looks into it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

RESERVED = ("User:", "Bot:", "Assistant:", "System:", "<image>", "<video>", "[EOS]")


class Rules(NamedTuple):
    """What a family of models takes.

    Attributes:
        family: Beginning of its models' ids.
        form: `converse`, `prompt` or `claude`.
        least: Fewest records.
        most: Most records, validation included.
        longest: Most tokens of a record.
        reserved: Texts that fail the job.
        hyper: Hyper-parameters and their ranges.
        train_usd: US dollars for a million training tokens.
    """

    family: str
    form: str
    least: int
    most: int
    longest: int
    reserved: tuple[str, ...]
    hyper: Mapping[str, tuple[float, float]]
    train_usd: float


_NOVA = {"epochCount": (1, 5), "learningRate": (1e-6, 1e-4), "learningRateWarmupSteps": (0, 100)}
_LLAMA = {"epochCount": (1, 10), "batchSize": (1, 1), "learningRate": (5e-6, 0.1)}
_CLAUDE = {
    "epochCount": (1, 10), "batchSize": (4, 256), "learningRateMultiplier": (0.1, 2), "earlyStoppingThreshold": (0, 0.1),
    "earlyStoppingPatience": (1, 10),
}  # fmt: skip
RULES = (
    Rules("amazon.nova-2-lite", "converse", 8, 20_000, 32_768, (), _NOVA, 3.78),
    Rules("amazon.nova", "converse", 8, 20_000, 32_768, RESERVED, _NOVA, 1.0),
    Rules("meta.llama3-1", "prompt", 100, 10_000, 16_000, (), _LLAMA, 1.5),
    Rules("meta.llama3", "converse", 100, 10_000, 16_000, (), _LLAMA, 3.3),
    Rules("anthropic.claude", "claude", 32, 10_000, 32_000, (), _CLAUDE, 0.0),
)


def rules(model: str) -> Rules:
    """Return what a model takes.

    Raises:
        KeyError: It is not one that can be tuned.
    """
    for one in RULES:
        if model.startswith(one.family):
            return one
    raise KeyError(model)


def judge(data: bytes, one: Rules, count: Callable[[str], int]) -> tuple[str, int, int]:
    """Return why a file fails the job (empty if it does not), its records, and the tokens of one epoch."""
    lines = [line for line in data.split(b"\n") if line.strip()]
    tokens = 0
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
        except ValueError:
            return f"Encountered malformed JSON in line {number} of the training data.", len(lines), 0
        fault = _FORMS[one.form](value) if isinstance(value, Mapping) else "is not an object"
        if fault:
            return f"Record {number} of the training data {fault}.", len(lines), 0
        text = " ".join(_texts(value))
        word = next((w for w in one.reserved if w in text), None)
        if word is not None:
            return (
                f"Record {number} of the training data contains the reserved keyword {word!r}.",
                len(lines),
                0,
            )
        length = count(text)
        if length > one.longest:
            return f"Record {number} of the training data exceeds {one.longest} tokens.", len(lines), 0
        tokens += length
    if len(lines) < one.least:
        return (
            f"The training data has {len(lines)} records; at least {one.least} are required.",
            len(lines),
            0,
        )
    return "", len(lines), tokens


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [t for k, v in value.items() if k not in ("role", "schemaVersion") for t in _texts(v)]
    return [t for v in value for t in _texts(v)] if isinstance(value, list) else []


def _converse(line: Mapping[str, Any]) -> str:
    if set(line) - {"schemaVersion", "system", "messages"}:
        return f"has the unknown key {sorted(set(line) - {'schemaVersion', 'system', 'messages'})[0]!r}"
    if line.get("schemaVersion") != "bedrock-conversation-2024":
        return "has no schemaVersion bedrock-conversation-2024"
    for part in line.get("system", []):
        if set(part) != {"text"}:
            return "has a system prompt that is not text"
    for message in line.get("messages") or []:
        if set(message) != {"role", "content"} or any(set(p) != {"text"} for p in message["content"]):
            return "has content that is not text"
        if not all(p["text"].strip() for p in message["content"]):
            return "has empty content"
    return _turns([m["role"] for m in line.get("messages") or []])


def _prompt(line: Mapping[str, Any]) -> str:
    if set(line) != {"prompt", "completion"}:
        return "must have exactly the keys prompt and completion"
    return "" if all(isinstance(v, str) and v.strip() for v in line.values()) else "has an empty text"


def _claude(line: Mapping[str, Any]) -> str:
    if set(line) - {"system", "messages"}:
        return "has extra keys"
    for message in line.get("messages") or []:
        if set(message) != {"role", "content"} or not str(message["content"]).strip():
            return "has a malformed message"
    return _turns([m["role"] for m in line.get("messages") or []])


def _turns(roles: list[str]) -> str:
    if len(roles) < 2 or roles[0] != "user" or roles[-1] != "assistant":
        return "must begin with user and end with assistant"
    if any(role != ("user", "assistant")[n % 2] for n, role in enumerate(roles)):
        return "must alternate between user and assistant"
    return ""


_FORMS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "converse": _converse,
    "prompt": _prompt,
    "claude": _claude,
}
