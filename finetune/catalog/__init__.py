"""What can be fine-tuned where, until when, for how much: dated rows, not code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

Method = Literal["full", "lora", "qlora", "supervised", "preference", "reinforcement", "classifier_head"]
Format = Literal[
    "local", "openai_chat", "openai_preference", "openai_reinforcement", "bedrock_conversation", "bedrock_prompt",
    "bedrock_claude",
]  # fmt: skip
Serving = Literal["here", "at once", "deployment", "throughput"]
"""What must be made before a tuned model answers: nothing (it lies on this machine, or the provider serves it at once), an
on-demand deployment, or provisioned throughput, which costs by the hour whether it is asked or not."""

_PROVIDERS = ("local", "openai", "azure", "bedrock", "mantle")
_USEFUL_DAYS = 60


class CatalogFailed(RuntimeError):
    """A file of rows that cannot be read; the message names the row and what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting of a job and its range; `low` is excluded where `above`.

    Attributes:
        name: The provider's own word.
        default: What is sent where the recipe says nothing; None leaves it to the provider.
        whole: Whether only whole numbers are taken.
    """

    name: str
    low: float
    high: float
    default: float | None = None
    whole: bool = False
    above: bool = False

    def takes(self, value: float) -> bool:
        """Whether the provider takes that value."""
        inside = self.low < value <= self.high if self.above else self.low <= value <= self.high
        return inside and (not self.whole or value == int(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way to train one model. Prices are US dollars for a million tokens; None: not known.

    Attributes:
        provider: `local`, `openai`, `azure`, `bedrock`, or `mantle`, Bedrock's endpoint that speaks OpenAI's API.
        model: The provider's own id; `*` for any open-weight model.
        names: Other names that people use for it.
        method: How it is trained.
        format: How the training file is written.
        opens_to: `anyone`, or `existing` for customers who tuned there before.
        create_from: First day on which a job can be created, None if it is past and not known.
        create_until: Last day on which a job can be created, None if no end is announced.
        served_until: Day from which the tuned model is no longer served, None if no end is announced.
        train_usd: For training tokens; every epoch counts.
        input_usd: For input tokens of the tuned model.
        output_usd: For its output tokens.
        base_usd: Input, cached input and output of the base itself.
        month_usd: US dollars a month for keeping the model.
        hour_usd: US dollars an hour for one unit of provisioned throughput.
        per_minute: Requests a minute that the tuned model takes, where that is few.
        least_examples: Fewest examples the provider takes.
        most_examples: Most of them, validation included.
        most_tokens: Longest example, in tokens.
        tokens: Encoding in which tokens can be counted offline as the provider counts them; empty if there is none.
        tools: Whether examples may hold tools and tool calls.
        validation: Whether a validation set is used.
        reserved: Texts that no example may hold.
        settings: What can be set, with ranges.
        regions: Where it can be trained.
        serving: What can serve the tuned model; the first is the usual one.
        note: What else to know.
        source: Where the row's facts stand.
        as_of: Day the row was checked.
    """

    provider: str
    model: str
    method: Method
    format: Format
    opens_to: Literal["anyone", "existing"]
    create_until: date | None
    served_until: date | None
    train_usd: float | None
    input_usd: float | None
    output_usd: float | None
    month_usd: float
    least_examples: int
    note: str
    source: str
    as_of: date
    names: tuple[str, ...] = ()
    create_from: date | None = None
    base_usd: tuple[float, float, float] | None = None
    hour_usd: float | None = None
    per_minute: int | None = None
    most_examples: int | None = None
    most_tokens: int | None = None
    tokens: str = ""
    tools: bool = True
    validation: bool = True
    reserved: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    regions: tuple[str, ...] = ()
    serving: tuple[Serving, ...] = ("here",)

    def open_on(self, day: date) -> bool:
        """Whether a job can be created on that day."""
        begun = self.create_from is None or day >= self.create_from
        return begun and (self.create_until is None or day <= self.create_until)

    def days_served(self, day: date) -> int | None:
        """Days from `day` until the tuned model is switched off, None if no end is announced."""
        return None if self.served_until is None else (self.served_until - day).days

    def setting(self, name: str) -> Setting | None:
        """Return the setting of that name."""
        return next((s for s in self.settings if s.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What a provider itself says of a model, now.

    Attributes:
        shutdown: Day from which it is not served; None if no end is announced.
        closed: Whether no new jobs are taken on it.
        told: The provider's own words, for instance `LEGACY`.
    """

    shutdown: date | None = None
    closed: bool = False
    told: str = ""


@cache
def rows(override: Path | None = None) -> tuple[Row, ...]:
    """Return all rows, in the order of the file; those of `override` in place of, or behind, the shipped ones.

    Args:
        override: A YAML list of rows. A row with the provider, model and method of a shipped one needs only what differs.

    Raises:
        CatalogFailed: The file cannot be read, or a row is wrong.
    """
    shipped = _shipped()
    if override is None:
        return shipped
    known = {(r.provider, r.model, r.method): r for r in shipped}
    for number, given in enumerate(_listed(override), 1):
        where = f"{override}: row {number}"
        key = (given.get("provider"), given.get("model"), given.get("method"))
        before = known.get(key)  # type: ignore[arg-type]
        row = _row({**_data(before), **given} if before else given, where)
        known[row.provider, row.model, row.method] = row
    return tuple(known.values())


def open_on(day: date) -> tuple[Row, ...]:
    """Return the rows under which a job can be created on that day."""
    return tuple(row for row in rows() if row.open_on(day))


def find(provider: str, model: str, method: str, catalog: Sequence[Row] | None = None) -> Row | None:
    """Return the row of a model by its id, one of its other names, or the id of a model tuned from it; None for none."""
    known = rows() if catalog is None else catalog
    base = model.split(":")[1] if model.startswith("ft:") else model
    fitting = [r for r in known if r.provider == provider and r.method == method]
    named = [r for r in fitting if base == r.model or base in r.names]
    return next(iter(named or [r for r in fitting if r.model == "*"]), None)


def living(row: Row, life: Life) -> Row:
    """Return a row with what the provider says now in place of what was written down; the earlier end counts."""
    ends = [d for d in (row.served_until, life.shutdown) if d is not None]
    until = date.min if life.closed else row.create_until
    return replace(row, served_until=min(ends, default=None), create_until=until)


def refusal(row: Row, day: date, *, useful_days: int = _USEFUL_DAYS) -> str:
    """Return why no job should be made under a row on that day; empty if nothing speaks against it."""
    days = row.days_served(day)
    if days is not None and days <= 0:
        return f"{row.model} tuned at {row.provider} is switched off since {row.served_until}"
    if row.create_until is not None and day > row.create_until:
        since = f"since {row.create_until}" if row.create_until > date.min else "(the provider says so now)"
        return f"{row.model} takes no new {row.method} jobs at {row.provider} {since}"
    if not row.open_on(day):
        return f"{row.model} takes {row.method} jobs at {row.provider} from {row.create_from} only"
    if days is not None and days < useful_days:
        return f"{row.model} tuned at {row.provider} is switched off on {row.served_until}, in {days} days"
    return ""


def nearest(row: Row, day: date, catalog: Sequence[Row] | None = None) -> Row | None:
    """Return the living row that is most like one that is not: open to anyone, the same method, the same kind of price.

    What runs on one's own machine comes last, as it needs another machine and other work; None if nothing is left.
    """
    known = rows() if catalog is None else catalog
    alive = [
        r
        for r in known
        if r is not row and r.opens_to == "anyone" and not refusal(r, day) and r.method == _kin(row, r)
    ]
    return min(alive, key=lambda r: _distance(row, r), default=None)


def explain(row: Row, day: date, catalog: Sequence[Row] | None = None) -> str:
    """Return why a row is closed or nearly so, and what lives in its place; empty if it is open."""
    reason = refusal(row, day)
    return "; ".join([reason, *alternatives(row, day, catalog)]) if reason else ""


def alternatives(row: Row, day: date, catalog: Sequence[Row] | None = None) -> list[str]:
    """Return what lives in place of a row: the nearest that is open to anyone, and the same model elsewhere."""
    known = rows() if catalog is None else catalog
    other = nearest(row, day, known)
    told = [f"nearest living alternative: `{other.provider}:{other.model}` ({other.method})"] if other else []
    same = (r for r in known if (r.model, r.method) == (row.model, row.method) and r.provider != row.provider)
    told += [
        f"the same model lives at {r.provider} until {r.served_until} for customers who tuned there before"
        for r in same
        if not refusal(r, day)
    ]
    return told


# Parts of it


def _kin(row: Row, other: Row) -> Method:
    """The method that stands in for that of a row at the other's provider."""
    return "lora" if other.provider == "local" else row.method


def _distance(row: Row, other: Row) -> tuple[bool, bool, bool, bool, float]:
    gap = abs((row.train_usd or 0.0) - (other.train_usd or 0.0))
    slow = other.serving[0] == "throughput" or other.per_minute is not None
    return other.provider == "local", slow, other.provider != row.provider, other.train_usd is None, gap


@cache
def _shipped() -> tuple[Row, ...]:
    text = resources.files(__package__).joinpath("rows.yaml").read_text(encoding="utf-8")
    return tuple(
        _row(row, f"rows.yaml: row {n}") for n, row in enumerate(_spread(yaml.safe_load(text)["rows"]), 1)
    )


def _listed(path: Path) -> list[dict[str, Any]]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogFailed(f"{path}: cannot be read ({error})") from None
    given = found.get("rows") if isinstance(found, Mapping) else found
    if not isinstance(given, list) or not all(isinstance(r, dict) for r in given):
        raise CatalogFailed(f"{path}: it must be a list of rows, each with provider, model and method")
    return _spread(given)


def _spread(given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each method of a row that has `methods`, a mapping from method to format."""
    found = []
    for row in given:
        own = {k: v for k, v in row.items() if k != "methods"}
        several = row.get("methods") or {own.get("method"): own.get("format")}
        found += [{**own, "method": m, **({"format": f} if f else {})} for m, f in several.items()]
    return found


def _row(given: Mapping[str, Any], where: str) -> Row:
    names = [f.name for f in fields(Row)]
    for key in given:
        if key not in names:
            close = get_close_matches(str(key), names, n=1)
            raise CatalogFailed(
                f"{where}: unknown key `{key}`{f', did you mean `{close[0]}`' if close else ''}"
            )
    data: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k != "settings"
    }
    try:
        row = Row(**data, settings=_settings(given.get("settings") or ()))
    except (TypeError, AttributeError) as error:
        raise CatalogFailed(f"{where}: {error}".replace("Row.__init__() ", "")) from None
    wrong = _wrong(row)
    if wrong:
        raise CatalogFailed(f"{where}: {wrong}")
    return row


def _wrong(row: Row) -> str:
    """What a checker of types would have said, had it seen the file."""
    choices: tuple[tuple[str, object, Sequence[str]], ...] = (
        ("provider", row.provider, _PROVIDERS), ("method", row.method, get_args(Method)), ("format", row.format, get_args(Format)),
        ("opens_to", row.opens_to, ("anyone", "existing")), *(("serving", s, get_args(Serving)) for s in row.serving),
    )  # fmt: skip
    for name, value, known in choices:
        if value not in known:
            return f"`{name}` is {value!r}; known are {', '.join(known)}"
    for name in ("create_from", "create_until", "served_until"):
        if not isinstance(getattr(row, name), date | None):
            return f"`{name}` must be a day, for instance 2027-01-14"
    numbers = (row.train_usd, row.input_usd, row.output_usd, row.month_usd, row.least_examples)
    if any(not isinstance(n, int | float) or n < 0 for n in numbers if n is not None):
        return "prices and counts must be numbers, 0 or more"
    return ""


def _settings(given: Any) -> tuple[Setting, ...]:
    if isinstance(given, tuple):
        return given
    return tuple(Setting(name=name, **one) for name, one in given.items())


def _data(row: Row | None) -> dict[str, Any]:
    return {} if row is None else {f.name: getattr(row, f.name) for f in fields(Row)}
