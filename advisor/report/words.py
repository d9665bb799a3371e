"""The words an operator reads for gaps, causes, remedies and standings, and how figures are written."""

from __future__ import annotations

from collections.abc import Sequence

from advisor.diagnosis import Diagnosis
from advisor.evidence import GAPS, Gap
from advisor.issues import Issue, Rate
from advisor.plan import Gain, Price

GAP_WORDS: dict[Gap, str] = {
    "knowledge": "Knowledge",
    "style": "Style and form",
    "tool_call": "Tool calls",
    "classification": "Classification",
}
CAUSE_WORDS: dict[str, str] = {
    "missing_content": "no document has it",
    "retrieval_miss": "a document has it, not retrieved",
    "context_unused": "retrieved, but ignored or contradicted",
    "stale_content": "out of date",
    "unanswerable": "should have declined",
    "format": "wrong format",
    "required_element": "something required is missing",
    "tone": "wrong tone",
    "length": "wrong length",
    "language": "wrong language",
    "persona": "out of character",
    "drift": "held early, lost later",
    "malformed": "call cannot be parsed",
    "schema_violation": "call breaks its schema",
    "wrong_tool": "wrong tool",
    "wrong_arguments": "wrong arguments",
    "missing_call": "call left out",
    "unneeded_call": "call not needed",
    "misrouted": "wrong label",
    "out_of_scope_accepted": "out of scope, yet labelled",
    "in_scope_rejected": "in scope, yet rejected",
}
KIND_WORDS: dict[str, str] = {
    "ChangePrompt": "Prompt and settings",
    "UpdateIndex": "Documents",
    "FineTune": "Fine-tuning",
    "Nothing": "Leave as it is",
    "NotEnoughEvidence": "Not enough evidence",
}
STANDING_WORDS: dict[str, str] = {
    "inferred": "inferred from the log",
    "confirmed": "confirmed by a probe",
    "refuted": "refuted by a probe: asked again, the bot does well",
    "undetermined": "undetermined: a person should look",
}
TREND_WORDS: dict[str, str] = {
    "rising": "rising ↗",
    "falling": "falling ↘",
    "steady": "steady →",
    "unknown": "no trend known",
}
UNCLEAR = "Unclear"


def gap_words(gaps: Sequence[Gap]) -> str:
    """Name a set of gaps, `Unclear` if it is empty."""
    return " + ".join(GAP_WORDS[g] for g in gaps) or UNCLEAR


def cause_words(cause: str | None) -> str:
    """Say a cause in plain words; empty if there is none."""
    return CAUSE_WORDS.get(cause, cause.replace("_", " ")) if cause else ""


def firmness(strength: float) -> str:
    """Say how firmly a piece of evidence speaks; `strength` is -1 to 1."""
    size = abs(strength)
    return "firmly" if size >= 0.75 else "clearly" if size >= 0.4 else "weakly"


def percent(share: float) -> str:
    """Write a share 0-1 in percent, with a decimal where it is small."""
    value = share * 100
    return f"{value:.1f}%" if 0 < value < 9.95 else f"{value:.0f}%"


def interval(rate: Rate) -> str:
    """Write the 95 % interval of a rate, for instance `32-34%` with an en dash."""
    low, high = percent(rate.low), percent(rate.high)
    return low if low == high else f"{low.removesuffix('%')}–{high}"


def several(number: int, one: str, many: str | None = None) -> str:
    """Write a number with its noun: `1 file`, `2 files`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def money(dollars: float) -> str:
    """Write an amount in US dollars; cents only below a hundred."""
    return f"${dollars:,.0f}" if dollars >= 100 or dollars == round(dollars) else f"${dollars:,.2f}"


def price_words(price: Price) -> str:
    """Write a price as a range, `free` if it costs nothing."""
    if price.high <= 0:
        return "free"
    low, high = money(price.low), money(price.high)
    return high if low == high else f"{low}–{high}"


def hours(effort: tuple[float, float]) -> str:
    """Write a person's hours as a range, in minutes below two hours, in days above sixteen."""
    high = effort[1]
    if high <= 0:
        return "none"
    unit, size = ("min", 1 / 60) if high < 2 else ("h", 1.0) if high <= 16 else ("days", 8.0)
    low_words, high_words = (f"{round(x / size, 0 if unit == 'min' else 1):g}" for x in effort)
    return f"{high_words} {unit}" if low_words == high_words else f"{low_words}–{high_words} {unit}"


def gain_words(gain: Gain) -> str:
    """Say how many of the failures a remedy addresses it is expected to mend."""
    if gain.failures <= 0 or gain.high <= 0:
        return "none expected"
    low, high = round(gain.low * gain.failures), round(gain.high * gain.failures)
    span = f"{high:,}" if low == high else f"{low:,}–{high:,}"
    return f"{span} of {several(gain.failures, 'failure')}"


def duration(seconds: float) -> str:
    """Write a run time."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return (
        f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
    )


def verdict(diagnosis: Diagnosis) -> str:
    """Say in a few words what is wrong with a reply."""
    if not diagnosis.is_failure:
        return "looks good"
    if not diagnosis.named:
        return f"{UNCLEAR.lower()}: {likeliest(diagnosis)}"
    cause = f": {cause_words(diagnosis.cause)}" if diagnosis.cause else ""
    return gap_words(diagnosis.named) + cause


def likeliest(diagnosis: Diagnosis) -> str:
    """List the gaps of an undetermined diagnosis, most probable first, with their probability."""
    order = sorted(GAPS, key=lambda g: -diagnosis.gaps.get(g, 0.0))
    return ", ".join(f"{GAP_WORDS[g].lower()} {percent(diagnosis.gaps.get(g, 0.0))}" for g in order[:3])


def trend_words(issue: Issue) -> str:
    """Say where an issue is heading."""
    return TREND_WORDS.get(issue.trend.direction, issue.trend.direction)
