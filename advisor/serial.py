"""Exchanges and diagnoses as plain data and back, for the state file, for `--json` and for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import orjson

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence, Quote
from advisor.exchange import Exchange, Feedback, Message, Passage, Source, Tool, ToolCall
from advisor.issues import Broken, Issue, Rate, Trend
from advisor.proof import Proof, Rung


def to_data(value: Exchange | Diagnosis) -> dict[str, Any]:
    """Return a value as JSON-able data; what an exchange does not have is left out."""
    data: dict[str, Any] = orjson.loads(orjson.dumps(value, default=sorted))
    if isinstance(value, Exchange):
        kept = {k: v for k, v in data.items() if v not in (None, [], "")}
        return {**kept, **({"passages": []} if value.passages == () else {})}
    return data


def dumps(exchange: Exchange, diagnosis: Diagnosis) -> bytes:
    """Return both as one JSON text."""
    return orjson.dumps({"exchange": exchange, "diagnosis": diagnosis}, default=sorted)


def loads(text: bytes) -> tuple[Exchange, Diagnosis]:
    """Return what `dumps` wrote.

    Raises:
        ValueError: The text is not what `dumps` writes.
    """
    try:
        data = orjson.loads(text)
        return exchange_of(data["exchange"]), diagnosis_of(data["diagnosis"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a stored exchange: {error!r}") from error


def exchange_of(data: Mapping[str, Any]) -> Exchange:
    """Return the exchange of its data; keys it does not know raise TypeError."""
    passages = data.get("passages")
    nested = {
        "conversation": tuple(map(_message, data.get("conversation", ()))),
        "reply": _message(data["reply"]),
        "source": Source(**data["source"]),
        "tools": tuple(Tool(**t) for t in data.get("tools", ())),
        "passages": None if passages is None else tuple(Passage(**p) for p in passages),
        "feedback": tuple(Feedback(**f) for f in data.get("feedback", ())),
        "later": tuple(map(_message, data.get("later", ()))),
        "alternatives": tuple(data.get("alternatives", ())),
        "ids": frozenset(data.get("ids", ())),
    }
    return Exchange(**{**data, **nested})


def diagnosis_of(data: Mapping[str, Any]) -> Diagnosis:
    """Return the diagnosis of its data."""
    seen = tuple(
        Evidence(**{**e, "quotes": tuple(Quote(**q) for q in e["quotes"])}) for e in data["evidence"]
    )
    known = {f.name for f in fields(Diagnosis)}
    return Diagnosis(
        **{**{k: v for k, v in data.items() if k in known}, "evidence": seen, "named": tuple(data["named"])}
    )


def issue_of(data: Mapping[str, Any]) -> Issue:
    """Return the issue of its data, as `orjson.dumps` writes one."""
    lists = {k: tuple(v) for k, v in data.items() if isinstance(v, list)}
    trend = {
        **data["trend"],
        "counts": tuple(data["trend"]["counts"]),
        "totals": tuple(data["trend"]["totals"]),
    }
    nested = {
        "rate": Rate(**data["rate"]),
        "trend": Trend(**trend),
        "broken": tuple(Broken(**b) for b in data["broken"]),
        "proofs": tuple(_proof(p) for p in data.get("proofs", ())),
    }
    return Issue(**{**data, **lists, **nested})


def _proof(data: Mapping[str, Any]) -> Proof:
    pooled = data.get("pooled")
    return Proof(
        **{
            **data,
            "rungs": tuple(Rung(**r) for r in data["rungs"]),
            "pooled": Rung(**pooled) if pooled else None,
        }
    )


def _message(data: Mapping[str, Any]) -> Message:
    return Message(**{**data, "tool_calls": tuple(ToolCall(**c) for c in data.get("tool_calls", ()))})
