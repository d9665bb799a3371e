"""Faults a double can be told to make, one for each request of a route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        kind: `answer`: another answer, and nothing is done; `lost`: it is done and the connection reset before the answer;
            `refused`: the connection is reset and nothing is done; `cut`: the same after `bytes` of the body; `slow`: it is
            done after `seconds`; `malformed`: it is done and the answer is broken JSON; `none`: nothing goes wrong.
        status: HTTP status of `answer`.
        body: Its body.
        headers: Its headers.
    """

    kind: Literal["answer", "lost", "refused", "cut", "slow", "malformed", "none"]
    status: int = 0
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    bytes: int = 0


def status(code: int, *, retry_after_s: float | None = None, body: Mapping[str, Any] | None = None) -> Fault:
    """Another answer, for instance 429 or 500; without a body of one's own it is an error in OpenAI's form."""
    told = {"error": {"message": f"the script says {code}", "type": "scripted", "param": None, "code": None}}
    headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
    return Fault(kind="answer", status=code, body=told if body is None else body, headers=headers)


def lost() -> Fault:
    """It is done, and nobody hears of it."""
    return Fault(kind="lost")


def refused() -> Fault:
    """The connection breaks before anything is done."""
    return Fault(kind="refused")


def cut(after: int) -> Fault:
    """The connection breaks after some bytes of the body."""
    return Fault(kind="cut", bytes=after)


def slow(seconds: float) -> Fault:
    """It is done late."""
    return Fault(kind="slow", seconds=seconds)


def malformed() -> Fault:
    """It is done, and the answer is broken JSON."""
    return Fault(kind="malformed")


NONE = Fault(kind="none")
