"""What failed in one failure, from the general to the particular: the rule or check, the tool, what is wrong with its call."""

from __future__ import annotations

import re
from collections.abc import Mapping

from advisor.evidence import Gap
from advisor.issues import Member

_FAMILIES: dict[Gap, tuple[str, ...]] = {
    "knowledge": ("knowledge", "contradiction"),
    "style": ("json", "length", "drift", "delivery"),
    "tool_call": ("tool",),
    "classification": ("label",),
}
_LONGEST_LABEL = 40
_SPELLING = ("label.not_allowed", "label.extra_words")
"""Checks that fault how a label is given, not which."""
# How the notes of `advisor.checks.tools` name a tool, by check.
_TOOL = {
    "tool.arguments_json": re.compile(r"^The arguments of (\S{1,64}) are not JSON"),
    "tool.schema": re.compile(r"^The arguments of (\S{1,64}) break its schema: (.+)", re.DOTALL),
    "tool.unknown": re.compile(r"^(\S{1,64}) is not among"),
    "tool.invented": re.compile(r"^\S+?=.{0,200}? of (\S{1,64}) stands nowhere", re.DOTALL),
    "tool.missing_call": re.compile(r"^The request fits (\S{1,64}), and no tool"),
    "tool.unneeded": re.compile(r"^The request has little to do with (\S{1,64})\."),
    "tool.wrong_fit": re.compile(r"^The request fits (\S{1,64}) better"),
}
# How a JSON Schema validator words its errors, and what that means for calls.
_VIOLATIONS = (
    (re.compile(r"'([^'\n]{1,60})' is a required property"), "lack `{}`"),
    (re.compile(r"properties are not allowed \('([^'\n]{1,60})'"), "have `{}`, which the tool does not know"),
    (re.compile(r"^([\w.-]{1,60}): .{0,200}? is not of type", re.DOTALL), "give `{}` the wrong type"),
    (
        re.compile(r"^([\w.-]{1,60}): .{0,200}? is not one of", re.DOTALL),
        "give `{}` a value that is not allowed",
    ),
    (re.compile(r"^([\w.-]{1,60}): .{0,200}? does not match", re.DOTALL), "give `{}` in the wrong form"),
    (re.compile(r"^([\w.-]{1,60}): "), "give `{}` wrongly"),
)


def failed(member: Member) -> frozenset[str]:
    """Return the rules it broke, or else the checks of its gaps that speak against it.

    What one person asked for in one request is no rule of the bot, so of that only the kind is named. Calls that fail are
    told apart by their checks even if a rule was broken too.
    """
    rules = {b.rule if b.origin != "request" else b.rule.partition("(")[0] for b in member.broken}
    families = {family for gap in member.gaps if gap != "knowledge" for family in _FAMILIES[gap]}
    checks = {s for s in member.signature if s.partition(".")[0] in families}
    calls = {s for s in checks if s.startswith("tool.")}
    return frozenset(calls or rules or checks)


def path(member: Member, common: Mapping[str, int]) -> tuple[str, ...]:
    """Return what failed, the most general first; empty where topics tell failures apart or nothing does.

    Of several broken rules or checks the one that most failures share counts, so that every failure is in one issue.

    Args:
        member: The failure.
        common: How many failures share each name that `failed` gives.
    """
    if member.gaps in ((), ("knowledge",)):
        return ()
    ranked = sorted(failed(member), key=lambda name: (-common.get(name, 0), name))
    if "tool_call" in member.gaps and ranked and ranked[0].startswith("tool."):
        return (ranked[0], *_call(ranked[0], member.notes))
    if "classification" in member.gaps and not member.broken:
        spelling = next((check for check in _SPELLING if check in member.signature), None)
        label = " ".join(member.reply.split()).casefold()
        return (
            (spelling,) if spelling else ("label", label) if 0 < len(label) <= _LONGEST_LABEL else ("label",)
        )
    return tuple(ranked[:1])


def _call(check: str, notes: tuple[str, ...]) -> tuple[str, ...]:
    """The tool, and what is wrong with its arguments, as far as the notes say."""
    pattern = _TOOL.get(check)
    found = next((m for note in notes if pattern is not None and (m := pattern.search(note[:600]))), None)
    if found is None:
        return ()
    if check != "tool.schema":
        return (found[1],)
    wrong = next((words.format(m[1]) for shape, words in _VIOLATIONS if (m := shape.search(found[2]))), None)
    return (found[1],) if wrong is None else (found[1], wrong)
