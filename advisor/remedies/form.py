"""What to do about form, tool calls and labels: settings, then a rule, then examples; training when those do not hold."""

from __future__ import annotations

from collections.abc import Iterator

from advisor.evidence import Gap
from advisor.issues import Issue
from advisor.plan import Facts
from advisor.remedies.proposal import Proposal

_STRICT = "schema-constrained decoding held the schema in 100 % of replies, the prompt alone in under 40 % (OpenAI 2024)"
_OWN = "own estimate, to be replaced by a probe"
_TOOL_ACTIONS = {
    "wrong_tool": "Sharpen the tool descriptions: when to use each, and when not",
    "wrong_arguments": "Describe each parameter: format, unit, example, what to do if it was not given",
    "missing_call": "Say in the prompt which requests must call which tool, with an example",
    "unneeded_call": "Say in the prompt when no tool fits and what to answer then",
}
_LEAST_PER_LABEL = 8


def proposals(issue: Issue, gap: Gap, facts: Facts) -> Iterator[Proposal]:
    """Yield what would mend a form, tool-call or classification issue, short of training a language model."""
    if gap == "style":
        yield _style(issue)
    elif gap == "tool_call":
        yield _tool(issue)
    else:
        yield from _label(issue, facts)


def _has(issue: Issue, *checks: str) -> bool:
    return any(s.partition(":")[0] in checks for s in issue.signature)


def _style(issue: Issue) -> Proposal:
    if _has(issue, "json.parse", "json.repairable", "json.schema"):
        return Proposal(
            kind="ChangePrompt", key="strict-json", action="Switch on strict JSON output (response_format with your schema)",
            issue=issue, why="Whether JSON is valid is a matter of decoding: a setting mends it at no cost.",
            why_not_next="A rule in the prompt holds less often; a fine-tune is dearer and holds less often too.",
            hours=(0.2, 1.0), mends=(0.8, 1.0), basis=_STRICT, needs=("a server or provider that enforces schemas",),
            details={"settings": {"response_format": "json_schema", "strict": True}},
        )  # fmt: skip
    if issue.cause == "drift":
        return Proposal(
            kind="ChangePrompt", key="drift", action="Repeat the rule next to the last user message, and shorten long histories",
            issue=issue, why="The rule is known and held at first; it is lost as the conversation grows.",
            why_not_next="The bot can keep the rule, so training has little to teach; where the rule stands is cheaper to change.",
            hours=(0.3, 1.5), mends=(0.4, 0.8), basis=_OWN, details={"repeat": _rules(issue)},
        )  # fmt: skip
    known = bool(issue.broken) and all(b.origin == "system" for b in issue.broken)
    return _known_rule(issue) if known else _new_rule(issue)


def _rules(issue: Issue) -> list[str]:
    return [b.words for b in issue.broken]


def _known_rule(issue: Issue) -> Proposal:
    return Proposal(
        kind="ChangePrompt", key="known-rules", action="Move the broken rules to the end of the prompt, show two examples that keep them, check replies and ask again",
        issue=issue, why="The prompt states the rule already, so stating it again is weak; place, examples and a check are next in cost.",
        why_not_next="Training pays only if this does not hold; a probe shows that in minutes.",
        hours=(0.5, 2.0), mends=(0.4, 0.9), basis=_OWN, details={"move_to_end": _rules(issue), "exemplars": 2, "validate_and_retry": True},
    )  # fmt: skip


