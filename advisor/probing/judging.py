"""Judging: was this reply to that request good? By the contract, the correction, the documents; what cannot be told stays open.

The same judge serves probes and the gate, so that what a probe calls turned the gate calls good.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from advisor import checks
from advisor.checks.context import Context
from advisor.checks.correction import check_correction
from advisor.checks.expected_call import differing
from advisor.checks.instructions import rules_for
from advisor.checks.knowledge import content_of
from advisor.evidence import Evidence, Gap
from advisor.exchange import Exchange, Message, Passage, ToolCall
from rag.grounding.facts import facts, missing
from rag.grounding.support import support
from rag.measure import holds
from router.abstention import abstains
from router.models.port import ToolRequest

_FIRM = 0.7
"""Strength from which on evidence of a broken rule or a wrong call counts as a breach."""

_MOVED = 0.5
"""Strength from which on evidence that a good reply's meaning moved is a breach; weaker evidence is a doubt."""

_FORM = {"rule.broken": _FIRM, "json.parse": 0.5, "json.schema": _FIRM}
_CALLS = (
    "tool.unknown",
    "tool.arguments_json",
    "tool.schema",
    "tool.invented",
    "tool.duplicate",
    "tool.text_malformed",
)

Referee = Callable[[Exchange], bool | None]
"""Says of an exchange whether its reply is right, None if it cannot tell: a model, asked only where nothing else can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reply that is to be judged.

    Attributes:
        passages: What it was answered from; None if nothing was looked for.
        finish_reason: Why the model stopped.
    """

    text: str
    calls: tuple[ToolRequest, ...] = ()
    passages: tuple[Passage, ...] | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was said of an answer.

    Attributes:
        gaps: Good (True) or bad (False), by gap; a gap that could not be judged is left out.
        notes: Why, one sentence for each gap that is bad.
    """

    gaps: Mapping[Gap, bool] = field(default_factory=dict)
    notes: Mapping[Gap, str] = field(default_factory=dict)

    @property
    def good(self) -> bool | None:
        """Whether all that could be judged is good; None if nothing could be."""
        return all(self.gaps.values()) if self.gaps else None


def answered(exchange: Exchange, answer: Answer) -> Exchange:
    """Return the exchange as if this had been its reply; what people said of the old one is left out."""
    calls = tuple(ToolCall(name=c.name, arguments=c.arguments, id=c.id) for c in answer.calls)
    return replace(
        exchange, reply=Message(role="assistant", content=answer.text, tool_calls=calls), passages=answer.passages, feedback=(), later=(),
        alternatives=(), finish_reason=answer.finish_reason, error=None, output_tokens=None, latency=None, cost=None,
    )  # fmt: skip


def judge(
    exchange: Exchange,
    answer: Answer,
    context: Context,
    *,
    sources: Sequence[str] = (),
    reference: str | None = None,
    referee: Referee | None = None,
) -> Judged:
    """Judge an answer to an exchange's request.

    Args:
        exchange: The request, and the correction if one is known.
        answer: The answer.
        context: Contract, documents and labelled examples.
        sources: Texts that are known to hold the right answer.
        reference: The text of the exchange's own reply, if that was good: the answer must still say what it said, and make its calls.
        referee: Asked about the facts where nothing else can tell.
    """
    again = answered(exchange, answer)
    found = checks.run(again, context)
    gaps: dict[Gap, bool] = {}
    notes: dict[Gap, str] = {}

    def say(gap: Gap, good: bool | None, note: str = "") -> None:
        if good is None:
            return
        gaps[gap] = gaps.get(gap, True) and good
        if not good:
            notes.setdefault(gap, note)

    say("style", *_form(found, again, context))
    if exchange.tools:
        say("tool_call", *_calls(found, exchange, answer, good=reference is not None))
    labels = _is_label(exchange, context)
    if labels:
        say("classification", *_label(found, exchange.expected or reference, answer))
    if not exchange.tools and not labels:
        say("knowledge", *_facts(again, context, sources, reference, referee))
    return Judged(gaps=gaps, notes=notes)


def _form(found: Iterable[Evidence], again: Exchange, context: Context) -> tuple[bool | None, str]:
    broken = [e for e in found if e.gap == "style" and e.strength >= _FORM.get(e.check, 2.0)]
    if broken:
        return False, broken[0].note
    if again.reply.tool_calls:
        return None, ""
    judged = again.response_format is not None or bool(rules_for(again, context))
    return (True if judged else None), ""


def _calls(
    found: Iterable[Evidence], exchange: Exchange, answer: Answer, *, good: bool
) -> tuple[bool | None, str]:
    wanted = expected_calls(exchange)
    if wanted is not None:
        return (same_calls(answer.calls, wanted), "The calls are not the right ones.")
    broken = [e for e in found if e.check in _CALLS and e.strength >= _FIRM]
    doubtful = [
        e
        for e in found
        if e.check in ("tool.missing_call", "tool.wrong_fit", "tool.unneeded") and e.strength >= _FIRM
    ]
    if good and not broken:
        return _keeps_calls(answer.calls, exchange.reply.tool_calls)
    if broken or doubtful:
        return False, (broken or doubtful)[0].note
    return True, ""


def _keeps_calls(calls: Sequence[ToolRequest], before: Sequence[ToolCall]) -> tuple[bool | None, str]:
    """Whether calls are those of a good reply; None where only what is worded freely in them differs."""
    made, were = sorted((c.name, c.arguments) for c in calls), sorted((c.name, c.arguments) for c in before)
    names, old_names = ([name for name, _ in side] for side in (made, were))
    if names != old_names:
        said, old_said = (" and ".join(side) or "nothing" for side in (names, old_names))
        return False, f"It calls {said}, where {old_said} was called."
    told: bool | None = True
    for (name, new), (_, old) in zip(made, were, strict=True):
        ours, theirs = _arguments(new), _arguments(old)
        other = differing(theirs, ours)
        if any(not _is_free(ours.get(k), theirs.get(k)) for k in other):
            return False, f"It calls {name} with another {', '.join(other[:3])} than before."
        told = None if other else told
    return told, ""


def _arguments(text: str) -> Mapping[str, Any]:
    with suppress(ValueError, RecursionError):
        value = json.loads(text or "{}")
        if isinstance(value, Mapping):
            return value
    return {"arguments": text}


def _is_free(one: object, other: object) -> bool:
    """Whether two values are texts of several words with the same figures, such as what to search for."""
    texts = [v for v in (one, other) if isinstance(v, str) and len(v.split()) > 1]
    return len(texts) == 2 and facts(texts[0]).numbers == facts(texts[1]).numbers


def _is_label(exchange: Exchange, context: Context) -> bool:
    return bool(context.contract.labels) or any(r.kind == "label" for r in rules_for(exchange, context))


def _label(found: Iterable[Evidence], right: str | None, answer: Answer) -> tuple[bool | None, str]:
    if right:
        note = f"The label is {answer.text.strip()[:40]!r}, not {right.strip()[:40]!r}."
        return same_label(answer.text, right), note
    wrong = [
        e
        for e in found
        if e.check.startswith("label.")
        and e.strength >= _FIRM
        and e.check in ("label.not_allowed", "label.extra_words")
    ]
    return (False, wrong[0].note) if wrong else (None, "")


def same_label(text: str, right: str) -> bool:
    """Return whether a reply is a label; case, space and signs do not count."""
    return _plain(text) == _plain(right)


def _plain(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def _facts(
    again: Exchange, context: Context, sources: Sequence[str], reference: str | None, referee: Referee | None
) -> tuple[bool | None, str]:
    text = content_of(again.reply.content)
    if not text.strip():
        return False, "The reply is empty."
    declined = abstains(text) == "fully"
    if again.expected:
        if abstains(again.expected) == "fully":
            return declined, "The reply answers what it should decline."
        good = not declined and holds([text], again.expected)
        return good, "The reply does not say what the correction says."
    if reference is not None:
        kept, note = _keeps(again, context, reference)
        return (_by(referee, again), "A judge says that it is wrong.") if kept is None else (kept, note)
    if sources and not declined:
        given = [m.content for m in again.conversation]
        seen = support(text, [" ".join(sources)], given=given)
        if seen.lacking or seen.against is not None:
            return False, "The reply states what the documents do not."
        return (True, "") if seen.held else (_by(referee, again), "")
    if sources and declined:
        return False, "The reply declines, although the documents hold the answer."
    return _by(referee, again), "A judge says that it is wrong."


def _keeps(again: Exchange, context: Context, reference: str) -> tuple[bool | None, str]:
    """Whether what a good reply said is still said: its figures, codes and addresses, yes or no, and half of its words; None where that is in doubt."""
    text = content_of(again.reply.content)
    declined = abstains(text) == "fully"
    if abstains(reference) == "fully":
        return declined, "The reply answers what was rightly declined."
    if declined:
        return False, "The reply declines what was answered before."
    lost = missing(facts(content_of(reference)), [text])
    if lost.numbers or lost.codes or lost.urls:
        named = ", ".join(sorted(lost.numbers | lost.codes | lost.urls)[:3])
        return False, f"The reply no longer says {named}."
    moved = [e for e in check_correction(replace(again, expected=reference), context) if e.gap == "knowledge"]
    if not moved:
        return True, ""
    note = f"The reply no longer says what it said. {moved[0].note}"
    return (False, note) if moved[0].strength >= _MOVED else (None, "")


def _by(referee: Referee | None, again: Exchange) -> bool | None:
    return referee(again) if referee is not None else None


def expected_calls(exchange: Exchange) -> list[tuple[str, Any]] | None:
    """Return the right calls, name and arguments, if the correction is written as calls; `[]` if it is to make none."""
    if not exchange.expected:
        return None
    try:
        value = json.loads(exchange.expected)
    except (ValueError, RecursionError):
        return [] if not exchange.expected.lstrip().startswith(("{", "[")) else None
    items = value if isinstance(value, list) else [value]
    found = []
    for item in items:
        inner = item.get("function", item) if isinstance(item, Mapping) else None
        if not isinstance(inner, Mapping) or "name" not in inner:
            return None
        arguments = inner.get("arguments", {})
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except (ValueError, RecursionError):
                return None
        found.append((str(inner["name"]), arguments))
    return found


def same_calls(calls: Sequence[ToolRequest], wanted: Sequence[tuple[str, Any]]) -> bool:
    """Return whether calls name the same tools with the same arguments, in any order."""
    try:
        made = [(c.name, json.loads(c.arguments or "{}")) for c in calls]
    except (ValueError, RecursionError):
        return False
    left = list(wanted)
    for call in made:
        if call not in left:
            return False
        left.remove(call)
    return not left
