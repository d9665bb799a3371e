"""The head of the page: how many replies failed, in which way, and what to know before trusting the figures."""

from __future__ import annotations

from advisor.evidence import GAPS
from advisor.report.charts import bar, scale, whisker
from advisor.report.markup import Pen, esc
from advisor.report.words import GAP_WORDS, UNCLEAR, duration, interval, percent, several
from advisor.result import Result

GAP_HINTS = {
    "knowledge": "the bot lacks or misses what it should know",
    "style": "the reply is not in the form or tone asked for",
    "tool_call": "a tool is called wrongly, or not at all",
    "classification": "the label chosen is not the right one",
}


def overview(result: Result, pen: Pen) -> str:
    """Return the head of the page."""
    notices = "".join(
        f'<p class="notice" role="note" dir="auto">{pen.sentence(n)}</p>' for n in result.notices
    )
    return (
        f'<section class="hero" aria-labelledby="failed"><div class="figure">{_headline(result, pen)}</div>'
        f'<div class="gaps"><h2>What is missing</h2>{_gaps(result)}</div></section>{notices}'
    )


def _headline(result: Result, pen: Pen) -> str:
    failed = result.failed
    if not failed.total:
        return '<h2 id="failed" class="big">No exchange found</h2><p>See what was read, below.</p>'
    calibration = (
        f'<p class="calibration">{pen.sentence(result.calibration)}</p>' if result.calibration else ""
    )
    return (
        f'<h2 id="failed"><span class="big">{percent(failed.value)}</span> of replies failed</h2>'
        f'<p class="strip">{whisker(failed, 1.0)}<span class="axis"><span>0</span><span>100%</span></span></p>'
        f"<p><strong>{failed.count:,}</strong> of <strong>{failed.total:,}</strong> exchanges; "
        f'95% interval {interval(failed)}.</p>{calibration}<p class="quiet">{esc(_span(result))}</p>'
    )


def _span(result: Result) -> str:
    counts = result.counts
    unclear = result.plan.undetermined
    read = f"{several(counts.files, 'file')} read in {duration(result.seconds)}"
    if result.documents is not None:
        read += f", compared with {several(result.documents, 'document')}"
    return read + (f". {several(unclear, 'failure')} left to a person." if unclear else ".")


def _gaps(result: Result) -> str:
    given = [(g, result.gaps[g]) for g in GAPS if g in result.gaps]
    if not given or not result.failed.count:
        return '<p class="quiet">Nothing failed, so nothing is missing.</p>'
    top = scale(r for _, r in given)
    rows = "".join(
        f'<div class="gap-row"><dt><span class="dot g-{g}"></span>{GAP_WORDS[g]}<small>{GAP_HINTS[g]}</small></dt>'
        f'<dd>{bar(r, top, f"g-{g}")}<span class="value">{percent(r.value)}<small>{interval(r)} · {r.count:,}</small></span></dd></div>'
        for g, r in sorted(given, key=lambda x: -x[1].value)
    )
    unclear = result.plan.undetermined
    rest = f" {UNCLEAR}: {unclear:,}." if unclear else ""
    return (
        f'<dl>{rows}</dl><p class="quiet">Share of all exchanges with its 95% interval; the axis ends at {percent(top)}. '
        f"A reply with two gaps counts in both.{rest}</p>"
    )
