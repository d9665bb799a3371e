"""Paying: what asking the bot for a remedy may cost at most, agreed to before it is asked; no more than that is spent."""

from __future__ import annotations

import math

from advisor.apply.weakening import MOST, STRENGTHS
from advisor.apply.workplace import Workplace
from advisor.gate import irrelevance
from advisor.plan import Remedy

_TRIALS = 12
"""Changes to the prompt that are tried, at most."""


def refused(place: Workplace, remedy: Remedy) -> str:
    """Return why the bot may not be asked for a remedy; empty if it may, and what was agreed to may be spent from then on."""
    budget, model, most = place.budget, place.base.model, place.config.gate.cap_usd
    if budget.price is None:
        what = f"asking {model} for {remedy.kind}"
        if place.agreed(remedy.kind, what, math.inf):
            return ""
        return f"not agreed: {what} costs what nobody knows; set `probe.price`"
    usd = budget.cost(calls(place, remedy))
    if budget.usd is None or usd == 0:
        return ""
    usd = min(usd, most - budget.usd)
    if usd <= 0:
        return f"the ${most:.2f} of `gate.cap_usd` are spoken for; raise it"
    if not place.agreed(remedy.kind, f"asking {model} for {remedy.kind}", usd):
        return f"not agreed: asking {model} for {remedy.kind} may cost up to ${usd:.2f}"
    budget.usd += usd
    return ""


def calls(place: Workplace, remedy: Remedy) -> int:
    """Return the most calls that making and gating a remedy takes, as a rule; known answers make them fewer."""
    config, kind = place.config, remedy.kind
    teaching = len(place.failures(remedy, held_out=False)) + len(
        place.good(held_out=False, most=config.gate.good)
    )
    judging = len(place.failures(remedy, held_out=True)) + len(
        place.good(held_out=True, most=config.gate.good)
    )
    # As it is, with the change, and with all changes; once more as it is where there is chance.
    asked = judging * (3 + (place.base.generation.temperature > 0))
    if kind == "ChangePrompt":
        asked += min(teaching, 60) * _TRIALS + (config.improve.judged if config.improve.model else 0)
    if kind == "FineTune":
        # As it is and at three strengths of an adapter; general tasks, held-out questions and those that call for no tool, of two models.
        asked += min(teaching, 2 * MOST) * (2 + len(STRENGTHS)) + 2 * config.gate.general + judging
        if any(c.exchange.tools for c in place.cases):
            asked += 5 * irrelevance.MOST
    return asked * (1 + place.base.generation.retries)
