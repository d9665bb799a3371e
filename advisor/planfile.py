"""The plan as a file: JSON that a person can read and cut, checked against a shipped schema, with a content hash."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator

from advisor.exchange import content_hash
from advisor.logs.files import InputError
from advisor.plan import Gain, Plan, Price, Remedy, as_data

FORMAT = "rightfix-plan-1"


def to_json(plan: Plan) -> str:
    """Return the plan as the text of a `plan.json`."""
    data = {"format": FORMAT, "hash": plan.hash, **as_data(plan)}
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def from_json(text: str | bytes, *, path: Path | str = "plan.json") -> Plan:
    """Return the plan of such a text.

    A plan that was cut or changed by hand must be given a new hash with `sealed`; that is the point of a hash.

    Raises:
        InputError: It is not JSON, breaks the schema, or does not match its hash.
    """
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: is not JSON ({error})") from None
    fault = min(
        Draft202012Validator(schema()).iter_errors(data),
        key=lambda e: (len(e.path), str(e.path)),
        default=None,
    )
    if fault is not None:
        where = "/".join(map(str, fault.path)) or "the top level"
        raise InputError(
            f"{path}: is not a plan ({where}: {fault.message[:150]}); write it with `advise LOGS`"
        )
    plan = _plan(data)
    if plan.hash != content_hash(as_data(plan)):
        raise InputError(f"{path}: does not match its hash {plan.hash}; it was changed since it was written")
    return plan


def sealed(plan: Plan) -> Plan:
    """Return the plan with the hash of what it now holds."""
    return Plan(
        **{**{name: getattr(plan, name) for name in plan.__slots__}, "hash": content_hash(as_data(plan))}
    )


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a plan."""
    text = resources.files("advisor").joinpath("plan.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _plan(data: dict[str, Any]) -> Plan:
    remedies = tuple(
        Remedy(
            **{
                **r, "issues": tuple(r["issues"]), "needs": tuple(r["needs"]), "price": Price(**r["price"]),
                "effort_hours": (r["effort_hours"][0], r["effort_hours"][1]), "gain": Gain(**r["gain"]),
            }
        )
        for r in data["remedies"]
    )  # fmt: skip
    return Plan(**{**{k: v for k, v in data.items() if k != "format"}, "remedies": remedies})
