"""What a run says in the terminal: one screen that tells what failed, what to do first and where to look."""

from __future__ import annotations

from collections.abc import Iterator

from advisor.evidence import GAPS, Gap
from advisor.issues import Issue, Rate
from advisor.plan import Remedy
from advisor.report.cells import fit, pad, paint, wrap
from advisor.report.charts import scale
from advisor.report.clean import bounded, one_line
from advisor.report.sources import grouped
from advisor.report.transcript import exchange_text, issue_text
from advisor.report.words import (
    GAP_WORDS,
    duration,
    gain_words,
    hours,
    interval,
    percent,
    price_words,
    several,
    trend_words,
)
from advisor.result import Result
from rag import masking

__all__ = ["exchange_text", "issue_text", "summary"]

_NARROWEST = 40
_ISSUES, _REMEDIES, _SKIPS, _NOTICES = 7, 4, 2, 2
_HUES: dict[Gap, str] = {
    "knowledge": "blue",
    "style": "yellow",
    "tool_call": "magenta",
    "classification": "cyan",
}


def summary(result: Result, *, width: int = 100, colour: bool = False, mask: bool = True) -> str:
    """Return a result as at most 40 lines of at most `width` columns (40 at least), without a newline at the end.

    Args:
        result: What a run found.
        width: Columns of the terminal.
        colour: Whether to use ANSI colours.
        mask: Whether personal data in titles is masked.
    """
    width = max(_NARROWEST, width)
    screen = _Screen(width, colour=colour, mask=mask)
    lines = [*screen.head(result), *screen.gaps(result), *screen.issues(result), *screen.plan(result)]
    return "\n".join((*lines, *screen.skips(result), *screen.next(result)))


