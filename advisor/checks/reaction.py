"""What the person made of the reply: their rating and its comment, and what they did next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from advisor.checks.complaint_words import Kind
from advisor.checks.complaints import Complaint, complaints, content_words, own_words
from advisor.checks.context import Context
from advisor.evidence import Evidence, Gap, Place, Quote, quote
from advisor.exchange import Exchange, Feedback, Message
from rag.grounding.cover import vocabulary
from router.abstention import abstains

_PEOPLE = frozenset({"user", "annotator"})
_SAYS: dict[Kind, tuple[str, Gap, str]] = {
    "wrong": ("reaction.says_wrong", "knowledge", "The person says that what the reply states is wrong or missing."),
    "contrary": ("reaction.says_wrong", "knowledge", "The person contradicts what the reply states."),
    "form": ("reaction.says_form", "style", "The person complains of the form of the reply."),
    "action": ("reaction.says_action", "tool_call", "The person says that the wrong thing was done, or nothing."),
    "class": ("reaction.says_class", "classification", "The person says that it was sorted under the wrong heading."),
}  # fmt: skip
_ASKS = re.compile(r"[?？؟]")
_MORE = re.compile(
    r"^\W*(?:and|what about|how about|also|then|now|next|und|was ist mit|wie ist es mit|et|y|e|ve|а|и|还有|那么|那|じゃあ|では|그럼|그리고|और)\b",
    re.IGNORECASE,
)
_MARKED = re.compile(r"\w*\d\w*")
_WORD = re.compile(r"\w+")
_SHORT_LABEL = 60
_COMPARED = 600


def check_feedback(exchange: Exchange, context: Context) -> Iterable[Evidence]:
    """Say what was said of the reply: thumbs, scores, and what their comments complain of."""
    for given in exchange.feedback:
        if given.polarity:
            yield _rating(given, given.polarity)
        if given.comment.strip() and (given.polarity or 0) <= 0:
            yield from _comment(exchange, context, given)


def _rating(given: Feedback, polarity: int) -> Evidence:
    by_person = given.source in _PEOPLE
    sign = "negative" if polarity < 0 else "positive"
    strength = 1.0 if by_person else 0.6
    if given.target == "conversation":
        strength *= 0.4 if by_person else 0.5
    whom = "The person" if given.source == "user" else f"A rater ({given.source})"
    of = "the reply" if given.target == "reply" else "the whole conversation"
    shown = given.comment.strip() or given.value or given.name
    return Evidence(
        check=f"feedback.{sign}" if by_person else f"feedback.weak_{sign}",
        gap=None,
        strength=strength if polarity < 0 else -strength,
        note=f"{whom} rated {of} {'badly' if polarity < 0 else 'well'} ({given.name}).",
        quotes=(quote(shown, "feedback"),),
    )


def _comment(exchange: Exchange, context: Context, given: Feedback) -> Iterator[Evidence]:
    if given.source not in _PEOPLE and given.polarity != -1:
        return  # a program's rationale names faults that it did not find
    weight = 0.5 if given.target == "conversation" else 1.0
    weight *= 1.0 if given.polarity == -1 else 0.6
    weight *= 1.0 if given.source in _PEOPLE else 0.5
    named = _names_label(exchange, context, given.comment)
    if named:
        yield _says(Complaint(kind="class", sure=0.8, words=given.comment, start=0), weight, "feedback")
    for complaint in complaints(given.comment, of_rating=True):
        if complaint.kind in _SAYS:
            yield _says(complaint, weight, "feedback")
        else:
            yield _unserved(complaint, weight * 0.8, "feedback")


def _names_label(exchange: Exchange, context: Context, comment: str) -> bool:
    """Whether a comment names another of the bot's labels than the reply."""
    reply, low = exchange.reply.content[:2000].lower(), comment[:200].lower()
    others = [label.lower() for label in context.contract.labels if label.lower() not in reply]
    return any(re.search(rf"(?<!\w){re.escape(label)}(?!\w)", low) for label in others[:200])


def _says(complaint: Complaint, weight: float, place: Place) -> Evidence:
    check, gap, note = _SAYS[complaint.kind]
    return Evidence(
        check=check, gap=gap, strength=_graded(complaint.sure * weight), note=note, quotes=(quote(complaint.words, place),)
    )  # fmt: skip


