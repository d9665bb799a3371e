"""Scene: one exchange laid out for showing, each quote of its evidence found in the text it stands in.

The HTML page and the terminal draw the same scene; what is shown is decided here, how is decided there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence, Quote
from advisor.exchange import Exchange, Message, Passage
from advisor.report.clean import bounded, clean
from advisor.report.marks import Piece, Span, find, pieces
from rag.masking import masked_spans

Speaker = Literal["system", "user", "assistant", "tool", "passage", "expected", "feedback", "error"]

_NOTES = 6
_PASSAGES = 12
_SIGNS: dict[int | None, str] = {1: "good", -1: "bad", 0: "neutral", None: "direction not known"}


@dataclass(slots=True, kw_only=True)
class Text:
    """A text of the scene and where it is quoted.

    Attributes:
        text: Cleaned; not masked, not escaped.
        spans: Quoted stretches of it.
    """

    text: str
    spans: list[Span] = field(default_factory=list)

    def pieces(self, *, mask: bool, limit: int) -> list[Piece]:
        """Cut it for showing, the middle left out above `limit` characters, except around quotes."""
        return pieces(self.text, self.spans, masked=masked_spans(self.text) if mask else (), limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing said.

    Attributes:
        speaker: Who or what says it.
        title: A tool's name, a passage's title and place; empty for people.
        calls: Tool calls: the function's name and the argument text.
        judged: Whether it is the reply that is judged.
        failed: Whether a tool reported an error.
    """

    speaker: Speaker
    body: Text
    title: str = ""
    calls: tuple[tuple[str, Text], ...] = ()
    judged: bool = False
    failed: bool = False

    @property
    def notes(self) -> tuple[int, ...]:
        """Numbers of the notes that quote it."""
        texts = (self.body, *(t for _, t in self.calls))
        return tuple(sorted({s.note for t in texts for s in t.spans}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A piece of evidence beside the conversation.

    Attributes:
        number: From 1, strongest first.
        elsewhere: Quotes that stand in no text of the scene, such as those from documents.
    """

    number: int
    evidence: Evidence
    elsewhere: tuple[Quote, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One exchange with its evidence in place.

    Attributes:
        system: System messages.
        before: What was said before the reply.
        reply: What is judged.
        passages: What retrieval served; None if the log does not say.
        expected: The right answer, if the log holds it.
        later: What was said after it.
        feedback: Comments on it.
        notes: Strongest evidence for a failure.
        further: Weaker evidence for it.
        against: Evidence against it.
    """

    system: tuple[Line, ...]
    before: tuple[Line, ...]
    reply: Line
    passages: tuple[Line, ...] | None
    expected: Line | None
    later: tuple[Line, ...]
    feedback: tuple[Line, ...]
    notes: tuple[Note, ...]
    further: tuple[Evidence, ...]
    against: tuple[Evidence, ...]


def scene(exchange: Exchange, diagnosis: Diagnosis) -> Scene:
    """Lay out an exchange."""
    conversation = [_line(m) for m in exchange.conversation]
    reply = _reply(exchange)
    passages = None if exchange.passages is None else tuple(map(_passage, exchange.passages[:_PASSAGES]))
    expected = Line(speaker="expected", body=_text(exchange.expected)) if exchange.expected else None
    bare = Scene(
        system=tuple(x for x in conversation if x.speaker == "system"),
        before=tuple(x for x in conversation if x.speaker != "system"),
        reply=reply,
        passages=passages,
        expected=expected,
        later=tuple(_line(m) for m in exchange.later),
        feedback=tuple(_feedback(exchange)),
        notes=(),
        further=(),
        against=(),
    )
    speaking = [e for e in diagnosis.evidence if e.strength > 0]
    # What quotes nothing and speaks weakly would only crowd the notes.
    telling = [e for e in speaking if e.quotes or e.strength >= 0.4][:_NOTES]
    return replace(
        bare,
        notes=tuple(_placed(number, e, exchange, bare) for number, e in enumerate(telling, 1)),
        further=tuple(e for e in speaking if e not in telling),
        against=tuple(e for e in diagnosis.evidence if e.strength < 0),
    )


def _text(text: str) -> Text:
    return Text(text=bounded(clean(text)))


def _line(message: Message) -> Line:
    title = (
        clean(message.name or message.tool_call_id or "")
        if message.role == "tool"
        else clean(message.name or "")
    )
    return Line(
        speaker=message.role,
        body=_text(message.content),
        title=title,
        calls=tuple((clean(c.name), _text(c.arguments)) for c in message.tool_calls),
        failed=message.error,
    )


def _reply(exchange: Exchange) -> Line:
    said = _line(exchange.reply)
    empty = not said.body.text.strip() and not said.calls
    if empty and exchange.error:
        return Line(speaker="error", body=_text(exchange.error), judged=True, failed=True)
    return Line(speaker="assistant", body=said.body, calls=said.calls, judged=True)


def _passage(passage: Passage) -> Line:
    score = f"score {passage.score:.3g}" if passage.score is not None else ""
    parts = (passage.title or "", passage.id or "", passage.uri or "", score)
    return Line(
        speaker="passage",
        body=_text(passage.text),
        title=" · ".join(dict.fromkeys(clean(p) for p in parts if p)),
    )


def _feedback(exchange: Exchange) -> Iterable[Line]:
    for given in exchange.feedback:
        value = f" = {clean(given.value)[:80]}" if given.value else ""
        title = (
            f"{clean(given.name)}{value} ({_SIGNS.get(given.polarity, 'not understood')}, by {given.source})"
        )
        yield Line(speaker="feedback", body=_text(given.comment), title=title, failed=given.polarity == -1)


def _placed(number: int, evidence: Evidence, exchange: Exchange, bare: Scene) -> Note:
    elsewhere = []
    for quoted in evidence.quotes:
        words = clean(quoted.text)
        for text in _candidates(quoted, exchange, bare):
            place = find(text.text, words)
            if place is not None:
                text.spans.append(Span(*place, number))
                break
        else:
            if words.strip():
                elsewhere.append(quoted)
    return Note(number=number, evidence=evidence, elsewhere=tuple(elsewhere))


def _candidates(quoted: Quote, exchange: Exchange, bare: Scene) -> Sequence[Text]:
    """Return the texts a quote may stand in, most likely first."""
    place = quoted.place
    if place == "reply":
        return (bare.reply.body, *(t for _, t in bare.reply.calls))
    if place == "system":
        return [x.body for x in bare.system]
    if place == "request":
        latest = bare.before[::-1]
        return [x.body for speaks in (True, False) for x in latest if (x.speaker == "user") is speaks]
    if place == "passage":
        served = list(zip(exchange.passages or (), bare.passages or (), strict=False))
        return [x.body for p, x in sorted(served, key=lambda s: quoted.id is None or s[0].id != quoted.id)]
    if place == "expected":
        return (bare.expected.body,) if bare.expected else ()
    if place == "later":
        return [x.body for x in bare.later]
    return [x.body for x in bare.feedback] if place == "feedback" else ()
