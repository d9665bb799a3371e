"""One exchange or one issue in the terminal, the quoted evidence marked in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from advisor.diagnosis import Diagnosis
from advisor.exchange import Exchange
from advisor.issues import Issue
from advisor.report.cells import fit, paint, wrap
from advisor.report.clean import bounded, cut, one_line
from advisor.report.marks import Piece
from advisor.report.scene import Line, Note, Scene, Text, scene
from advisor.report.words import (
    GAP_WORDS,
    STANDING_WORDS,
    cause_words,
    firmness,
    interval,
    percent,
    several,
    trend_words,
    verdict,
)
from advisor.result import Example
from rag import masking

_OPEN, _CLOSE = "\ue000", "\ue001"
_RECENT = 12
_SAID, _SYSTEM, _PASSAGE = 3_000, 1_200, 600
_NAMES = {
    "system": "SYSTEM",
    "user": "PERSON",
    "assistant": "BOT",
    "tool": "TOOL",
    "passage": "PASSAGE",
    "expected": "RIGHT ANSWER (from the log)",
    "feedback": "FEEDBACK",
    "error": "ERROR",
}


def issue_text(
    issue: Issue,
    examples: Mapping[str, Example],
    *,
    width: int = 100,
    colour: bool = False,
    mask: bool = True,
) -> str:
    """Return an issue with its figures, its questions and its examples in place.

    Args:
        issue: The issue.
        examples: Examples by exchange id; `Result.examples` will do.
        width: Columns of the terminal.
        colour: Whether to use ANSI colours.
        mask: Whether personal data is masked.
    """
    typist = _Typist(width, colour=colour, mask=mask)
    parts = ["\n".join(typist.issue(issue))]
    for id_ in issue.examples:
        example = examples.get(id_)
        if example is not None:
            parts.append("\n".join((typist.rule(), *typist.exchange(example.exchange, example.diagnosis))))
    return "\n\n".join(parts)


def exchange_text(
    exchange: Exchange, diagnosis: Diagnosis, *, width: int = 100, colour: bool = False, mask: bool = True
) -> str:
    """Return an exchange as a conversation; quotes stand in «», or in reverse video, with the note's number.

    Args:
        exchange: The exchange.
        diagnosis: What is wrong with it.
        width: Columns of the terminal.
        colour: Whether to use ANSI colours.
        mask: Whether personal data is masked.
    """
    return "\n".join(_Typist(width, colour=colour, mask=mask).exchange(exchange, diagnosis))


class _Typist:
    """Writes the parts of a transcript."""

    def __init__(self, width: int, *, colour: bool, mask: bool) -> None:
        self._width, self._colour, self._mask = max(40, width), colour, mask

    def issue(self, issue: Issue) -> Iterator[str]:
        yield from self._wrapped(self._line(issue.title, limit=300), style="bold")
        named = " + ".join(GAP_WORDS[g] for g in issue.gaps) or "unclear"
        cause = f": {cause_words(issue.cause)}" if issue.cause else ""
        yield from self._wrapped(
            f"{issue.id} · {named}{cause} · {percent(issue.confidence)} sure", style="dim"
        )
        rate = issue.rate
        yield from self._wrapped(
            f"{rate.count:,} of {rate.total:,} exchanges, {percent(rate.value)} (95% interval {interval(rate)}); {trend_words(issue)}"
            + (f"; {issue.undetermined:,} undetermined" if issue.undetermined else "")
            + (f"; the log holds the right answer for {issue.corrected:,}" if issue.corrected else "")
        )
        if issue.tenants:
            yield from self._wrapped(
                "Tenants: " + ", ".join(self._line(t, limit=60) for t in issue.tenants[:12])
            )
        for broken in issue.broken[:6]:
            yield from self._wrapped(
                f"Rule {self._line(broken.rule)} ({broken.origin}): {self._line(broken.words)}"
            )
        if issue.questions:
            yield ""
            yield paint("Questions", "bold", colour=self._colour)
            for question in issue.questions[:8]:
                yield fit(f"  - {self._line(question, limit=200)}", self._width)

    def exchange(self, exchange: Exchange, diagnosis: Diagnosis) -> Iterator[str]:
        laid = scene(exchange, diagnosis)
        yield from self._head(exchange, diagnosis)
        yield from self._system(laid)
        if len(laid.before) > _RECENT:
            yield from self._wrapped(f"{several(len(laid.before) - _RECENT, 'earlier message')}", style="dim")
        for line in (*self._recent(laid), *(laid.passages or ())):
            yield from self._said(line, limit=_PASSAGE if line.speaker == "passage" else _SAID)
        if laid.passages == ():
            yield from self._wrapped("Retrieval found nothing.", style="dim")
        yield from self._said(laid.reply)
        for line in (*((laid.expected,) if laid.expected else ()), *laid.feedback, *laid.later):
            yield from self._said(line)
        yield from self._notes(laid)

    def _recent(self, laid: Scene) -> Iterator[Line]:
        """The last messages before the reply, and earlier ones that are quoted."""
        return (x for n, x in enumerate(laid.before) if x.notes or n >= len(laid.before) - _RECENT)

    def rule(self) -> str:
        return paint("─" * self._width, "dim", colour=self._colour)

    def _head(self, exchange: Exchange, diagnosis: Diagnosis) -> Iterator[str]:
        yield from self._wrapped(f"{exchange.id}: {verdict(diagnosis)}", style="bold")
        sure = ", ".join(f"{GAP_WORDS[g].lower()} {percent(diagnosis.gaps[g])}" for g in diagnosis.named)
        calibrated = "calibrated" if diagnosis.calibrated else "uncalibrated"
        figures = (
            f"{percent(diagnosis.failed)} likely to have failed",
            sure,
            calibrated,
            STANDING_WORDS[diagnosis.standing],
        )
        yield from self._wrapped(" · ".join(f for f in figures if f), style="dim")
        facts = (
            str(exchange.source),
            exchange.model or "",
            f"tenant {exchange.tenant}" if exchange.tenant else "",
        )
        yield from self._wrapped(" · ".join(self._line(f) for f in facts if f), style="dim")

    def _system(self, laid: Scene) -> Iterator[str]:
        for line in laid.system:
            if line.notes:
                yield from self._said(line, limit=_SYSTEM)
            else:
                yield ""
                yield paint(f"SYSTEM ({len(line.body.text):,} characters)", "bold", colour=self._colour)

    def _said(self, line: Line, *, limit: int = _SAID) -> Iterator[str]:
        yield ""
        title = f" {self._line(line.title, limit=140)}" if line.title else ""
        more = (" ← judged" if line.judged else "") + (
            " (reported an error)" if line.failed and line.speaker == "tool" else ""
        )
        yield fit(
            paint(_NAMES[line.speaker], "bold", colour=self._colour) + title + more,
            self._width + 8 * self._colour,
        )
        if line.body.text.strip():
            yield from self._body(line.body, limit)
        elif not line.calls and line.speaker != "feedback":
            yield "  (empty)"
        for name, arguments in line.calls:
            yield from self._wrapped(f"calls {self._line(name, limit=120)}", indent="  ")
            yield from self._body(arguments, limit, indent="    ")

    def _body(self, text: Text, limit: int, *, indent: str = "  ") -> Iterator[str]:
        drawn = _signed(text.pieces(mask=self._mask, limit=limit))
        return self._shown(wrap(drawn.strip("\n"), self._width, indent=indent))

    def _shown(self, rows: Sequence[str]) -> Iterator[str]:
        """Turn the signs around quotes into what the terminal shows; a quote may run over several rows."""
        quoted = False
        for row in rows:
            if not self._colour:
                yield row.replace(_OPEN, "«").replace(_CLOSE, "»")
                continue
            blanks = row[: len(row) - len(row.lstrip(" "))]
            begun = "\x1b[7m" if quoted else ""
            quoted = row.rfind(_OPEN) > row.rfind(_CLOSE) or (quoted and _CLOSE not in row)
            inner = row[len(blanks) :].replace(_OPEN, "\x1b[7m").replace(_CLOSE, "\x1b[27m")
            yield f"{blanks}{begun}{inner}" + ("\x1b[27m" if quoted else "")

    def _notes(self, laid: Scene) -> Iterator[str]:
        yield ""
        yield paint("Evidence", "bold", colour=self._colour)
        if not laid.notes:
            yield "  Nothing that can be quoted."
        for note in laid.notes:
            yield from self._note(note)
        for sign, found in (("+", laid.further), ("-", laid.against)):
            for e in found[:6]:
                yield from self._wrapped(
                    f"{sign} {self._line(e.note)} ({firmness(e.strength)})", indent="      ", style="dim"
                )
        more = sum(max(0, len(found) - 6) for found in (laid.further, laid.against))
        if more:
            yield paint(f"      and {several(more, 'weaker sign')}", "dim", colour=self._colour)

    def _note(self, note: Note) -> Iterator[str]:
        e = note.evidence
        about = ", ".join(
            x
            for x in (GAP_WORDS[e.gap].lower() if e.gap else "", cause_words(e.cause), firmness(e.strength))
            if x
        )
        rows = wrap(f"{self._line(e.note, limit=400)} ({about}; {e.check})", self._width, indent="      ")
        yield f"  [{note.number}]".ljust(6) + rows[0][6:]
        yield from rows[1:]
        for quoted in note.elsewhere[:3]:
            place = f"{quoted.place} {quoted.id}" if quoted.id else quoted.place
            yield from self._wrapped(
                f"{self._line(place, limit=80)}: «{self._line(quoted.text)}»", indent="      "
            )

    def _wrapped(self, text: str, *, indent: str = "", style: str = "") -> Iterator[str]:
        for row in wrap(text, self._width, indent=indent):
            yield paint(row, style, colour=self._colour) if style else row

    def _line(self, text: str, *, limit: int = 300) -> str:
        plain = one_line(bounded(text))
        return cut(masking.mask(plain) if self._mask else plain, limit)


def _signed(pieces: Sequence[Piece]) -> str:
    """Join pieces, signs where a quoted stretch opens and closes, the notes' numbers where their quotes end."""
    drawn, open_ = "", False
    for piece, following in zip(pieces, (*pieces[1:], None), strict=True):
        if piece.left_out:
            drawn += f"\n[… {piece.left_out:,} characters left out …]\n"
            continue
        quoted = bool(piece.notes)
        closes = quoted and (following is None or not following.notes)
        drawn += _OPEN if quoted and not open_ else ""
        drawn += piece.text.replace(_OPEN, "").replace(_CLOSE, "")
        drawn += (_CLOSE if closes else "") + "".join(f"[{n}]" for n in piece.last)
        open_ = quoted and not closes
    return drawn