def _unserved(complaint: Complaint, weight: float, place: Place) -> Evidence:
    if complaint.kind == "human":
        note, name = "The person asks for a human being.", "escalated"
    else:
        note, name = "The person complains that the reply does not help.", "rejected"
    return _reacts(name, complaint.sure * weight, note, quote(complaint.words, place))


def _reacts(name: str, strength: float, note: str, *quotes: Quote) -> Evidence:
    return Evidence(check=f"reaction.{name}", gap=None, strength=_graded(strength), note=note, quotes=quotes)


def _graded(value: float) -> float:
    return round(max(-1.0, min(1.0, value)), 3)


def check_reaction(exchange: Exchange, context: Context) -> Iterable[Evidence]:
    """Say what the person did next: complained, asked again, asked for a human, thanked, or went on."""
    yield from _regenerated(exchange)
    first, second = _turns(exchange.later)
    if first:
        asked = _ASKS.search(exchange.reply.content[-160:]) is not None
        yield from _next(exchange, first, asked=asked)
    if second:
        yield from _after_next(exchange, first, second)


def _turns(later: Iterable[Message]) -> tuple[str, str]:
    """The person's next two turns; messages that nothing came between are one turn."""
    turns: list[list[str]] = []
    last = ""
    for message in later:
        if message.role == "user":
            if last == "user":
                turns[-1].append(message.content)
            else:
                turns.append([message.content])
        last = message.role
    texts = ["\n".join(parts) for parts in turns[:2]]
    return (texts[0] if texts else "", texts[1] if len(texts) > 1 else "")


def _regenerated(exchange: Exchange) -> Iterator[Evidence]:
    others = [a for a in exchange.alternatives if a.strip() != exchange.reply.content.strip()]
    if not others:
        return
    # The reply judged is the one that stayed; whoever went on talking was content with it in the end.
    strength = (0.25 if exchange.later else 0.5) + 0.1 * (len(others) - 1)
    note = f"The person had the reply to this turn made anew, {len(others)} other(s) were thrown away."
    yield _reacts(
        "regenerated", min(0.7, strength), note, quote(exchange.question or exchange.reply.content, "request")
    )


def _next(exchange: Exchange, turn: str, *, asked: bool) -> Iterator[Evidence]:
    reply = exchange.reply.content.lower()
    found = complaints(turn)
    if asked:
        # "No, it is for my sister" or "the wrong one" may just answer what the bot asked.
        found = tuple(c for c in found if c.kind != "contrary" and own_words(turn).lower() not in reply)
    for complaint in found:
        yield from _complained(exchange, complaint)
    if found:
        again = _again(exchange.question, turn)
        if again is not None:
            yield _asked_again(exchange, turn, *again)
        return
    yield from _without_complaint(exchange, turn, asked=asked)


def _complained(exchange: Exchange, complaint: Complaint) -> Iterator[Evidence]:
    if complaint.kind not in _SAYS:
        offered = complaint.kind == "human" and len(complaints(exchange.reply.content[-400:])) > 0
        yield _unserved(complaint, 0.4 if offered else 1.0, "later")
        return
    fits = {"action": _acts(exchange), "class": _is_label(exchange)}.get(complaint.kind, True)
    yield _says(complaint, 0.75 if fits else 0.4, "later")


def _acts(exchange: Exchange) -> bool:
    return bool(
        exchange.tools or exchange.reply.tool_calls or any(m.tool_calls for m in exchange.conversation)
    )


def _is_label(exchange: Exchange) -> bool:
    text = exchange.reply.content.strip()
    return len(text) <= _SHORT_LABEL or text.startswith("{")


