"""Threads: the calls of one conversation strung into lines of talk, each repetition of the history told once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from advisor.exchange import Message, Source
from advisor.logs.dialects.conversation import is_reply
from advisor.logs.records import Call

# A thread id that hundreds of diverging talks share is no thread id; the newest of them are asked.
_ASKED = 64


class Origin(NamedTuple):
    """A call, where it was read, and how often the very same record was."""

    call: Call
    source: Source
    copies: int = 1


@dataclass(slots=True)
class Thread:
    """One line of talk.

    Attributes:
        talk: What was said, without the system prompts.
        origin: For the place of each reply in the talk the calls that produced it; -1 for whole conversations.
        alternatives: For the place of a reply what else was said there.
        judged: Places of the replies to judge.
        number: How many threads of the conversation are older.
    """

    talk: list[Message] = field(default_factory=list)
    origin: dict[int, list[Origin]] = field(default_factory=dict)
    alternatives: dict[int, list[str]] = field(default_factory=dict)
    judged: set[int] = field(default_factory=set)
    number: int = 0


def strung(group: Sequence[tuple[Call, Source]]) -> list[Thread]:
    """Return the threads of the calls of one conversation, or of talks that begin alike if they have no thread id."""
    if len(group) == 1:
        return [_new(Origin(*group[0]), talk_of(group[0][0]), 0)]
    ordered = sorted(_collapsed(group), key=_in_time)
    return _named(ordered) if ordered[0].call.conversation_id else _nameless(ordered)


def talk_of(call: Call) -> list[Message]:
    """Return the messages sent, without the system prompts."""
    return [m for m in call.messages if m.role != "system"]


def same_record(a: Call, b: Call) -> bool:
    """Whether two calls were written from one and the same event."""
    return a.time == b.time and a.span_id == b.span_id and set(a.ids) == set(b.ids)


def _identity(call: Call) -> tuple[object, ...]:
    return (frozenset(call.ids), call.time, call.span_id)


def _in_time(origin: Origin) -> tuple[float, str, int, int, str]:
    """By time; without times the order of the lines is all there is."""
    call, source, _ = origin
    timed = call.time is not None
    when = call.time if call.time is not None else float("inf")
    return (
        when,
        "" if timed else source.file,
        0 if timed else source.line,
        len(call.messages),
        "".join(call.ids),
    )


def _collapsed(group: Iterable[tuple[Call, Source]]) -> list[Origin]:
    """Count a record that was read twice once: the same file given twice, or a day exported twice."""
    found: dict[tuple[object, ...], list[Origin]] = {}
    for call, source in group:
        # Without an id and a time only its line tells a record from one that says the same.
        line = 0 if call.ids or call.time is not None else call.line
        twins = found.setdefault((_identity(call), line, call.reply, len(call.messages)), [])
        for at, twin in enumerate(twins):
            if replace(call, line=twin.call.line) == twin.call:
                twins[at] = twin._replace(copies=twin.copies + 1)
                break
        else:
            twins.append(Origin(call, source))
    return [origin for twins in found.values() for origin in twins]


def _new(origin: Origin, talk: list[Message], number: int) -> Thread:
    thread = Thread(talk=talk, number=number)
    _reply_in(thread, origin)
    return thread


def _reply_in(thread: Thread, origin: Origin, *, start: int = 0) -> None:
    """Put what came back at the end of the talk; without a reply the talk itself is judged from `start` on."""
    at, call = len(thread.talk), origin.call
    if call.reply is None and not call.error:
        # A whole conversation was given: every reply in it is judged, but not what a person on the staff wrote.
        thread.judged.update(i for i in range(start, at) if is_reply(thread.talk[i]))
        at = -1
    else:
        thread.talk.append(call.reply if call.reply is not None else Message(role="assistant"))
        thread.judged.add(at)
    thread.origin.setdefault(at, []).append(origin)


# --- calls with a thread id ---------------------------------------------------------------------------------------


def _named(ordered: Iterable[Origin]) -> list[Thread]:
    threads: list[Thread] = []
    for origin in ordered:
        talk = talk_of(origin.call)
        if not any(_joins(thread, talk, origin) for thread in reversed(threads[-_ASKED:])):
            threads.append(_new(origin, talk, len(threads)))
    return threads


def _joins(thread: Thread, talk: list[Message], origin: Origin) -> bool:
    known, call = thread.talk, origin.call
    if not talk and call.reply is not None:
        _reply_in(thread, origin)
        return True
    people = not any(m.role == "assistant" for m in talk)
    if people and talk and known and call.reply is None and not call.error and known[-1].role == "assistant":
        # A person's message logged by itself; that it was said before does not make it the same.
        return _appended(thread, talk, origin)
    if len(talk) >= len(known) and talk[: len(known)] == known:
        thread.talk = talk
        _reply_in(thread, origin)
        return True
    if len(talk) < len(known) and known[: len(talk)] == talk:
        return _inside(thread, len(talk), origin)
    if not people:
        return _goes_on(thread, talk, origin)
    if _is_replay(known, talk):
        return _inside(thread, len(known) - 1, origin)
    # Only what is new was sent; the thread id says where it belongs.
    return _appended(thread, talk, origin)


def _appended(thread: Thread, talk: list[Message], origin: Origin) -> bool:
    start = len(thread.talk)
    thread.talk.extend(talk)
    _reply_in(thread, origin, start=start)
    return True


def _goes_on(thread: Thread, talk: list[Message], origin: Origin) -> bool:
    """A call that repeats only the current turn, its tool steps for one, and not what was said before it."""
    known = thread.talk
    starts = [i for i in range(len(known) - 1, 0, -1) if known[i].role == "user"][:2]
    for start in starts:
        repeated = len(known) - start
        if len(talk) >= repeated and talk[:repeated] == known[start:]:
            thread.talk = [*known, *talk[repeated:]]
            _reply_in(thread, origin)
            return True
    return False


def _is_replay(known: list[Message], talk: list[Message]) -> bool:
    """Whether the same last question was put again without anything between: a regeneration."""
    return len(known) > len(talk) and known[-1].role == "assistant" and known[-1 - len(talk) : -1] == talk


def _inside(thread: Thread, at: int, origin: Origin) -> bool:
    """A call whose reply falls inside a known thread: the same reply logged again, or a regeneration."""
    reply = origin.call.reply
    if reply is None:
        thread.origin.setdefault(-1, []).append(origin)
        return True
    there = thread.talk[at]
    if there != reply and (there.role != "assistant" or not reply.content):
        return False
    thread.judged.add(at)
    if there == reply:
        thread.origin.setdefault(at, []).append(origin)
    elif at == len(thread.talk) - 1:
        # The last answer given is the one that stands.
        thread.alternatives.setdefault(at, []).append(there.content)
        thread.origin.setdefault(at, []).append(origin)
        thread.talk[at] = reply
    else:
        thread.alternatives.setdefault(at, []).append(reply.content)
    return True


# --- calls without a thread id ------------------------------------------------------------------------------------


def _nameless(ordered: Iterable[Origin]) -> list[Thread]:
    index = _Index()
    for origin in ordered:
        index.add(origin)
    return index.threads


class _Index:
    """Finds the newest thread that a call continues or repeats without asking them all.

    Thousands of customers begin with the same words and get the same greeting. A talk is known by the hashes of its
    beginnings, each made of the one before it and the next message.
    """

    def __init__(self) -> None:
        self.threads: list[Thread] = []
        self._ends: dict[int, list[int]] = {}
        self._within: dict[int, int] = {}
        self._unowned: dict[int, list[int]] = {}
        self._twins: dict[tuple[int, object], int] = {}

    def add(self, origin: Origin) -> None:
        """Put a call into its thread, or into a new one."""
        talk = talk_of(origin.call)
        marks = _marks(talk)
        continued = max((self._ends[m][-1] for m in marks if self._ends.get(m)), default=-1)
        inside = self._holding(marks[-1], len(talk), origin.call)
        if continued < 0 and inside < 0:
            self.threads.append(_new(origin, talk, len(self.threads)))
            self._learn(self.threads[-1], marks, 0, origin)
        elif inside > continued:
            self._repeat(self.threads[inside], marks[-1], len(talk), origin)
        else:
            thread = self.threads[continued]
            known = len(thread.talk)
            self._ends[marks[known]].pop()
            thread.talk = talk
            _reply_in(thread, origin)
            self._learn(thread, marks, known, origin)

    def _holding(self, mark: int, at: int, call: Call) -> int:
        """The newest thread that has this talk inside it, and after it the same reply of the same record."""
        if call.reply is None:
            return self._within.get(mark, -1)
        spoken = hash((mark, call.reply))
        waiting = self._unowned.get(spoken, [])
        # A reply that was only told as history belongs to the first record that tells of it itself.
        while waiting and self.threads[waiting[-1]].origin.get(at):
            waiting.pop()
        return max(self._twins.get((spoken, _identity(call)), -1), waiting[-1] if waiting else -1)

    def _repeat(self, thread: Thread, mark: int, at: int, origin: Origin) -> None:
        if origin.call.reply is None:
            thread.origin.setdefault(-1, []).append(origin)
            return
        thread.origin.setdefault(at, []).append(origin)
        thread.judged.add(at)
        self._twins[hash((mark, origin.call.reply)), _identity(origin.call)] = thread.number

    def _learn(self, thread: Thread, marks: list[int], known: int, origin: Origin) -> None:
        """Remember the beginnings of a thread that are longer than what was known of it."""
        talk = thread.talk
        for at in range(len(marks) - 1, len(talk)):
            marks.append(hash((marks[-1], talk[at])))
        for at in range(known, len(talk)):
            mark = marks[at + 1]
            self._within[mark] = max(self._within.get(mark, -1), thread.number)
            if talk[at].role != "assistant":
                continue
            if thread.origin.get(at):
                self._twins[mark, _identity(origin.call)] = thread.number
            else:
                self._unowned.setdefault(mark, []).append(thread.number)
        self._ends.setdefault(marks[len(talk)], []).append(thread.number)


def _marks(talk: Iterable[Message]) -> list[int]:
    """The hash of every beginning of a talk, the empty one first."""
    marks = [0]
    for message in talk:
        marks.append(hash((marks[-1], message)))
    return marks
