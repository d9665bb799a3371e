"""Draws one exchange as a conversation with the quoted evidence marked and the notes beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence
from advisor.exchange import Exchange
from advisor.report.clean import one_line
from advisor.report.markup import Pen, chip, esc, folded
from advisor.report.scene import Line, Note, Scene, Text, scene
from advisor.report.words import GAP_WORDS, STANDING_WORDS, cause_words, firmness, likeliest, percent, several

_RECENT = 5
_LIMIT, _LONG = 1_800, 3_000
_SPEAKERS = {
    "system": "System prompt",
    "user": "Person",
    "assistant": "Bot",
    "tool": "Tool",
    "passage": "Passage",
    "expected": "The right answer, as the log has it",
    "feedback": "Feedback",
    "error": "Error in place of a reply",
}


def conversation(exchange: Exchange, diagnosis: Diagnosis, *, pen: Pen, anchor: str) -> str:
    """Return an exchange with its diagnosis as HTML; `anchor` is a prefix for ids, unique in the page."""
    laid = scene(exchange, diagnosis)
    said = "".join(
        (
            _system(laid, pen, anchor),
            _before(laid, pen, anchor),
            _passages(laid, exchange, pen, anchor),
            _line(laid.reply, pen, anchor),
            _line(laid.expected, pen, anchor) if laid.expected else "",
            "".join(_line(x, pen, anchor) for x in laid.feedback),
            _later(laid.later, pen, anchor),
        )
    )
    return (
        f'<article class="exchange">{_head(exchange, diagnosis, pen)}'
        f'<div class="scene"><div class="chat">{said}</div>{_notes(laid, pen, anchor)}</div></article>'
    )


def _head(exchange: Exchange, diagnosis: Diagnosis, pen: Pen) -> str:
    facts = [
        f"<code>{pen.line(exchange.id, limit=40)}</code>",
        pen.line(str(exchange.source), limit=80),
        pen.line(exchange.model, limit=60) if exchange.model else "",
        f"tenant {pen.line(exchange.tenant, limit=60)}" if exchange.tenant else "",
        esc(when(exchange.time)),
        f"turn {exchange.turn + 1}" if exchange.turn else "",
        f"ended by {pen.line(exchange.finish_reason, limit=30)}"
        if exchange.finish_reason not in (None, "stop")
        else "",
        f"{exchange.copies:,} identical records" if exchange.copies > 1 else "",
    ]
    named = "".join(chip(f"{GAP_WORDS[g]} {percent(diagnosis.gaps[g])}", f"g-{g}") for g in diagnosis.named)
    unclear = "" if diagnosis.named else chip(f"likeliest: {likeliest(diagnosis)}", "g-none")
    cause = chip(cause_words(diagnosis.cause), "plain") if diagnosis.cause else ""
    standing = chip(STANDING_WORDS[diagnosis.standing], f"standing {diagnosis.standing}")
    failed = chip(
        f"{percent(diagnosis.failed)} likely to have failed"
        + ("" if diagnosis.calibrated else ", uncalibrated"),
        "plain",
    )
    where = " · ".join(f"<bdi>{f}</bdi>" for f in facts if f)
    return f'<header class="exchange-head"><div class="chips">{named}{unclear}{cause}{standing}{failed}</div><p class="where">{where}</p></header>'


def when(time: float | None) -> str:
    """Write a time in seconds since the epoch as UTC; empty if it is unknown or out of range."""
    try:
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC") if time is not None else ""
    except (OverflowError, OSError, ValueError):
        return ""


def _system(laid: Scene, pen: Pen, anchor: str) -> str:
    body = "".join(_bubble(x.body, pen, anchor, limit=_LONG) for x in laid.system)
    size = sum(len(x.body.text) for x in laid.system)
    return _fold(f"System prompt <small>{size:,} characters</small>", laid.system, body) if size else ""


def _before(laid: Scene, pen: Pen, anchor: str) -> str:
    asked = max((i for i, x in enumerate(laid.before) if x.speaker == "user"), default=len(laid.before))
    at = max(0, min(asked, len(laid.before) - _RECENT))
    early, recent = laid.before[:at], laid.before[at:]
    drawn = "".join(_line(x, pen, anchor) for x in early[-40:])
    hidden = _fold(several(len(early), "earlier message"), early, drawn) if early else ""
    return hidden + "".join(_line(x, pen, anchor) for x in recent)


def _passages(laid: Scene, exchange: Exchange, pen: Pen, anchor: str) -> str:
    if laid.passages is None:
        return ""
    if not laid.passages:
        return '<p class="aside">Retrieval found nothing.</p>'
    drawn = "".join(
        f'<div class="passage">{_title(x, pen)}{_bubble(x.body, pen, anchor, limit=1_200)}</div>'
        for x in laid.passages
    )
    more = len(exchange.passages or ()) - len(laid.passages)
    drawn += f'<p class="aside">and {more:,} more</p>' if more > 0 else ""
    return _fold(several(len(exchange.passages or ()), "retrieved passage"), laid.passages, drawn)


def _later(lines: Sequence[Line], pen: Pen, anchor: str) -> str:
    if not lines:
        return ""
    return f'<p class="aside">What followed</p>{"".join(_line(x, pen, anchor) for x in lines[:8])}'


def _fold(summary: str, lines: Iterable[Line], body: str) -> str:
    """Fold a part of the conversation; numbers on the fold say which notes quote it."""
    notes = sorted({n for x in lines for n in x.notes})
    seen = "".join(f'<span class="ref">{n}</span>' for n in notes)
    return folded(f"{summary} {seen}", body, css="fold part")


def _line(line: Line, pen: Pen, anchor: str) -> str:
    name = _SPEAKERS[line.speaker] + (" · judged reply" if line.judged else "")
    calls = "".join(
        f'<div class="call"><span class="call-name" dir="auto">{pen.line(n, limit=120) or "(no name)"}</span>'
        f"{_bubble(arguments, pen, anchor, limit=_LIMIT)}</div>"
        for n, arguments in line.calls
    )
    body = ""
    if line.body.text.strip():
        body = _bubble(line.body, pen, anchor, limit=_LIMIT)
    elif not calls and line.speaker != "feedback":
        body = '<p class="aside">(empty)</p>'
    css = f"said {line.speaker}{' judged' if line.judged else ''}{' bad' if line.failed else ''}"
    error = " · reported an error" if line.failed and line.speaker == "tool" else ""
    return f'<div class="{css}"><div class="who">{name}{error}{_title(line, pen)}</div>{body}{calls}</div>'


def _title(line: Line, pen: Pen) -> str:
    return f'<span class="title" dir="auto">{pen.line(line.title, limit=140)}</span>' if line.title else ""


def _bubble(text: Text, pen: Pen, anchor: str, *, limit: int) -> str:
    code = text.text.lstrip()[:1] in ("{", "[", "<", "`") and len(text.text) > 2
    # A quote that is nearly the whole text would only paint it; a line at its side says the same more quietly.
    whole = any((s.end - s.start) > 0.85 * len(text.text.strip()) > 140 for s in text.spans)
    css = f"bubble{' code' if code else ''}{' whole' if whole else ''}"
    # Code is left to right in every script; prose goes the way its first letter goes.
    way = "ltr" if code else "auto"
    return f'<div class="{css}" dir="{way}">{pen.pieces(text.pieces(mask=pen.mask, limit=limit), anchor=anchor)}</div>'


def _notes(laid: Scene, pen: Pen, anchor: str) -> str:
    if not laid.notes and not laid.against:
        return '<aside class="notes"><p class="aside">The checks saw nothing here that can be quoted.</p></aside>'
    shown = "".join(_note(n, pen, anchor) for n in laid.notes)
    rest = _others("weaker sign", laid.further, pen) + _others(
        "sign against it", laid.against, pen, "signs against it"
    )
    return f'<aside class="notes" aria-label="Evidence"><ol>{shown}</ol>{rest}</aside>'


def _note(note: Note, pen: Pen, anchor: str) -> str:
    e = note.evidence
    quotes = "".join(
        f'<blockquote dir="auto">{pen.text(q.text, limit=300)}<cite>{esc(q.place)}{f" {pen.line(q.id, limit=60)}" if q.id else ""}</cite></blockquote>'
        for q in note.elsewhere[:3]
    )
    about = " · ".join(
        x
        for x in (GAP_WORDS.get(e.gap, e.gap) if e.gap else "", cause_words(e.cause), firmness(e.strength))
        if x
    )
    return (
        f'<li id="{anchor}{note.number}" class="g-{e.gap or "none"}" tabindex="-1"><span class="number">{note.number}</span>'
        f'<div><p dir="auto">{pen.sentence(e.note, limit=400)}</p>{quotes}<p class="about">{esc(about)} · <code>{esc(one_line(e.check))}</code></p></div></li>'
    )


def _others(one: str, found: Sequence[Evidence], pen: Pen, many: str | None = None) -> str:
    if not found:
        return ""
    rows = "".join(
        f'<li dir="auto">{pen.sentence(e.note, limit=300)} <small>{esc(firmness(e.strength))}</small></li>'
        for e in found[:12]
    )
    return folded(several(len(found), one, many), f"<ul>{rows}</ul>")
