"""Rungs: what is changed, one thing at a time, the cheapest first. Each is pure: from a bot and a case to the changed bot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from advisor.evidence import Gap
from advisor.exchange import Exchange, Passage
from advisor.probing.subject import Served, Setup, with_contract
from advisor.proof import RungName
from rag.lexical import terms
from router.bot import Searched
from router.contract.mending import brought_in_line
from router.contract.rules import Contract
from router.prompts import Part, Prompt

_EXEMPLARS = 3
_SAME = 0.9
_DISTRACTORS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A request with a reply as it should be, for exemplars.

    Attributes:
        id: Of the exchange; an exchange is never shown its own answer.
        request: As the model reads it.
        reply: A correction, or a good reply.
    """

    id: str
    request: str
    reply: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the rungs of one issue may use.

    Attributes:
        contract: What the bot's replies should hold.
        rules: Sentences that state what was broken, for the prompt.
        exemplars: Requests with replies as they should be.
        searched: Another search than the bot's, or the bot's with other settings; None if there is none.
        oracle: Exchange id to passages that hold the right answer.
    """

    contract: Contract = field(default_factory=Contract)
    rules: tuple[str, ...] = ()
    exemplars: tuple[Shown, ...] = ()
    searched: Searched | None = None
    oracle: Mapping[str, tuple[Passage, ...]] = field(default_factory=dict)


Change = Callable[[Setup, Exchange, Means], Setup | None]
"""From the bot as it is to the bot with one thing changed; None where the means for it are not there."""


def unchanged(setup: Setup, exchange: Exchange, means: Means) -> Setup:
    """Return the bot as it is."""
    return setup


def settings(setup: Setup, exchange: Exchange, means: Means) -> Setup | None:
    """Hold it to its contract at run time: constrained decoding, mending, one retry."""
    wanted = (
        means.contract.rules
        or means.contract.labels
        or exchange.tools
        or exchange.response_format is not None
    )
    return with_contract(setup, means.contract) if wanted or setup.searched is not None else None


def rule(setup: Setup, exchange: Exchange, means: Means) -> Setup | None:
    """State what was broken at the end of the prompt, and leave out examples that break it."""
    if not means.rules:
        return None
    return replace(setup, prompt=with_rules(consistent(setup.prompt, means.contract), means.rules))


def exemplars(setup: Setup, exchange: Exchange, means: Means) -> Setup | None:
    """Show the most similar requests with replies as they should be, and none that breaks the contract."""
    chosen = nearest(exchange.question, [s for s in means.exemplars if s.id != exchange.id])
    if not chosen:
        return None
    prompt = consistent(setup.prompt, means.contract)
    for number, shown in enumerate(chosen, 1):
        prompt = prompt.with_part(
            Part(kind="example", name=f"probe-example-{number}", text=shown.request, answer=shown.reply)
        )
    return replace(setup, prompt=prompt)


def retrieval(setup: Setup, exchange: Exchange, means: Means) -> Setup | None:
    """Search otherwise."""
    return (
        None if means.searched is None or setup.searched is None else replace(setup, searched=means.searched)
    )


def oracle(setup: Setup, exchange: Exchange, means: Means) -> Setup | None:
    """Put the passage that holds the answer first, one of those that were served beside it, as many as the bot reads."""
    held = means.oracle.get(exchange.id)
    if not held:
        return None
    taken = {p.text for p in held}
    # A bot that reads one passage at a time is shown one: how many it reads is not what this rung changes.
    room = max(0, setup.release.retrieving.k - len(held)) if setup.searched is not None else _DISTRACTORS
    beside = tuple(p for p in exchange.passages or () if p.text not in taken)[: min(room, _DISTRACTORS)]
    how = replace(setup.release.retrieving, k=len(held) + len(beside), decline_below=0.0)
    return replace(setup, searched=Served((*held, *beside)), release=replace(setup.release, retrieving=how))


def oracle_and_rule(setup: Setup, exchange: Exchange, means: Means) -> Setup | None:
    """Put the passage that holds the answer first, hold the bot to its contract, and state what was broken."""
    found = oracle(setup, exchange, means)
    if found is None:
        return None
    held = settings(found, exchange, means) or found
    return rule(held, exchange, means) or held


LADDER: Mapping[RungName, Change] = {
    "unchanged": unchanged, "settings": settings, "rule": rule, "exemplars": exemplars, "retrieval": retrieval, "oracle": oracle,
    "oracle+rule": oracle_and_rule,
}  # fmt: skip
"""Rungs by name, the cheapest remedy first."""

NEEDS: Mapping[RungName, str] = {
    "settings": "settings", "rule": "prompt", "exemplars": "prompt", "retrieval": "passages", "oracle": "passages", "oracle+rule": "passages"
}  # fmt: skip
"""What of a bot must be open to change for a rung."""

HOLDING: frozenset[RungName] = frozenset({"settings", "oracle+rule"})
"""Rungs that hold the bot to its contract, so that it may be asked once more for a reply."""

MENDS: Mapping[RungName, frozenset[Gap]] = {
    "unchanged": frozenset({"knowledge", "style", "tool_call", "classification"}),
    "settings": frozenset({"knowledge", "style", "tool_call", "classification"}),
    "rule": frozenset({"knowledge", "style", "tool_call", "classification"}),
    "exemplars": frozenset({"style", "tool_call", "classification"}),
    "retrieval": frozenset({"knowledge"}),
    "oracle": frozenset({"knowledge"}),
    "oracle+rule": frozenset({"knowledge", "style"}),
}
"""Gaps for which a rung is tried. Exemplars carry facts of other requests, passages carry no form."""


def consistent(prompt: Prompt, contract: Contract) -> Prompt:
    """Return a prompt without examples that break the contract beyond mending.

    What a model is shown weighs more with it than what it is told, so a rule that an example breaks is not tried. An example that mending puts right
    stays as it is: replies like it are mended at run time, and a small model that is shown the mended form runs it into its answers (docs/benchmarks.md).
    """
    kept = (
        p
        for p in prompt.parts
        if p.kind != "example" or brought_in_line(p.answer, contract, question=p.text) is not None
    )
    return replace(prompt, parts=tuple(kept))


def with_rules(prompt: Prompt, rules: Sequence[str]) -> Prompt:
    """Return a prompt with rules stated at its end."""
    for number, sentence in enumerate(rules, 1):
        prompt = prompt.with_part(Part(kind="rule", name=f"probe-rule-{number}", text=sentence))
    return prompt


def nearest(question: str, pool: Sequence[Shown], count: int = _EXEMPLARS) -> tuple[Shown, ...]:
    """Return the exemplars whose requests share most words with a question, no two of them alike (Carbonell and Goldstein 1998)."""
    asked = frozenset(terms(question))
    words = {s.id: frozenset(terms(s.request)) for s in pool}
    left = sorted(pool, key=lambda s: s.id)
    chosen: list[Shown] = []
    while left and len(chosen) < count:

        def worth(s: Shown) -> float:
            twin = max((_jaccard(words[s.id], words[c.id]) for c in chosen), default=0.0)
            return 0.7 * _jaccard(asked, words[s.id]) - 0.3 * twin

        best = max(left, key=worth)
        left.remove(best)
        if all(_jaccard(words[best.id], words[c.id]) < _SAME for c in chosen):
            chosen.append(best)
    return tuple(chosen)


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0
