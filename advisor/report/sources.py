"""What was read and what was not: counts, kinds of log, what was skipped and why."""

from __future__ import annotations

from collections.abc import Sequence

from advisor.logs.records import Skip
from advisor.report.markup import Pen, esc
from advisor.report.words import several
from advisor.result import Result

_GROUPS = 60


def sources_section(result: Result, pen: Pen) -> str:
    """Return the section on what was read."""
    return f"{_counts(result)}{_dialects(result, pen)}{_scores(result, pen)}{_skips(result, pen)}"


def _counts(result: Result) -> str:
    c = result.counts
    rows = [
        ("Files", c.files, f"{c.bytes / 1e6:,.1f} MB" if c.bytes else ""),
        ("Records", c.records, f"{c.read:,} read + {c.skipped:,} skipped"),
        ("Model calls", c.calls, ""),
        ("Notes on calls", c.notes, f"{c.joined:,} found their call" if c.notes else ""),
        (
            "Exchanges",
            c.exchanges,
            f"{c.duplicates:,} identical records collapsed into them" if c.duplicates else "",
        ),
    ]
    drawn = "".join(
        f"<div><dt>{name}</dt><dd>{number:,}{f'<small>{esc(more)}</small>' if more else ''}</dd></div>"
        for name, number, more in rows
    )
    return f'<dl class="figures counts">{drawn}</dl>'


def _dialects(result: Result, pen: Pen) -> str:
    found = result.counts.dialects.most_common()
    if not found:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{pen.line(name)}</th><td class="number">{n:,}</td></tr>' for name, n in found
    )
    return _table("Read as", ("Kind of log", "Records"), rows)


def _scores(result: Result, pen: Pen) -> str:
    if not result.unknown_scores:
        return ""
    names = ", ".join(f"<code>{pen.line(n, limit=60)}</code>" for n in result.unknown_scores[:40])
    more = len(result.unknown_scores) - 40
    rest = f" and {more:,} more" if more > 0 else ""
    return f'<p class="notice" role="note">Scores left unused, because it is not known which end is good: {names}{rest}.</p>'


def _skips(result: Result, pen: Pen) -> str:
    if not result.counts.skipped:
        return '<p class="quiet">Nothing was skipped.</p>'
    groups = grouped(result.skips)
    rows = "".join(_row(reason, keys, found, pen) for (reason, keys), found in groups[:_GROUPS])
    unseen = result.counts.skipped - len(result.skips)
    more = f'<p class="quiet">{unseen:,} further skips are not listed.</p>' if unseen > 0 else ""
    return (
        _table(
            f"Skipped: {several(result.counts.skipped, 'record')}",
            ("Number", "Reason", "Keys of the record", "Where"),
            rows,
        )
        + more
    )


def grouped(skips: Sequence[Skip]) -> list[tuple[tuple[str, tuple[str, ...]], list[Skip]]]:
    """Group skips by reason and keys, most frequent first."""
    groups: dict[tuple[str, tuple[str, ...]], list[Skip]] = {}
    for skip in skips:
        groups.setdefault((skip.reason, skip.keys), []).append(skip)
    return sorted(groups.items(), key=lambda g: -len(g[1]))


def _row(reason: str, keys: tuple[str, ...], found: Sequence[Skip], pen: Pen) -> str:
    places = ", ".join(f"<bdi>{pen.line(f'{s.file}:{s.line}', limit=70)}</bdi>" for s in found[:3])
    more = f" and {len(found) - 3:,} more" if len(found) > 3 else ""
    named = " ".join(f"<code>{pen.line(k, limit=40)}</code>" for k in keys[:16]) or "–"
    return f'<tr><td class="number">{len(found):,}</td><td>{pen.sentence(reason)}</td><td>{named}</td><td>{places}{more}</td></tr>'


def _table(caption: str, heads: Sequence[str], rows: str) -> str:
    head = "".join(f'<th scope="col">{esc(h)}</th>' for h in heads)
    return (
        f'<div class="table" role="region" tabindex="0" aria-label="{esc(caption)}"><table><caption>{esc(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
