"""The plan as cards in the order to try them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from advisor.issues import Issue
from advisor.plan import Remedy
from advisor.report.charts import gain_bar
from advisor.report.markup import Pen, chip, esc, folded
from advisor.report.words import KIND_WORDS, gain_words, hours, money, percent, price_words, several
from advisor.result import Result

_SHOWN = 40


def plan_section(result: Result, pen: Pen) -> str:
    """Return the section of the plan."""
    remedies = result.plan.remedies
    if not remedies:
        return '<p class="quiet">There is nothing to do: no failure asks for a remedy.</p>'
    issues = {i.id: i for i in result.issues}
    cards = "".join(
        _card(n, r, issues, result.plan.failures, pen) for n, r in enumerate(remedies[:_SHOWN], 1)
    )
    more = len(remedies) - _SHOWN
    rest = f'<p class="quiet">and {more:,} more in the plan file.</p>' if more > 0 else ""
    return f'<ol class="plan">{cards}</ol>{rest}'


def _card(number: int, remedy: Remedy, issues: Mapping[str, Issue], failures: int, pen: Pen) -> str:
    blocked = chip("blocked", "blocked") if remedy.blocked else ""
    css = " is-blocked" if remedy.blocked else ""
    return (
        f'<li class="card k-{esc(remedy.kind)}{css}" id="remedy-{esc(remedy.id)}"><span class="rank" aria-hidden="true">{number}</span>'
        f'<div class="card-body"><p class="chips">{chip(KIND_WORDS[remedy.kind], "kind")}{blocked}</p>'
        f'<h3 dir="auto">{pen.sentence(remedy.action, limit=240)}</h3>{_figures(remedy, failures, pen)}'
        f"{_reasons(remedy, pen)}{_needs(remedy, pen)}{_covers(remedy, issues, pen)}"
        f'<div class="folds">{_bases(remedy, pen)}{_details(remedy, pen)}</div></div></li>'
    )


def _figures(remedy: Remedy, failures: int, pen: Pen) -> str:
    price, gain = remedy.price, remedy.gain
    cap = f"<small>never more than {money(price.cap)} without asking</small>" if price.cap > 0 else ""
    share = (
        f"<small>{percent(gain.low)} to {percent(gain.high)} of what it addresses</small>"
        if gain.high > 0
        else ""
    )
    drawn = gain_bar(gain, failures) if gain.failures else ""
    return (
        f'<dl class="figures"><div><dt>Mends</dt><dd>{esc(gain_words(gain))}{drawn}{share}</dd></div>'
        f"<div><dt>Price</dt><dd>{esc(price_words(price))}{cap}</dd></div>"
        f"<div><dt>A person's time</dt><dd>{esc(hours(remedy.effort_hours))}</dd></div></dl>"
    )


def _bases(remedy: Remedy, pen: Pen) -> str:
    rows = (("Price", remedy.price.basis), ("Gain", remedy.gain.basis))
    drawn = "".join(f"<p><strong>{name}.</strong> {pen.sentence(words)}</p>" for name, words in rows if words)
    return folded("How the figures were reached", drawn) if drawn else ""


def _reasons(remedy: Remedy, pen: Pen) -> str:
    rows = (("Why this", remedy.why), ("Why not the next", remedy.why_not_next))
    return "".join(
        f'<p class="reason" dir="auto"><strong>{name}.</strong> {pen.sentence(words, limit=900)}</p>'
        for name, words in rows
        if words
    )


def _needs(remedy: Remedy, pen: Pen) -> str:
    if not remedy.needs:
        return ""
    rows = "".join(f'<li dir="auto">{pen.sentence(n)}</li>' for n in remedy.needs)
    return f'<div class="needs"><strong>{"Blocked; first needs" if remedy.blocked else "Needs"}</strong><ul>{rows}</ul></div>'


def _covers(remedy: Remedy, issues: Mapping[str, Issue], pen: Pen) -> str:
    known = [issues[i] for i in remedy.issues if i in issues]
    if not known:
        return ""
    rows = "".join(
        f'<li><a href="#issue-{esc(i.id)}" dir="auto">{pen.line(i.title, limit=160)}</a> <small>{i.rate.count:,}</small></li>'
        for i in known[:6]
    )
    more = f"<li><small>and {len(known) - 6:,} more</small></li>" if len(known) > 6 else ""
    return f'<div class="covers"><strong>Covers {several(len(remedy.issues), "issue")}</strong><ul>{rows}{more}</ul></div>'


def _details(remedy: Remedy, pen: Pen) -> str:
    if not remedy.details:
        return ""
    rows = "".join(
        f"<dt>{pen.line(k.replace('_', ' '), limit=60)}</dt><dd>{_value(v, pen)}</dd>"
        for k, v in list(remedy.details.items())[:20]
    )
    return folded("What would be applied", f'<dl class="details">{rows}</dl>')


def _value(value: object, pen: Pen) -> str:
    if isinstance(value, str):
        return f'<div class="applied" dir="auto">{pen.text(value, limit=2_000)}</div>'
    if isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value):
        more = f"<li>and {len(value) - 12:,} more</li>" if len(value) > 12 else ""
        return "<ul>" + "".join(f'<li dir="auto">{pen.line(v)}</li>' for v in value[:12]) + more + "</ul>"
    return f"<code>{pen.text(json.dumps(value, ensure_ascii=False, default=str), limit=600)}</code>"