def _new_rule(issue: Issue) -> Proposal:
    asked = bool(issue.broken) and all(b.origin == "request" for b in issue.broken)
    if asked:
        action, rule = (
            "Tell the bot to follow the form a person asks for and to check it before it answers",
            "Follow every instruction on form in the request; check each before you answer.",
        )
    elif _has(issue, "length.verbose"):
        action, rule = (
            "Ask for short answers, with a limit",
            "Answer in at most three sentences unless asked for more.",
        )
    else:
        words = "; ".join(_rules(issue))
        action = (
            f"Append the rule to the prompt: {words[:100]}"
            if words
            else f"Add a line to the prompt against this: {issue.title}"
        )
        rule = words or issue.title
    return Proposal(
        kind="ChangePrompt", key="rule:" + ("request" if asked else rule), action=action,
        issue=issue, why="The prompt does not say it yet; one line is the cheapest thing to try.",
        why_not_next="Examples and training come only if the line does not hold.",
        hours=(0.2, 0.8), mends=(0.3, 0.8), basis=_OWN, details={"append": rule},
    )  # fmt: skip


def _tool(issue: Issue) -> Proposal:
    if issue.cause in ("malformed", "schema_violation"):
        return Proposal(
            kind="ChangePrompt", key="strict-tools", action="Switch on strict tool calls (strict: true with your parameter schemas)",
            issue=issue, why="Whether arguments keep their schema is a matter of decoding: a setting mends it at no cost.",
            why_not_next="Descriptions and training teach which value to give, not how to write JSON.",
            hours=(0.2, 1.0), mends=(0.8, 1.0), basis=_STRICT, needs=("a server or provider with strict tools",),
            details={"settings": {"tools": "strict"}},
        )  # fmt: skip
    return Proposal(
        kind="ChangePrompt", key=f"tools:{issue.cause}", action=_TOOL_ACTIONS.get(issue.cause or "", "Sharpen tool and parameter descriptions, with examples"),
        issue=issue, why="Which tool and which values is decided from the descriptions; they cost nothing to change.",
        why_not_next="Training pays where descriptions and examples do not hold, with many examples: from 12.7 to 78.9 % for a 1.1B model with "
        "80,000 (Erdogan et al. 2024).",
        hours=(0.5, 2.0), mends=(0.2, 0.6), basis=_OWN, details={"cause": issue.cause or "", "questions": list(issue.questions)},
    )  # fmt: skip


def _label(issue: Issue, facts: Facts) -> Iterator[Proposal]:
    if _has(issue, "label.not_allowed", "label.extra_words"):
        yield Proposal(
            kind="ChangePrompt", key="enum", action="Make the labels an enumeration in strict JSON output",
            issue=issue, why="A label that is not on the list cannot be given when decoding is held to the list.",
            why_not_next="A classifier is next, and worth it only if the label is wrong, not its spelling.",
            hours=(0.2, 1.0), mends=(0.8, 1.0), basis=_STRICT, details={"settings": {"response_format": "enum"}},
        )  # fmt: skip
        return
    yield Proposal(
        kind="ChangePrompt", key="labels", action="Describe each label in a line and show the most similar labelled texts",
        issue=issue, why="Labels are confused where their names alone do not tell them apart.",
        why_not_next="A small classifier is more accurate with enough labelled texts; a language model need not be tuned for labels.",
        hours=(0.5, 2.0), mends=(0.2, 0.5), basis=_OWN, details={"exemplars": "nearest", "questions": list(issue.questions)},
    )  # fmt: skip
    yield classifier(issue, facts)


def classifier(issue: Issue, facts: Facts) -> Proposal:
    """Return a small classifier as a remedy for labels."""
    least = 2 * _LEAST_PER_LABEL
    enough = facts.labelled >= least
    have = f"you gave {facts.labelled}"
    return Proposal(
        kind="FineTune", key="classifier", action="Train a small classifier on sentence embeddings and let it give the label",
        issue=issue, why="Few-shot classifiers do well from about 20 texts a label (Loukas et al. 2023); a head on frozen sentence embeddings "
        "trains in seconds on a CPU.",
        why_not_next="Tuning a language model costs more to train and to run, and is no better at a fixed list of labels.",
        hours=(1.0, 4.0), mends=(0.4, 0.8), basis=_OWN, needs=() if enough else (f"labelled texts, {_LEAST_PER_LABEL} or more a label ({have})",),
        blocked=not enough, details={"method": "classifier_head", "provider": "local"},
    )  # fmt: skip
