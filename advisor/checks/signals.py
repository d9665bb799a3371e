"""Every signal a check can give, once, with its prior weight.

The prior is what an expert would say before seeing data, in natural log units at full strength. Signals with
`fixed` were not fitted, because the labelled logs cannot teach them (there, every failure is flagged alike).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prior:
    """Prior weight of one signal.

    Attributes:
        failed: For "the reply failed".
        gap: For the gap it speaks of.
        fixed: Whether it is left as it is by the fit.
        cause: For the cause it names, where the fit weighs causes against each other.
    """

    failed: float
    gap: float
    fixed: bool = False
    cause: float = 1.0


SIGNALS: dict[str, Prior] = {
    # Contract rules, declared or read off prompts.
    "rule.broken": Prior(2.5, 3.0),
    "rule.soft_broken": Prior(1.0, 1.5),
    "rule.held": Prior(1.0, 0.5),
    # JSON demanded by the prompt, the request or the response format.
    "json.parse": Prior(3.0, 3.0),
    "json.repairable": Prior(2.0, 3.0),
    "json.schema": Prior(2.5, 3.0),
    "json.ok": Prior(1.0, 1.5),
    # Classification.
    "label.task": Prior(0.0, 3.0),
    "label.not_allowed": Prior(2.5, 2.0),
    "label.differs": Prior(2.0, 1.5),
    "label.neighbours": Prior(2.5, 1.0),
    "label.name_fit": Prior(1.0, 0.5),
    "label.extra_words": Prior(0.7, 0.5),
    # Tool calls.
    "tool.task": Prior(0.0, 3.0),
    "tool.arguments_json": Prior(3.0, 2.0),
    "tool.unknown": Prior(3.0, 2.0),
    "tool.schema": Prior(2.5, 2.0),
    "tool.duplicate": Prior(1.5, 1.0),
    "tool.invented": Prior(2.0, 1.5),
    "tool.ok": Prior(1.0, 0.0),
    "tool.text_malformed": Prior(2.5, 2.0),
    "tool.text_ok": Prior(1.0, 0.0),
    "tool.missing_call": Prior(2.0, 1.0),
    "tool.missing_calls": Prior(2.0, 1.0),
    "tool.unneeded": Prior(2.0, 1.0),
    "tool.wrong_fit": Prior(1.5, 1.0),
    "tool.error": Prior(1.0, 0.5, fixed=True),
    # The knowledge ladder.
    "knowledge.task": Prior(0.0, 1.0),
    "knowledge.abstained": Prior(1.0, 1.5),
    "knowledge.reply_unsupported": Prior(1.5, 1.0),
    "contradiction.number": Prior(2.5, 2.0),
    "knowledge.partly_supported": Prior(0.0, 0.0, cause=2.0),
    "knowledge.faithful_to_misfit": Prior(0.0, 0.0),
    "knowledge.clearly_better_document": Prior(0.0, 0.0),
    "knowledge.from_memory": Prior(0.5, 0.5),
    "knowledge.answer_type": Prior(0.3, 0.5, cause=1.5),
    "knowledge.off_question": Prior(0.5, 0.5),
    "knowledge.facts_held": Prior(0.5, 0.3),
    "knowledge.facts_invented": Prior(1.5, 1.5),
    "knowledge.nothing_served": Prior(1.0, 1.5),
    "knowledge.served_off": Prior(1.0, 1.0),
    "knowledge.served_fits": Prior(0.0, 0.0),
    "knowledge.better_document": Prior(1.5, 1.5),
    "knowledge.rank": Prior(0.5, 0.5),
    "knowledge.nowhere": Prior(0.3, 0.5),
    "knowledge.focus_nowhere": Prior(0.0, 0.0),
    "knowledge.declined_though_served": Prior(1.5, 1.5),
    "knowledge.declined_though_held": Prior(1.5, 1.5),
    "knowledge.declined_rightly": Prior(1.0, 0.5),
    "knowledge.declined_nothing_there": Prior(1.0, 1.5),
    # The figure of something else. The labelled logs hold too few of it.
    "knowledge.other_subject": Prior(3.0, 2.0, fixed=True, cause=2.0),
    "length.verbose": Prior(1.0, 1.0),
    "length.filler": Prior(0.8, 1.0),
    # Whether a reply arrived, whole and once.
    "delivery.empty": Prior(4.0, 0.0, fixed=True),
    "delivery.error": Prior(4.0, 0.0, fixed=True),
    "delivery.filtered": Prior(2.0, 0.0, fixed=True),
    "delivery.truncated": Prior(2.0, 2.0, fixed=True),
    "delivery.loop": Prior(2.5, 2.0, fixed=True),
    "delivery.same_reply": Prior(1.5, 0.0, fixed=True),
    "delivery.placeholder": Prior(2.5, 2.5, fixed=True),
    # What people said of it. In the labelled logs either every failure is rated or none, so nothing can be fitted.
    "feedback.negative": Prior(3.5, 0.0, fixed=True),
    "feedback.positive": Prior(2.5, 0.0, fixed=True),
    "feedback.weak_negative": Prior(2.0, 0.0, fixed=True),
    "feedback.weak_positive": Prior(1.2, 0.0, fixed=True),
    "reaction.says_wrong": Prior(2.0, 1.5, fixed=True),
    "reaction.says_form": Prior(1.5, 2.0, fixed=True),
    "reaction.says_action": Prior(2.0, 2.0, fixed=True),
    "reaction.says_class": Prior(2.0, 2.5, fixed=True),
    "reaction.rejected": Prior(2.0, 0.0, fixed=True),
    "reaction.escalated": Prior(1.8, 0.0, fixed=True),
    "reaction.repeated": Prior(2.0, 0.0, fixed=True),
    "reaction.rephrased": Prior(1.5, 0.0, fixed=True),
    "reaction.regenerated": Prior(1.5, 0.0, fixed=True),
    "reaction.thanks": Prior(1.5, 0.0, fixed=True),
    "reaction.moved_on": Prior(0.8, 0.0, fixed=True),
    # Reply against the right answer.
    "correction.same": Prior(4.0, 0.0, fixed=True),
    "correction.facts": Prior(2.5, 2.5, fixed=True),
    "correction.form": Prior(1.5, 2.5, fixed=True),
    "correction.abstention": Prior(2.5, 2.5, fixed=True),
    "correction.label": Prior(3.0, 3.0, fixed=True),
    "correction.tool": Prior(3.0, 3.0, fixed=True),
    # Form held early and lost later.
    "drift.rule": Prior(1.0, 1.0, fixed=True),
    "drift.habit": Prior(1.0, 1.0, fixed=True),
    # The optional judge.
    "judge.vote": Prior(1.5, 2.0, fixed=True),
}
