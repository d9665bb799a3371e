"""From calls and notes to Exchanges: traces merged, repeated history collapsed, feedback joined.

One user turn is one Exchange, however many spans, retries of the history and tool steps the log holds for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from advisor.exchange import Exchange, Feedback, Message, Source
from advisor.logs.dialects.conversation import is_reply
from advisor.logs.records import Call, Note
from advisor.logs.spool import Spool
from advisor.logs.threads import Origin, Thread, same_record, strung

Sourced = tuple[Call, Source]
_INHERITED = ("conversation_id", "tenant", "user", "model")
_ADDS_UP = ("feedback", "passages", "ids")
_OF_LAST = ("feedback", "expected")
_FOLDED = (
    "passages",
    "tools",
    "expected",
    "response_format",
    "tenant",
    "user",
    "time",
    "feedback",
    "conversation_id",
)
# One session id for a whole deployment makes one talk of a million messages; no model was ever sent all of it.
_REMEMBERED = 500


def place(call: Call, source: Source, spool: Spool) -> None:
    """Put a call where it belongs: straight into its conversation, or aside until traces and notes are known."""
    if call.trace_id is None and not (call.reply is None and not _has_reply(call.messages)) and call.messages:
        spool.add_turn(conversation_key(call), call, source)
    else:
        spool.add_pending(call, source)


def _has_reply(messages: Sequence[Message]) -> bool:
    return any(m.role == "assistant" for m in messages)


def assemble(spool: Spool) -> Iterator[Exchange]:
    """Yield the Exchanges of everything in the spool, in an order that does not depend on the order of reading."""
    spool.seal()
    for group in spool.traces():
        for call, source in merge_trace(group, spool):
            spool.add_turn(conversation_key(call), call, source)
    for group in spool.conversations():
        yield from converse(group, spool)


# --- traces -------------------------------------------------------------------------------------------------------


def merge_trace(group: list[Sourced], spool: Spool) -> list[Sourced]:
    """Return the real calls of one trace with what its other spans and notes say of them."""
    trace = group[0][0].trace_id
    spans = {call.span_id for call, _ in group if call.span_id}
    own_ids = {i for call, _ in group for i in call.ids}
    joined = spool.notes_for([*([trace] if trace else []), *spans, *own_ids])
    spool.mark_joined([number for number, _ in joined])
    joined = _speeches(joined)
    kept = _without_wrappers(group)
    whole: list[Note] = []
    calls = [call for call, _ in kept]
    places = _places(calls)
    for _, note in joined:
        hit = _named_by(note, places, trace)
        if not hit:
            whole.append(note)
        for at in hit:
            calls[at] = apply(calls[at], note.parts)
    inherited = _inherited(group, whole)
    last = max(
        range(len(kept)), key=lambda i: (kept[i][0].time or 0.0, len(kept[i][0].messages), i), default=-1
    )
    parts = _together(whole)
    rest = {k: v for k, v in parts.items() if k not in _OF_LAST}
    merged = []
    for at, (call, (_, source)) in enumerate(zip(calls, kept, strict=True)):
        fresh = apply(call, parts if at == last else rest)
        merged.append(
            (replace(fresh, **{k: v for k, v in inherited.items() if getattr(fresh, k) is None}), source)
        )
    return merged


def _speeches(joined: list[tuple[int, Note]]) -> list[tuple[int, Note]]:
    """Put messages that came as one note each (GenAI events before 1.37) together, in the order of their times."""
    spoken: dict[tuple[str, ...], list[tuple[float, int, Note]]] = {}
    for number, note in joined:
        if note.parts.keys() == {"messages"} and note.time:
            spoken.setdefault(note.ids, []).append((note.time, number, note))
    if not spoken:
        return joined
    apart = {number for part in spoken.values() for _, number, _ in part}
    found = [(number, note) for number, note in joined if number not in apart]
    for part in spoken.values():
        part.sort(key=lambda item: item[:2])
        messages = tuple(m for _, _, note in part for m in note.parts["messages"])
        found.append((part[0][1], replace(part[0][2], parts={"messages": messages})))
    return found


def _places(calls: Sequence[Call]) -> dict[str, list[int]]:
    """Where the calls of a trace are that a note may name by a span or by an id."""
    found: dict[str, list[int]] = {}
    for at, call in enumerate(calls):
        for name in dict.fromkeys((*([call.span_id] if call.span_id else []), *call.ids)):
            found.setdefault(name, []).append(at)
    return found


def _named_by(note: Note, places: Mapping[str, list[int]], trace: str | None) -> Sequence[int]:
    """The places of the calls a note names itself; none if it speaks of the whole trace."""
    for i in note.ids:
        if i in places:
            return places[i]
        if i == trace:
            return ()
    # It named a span that was folded into another: the whole trace is the next best thing.
    return ()


def _together(notes: Iterable[Note]) -> dict[str, Any]:
    """What several notes supply: of two values the first counts; scores, passages and ids add up."""
    found: dict[str, Any] = {}
    added: dict[str, dict[Any, None]] = {}
    for note in notes:
        for name, value in note.parts.items():
            if name in _ADDS_UP and value is not None:
                added.setdefault(name, {}).update(dict.fromkeys(value))
            elif name not in _INHERITED and not found.get(name):
                found[name] = value
    return {**found, **{name: tuple(values) for name, values in added.items()}}


def _inherited(group: Sequence[Sourced], notes: Sequence[Note]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _INHERITED:
        values = [note.parts.get(name) for note in notes] + [getattr(call, name) for call, _ in group]
        found[name] = next((v for v in values if v is not None), None)
    return found


def _without_wrappers(group: list[Sourced]) -> list[Sourced]:
    """Drop spans that merely wrap a model call of the same trace, and of two alike the one that says less."""
    inner = [(call, source) for call, source in group if not call.wrapper]
    spoken = [
        (call, source) for call, source in inner if call.reply is not None or call.messages or call.error
    ]
    if not spoken:
        wrappers = [(c, s) for c, s in group if c.wrapper and (c.reply is not None or c.error)]
        # The outermost wrapper has the person's words; the others repeat it.
        return sorted(wrappers, key=lambda pair: (pair[0].parent_id is not None, pair[0].time or 0.0))[:1]
    parents = {call.span_id: (call, source) for call, source in spoken if call.span_id}
    dropped: set[int] = set()
    for call, _ in spoken:
        above = parents.get(call.parent_id or "")
        if above is not None and _same_reply(above[0], call):
            dropped.add(id(above[0]) if _says_less(above[0], call) else id(call))
    return [(call, source) for call, source in spoken if id(call) not in dropped]


def _same_reply(a: Call, b: Call) -> bool:
    return (
        a.reply is not None
        and b.reply is not None
        and a.reply.content.strip() == b.reply.content.strip()
        and bool(a.reply.content or a.reply.tool_calls)
    )


def _says_less(a: Call, b: Call) -> bool:
    return (len(a.messages), a.model is not None) <= (len(b.messages), b.model is not None)


def apply(call: Call, parts: Any) -> Call:
    """Return the call with what a note supplies; what the call has itself is kept, feedback adds up."""
    changes: dict[str, Any] = {}
    for name, value in parts.items():
        current = getattr(call, name)
        if name in _ADDS_UP and current and value:
            known = set(current)
            changes[name] = (*current, *(v for v in value if v not in known))
        elif not current and value is not None:
            changes[name] = value
    return replace(call, **changes) if changes else call


# --- conversations ------------------------------------------------------------------------------------------------


def conversation_key(call: Call) -> bytes:
    """Where a call belongs: its thread id, else its first question with its first answer (all later calls repeat both)."""
    if call.conversation_id:
        return _digest(["c", call.tenant, call.conversation_id])
    talk = [m for m in _talk(call) if m.role in ("user", "assistant")][:2]
    return _digest(
        ["m", *(f"{m.role}\x00{m.content}\x00{[c.arguments for c in m.tool_calls]}" for m in talk)]
    )


def _talk(call: Call) -> list[Message]:
    talk = [m for m in call.messages if m.role != "system"]
    return [*talk, call.reply] if call.reply is not None else talk


def _digest(value: list[str | None]) -> bytes:
    return hashlib.blake2b(orjson.dumps(value), digest_size=12).digest()


def converse(group: list[Sourced], spool: Spool) -> Iterator[Exchange]:
    """Yield the Exchanges of one conversation."""
    made: dict[str, Exchange] = {}
    own = (
        frozenset(i for call, _ in group for i in (*call.ids, call.span_id, call.trace_id) if i)
        if spool.notes
        else frozenset()
    )
    for thread in strung(group):
        for exchange in _exchanges(thread, spool, own):
            twin = made.get(exchange.id)
            made[exchange.id] = (
                exchange if twin is None else replace(twin, copies=twin.copies + exchange.copies)
            )
    yield from made.values()


def _exchanges(thread: Thread, spool: Spool, own: frozenset[str]) -> Iterator[Exchange]:
    talk = thread.talk
    ends = _turns(talk)
    last_judged = max((at for _, at, _ in ends if at in thread.judged), default=-1)
    told, known = hashlib.blake2b(digest_size=8), 0
    for number, (start, at, end) in enumerate(ends):
        inside = [i for i in range(start, end) if i in thread.judged]
        origins = [o for i in inside for o in thread.origin.get(i, [])]
        if not origins or at == last_judged:
            origins = [*(o for o in thread.origin.get(-1, []) if _has_reply(o.call.messages)), *origins]
        if at < 0 or not inside or not origins:
            continue
        for message in talk[known : at + 1]:
            told.update(_said(message))
        known = at + 1
        alternatives = tuple(dict.fromkeys(a for i in inside for a in thread.alternatives.get(i, [])))
        where = _Place(
            at=at,
            turn=number,
            later=_later(talk, end),
            alternatives=alternatives,
            last=at == last_judged,
            own=own,
            told=told.copy(),
        )
        yield _exchange(talk, origins, spool, where)


def _said(message: Message) -> bytes:
    """A message as bytes, for the id of an exchange."""
    calls = [[c.name, c.arguments] for c in message.tool_calls]
    return orjson.dumps([message.role, message.content, calls])


def _turns(talk: Sequence[Message]) -> list[tuple[int, int, int]]:
    """Return (start, index of the final reply or -1, end) of every user turn."""
    starts = [i for i, m in enumerate(talk) if m.role == "user" and (i == 0 or talk[i - 1].role != "user")]
    if not starts or any(m.role == "assistant" for m in talk[: starts[0]]):
        starts = [0, *(s for s in starts if s)]
    found = []
    for start, end in zip(starts, [*starts[1:], len(talk)], strict=True):
        replies = [i for i in range(start, end) if is_reply(talk[i])]
        found.append((start, replies[-1] if replies else -1, end))
    return found


def _later(talk: Sequence[Message], start: int) -> tuple[Message, ...]:
    users = 0
    for end in range(start, len(talk)):
        users += talk[end].role == "user"
        if users > 2:
            return tuple(talk[start:end])
    return tuple(talk[start:])


@dataclass(frozen=True, slots=True)
class _Place:
    at: int
    turn: int
    later: tuple[Message, ...]
    alternatives: tuple[str, ...]
    last: bool
    own: frozenset[str]
    told: hashlib.blake2b


def _exchange(talk: Sequence[Message], origins: Sequence[Origin], spool: Spool, where: _Place) -> Exchange:
    _, source, _ = origins[-1]
    # What people said of a reply that was made anew was said of that one; how it should have been holds for the one that stands too.
    stands = [not _thrown_away(o.call, talk[where.at], where) for o in origins]
    told = [_of_reply(o.call, where.last) for o in origins]
    told = [c if kept else replace(c, feedback=()) for c, kept in zip(told, stands, strict=True)]
    call = told[-1]
    for other in told[:-1]:
        call = _fold(call, other)
    ids = _ids(told)
    gone = frozenset(ids).difference(_ids(c for c, kept in zip(told, stands, strict=True) if kept))
    call = _with_notes(call, ids, spool, where, gone=gone)
    system = [m for m in call.messages if m.role == "system"]
    where.told.update(
        orjson.dumps(
            [
                [m.content for m in system],
                sorted(ids),
                call.time,
                call.conversation_id,
                call.tenant,
                call.error,
            ]
        )
    )
    return Exchange(
        id=where.told.hexdigest(), conversation=(*system, *talk[max(0, where.at - _REMEMBERED) : where.at]), reply=talk[where.at], source=source,
        tools=call.tools, passages=call.passages, feedback=_feedback(call, where.last), later=where.later,
        alternatives=tuple(dict.fromkeys((*where.alternatives, *call.alternatives))),
        expected=call.expected, response_format=call.response_format, conversation_id=call.conversation_id, turn=where.turn,
        tenant=call.tenant, user=_hashed(call.user), model=call.model, time=call.time, finish_reason=call.finish_reason, error=call.error,
        input_tokens=call.input_tokens, output_tokens=call.output_tokens, latency=call.latency, cost=call.cost,
        ids=frozenset((*ids, *([call.trace_id] if call.trace_id else []))), copies=_copies(origins),
    )  # fmt: skip


def _thrown_away(call: Call, reply: Message, where: _Place) -> bool:
    """Whether a call's reply was made anew, and another stands in its place."""
    return call.reply is not None and call.reply != reply and call.reply.content in where.alternatives