def _without_complaint(exchange: Exchange, turn: str, *, asked: bool) -> Iterator[Evidence]:
    thanks = content_words(turn)
    if thanks:
        rest = len(own_words(turn)) - len(thanks)
        declines = re.match(r"\W*(?:no|nein|non|não|nee|nie|нет|hayır)\b", turn, re.IGNORECASE) is not None
        strength = 0.4 if declines else 0.6 if rest < _EARLY_END else 0.45
        yield _reacts("thanks", -strength, "The person is content or thanks.", quote(thanks, "later"))
        return
    words = len(_WORD.findall(turn[:200]))
    if asked and words <= 3 and turn.isascii():
        return  # an answer to what the bot asked
    again = _again(exchange.question, turn)
    if again is not None and not (asked and _only_asks(exchange.reply.content)):
        yield _asked_again(exchange, turn, *again)
    elif again is None and _is_new(exchange.question, turn):
        declined = abstains(exchange.reply.content) != "no"
        strength = -0.15 if declined else -0.3 if _ASKS.search(turn[:400]) else -0.2
        yield _reacts(
            "moved_on", strength, "The person goes on to something else.", quote(turn, "later", limit=160)
        )


_EARLY_END = 25


def _only_asks(reply: str) -> bool:
    """Whether a reply is a question back and nothing else worth mention."""
    told = [
        s for s in re.split(r"(?<=[.!?。！？؟])\s+|\n+", reply[:1000]) if len(s) > 20 and not _ASKS.search(s)
    ]
    return not told


def _asked_again(exchange: Exchange, turn: str, name: str, strength: float) -> Evidence:
    note = (
        "The person sends the same again."
        if name == "repeated"
        else "The person asks the same in other words."
    )
    return _reacts(
        name, strength, note, quote(turn, "later", limit=200), quote(exchange.question, "request", limit=200)
    )


def _after_next(exchange: Exchange, first: str, second: str) -> Iterator[Evidence]:
    """Two turns on, most of what is said is about the reply between; a question that comes back is not."""
    again = _again(exchange.question, second)
    if again is not None and own_words(first).lower() != own_words(second).lower():
        name, strength = again
        if name == "repeated" or strength >= 0.6:
            yield _asked_again(exchange, second, name, strength * 0.5)
    for complaint in complaints(second):
        if complaint.kind == "human":
            yield _unserved(complaint, 0.35, "later")


def _again(question: str, turn: str) -> tuple[str, float] | None:
    """Whether `turn` asks what `question` asked: `repeated` or `rephrased`, and how surely (0-1)."""
    before, now = own_words(question)[:_COMPARED], own_words(turn)[:_COMPARED]
    old, new = _WORD.findall(before.lower()), _WORD.findall(now.lower())
    if not old or not new:
        return None
    if old == new:
        enough = len(old) >= 3 or len(before) >= 12
        return ("repeated", 1.0 if len(old) >= 4 or len(before) >= 20 else 0.7) if enough else None
    if _MORE.match(now) or _swapped(old, new) or _marks_differ(before, now):
        return None
    asked, asks = vocabulary(before), vocabulary(now)
    both = len(asked & asks)
    least, most = sorted((len(asked), len(asks)))
    if both < 2 or least < 2:
        return None
    alike, within = both / len(asked | asks), both / least
    if alike < 0.4 and not (within >= 0.75 and least >= 3 and most <= 4 * least):
        return None
    if both < 3 and alike < 0.6:
        return None
    return ("rephrased", round(min(0.9, 0.3 + 0.6 * alike), 3))


def _swapped(old: list[str], new: list[str]) -> bool:
    """Whether only one or two words changed places with quite other ones: the same question of another thing."""
    if len(old) != len(new):
        return False
    pairs = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    return len(pairs) <= 2 and not any(_like(a, b) for a, b in pairs)


def _like(a: str, b: str) -> bool:
    """Whether two words may be one word, misspelt or inflected."""
    same = sum(x == y for x, y in zip(a, b, strict=False)) + sum(
        x == y for x, y in zip(a[::-1], b[::-1], strict=False)
    )
    return abs(len(a) - len(b)) <= 2 and same >= max(len(a), len(b)) - 1 and len(a) > 3


def _marks_differ(before: str, now: str) -> bool:
    """Whether both name numbers or codes, and other ones."""
    old, new = set(_MARKED.findall(before.lower())), set(_MARKED.findall(now.lower()))
    return bool(old and new) and not (old <= new or new <= old)


def _is_new(question: str, turn: str) -> bool:
    asked, asks = vocabulary(question[:_COMPARED]), vocabulary(turn[:_COMPARED])
    if len(asks) < 2:
        return False
    return len(asked & asks) / min(len(asked) or 1, len(asks)) < 0.5
