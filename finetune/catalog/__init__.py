"""What can be fine-tuned where, until when, for how much: dated rows, not code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Literal

import yaml

Method = Literal["full", "lora", "qlora", "supervised", "reinforcement", "classifier_head"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way to train one model.

    Attributes:
        provider: `local`, `openai`, `azure` or `bedrock`.
        model: The provider's own id; `*` for any open-weight model.
        method: How it is trained.
        opens_to: `anyone`, or `existing` for customers who tuned there before.
        create_until: Last day on which a job can be created, None if no end is announced.
        served_until: Day from which the tuned model is no longer served, None if no end is announced.
        train_usd: US dollars for a million training tokens.
        input_usd: US dollars for a million input tokens of the tuned model.
        output_usd: The same for output tokens.
        month_usd: US dollars a month for keeping the model.
        least_examples: Fewest examples the provider takes.
        note: What else to know.
        as_of: Day the row was checked.
    """

    provider: str
    model: str
    method: Method
    opens_to: Literal["anyone", "existing"]
    create_until: date | None
    served_until: date | None
    train_usd: float
    input_usd: float
    output_usd: float
    month_usd: float
    least_examples: int
    note: str
    as_of: date

    def open_on(self, day: date) -> bool:
        """Whether a job can still be created on that day."""
        return self.create_until is None or day <= self.create_until

    def days_served(self, day: date) -> int | None:
        """Days from `day` until the tuned model is switched off, None if no end is announced."""
        return None if self.served_until is None else (self.served_until - day).days


@cache
def rows() -> tuple[Row, ...]:
    """Return all rows, in the order of the file."""
    text = resources.files(__package__).joinpath("rows.yaml").read_text(encoding="utf-8")
    return tuple(Row(**row) for row in yaml.safe_load(text))


def open_on(day: date) -> tuple[Row, ...]:
    """Return the rows under which a job can still be created on that day."""
    return tuple(row for row in rows() if row.open_on(day))
