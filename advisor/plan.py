"""Plan: remedies in the order to try them, as a file a person can read, price, cut and approve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from advisor.evidence import Gap

RemedyKind = Literal["ChangePrompt", "UpdateIndex", "FineTune", "Nothing", "NotEnoughEvidence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the decision tree must know of the bot and its log beside the issues.

    Attributes:
        exchanges: Exchanges read.
        failures: Exchanges that failed, undetermined ones included.
        undetermined: Failures left to a person.
        good: Exchanges that did not fail; they can serve as training examples and as the test for forgetting.
        calibrated: Whether the diagnosis was calibrated on this bot's labels.
        documents: Number of the operator's documents given, None if none were given.
        served: Share of exchanges whose log holds retrieved passages, 0-1.
        labelled: Number of the operator's labelled examples of a classifying bot.
        examples: Number of the operator's own examples of good replies (`train.examples`).
        models: Model names in the log with their counts.
        tokens: Mean tokens of one exchange, request and reply together; estimated at 4 characters per token
            where the log does not say.
        days: Time span of the log in days, None if it holds no times.
        today: ISO date the plan is made for; decides which provider still serves what.
        learned: What came of remedies of each kind that were applied here before: (held-out failures mended, tried).
        trainable: Failures that training could mend, by gap; counted by `plan` over all issues that it is given.
        refused: Ids of the issues for which the gate refused a change to the prompt, or saw that it leaves failures; what is dearer need not wait for one there.
    """

    exchanges: int
    failures: int
    undetermined: int
    good: int
    calibrated: bool
    documents: int | None
    served: float
    labelled: int
    models: Mapping[str, int]
    tokens: float
    days: float | None
    today: str
    learned: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    examples: int = 0
    trainable: Mapping[Gap, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What carrying a remedy out would cost, in US dollars.

    Attributes:
        low: Lower end of the estimate.
        high: Upper end.
        cap: Most that may be spent without asking again.
        basis: How it was computed, with the date of the prices.
    """

    low: float
    high: float
    cap: float
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What a remedy is expected to mend.

    Attributes:
        failures: Failures it addresses in this log.
        low: Lower end of the share expected to be mended, 0-1.
        high: Upper end, 0-1.
        basis: Where the expectation comes from.
    """

    failures: int
    low: float
    high: float
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """One thing to do.

    Attributes:
        id: Content hash.
        kind: What is changed.
        action: One line in the imperative, for instance `Append one rule to the system prompt`.
        issues: Ids of the issues it covers.
        why: Why this one.
        why_not_next: Why not the next dearer one (or the next cheaper one).
        needs: What must be there first; empty if it can be done now.
        blocked: Whether something in `needs` is missing now.
        price: Cost.
        effort_hours: A person's hours, (low, high).
        gain: Expected gain.
        details: What apply needs, as plain data (rule text, document ids, recipe, questions).
    """

    id: str
    kind: RemedyKind
    action: str
    issues: tuple[str, ...]
    why: str
    why_not_next: str
    needs: tuple[str, ...]
    blocked: bool
    price: Price
    effort_hours: tuple[float, float]
    gain: Gain
    details: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The remedies in the order of expected gain per effort.

    Attributes:
        hash: Hash of all the rest; the same log in any order gives the same hash.
        exchanges: Exchanges read.
        failures: Exchanges that failed.
        undetermined: Failures left to a person.
        calibrated: Whether the diagnosis was calibrated on this bot's labels.
        remedies: In order.
    """

    hash: str
    exchanges: int
    failures: int
    undetermined: int
    calibrated: bool
    remedies: tuple[Remedy, ...]


def as_data(plan: Plan) -> dict[str, Any]:
    """Return all of a plan but its hash as JSON-able data."""
    data: dict[str, Any] = orjson.loads(orjson.dumps(plan))
    del data["hash"]
    return data