class _Screen:
    """Draws the parts of the summary."""

    def __init__(self, width: int, *, colour: bool, mask: bool) -> None:
        self._width, self._colour, self._mask = width, colour, mask

    def head(self, result: Result) -> Iterator[str]:
        failed, counts = result.failed, result.counts
        words = f"{failed.count:,} of {failed.total:,} replies failed: {percent(failed.value)} (95% interval {interval(failed)})"
        yield self._row(words if failed.total else "No exchange found.", "bold")
        read = f"{several(counts.files, 'file')} in {duration(result.seconds)}: {several(counts.records, 'record')}, {counts.skipped:,} skipped"
        if counts.duplicates:
            read += f", {several(counts.duplicates, 'duplicate')}"
        if result.documents is not None:
            read += f"; {several(result.documents, 'document')} to compare with"
        yield self._row(read, "dim")
        if result.calibration:
            yield from self._sentence(result.calibration, "dim")
        for notice in result.notices[:_NOTICES]:
            yield self._row(f"! {self._line(notice)}", "yellow")
        if len(result.notices) > _NOTICES:
            yield self._row(
                f"! {several(len(result.notices) - _NOTICES, 'further notice')} in the report", "yellow"
            )

    def gaps(self, result: Result) -> Iterator[str]:
        given = sorted(((g, result.gaps[g]) for g in GAPS if g in result.gaps), key=lambda x: -x[1].value)
        if not given or not result.failed.count:
            return
        unclear = f"; {result.plan.undetermined:,} left to a person" if result.plan.undetermined else ""
        yield from self._heading(f"What is missing, share of all exchanges{unclear}")
        top = scale(r for _, r in given)
        for gap, rate in given:
            yield self._gap(gap, rate, top)

    def _gap(self, gap: Gap, rate: Rate, top: float) -> str:
        figures = f"  {pad(GAP_WORDS[gap], 15)}{pad(percent(rate.value), 6, right=True)}  {pad(f'({interval(rate)})', 12)}{rate.count:>8,}  "
        room = min(40, self._width - len(figures))
        if room < 8:
            return self._row(figures.rstrip())
        return figures + paint(
            "█" * max(1, round(room * min(1.0, rate.value / top))), _HUES[gap], colour=self._colour
        )

    def issues(self, result: Result) -> Iterator[str]:
        shown = result.issues[:_ISSUES]
        if not shown:
            return
        size = f"{len(shown)} of {len(result.issues)}" if len(result.issues) > len(shown) else f"{len(shown)}"
        yield from self._heading(f"Issues, largest first ({size})")
        ids = max(len(self._line(i.id)) for i in shown)
        for issue in shown:
            yield self._issue(issue, min(ids, 20))

    def _issue(self, issue: Issue, ids: int) -> str:
        wide = self._width >= 70
        trend = trend_words(issue) if issue.trend.direction != "unknown" else ""
        figures = f"{issue.rate.count:>7,}  {pad(percent(issue.rate.value), 5, right=True)}  " + (
            f"{pad(trend, 10)} " if wide else ""
        )
        id_ = pad(self._line(issue.id), ids)
        title = pad(self._line(issue.title), self._width - len(figures) - ids - 1)
        return f"{figures}{title} {paint(id_, 'cyan', colour=self._colour)}"

    def plan(self, result: Result) -> Iterator[str]:
        remedies = result.plan.remedies
        if not remedies:
            return
        more = f" (first {_REMEDIES} of {len(remedies)})" if len(remedies) > _REMEDIES else ""
        yield from self._heading(f"What to do, in this order{more}")
        for number, remedy in enumerate(remedies[:_REMEDIES], 1):
            yield from self._remedy(number, remedy)

    def _remedy(self, number: int, remedy: Remedy) -> Iterator[str]:
        yield self._row(f"  {number}. {self._line(remedy.action)}")
        gain = (
            f"mends {gain_words(remedy.gain)}"
            if remedy.gain.high > 0 and remedy.gain.failures
            else "gain not known"
        )
        effort = f"{hours(remedy.effort_hours)} of a person's time" if remedy.effort_hours[1] > 0 else ""
        blocked = f"blocked: needs {'; '.join(map(self._line, remedy.needs))}" if remedy.blocked else ""
        parts = (price_words(remedy.price), gain, effort, blocked)
        yield self._row("     " + " · ".join(p for p in parts if p), "yellow" if remedy.blocked else "dim")

    def skips(self, result: Result) -> Iterator[str]:
        if not result.counts.skipped and not result.unknown_scores:
            return
        unknown = ", ".join(self._line(n) for n in result.unknown_scores[:6])
        unused = f"; scores not understood: {unknown}" if unknown else ""
        yield from self._heading(f"Skipped {several(result.counts.skipped, 'record')}{unused}")
        for (reason, keys), found in grouped(result.skips)[:_SKIPS]:
            place = f"{found[0].file}:{found[0].line}"
            named = f"; keys {', '.join(keys[:6])}" if keys else ""
            yield self._row(f"{len(found):>7,}  {self._line(f'{place}: {reason}{named}')}")

    def next(self, result: Result) -> Iterator[str]:
        if not result.issues:
            return
        first = result.issues[0]
        shown = f"advise show {self._line(first.id)}"
        if first.examples:
            shown += f"   or one exchange: advise show {self._line(first.examples[0])}"
        yield ""
        yield self._row(f"Look closer: {shown}", "bold")

    def _heading(self, words: str) -> Iterator[str]:
        yield ""
        yield self._row(words, "bold")

    def _sentence(self, text: str, style: str) -> Iterator[str]:
        lines = wrap(self._line(text), self._width)
        shown = lines if len(lines) <= 2 else [lines[0], " ".join(lines[1:])]
        yield from (self._row(x, style) for x in shown)

    def _row(self, text: str, style: str = "") -> str:
        shown = fit(text, self._width)
        return paint(shown, style, colour=self._colour) if style else shown

    def _line(self, text: str) -> str:
        plain = one_line(bounded(text))
        return masking.mask(plain) if self._mask else plain
