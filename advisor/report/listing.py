"""The issues, largest first, each with its figures and its examples."""

from __future__ import annotations

from collections.abc import Sequence

from advisor.evidence import GAPS
from advisor.issues import Issue
from advisor.report.charts import scale, sparkline, whisker
from advisor.report.conversation import conversation
from advisor.report.markup import Pen, chip, esc, folded
from advisor.report.words import GAP_WORDS, UNCLEAR, cause_words, interval, percent, several, trend_words
from advisor.result import Result

_SHOWN, _WITH_EXAMPLES = 200, 40
_FILTER_FROM = 5
_ORIGINS = {
    "declared": "declared in the contract",
    "system": "read off the system prompt",
    "request": "read off the request",
}


def issues_section(result: Result, pen: Pen) -> str:
    """Return the section of the issues."""
    issues = result.issues[:_SHOWN]
    if not issues:
        return '<p class="quiet">No issue: no reply failed.</p>'
    top = scale(i.rate for i in issues)
    rows = "".join(_issue(n, i, result, top, pen) for n, i in enumerate(issues))
    more = len(result.issues) - len(issues)
    rest = (
        f'<p class="quiet">and {more:,} smaller issues; <code>--json</code> has them all.</p>'
        if more > 0
        else ""
    )
    head = (
        '<div class="issue-head" aria-hidden="true"><span>Issue</span><span>Failures</span>'
        f"<span>Share of all, 0 to {percent(top)}</span><span>Over time</span><span>Sure</span></div>"
    )
    return f'{_filter(result.issues)}<div class="issues">{head}{rows}</div>{rest}'


def _filter(issues: Sequence[Issue]) -> str:
    """Buttons that leave only one gap's issues; the style sheet does the work."""
    gaps = [g for g in GAPS if any(g in i.gaps for i in issues)]
    if len(issues) < _FILTER_FROM or len(gaps) < 2:
        return ""
    choices = [("all", "All"), *((g, GAP_WORDS[g]) for g in gaps)]
    if any(not i.gaps for i in issues):
        choices.append(("none", UNCLEAR))
    drawn = "".join(
        f'<label class="choice g-{key}"><input type="radio" name="gap" id="only-{key}"{" checked" if key == "all" else ""}>{words}</label>'
        for key, words in choices
    )
    return f'<fieldset class="filter"><legend class="unseen">Show only</legend>{drawn}</fieldset>'


def _issue(number: int, issue: Issue, result: Result, top: float, pen: Pen) -> str:
    gaps = "".join(chip(GAP_WORDS[g], f"g-{g}") for g in issue.gaps) or chip(UNCLEAR, "g-none")
    cause = chip(cause_words(issue.cause), "plain") if issue.cause else ""
    css = " ".join(f"has-{g}" for g in issue.gaps) or "has-none"
    spark = sparkline(issue.trend) or '<span class="quiet">–</span>'
    summary = (
        f'<h3 class="issue-title" dir="auto">{pen.line(issue.title, limit=200)}</h3><span class="chips">{gaps}{cause}</span>'
        f'<span class="count"><strong>{issue.rate.count:,}</strong><small>failures</small></span>'
        f'<span class="rate">{whisker(issue.rate, top)}<small>{percent(issue.rate.value)} ({interval(issue.rate)})</small></span>'
        f'<span class="trend">{spark}<small>{esc(trend_words(issue))}</small></span>'
        f'<span class="sure">{percent(issue.confidence) if issue.gaps else "–"}<small>sure</small></span>'
    )
    body = f'<div class="issue-body">{_facts(issue, pen)}{_examples(number, issue, result, pen)}</div>'
    open_ = " open" if number == 0 else ""
    return f'<details class="issue {css}" id="issue-{esc(issue.id)}"{open_}><summary>{summary}</summary>{body}</details>'


def _facts(issue: Issue, pen: Pen) -> str:
    rows = [
        ("Tenants", _named(issue.tenants, pen)),
        ("About", ", ".join(pen.line(t, limit=40) for t in issue.topic[:12])),
        ("Rules broken", "".join(_rule(b.rule, b.origin, b.words, pen) for b in issue.broken[:6])),
        (
            "Distinct",
            f"{issue.distinct:,} of {issue.rate.count:,} after near-duplicates are collapsed"
            if issue.distinct < issue.rate.count
            else "",
        ),
        ("Right answer", f"the log holds it for {issue.corrected:,}" if issue.corrected else ""),
        ("Unclear", f"{issue.undetermined:,} of them a person should look at" if issue.undetermined else ""),
        ("Checks", ", ".join(f"<code>{pen.line(s, limit=80)}</code>" for s in issue.signature[:8])),
    ]
    drawn = "".join(f"<div><dt>{name}</dt><dd>{words}</dd></div>" for name, words in rows if words)
    asked = ""
    if issue.questions:
        lines = "".join(f'<li dir="auto">{pen.line(q, limit=200)}</li>' for q in issue.questions)
        asked = folded(
            several(len(issue.questions), "question") + " people asked", f'<ul class="questions">{lines}</ul>'
        )
    return f'<dl class="facts">{drawn}</dl>{asked}<p class="quiet">All of it: <code>advise show {esc(issue.id)}</code></p>'


def _named(names: Sequence[str], pen: Pen) -> str:
    shown = ", ".join(f"<bdi>{pen.line(n, limit=40)}</bdi>" for n in names[:8])
    return shown + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")


def _rule(rule: str, origin: str, words: str, pen: Pen) -> str:
    quoted = f"<q>{pen.line(words, limit=200)}</q> " if words else ""
    return f'<div class="rule" dir="auto">{quoted}<small><code>{pen.line(rule, limit=120)}</code>, {esc(_ORIGINS.get(origin, origin))}</small></div>'


def _examples(number: int, issue: Issue, result: Result, pen: Pen) -> str:
    given = [result.examples[e] for e in issue.examples if e in result.examples]
    if number >= _WITH_EXAMPLES or not given:
        return ""
    drawn = []
    for n, example in enumerate(given):
        asked = example.exchange.question or example.exchange.reply.content
        summary = f'<span class="quiet">Example {n + 1}</span> <bdi>{pen.line(asked, limit=110) or "(nothing was said)"}</bdi>'
        body = conversation(example.exchange, example.diagnosis, pen=pen, anchor=f"n{number}-{n}-")
        drawn.append(folded(summary, body, css="fold example", open_=n == 0))
    return "".join(drawn)