def _ids(calls: Iterable[Call]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(i for c in calls for i in (*c.ids, *([c.span_id] if c.span_id else []))))


def _of_reply(call: Call, last: bool) -> Call:
    """What a call tells of one reply: what stands beside a whole conversation tells of its end, if of any."""
    if call.reply is not None or call.error:
        return call
    if last:
        return replace(call, feedback=_of_conversation(call.feedback)) if call.feedback else call
    return replace(
        call,
        ids=(),
        feedback=(),
        expected=None,
        passages=None,
        input_tokens=None,
        output_tokens=None,
        latency=None,
        cost=None,
    )


def _copies(origins: Sequence[Origin]) -> int:
    first = origins[-1].call
    return sum(o.copies for o in origins if o.call.reply == first.reply and same_record(o.call, first))


def _fold(call: Call, other: Call) -> Call:
    """What an earlier call of the same turn knew and the last one does not say."""
    parts = {name: getattr(other, name) for name in _FOLDED if getattr(other, name)}
    return apply(call, parts)


def _with_notes(call: Call, ids: Sequence[str], spool: Spool, where: _Place, *, gone: frozenset[str]) -> Call:
    """Return a call with what was noted of it and of its conversation; `gone` are ids of replies that were made anew only."""
    if not spool.notes:
        return call
    # What names a call of a trace was joined when the trace was merged.
    named = spool.notes_for(ids) if call.trace_id is None else []
    whole = spool.notes_for([call.conversation_id]) if where.last and call.conversation_id else []
    spool.mark_joined([number for number, _ in (*named, *whole)])
    for _, note in named:
        of_gone = not gone.isdisjoint(note.ids)
        call = apply(call, {k: v for k, v in note.parts.items() if k != "feedback" or not of_gone})
    for _, note in whole:
        # A score that names a reply of this conversation besides the conversation was that reply's.
        if where.own.isdisjoint(note.ids):
            parts = {k: _of_conversation(v) if k == "feedback" else v for k, v in note.parts.items()}
            call = apply(call, parts)
    return call


def _of_conversation(given: Iterable[Feedback]) -> tuple[Feedback, ...]:
    return tuple(replace(f, target="conversation") for f in given)


def _feedback(call: Call, last: bool) -> tuple[Feedback, ...]:
    return tuple(f for f in call.feedback if f.target == "reply" or last)


def _hashed(user: str | None) -> str | None:
    return hashlib.blake2b(user.encode(errors="replace"), digest_size=8).hexdigest() if user else None
