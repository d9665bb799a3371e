"""When training a language model is the answer: for form that a prompt does not hold, with examples enough, where served."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date

from advisor.evidence import Gap
from advisor.issues import Issue
from advisor.plan import Facts, Price
from advisor.remedies.proposal import Proposal
from finetune.catalog import Row, refusal

LEAST_EXAMPLES: dict[Gap, int] = {"style": 50, "tool_call": 100}
"""Fewest good examples: 50-100 show gains in style and format (OpenAI's guidance); for tool calls what our benchmark took for four tools."""
_TRIED = "the prompt change tried first, and shown not to hold"
_LEAST_FAILURES = 20
_LEAST_DAYS = 60
_EPOCHS = 3
_MOST_EXAMPLES = 1000
_FEW_SHOW = "formats are learnt from few examples (Zhou et al. 2023), 50-100 show gains (OpenAI's guidance on fine-tuning); the share is our own estimate"
_CLOSED = re.compile(
    r"(?:^|[/:. _-])(?:gpt-?[3-9](?!.*oss)|chatgpt|o[134](?:-|$)|claude|gemini|nova-|titan-|grok|command-[ar])",
    re.IGNORECASE,
)


def proposals(
    issue: Issue, gap: Gap, facts: Facts, catalog: Sequence[Row], *, tried: bool = False
) -> Iterator[Proposal]:
    """Yield a fine-tune as what comes after the prompt, for form and tool calls that fail often enough.

    Args:
        tried: Whether probes or the gate showed that no change to the prompt holds; then it need not wait for that.
    """
    if gap not in LEAST_EXAMPLES or _mended_by_a_setting(issue):
        return
    # What is trained mends a form wherever it fails, so small issues of one form count together.
    if max(issue.rate.count, facts.trainable.get(gap, 0)) < _LEAST_FAILURES:
        return
    row, refusals = choose(facts, catalog)
    if row is None:
        yield _nowhere(issue, gap, refusals, tried=tried)
        return
    examples = min(_MOST_EXAMPLES, facts.good + issue.corrected + facts.examples)
    needs = [] if tried else [_TRIED]
    if examples < LEAST_EXAMPLES[gap]:
        needs.append(
            f"{LEAST_EXAMPLES[gap]} good examples ({examples} good replies and corrections in this log and your files)"
        )
    hosted = _hosted(facts)
    if row.provider == "local" and hosted is not None:
        needs.append(
            f"a trial of a model with open weights in place of {hosted}, whose weights cannot be trained at home"
        )
    yield Proposal(
        kind="FineTune", key=f"train:{gap}", action=f"Train an adapter on good replies ({row.provider}, {row.method})",
        issue=issue, why="The bot knows what to say and says it wrong; form that a prompt does not hold is what training is for.",
        why_not_next="; ".join(refusals) or "Nothing dearer is worth more here.",
        hours=(4.0, 16.0), mends=(0.5, 0.95), after=not tried, needs=tuple(needs), blocked=bool(needs),
        basis=_FEW_SHOW,
        price=_price(row, examples, facts),
        details={"method": row.method, "provider": row.provider, "model": row.model, "examples": examples, "epochs": _EPOCHS, "replay_share": 0.2},
    )  # fmt: skip


def trainable(issues: Iterable[Issue], refused: Collection[str] = ()) -> dict[Gap, int]:
    """Return how many failures training could mend, by gap: those that no setting mends, and of which no probe showed that less may be enough, unless the
    gate refused that (`refused`: ids of issues)."""
    found: Counter[Gap] = Counter()
    for issue in issues:
        if not _mended_by_a_setting(issue):
            less = {
                p.gap for p in issue.proofs if p.named is not None and not p.short and issue.id not in refused
            }
            found.update({g: issue.rate.count for g in issue.gaps if g in LEAST_EXAMPLES and g not in less})
    return dict(found)


def _nowhere(issue: Issue, gap: Gap, refusals: Sequence[str], *, tried: bool) -> Proposal:
    reason = "; ".join(refusals) or "the table holds no way to train it"
    return Proposal(
        kind="FineTune", key=f"train:{gap}", action="Train on good replies, once somebody offers it", issue=issue,
        why="The bot knows what to say and says it wrong; form that a prompt does not hold is what training is for.",
        why_not_next=f"Nobody trains this model now: {reason}.", hours=(4.0, 16.0), mends=(0.5, 0.95), after=True,
        needs=(*(() if tried else (_TRIED,)), f"a provider that trains and serves the model ({reason})"), blocked=True,
        basis=_FEW_SHOW, price=Price(low=0.0, high=0.0, cap=0.0, basis="no offer to compute it from"),
    )  # fmt: skip


def choose(facts: Facts, catalog: Sequence[Row]) -> tuple[Row | None, list[str]]:
    """Return the way to train that serves longest for least, and why others were passed over.

    The provider of the log's own model is looked at first: a model that cannot be tuned, or would be switched off
    within 60 days, is named with its date. None if the table has no way at all.
    """
    today = date.fromisoformat(facts.today)
    refusals = []
    for row in catalog:
        if row.method != "supervised" or row.train_usd is None or not _same_model(row, facts):
            continue
        reason = refusal(row, today, useful_days=_LEAST_DAYS)
        if reason:
            refusals.append(reason)
        elif row.opens_to == "anyone":
            return row, refusals
        else:
            refusals.append(f"{row.model} at {row.provider} can be tuned by earlier customers only")
    return next(
        (row for row in catalog if row.provider == "local" and row.method == "lora" and row.open_on(today)),
        None,
    ), refusals


def _hosted(facts: Facts) -> str | None:
    """The log's commonest model, if its weights are its maker's alone."""
    name = min(facts.models, key=lambda n: (-facts.models[n], n), default="")
    return name if _CLOSED.search(name) else None


def _same_model(row: Row, facts: Facts) -> bool:
    base = row.model.rpartition(":0:")[0] or row.model
    return any(base in name or name in base for name in facts.models if len(name) > 3)


def _mended_by_a_setting(issue: Issue) -> bool:
    names = {s.partition(":")[0] for s in issue.signature}
    return bool(names & {"json.parse", "json.repairable", "json.schema"}) or issue.cause in (
        "malformed",
        "schema_violation",
    )


def _price(row: Row, examples: int, facts: Facts) -> Price:
    tokens = examples * facts.tokens * _EPOCHS
    train = tokens / 1e6 * (row.train_usd or 0.0)
    if row.provider == "local":
        return Price(low=0.0, high=0.0, cap=0.0, basis=f"your own machine; {row.note}")
    basis = (
        f"{tokens:,.0f} tokens ({examples} examples x {facts.tokens:.0f} x {_EPOCHS} epochs) at ${row.train_usd} a million, and "
        f"${row.month_usd} a month; prices of {row.as_of}"
    )
    return Price(
        low=round(0.8 * train, 2),
        high=round(1.3 * train + row.month_usd, 2),
        cap=round(1.5 * train + row.month_usd + 0.01, 2),
        basis=basis,
    )
