"""Issues in words an operator would use."""

from __future__ import annotations

import re
from collections.abc import Sequence

from advisor.evidence import CAUSES, Gap
from advisor.issues import Broken

_KNOWLEDGE = {
    "missing_content": ("No document answers questions about {}", "Questions that no document answers"),
    "retrieval_miss": (
        "What is written about {} was not found",
        "Answers that are written, but were not found",
    ),
    "context_unused": (
        "Replies stray from what was found about {}",
        "Replies that stray from what was found",
    ),
    "stale_content": ("Out-of-date answers about {}", "Out-of-date answers"),
    "unanswerable": ("Replies about {} that should have declined", "Replies that should have declined"),
}
_OTHER_KNOWLEDGE = ("Wrong or missing answers about {}", "Wrong or missing answers")
_CHECKS = {
    "json.parse": "Replies are not valid JSON",
    "json.repairable": "JSON comes with text or small faults around it",
    "json.schema": "JSON lacks fields or has the wrong types",
    "label.not_allowed": "Replies name none of the allowed labels",
    "label.extra_words": "Replies say more than the label",
    "length.verbose": "Replies are longer than called for",
    "delivery.empty": "Nothing came back",
    "delivery.truncated": "Replies break off",
    "delivery.loop": "Replies repeat themselves",
    "delivery.placeholder": "Replies hold unfilled placeholders",
    "drift.rule": "A rule that was held early is lost later in the conversation",
    "drift.habit": "A form that was held early is lost later in the conversation",
    "tool.arguments_json": "Tool arguments are not valid JSON",
    "tool.text_malformed": "Tool calls written as text cannot be read",
    "tool.unknown": "Calls to tools that do not exist",
    "tool.schema": "Tool arguments break the schema",
    "tool.invented": "Tool arguments that nobody gave",
    "tool.missing_call": "No tool is called where one is needed",
    "tool.missing_calls": "Fewer tool calls than were asked for",
    "tool.unneeded": "Tools are called where none fits",
    "tool.wrong_fit": "Another tool fits the request better",
}
_CALLS = {
    "tool.arguments_json": "Calls to {} have arguments that are not JSON",
    "tool.schema": "Calls to {} break its schema",
    "tool.unknown": "Calls to {}, which does not exist",
    "tool.invented": "Calls to {} hold values that nobody gave",
    "tool.missing_call": "{} is not called where it is needed",
    "tool.unneeded": "{} is called where it does not fit",
    "tool.wrong_fit": "Another tool is called where {} fits",
}
_CAUSES = {
    "format": "Replies have the wrong format",
    "required_element": "Replies leave out something required",
    "tone": "Replies have the wrong tone",
    "length": "Replies have the wrong length",
    "language": "Replies are in the wrong language",
    "persona": "Replies fall out of character",
    "drift": "Form is lost in the course of a conversation",
    "malformed": "Tool calls cannot be read",
    "schema_violation": "Tool arguments break the schema",
    "wrong_tool": "The wrong tool is called",
    "wrong_arguments": "Tools get wrong arguments",
    "missing_call": "No tool is called where one is needed",
    "unneeded_call": "Tools are called where none fits",
    "misrouted": "Texts get the wrong label",
    "out_of_scope_accepted": "Texts that belong to no label get one",
    "in_scope_rejected": "Texts that belong to a label are turned away",
}
_GAPS: dict[Gap, str] = {
    "knowledge": "Wrong or missing answers", "style": "Replies break the form", "tool_call": "Tool calls go wrong", "classification": "Wrong labels",
}  # fmt: skip
_ENDING = re.compile(r"ends_with\(text=(.*)\)", re.DOTALL)


def title(
    gaps: Sequence[Gap], cause: str | None, *, signature: Sequence[str], broken: Sequence[Broken], topic: Sequence[str],
    named: Sequence[str] = (),
) -> str:  # fmt: skip
    """Return one line that names an issue.

    Args:
        gaps: Sorted gaps.
        cause: The finer word under the most probable one.
        signature: Failed checks that its members share.
        broken: Rules that its members broke.
        topic: Words that its questions share.
        named: The tool and what is wrong with its calls, or the label, if its members share that.
    """
    if not gaps:
        return "Failed, but the log does not show why"
    if len(gaps) > 1:
        parts = [
            _one(g, cause if cause in CAUSES[g] else None, signature, broken, topic, named) for g in gaps
        ]
        return f"{parts[0]}; also, {parts[1][:1].lower()}{parts[1][1:]}"
    return _one(gaps[0], cause, signature, broken, topic, named)


def _one(
    gap: Gap,
    cause: str | None,
    signature: Sequence[str],
    broken: Sequence[Broken],
    topic: Sequence[str],
    named: Sequence[str],
) -> str:
    if gap == "knowledge":
        named, plain = _KNOWLEDGE.get(cause or "", _OTHER_KNOWLEDGE)
        return named.format(", ".join(topic)) if topic else plain
    if cause == "drift":
        return _CHECKS["drift.rule"]
    if gap == "style" and broken:
        return _rule(broken)
    if gap == "tool_call" and named:
        return _call(named, signature)
    family = {
        "style": ("json", "length", "delivery", "drift", "label"),
        "tool_call": ("tool",),
        "classification": ("label",),
    }[gap]
    named_check = next(
        (_CHECKS[s] for s in signature if s in _CHECKS and s.partition(".")[0] in family), None
    )
    words = named_check or _CAUSES.get(cause or "", _GAPS[gap])
    return f'{words}: "{named[0]}" is given' if gap == "classification" and named else words


def _call(named: Sequence[str], signature: Sequence[str]) -> str:
    if len(named) > 1:
        return f"Calls to {named[0]} {named[1]}"
    shape = next((_CALLS[s] for s in signature if s in _CALLS), "Calls to {} go wrong")
    return shape.format(named[0])


def _rule(broken: Sequence[Broken]) -> str:
    first = broken[0]
    more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    ending = _ENDING.fullmatch(first.rule)
    if ending:
        return f'Replies leave out the ending "{ending[1][:60]}"{more}'
    kind = first.rule.partition("(")[0]
    if kind == "cites":
        return f"Replies cite no source{more}"
    if first.origin == "request":
        return f"Replies break what the person asked for: {kind.replace('_', ' ')}{more}"
    return f'Replies break the rule "{" ".join(first.words.split())[:80]}"{more}'
