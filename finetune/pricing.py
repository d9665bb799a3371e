"""What a job costs, and when it pays back against a longer prompt; "never" is an answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from finetune.catalog import Row
from finetune.jobs import Estimate
from finetune.tokens import Tokens

_EXACT = 0.02
"""What a count may be off where the encoding is known: the form of a chat is not published to the last token."""
_DAYS_A_MONTH = 30.4
_LEAST_CACHED = 1024
"""A prompt shorter than this many tokens is not cached by any of the providers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How the bot is used, to tell when a job pays back.

    Attributes:
        requests: Requests a day.
        prompt: Tokens of a request as it is sent now, instructions, examples and passages included.
        saved: Tokens of it that a tuned model would no longer need.
        reply: Tokens of a reply.
    """

    requests: float
    prompt: float
    saved: float
    reply: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PayBack:
    """When a job pays back against one way of not tuning.

    Attributes:
        against: `the longer prompt`, or `the longer prompt, cached`.
        saves_usd: US dollars a day; below 0, the tuned model costs more.
        days: Days until the training is paid; None: never.
    """

    against: str
    saves_usd: float
    days: float | None

    def __str__(self) -> str:
        if self.days is None:
            more = "costs" if self.saves_usd < 0 else "saves"
            return (
                f"against {self.against}: never, the tuned model {more} ${abs(self.saves_usd):.2f} a day more"
                if self.saves_usd
                else f"against {self.against}: never"
            )
        return f"against {self.against}: after {self.days:.1f} days (${self.saves_usd:.2f} a day)"


def estimate(row: Row, tokens: Tokens, epochs: float, *, cap_usd: float) -> Estimate:
    """Return what a job is expected to cost: training, and one month of keeping the model.

    Where no price is known, the cap stands for it, and the basis says so.
    """
    if row.train_usd is None:
        return Estimate(
            low=0.0,
            high=cap_usd,
            basis=f"no training price is known for {row.model}; the cap of ${cap_usd:.2f} stands for it",
        )
    if row.provider == "local":
        return Estimate()
    unit = row.train_usd * epochs / 1e6
    margin = _EXACT if tokens.exact else 0.0
    return Estimate(
        low=tokens.low * unit * (1 - margin),
        high=tokens.high * unit * (1 + margin) + row.month_usd,
        basis=f"{tokens.basis} x {epochs:g} epochs at ${row.train_usd:g} a million{_kept(row)}; prices of {row.as_of}",
        exact=tokens.exact,
    )


def likely(row: Row, tokens: Tokens, epochs: float) -> float:
    """Return the likely price of the training alone, US dollars; 0 where no price is known."""
    return tokens.total * (row.train_usd or 0.0) * epochs / 1e6


def pay_back(row: Row, train_usd: float, use: Use) -> tuple[PayBack, ...]:
    """Return when a job pays back against the longer prompt, plain and cached; empty if prices are not known."""
    if row.base_usd is None or row.input_usd is None or row.output_usd is None:
        return ()
    standing = row.month_usd / _DAYS_A_MONTH
    if row.serving[0] == "throughput":
        standing += 24 * (row.hour_usd or 0.0)
    tuned = use.requests / 1e6 * ((use.prompt - use.saved) * row.input_usd + use.reply * row.output_usd)
    return tuple(_paid(name, base - tuned - standing, train_usd) for name, base in _untuned(row, use))


def _untuned(row: Row, use: Use) -> Iterator[tuple[str, float]]:
    assert row.base_usd is not None
    input_usd, cached_usd, output_usd = row.base_usd
    replies = use.reply * output_usd
    yield "the longer prompt", use.requests / 1e6 * (use.prompt * input_usd + replies)
    cached = use.saved if use.saved >= _LEAST_CACHED else 0.0
    mixed = (use.prompt - cached) * input_usd + cached * cached_usd
    yield "the longer prompt, cached", use.requests / 1e6 * (mixed + replies)


def _paid(name: str, saves: float, train_usd: float) -> PayBack:
    return PayBack(against=name, saves_usd=saves, days=train_usd / saves if saves > 0 else None)


def _kept(row: Row) -> str:
    return f", and ${row.month_usd:g} a month for keeping the model" if row.month_usd else ""
