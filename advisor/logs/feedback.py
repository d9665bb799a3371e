"""Which way a score points: decided by its label and known names, never guessed from its size."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from advisor.exchange import Feedback, FeedbackSource

_GOOD = {
    "up", "thumbs_up", "thumbsup", "thumb_up", "like", "liked", "good", "positive", "pass", "passed", "true", "yes", "correct", "helpful", "resolved",
    "upvote", "👍", "accurate", "factual", "satisfied", "ok", "success", "1.0_pass", "relevant", "faithful", "grounded", "confirmed_resolution",
}  # fmt: skip
_BAD = {
    "down", "thumbs_down", "thumbsdown", "thumb_down", "dislike", "disliked", "bad", "negative", "fail", "failed", "false", "no", "incorrect",
    "unhelpful", "not_helpful", "escalated", "downvote", "flag", "👎", "inaccurate", "hallucinated", "unsatisfied", "wrong", "toxic", "irrelevant",
    "unfaithful", "ungrounded", "abandoned", "negative_feedback", "error", "failure", "not_factually_correct",
}  # fmt: skip
_NAME_UP = re.compile(
    r"correct|accura|faithful|helpful|ground|relevan|quality|satisf|success|thumb|rating|vote|like|user_?score|user_?feedback|stars?|csat|feedback|resolved|accept|approv|useful|good|pass(ed)?$|is_correct|annotation|reward",
    re.I,
)
_NAME_DOWN = re.compile(
    r"hallucinat(?!ion_?free)|(?<!non)(?<!non[_\- ])toxic|(?<!un)bias|error|fail|harm(?!less)|unsafe|incorrect|inaccura|irrelevan|unfaithful|"
    r"ungrounded|jailbreak|violation|refus|complain|dislike|negative|risk|unhelpful|not_?(?:helpful|useful|relevant)|unsatisf|dissatisf|"
    r"unresolved|unsuccess|unaccept|useless|wrong",
    re.I,
)
_SCALED = re.compile(r"star|csat|rating|satisf|^(user_?)?(score|feedback|vote)$", re.I)


def polarity(
    name: str, value: Any, *, label: str | None = None, scale: tuple[float, float] | None = None
) -> int | None:
    """Return +1, -1 or 0 for a score, None if its direction is not known.

    Args:
        name: The score's name in the log.
        value: Its raw value.
        label: A label beside it, which outranks the value.
        scale: Lowest and highest value the score can take, if the log or the column shows it.
    """
    by_label = _word(label) if label else None
    if by_label is not None:
        return by_label
    if isinstance(value, str):
        by_word = _word(value)
        if by_word is not None:
            return (
                by_word
                if not _inverted(name) or value.strip().lower() not in ("true", "false", "yes", "no")
                else -by_word
            )
    if isinstance(value, bool):
        return _directed(name, 1 if value else -1)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return _by_number(name, number, scale)


def _by_number(name: str, number: float, scale: tuple[float, float] | None) -> int | None:
    if number == -1:
        return -1 if not _NAME_DOWN.search(name) else None
    if not (_NAME_UP.search(name) or _NAME_DOWN.search(name)):
        return None
    if scale is not None and scale[1] > scale[0]:
        share = (number - scale[0]) / (scale[1] - scale[0])
        return _directed(name, 1 if share > 0.65 else -1 if share < 0.4 else 0)
    # 1 is the best of 0-1 and the worst of 1-5: only the other values of the column tell, see `resolve`.
    if _SCALED.search(name):
        return None
    return _directed(name, 1 if number > 0.65 else -1 if number < 0.4 else 0) if 0 <= number <= 1 else None


def _inverted(name: str) -> bool:
    return bool(_NAME_DOWN.search(name))


def _directed(name: str, sign: int) -> int | None:
    if _inverted(name):
        return -sign
    return sign if _NAME_UP.search(name) else None


def _word(text: str) -> int | None:
    word = re.sub(r"[\s\-]+", "_", text.strip().lower())
    return 1 if word in _GOOD else -1 if word in _BAD else None


def scale_of(values: Collection[float]) -> tuple[float, float] | None:
    """Return the scale a column of ratings shows: -1..1, 0..1, 0..5, 1..5, 0..10 or 1..10.

    Returns:
        None if the column shows one value only, or none of these fits.
    """
    distinct = set(values)
    if len(distinct) < 2:
        return None
    low, high = min(distinct), max(distinct)
    if low >= -1 and high <= 1:
        return (-1.0, 1.0) if low < 0 else (0.0, 1.0)
    if low < 0 or high > 10:
        return None
    return (0.0 if low < 1 else 1.0, 5.0 if high <= 5 else 10.0)


def resolve(given: Feedback, seen: Mapping[str, Collection[float]]) -> Feedback:
    """Decide the direction of a rating by the values its column took in the whole log, if they show its scale."""
    if given.name not in seen or number_of(given) is None:
        return given
    scale = scale_of(seen[given.name])
    # A 1 was taken for the best of 0 to 1; where the column goes on to 5 it is the worst.
    if scale is None or (given.polarity is not None and scale[1] <= 1):
        return given
    return replace(given, polarity=polarity(given.name, given.value, scale=scale))


def number_of(given: Feedback) -> float | None:
    """Return the value of a rating as a number, None if it is a word."""
    try:
        number = float(given.value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def feedback(
    name: str,
    value: Any,
    *,
    label: str | None = None,
    comment: Any = "",
    source: FeedbackSource = "user",
    scale: tuple[float, float] | None = None,
) -> Feedback:
    """Return one Feedback with its direction decided."""
    shown = label if label is not None else "" if value is None else str(value)
    return Feedback(
        name=name,
        value=shown[:200],
        polarity=polarity(name, value, label=label, scale=scale),
        comment=str(comment or "")[:2000],
        source=source,
    )
