"""Checks on tool calls: against their schemas, against what was said, and against what the request needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from advisor.checks.context import Context
from advisor.checks.tool_fit import IDENTIFIES, IS_FREE_TEXT, best_fit, fit, given_values
from advisor.checks.tool_text import Written, asked_as_text, written_calls
from advisor.evidence import Evidence, Quote, quote
from advisor.exchange import Exchange, Message, ToolCall
from router.contract.tool_schema import violation

_DECLINES = re.compile(
    r"\b(?:no|none of the|not have (?:a|any|the|access)|don['’]t have (?:a|any|the|access)|isn['’]t (?:a|any)|not (?:possible|able)|unable|cannot|can['’]t)\b[^.\n]{0,80}\b(?:function|tool|question|answer|used|provided|available|capabilit|perform|help|directly|access)",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\?\s*$|\b(?:could|can|would) you (?:please )?(?:provide|tell|specify|clarify|confirm|share)|\bplease (?:provide|tell|specify|clarify|confirm|share)|\bi(?:['’]ll)? need (?:the|your|more|to know)|\blet me know\b|\bwhich (?:one|of)\b",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"(?=.*\d)[A-Za-z0-9#_-]{4,}$|[\w.+-]+@[\w-]+\.\w+$|\d{3,}$")
_MOST_TOOLS = 300
_MOST_CALLS = 40
_FITS = 0.35


@dataclass(frozen=True, slots=True)
class _Turn:
    """All calls of the turn that is judged, and whether they came as text."""

    calls: tuple[ToolCall, ...]
    results: tuple[Message, ...]
    written: Written
    as_text: bool


def check_tools(exchange: Exchange, context: Context) -> Iterator[Evidence]:
    """Hold every call of the turn against the tools that were offered and what was said."""
    turn = _turn(exchange)
    if not exchange.tools and not turn.calls:
        return
    yield _tool("task", 0.5 if exchange.tools else 0.3, "Tools were offered, or called.")
    yield from _text(turn)
    faults = [fault for call in turn.calls[:_MOST_CALLS] for fault in _faults(call, exchange, turn)]
    yield from faults
    if len({(c.name, c.arguments) for c in turn.calls}) < len(turn.calls) and not turn.results:
        twice = next(
            c
            for c in turn.calls
            if turn.calls.count(c) > 1
            or sum(c.name == o.name and c.arguments == o.arguments for o in turn.calls) > 1
        )
        yield _tool(
            "duplicate",
            0.8,
            f"{twice.name} is called twice with the same arguments.",
            quote(twice.arguments, "reply"),
            cause="unneeded_call",
        )
    if turn.calls and not faults and turn.written.fault is None:
        yield _tool("ok", -0.6, "Every call names an offered tool and keeps its schema.")
    for result in turn.results:
        if result.error:
            yield _tool(
                "error", 0.4, f"The tool reported an error: {result.content[:120]}", cause="wrong_arguments"
            )
            break


def check_tool_need(exchange: Exchange, context: Context) -> Iterator[Evidence]:
    """Say whether the request needed calls that were not made, or got calls that nothing needed."""
    request = exchange.question
    if not exchange.tools or not request.strip():
        return
    turn = _turn(exchange)
    best, name = best_fit(request, exchange.tools[:_MOST_TOOLS])
    if not turn.calls:
        if turn.written.fault is None:
            yield from _not_called(exchange, best, name)
        return
    if turn.results:
        return  # several rounds: what the last request alone says is no measure any more
    yield from _too_many(turn, exchange, best, name)
    yield from _too_few(turn, exchange)


def calls_tools(exchange: Exchange) -> bool:
    """Return whether a tool was called, or tried to be, since the person last said something: in any step, and also as text."""
    turn = _turn(exchange)
    return bool(turn.calls or turn.results or turn.written.fault)


def _turn(exchange: Exchange) -> _Turn:
    steps: list[Message] = []
    for message in reversed(exchange.conversation):
        if message.role == "user":
            break
        steps.append(message)
    steps.reverse()
    calls = tuple(c for m in (*steps, exchange.reply) if m.role == "assistant" for c in m.tool_calls)
    written = Written()
    if not calls and exchange.tools:
        written = written_calls(exchange.reply.content, [t.name for t in exchange.tools])
    results = tuple(m for m in steps if m.role == "tool")
    return _Turn(calls or written.calls, results, written, asked_as_text(exchange.system))


def _tool(check: str, strength: float, note: str, *quotes: Quote, cause: str | None = None) -> Evidence:
    return Evidence(
        check=f"tool.{check}",
        gap="tool_call",
        cause=cause,
        strength=max(-1.0, min(1.0, strength)),
        note=note,
        quotes=quotes,
    )


def _text(turn: _Turn) -> Iterator[Evidence]:
    if turn.written.fault is not None:
        note = f"A call is written as text and cannot be taken as one: {turn.written.fault}."
        yield _tool(
            "text_malformed",
            0.9 if turn.as_text else 0.7,
            note,
            quote(turn.written.span, "reply"),
            cause="malformed" if turn.as_text else "missing_call",
        )
    elif turn.written.calls and not turn.as_text:
        yield _tool(
            "text_malformed",
            0.4,
            "A call is written as text where tools are offered.",
            quote(turn.written.span, "reply"),
            cause="malformed",
        )
    elif turn.written.calls:
        yield _tool("text_ok", -0.6, "The calls are written in the form the prompt asks for.")


def _faults(call: ToolCall, exchange: Exchange, turn: _Turn) -> Iterator[Evidence]:
    tool = next((t for t in exchange.tools if t.name == call.name), None)
    if exchange.tools and tool is None:
        yield _tool(
            "unknown",
            0.95,
            f"{call.name} is not among the offered tools.",
            quote(call.name, "reply"),
            cause="wrong_tool",
        )
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError) as error:
        yield _tool(
            "arguments_json",
            0.95,
            f"The arguments of {call.name} are not JSON: {error}.",
            quote(call.arguments, "reply"),
            cause="malformed",
        )
        return
    if tool is not None and tool.parameters:
        broken = violation(tool.parameters, arguments)
        if broken is not None:
            yield _tool(
                "schema",
                0.9,
                f"The arguments of {call.name} break its schema: {broken}",
                quote(call.arguments, "reply"),
                cause="schema_violation",
            )
    if isinstance(arguments, Mapping):
        yield from _invented(call, arguments, exchange, turn)


def _invented(
    call: ToolCall, arguments: Mapping[str, Any], exchange: Exchange, turn: _Turn
) -> Iterator[Evidence]:
    """Identifiers that stand nowhere: a model that is not told an order number makes one up."""
    said = " ".join(m.content for m in exchange.conversation[-40:]).lower()[:40_000]
    flat = re.sub(r"[\s,_-]", "", said)
    for name, value in arguments.items():
        text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if not text or not _IDENTIFIER.match(text) or not IDENTIFIES.search(name.lower()):
            continue
        if text.lower() not in said and re.sub(r"[\s,_#-]", "", text.lower()) not in flat:
            yield _tool(
                "invented",
                0.85,
                f"{name}={text} of {call.name} stands nowhere in the conversation.",
                quote(call.arguments, "reply"),
                cause="wrong_arguments",
            )
            return


def _not_called(exchange: Exchange, best: float, name: str) -> Iterator[Evidence]:
    reply = exchange.reply.content
    if any(m.role == "tool" for m in exchange.conversation):
        return  # the answer to an earlier round; what it needed was called then
    if _DECLINES.search(reply[:1500]):
        strength = min(0.6, (best - 0.5) * 1.2) if best > 0.5 else -0.6
    elif _ASKS.search(reply[-400:]) or _ASKS.search(reply[:300]):
        # It is right to ask for what the request does not give.
        strength = min(0.1, (best - 0.6) * 0.8) if given_values(exchange.question) else -0.5
    else:
        strength = (best - 0.35) * 2.2
    if abs(strength) >= 0.05:
        note = (
            f"The request fits {name}, and no tool was called."
            if strength > 0
            else "No offered tool fits the request, and none was called."
        )
        yield _tool(
            "missing_call",
            strength,
            note,
            quote(exchange.question, "request"),
            cause="missing_call" if strength > 0 else None,
        )


def _too_many(turn: _Turn, exchange: Exchange, best: float, name: str) -> Iterator[Evidence]:
    by_name = {t.name: t for t in exchange.tools}
    known = [by_name[c.name] for c in turn.calls if c.name in by_name]
    if not known:
        return
    ours = max(fit(exchange.question, t) for t in known)
    if ours < _FITS and _takes_up(turn, exchange.question):
        # The request need not say what the tool is called if it hands over what the tool works on.
        ours = (ours + _FITS) / 2 + 0.05
    note = (
        f"The request has little to do with {known[0].name}."
        if ours < _FITS
        else f"The request fits {known[0].name}."
    )
    yield _tool(
        "unneeded",
        (_FITS - ours) * 2.5,
        note,
        quote(exchange.question, "request"),
        cause="unneeded_call" if ours < _FITS else None,
    )
    if best > ours + 0.15:
        yield _tool(
            "wrong_fit",
            min(0.8, (best - ours) * 1.6),
            f"The request fits {name} better.",
            quote(exchange.question, "request"),
            cause="wrong_tool",
        )


def _takes_up(turn: _Turn, request: str) -> bool:
    """Whether every call gets a value of more than three letters that the request gives, in a parameter that is not free text."""
    low = request.lower()
    for call in turn.calls:
        try:
            arguments = json.loads(call.arguments or "{}")
        except (ValueError, RecursionError):
            return False
        values = arguments.items() if isinstance(arguments, Mapping) else ()
        taken = (
            str(v).lower() for k, v in values if isinstance(v, str | int) and not IS_FREE_TEXT.search(str(k))
        )
        if not any(len(v) > 3 and v in low for v in taken):
            return False
    return True


def _too_few(turn: _Turn, exchange: Exchange) -> Iterator[Evidence]:
    """Values that the request gives and no call takes up, and tools it fits that were not called."""
    given = given_values(exchange.question)
    taken = _flat(" ".join(c.arguments for c in turn.calls))
    lost = [v for v in given if _flat(v) not in taken]
    share = len(lost) / len(given) if given else 0.0
    idle = _idle(turn, exchange)
    strength = (share - 0.4) * 1.2 * min(1.0, len(given) / 3) + 0.35 * min(2, len(idle))
    if abs(strength) < 0.05:
        return
    shown = ", ".join([*lost[:4], *idle[:2]])
    note = (
        f"The calls leave out what the request names: {shown}."
        if strength > 0
        else "The calls take up what the request names."
    )
    yield _tool(
        "missing_calls",
        strength,
        note,
        quote(exchange.question, "request"),
        cause="missing_call" if strength > 0 else None,
    )


def _flat(text: str) -> str:
    return re.sub(r"[\s,_\"'\\-]", "", text.lower())


def _idle(turn: _Turn, exchange: Exchange) -> Sequence[str]:
    called = {c.name for c in turn.calls}
    return [t.name for t in exchange.tools[:60] if t.name not in called and fit(exchange.question, t) >= 0.75]
