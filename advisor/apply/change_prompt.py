"""ChangePrompt: settings, a rule, examples, a deletion: each tried on the failures that suggest them, the least that works proposed.

Nothing is written by a model here; `advisor.apply.optimising` does that where one is configured. What is proposed is judged on the other
half of the failures, by the gate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from itertools import chain
from math import inf

from advisor.apply.workplace import Made, Workplace
from advisor.config import priced
from advisor.evidence import Gap
from advisor.exchange import Exchange
from advisor.gate.trial import Bench, Case, Tell, good_by
from advisor.issues import Issue
from advisor.plan import Remedy
from advisor.probing.asking import Budget, Remembered
from advisor.probing.judging import Judged
from advisor.probing.rungs import Means, Shown, consistent, nearest
from advisor.probing.subject import Released, Setup, Subject, at_address, with_contract
from advisor.probing.subjects import free
from advisor.remedies.knowledge import KEEP_TO_CONTEXT
from advisor.rules import rules_of_prompt
from router.contract.rules import Rule
from router.models.port import ChatModel
from router.prompts import Part, Prompt, diff
from router.releases import Release

_EXAMPLES = (2, 4)
_MOST_TEACHING = 40
_WORTH = 0.05
"""Share of the failures by which a dearer change must be better than a cheaper one."""

_FEW = 1
_EXCLUSIVE = frozenset({"ends_with", "starts_with", "words", "sentences", "language"})
"""Kinds of which a reply can keep one rule only."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change that may be tried.

    Attributes:
        name: What it does, for people.
        cost: Order of its cost: 0 for settings, then words in the prompt.
        setup: The bot with the change.
    """

    name: str
    cost: int
    setup: Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """An edit and how it did on the failures that suggested it, and on good replies of the same half."""

    edit: Edit
    good: int
    n: int
    broken: int
    kept: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptChange:
    """What is proposed.

    Attributes:
        release: The release with the change; its prompt is `prompt`.
        prompt: The prompt with the change.
        name: What the change does.
        diff: Lines of a unified diff of the prompts; empty if only settings change.
        tried: All that was tried, the least first.
    """

    release: Release
    prompt: Prompt
    name: str
    diff: tuple[str, ...]
    tried: tuple[Scored, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoChange:
    """Nothing is proposed.

    Attributes:
        tried: All that was tried.
        was: Failures that are good as the bot is.
    """

    tried: tuple[Scored, ...]
    was: int

    @property
    def fruitless(self) -> bool:
        """Whether changes were tried, could be judged, and mended nothing."""
        return any(s.n for s in self.tried) and all(s.good <= self.was for s in self.tried)

    def __str__(self) -> str:
        asked = max((s.n for s in self.tried), default=0)
        if not self.tried:
            return "there is no setting, rule or example to try"
        if not asked:
            return "none of the failures that suggested it could be asked again and judged"
        if self.fruitless:
            return f"no setting, rule or example mends any of the {asked} failures that suggested it"
        return "what mends the failures that suggested it breaks good replies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trying:
    """How edits are tried.

    Attributes:
        bench: Asks and judges.
        gaps: Gaps that the change is to mend; replies are judged by these.
        more: Gives further edits, dearer than all others; asked only if none of those mends everything.
        tell: Called now and then.
    """

    bench: Bench
    gaps: frozenset[Gap] | None = None
    more: Callable[[], Iterable[Edit]] = tuple
    tell: Tell | None = None


def propose(
    base: Setup, model: ChatModel, means: Means, teaching: Sequence[Case], how: Trying
) -> PromptChange | NoChange:
    """Return the cheapest change that mends most of the teaching failures, if one mends any and breaks next to nothing.

    Args:
        base: The bot as it is.
        model: Its model.
        means: What the changes may use.
        teaching: Failures and good replies that suggest and score; none of them may judge later.
        how: How they are tried.
    """
    failures = [c for c in teaching if c.kind == "target"][:_MOST_TEACHING]
    good = [c for c in teaching if c.kind == "good"][: _MOST_TEACHING // 2]
    before = how.bench.asked([*failures, *good], _subject(base, model))
    was = sum(good_by(before.get(c.id), how.gaps) is True for c in failures)
    tried: list[Scored] = []
    for edit in chain(_edits(base, means, failures), _later(how.more)):
        after = how.bench.asked([*failures, *good], _subject(edit.setup, model), tell=how.tell)
        tried.append(_scored(edit, failures, good, (before, after), how.gaps))
        if tried[-1].good == tried[-1].n and tried[-1].broken <= _FEW:
            break  # whatever comes next is dearer and cannot be better
    best = _best(tried, was)
    if best is None:
        return NoChange(tried=tuple(tried), was=was)
    chosen = best.edit.setup
    release = replace(chosen.release, prompt=chosen.prompt.id)
    return PromptChange(
        release=release,
        prompt=chosen.prompt,
        name=best.edit.name,
        diff=tuple(diff(base.prompt, chosen.prompt)),
        tried=tuple(tried),
    )


def _later(more: Callable[[], Iterable[Edit]]) -> Iterator[Edit]:
    """Yield what is only made once it is needed."""
    yield from more()


def _subject(setup: Setup, model: ChatModel) -> Subject:
    return Released(setup.release, setup.prompt, model, setup.searched)


def _edits(base: Setup, means: Means, failures: Sequence[Case]) -> Iterator[Edit]:
    """Yield what may be tried, the cheapest first; what is added to a prompt is added to one without examples that break the rules, and examples beside
    rules come with the contract too."""
    held = with_contract(base, means.contract) if means.contract.rules or means.contract.labels else None
    if held is not None and held.release != base.release:
        yield Edit(name="hold every reply to the contract at run time", cost=0, setup=held)
    freed = _without_contradictions(base.prompt, means)
    if freed != base.prompt:
        yield Edit(name="take out what contradicts the rules", cost=1, setup=replace(base, prompt=freed))
    # As the probes do: no rule is tried beside an example that breaks it.
    base = replace(base, prompt=consistent(base.prompt, means.contract))
    held = replace(held, prompt=base.prompt) if held is not None else None
    for number, sentence in enumerate(means.rules, 1):
        yield Edit(
            name=f"state at the end: {sentence[:80]}", cost=2, setup=_with(base, [_rule(number, sentence)])
        )
    if means.rules:
        parts = [_rule(n, s) for n, s in enumerate(means.rules, 1)]
        if len(parts) > 1:
            yield Edit(name=f"state {len(parts)} rules at the end", cost=2, setup=_with(base, parts))
        if held is not None:
            yield Edit(
                name="state the rules at the end, and hold replies to the contract",
                cost=2,
                setup=_with(held, parts),
            )
    for count in _EXAMPLES:
        shown = _telling(failures, means.exemplars, count)
        if len(shown) == count:
            yield Edit(
                name=f"show {count} examples",
                cost=3,
                setup=_with(base, [_example(n, s) for n, s in enumerate(shown, 1)]),
            )
    if held is not None and means.exemplars and means.rules:
        shown = _telling(failures, means.exemplars, _EXAMPLES[0])
        parts = [
            *(_rule(n, s) for n, s in enumerate(means.rules, 1)),
            *(_example(n, s) for n, s in enumerate(shown, 1)),
        ]
        yield Edit(name="rules, examples, and replies held to the contract", cost=3, setup=_with(held, parts))


def _with(setup: Setup, parts: Sequence[Part]) -> Setup:
    prompt = setup.prompt
    known = {p.name for p in prompt.parts}
    for part in parts:
        name = next(n for n in (part.name, *(f"{part.name}-{i}" for i in range(2, 1000))) if n not in known)
        known.add(name)
        prompt = prompt.with_part(replace(part, name=name))
    return replace(setup, prompt=prompt)


def _rule(number: int, sentence: str) -> Part:
    return Part(kind="rule", name=f"rule-{number}", text=sentence)


def _example(number: int, shown: Shown) -> Part:
    return Part(kind="example", name=f"example-{number}", text=shown.request, answer=shown.reply)


def _telling(failures: Sequence[Case], pool: Sequence[Shown], count: int) -> tuple[Shown, ...]:
    """Return examples near to what fails and unlike each other; what failed itself may be shown once it is corrected."""
    asked = " ".join(c.exchange.question for c in failures)
    return nearest(asked, pool, count)


def _without_contradictions(prompt: Prompt, means: Means) -> Prompt:
    """Return the prompt without sentences that demand otherwise than the contract does, and without examples that break it beyond mending."""
    wanted = {r.kind: r for r in means.contract.rules if r.origin == "declared"}
    parts = []
    for part in consistent(prompt, means.contract).parts:
        said = _SENTENCE.split(part.text)
        kept = [s for s in said if part.kind == "example" or not _against(s, wanted)]
        if len(kept) == len(said):
            parts.append(part)
        elif kept:
            parts.append(replace(part, text="\n".join(kept)))
    return replace(prompt, parts=tuple(parts))


def _against(sentence: str, wanted: Mapping[str, Rule]) -> bool:
    read = rules_of_prompt(sentence)
    return any(r.kind in _EXCLUSIVE and r.kind in wanted and wanted[r.kind].params != r.params for r in read)


def _scored(
    edit: Edit,
    failures: Sequence[Case],
    good: Sequence[Case],
    asked: tuple[Mapping[str, Judged], Mapping[str, Judged]],
    gaps: frozenset[Gap] | None,
) -> Scored:
    before, after = asked
    judged = [g for c in failures if (g := good_by(after.get(c.id), gaps)) is not None]
    kept = [c for c in good if good_by(before.get(c.id), None) is True and c.id in after]
    broken = sum(after[c.id].good is False for c in kept)
    return Scored(edit=edit, good=sum(judged), n=len(judged), broken=broken, kept=len(kept))


def _best(tried: Sequence[Scored], was: int) -> Scored | None:
    """The cheapest of those that come near the best and break next to nothing."""
    able = [s for s in tried if s.good > was and s.broken <= max(_FEW, s.kept // 10)]
    if not able:
        return None
    most = max(s.good / max(1, s.n) for s in able)
    return min(
        (s for s in able if s.good / max(1, s.n) >= most - _WORTH), key=lambda s: (s.edit.cost, -s.good)
    )


def make(place: Workplace, remedy: Remedy) -> Made:
    """Make a prompt or settings remedy: what works best on the teaching half of its failures, as a release."""
    issues = place.issues_of(remedy)
    gaps = frozenset(
        g
        for i in issues
        for g in i.gaps
        if g != "knowledge" or remedy.details.get("append") == KEEP_TO_CONTEXT
    )
    nothing = partial(Made, remedy=remedy.id, kind=remedy.kind, release=None, gaps=gaps)
    teaching = [*place.failures(remedy, held_out=False), *place.good(held_out=False, most=_MOST_TEACHING)]
    failing = [c.exchange for c in teaching if c.kind == "target"]
    if not failing:
        return nothing(what="no failure is left to try changes on; all of them judge")
    subject = place.subject(place.base)
    base, model = subject.setup(failing[0]), subject.model
    how = Trying(
        bench=place.bench,
        gaps=gaps,
        more=lambda: _rewritings(place, base, model, teaching),
        tell=lambda done, total: place.tell("trying prompts", done, total),
    )
    found = propose(base, model, _means(place, issues, failing), teaching, how)
    if isinstance(found, NoChange):
        return nothing(what=str(found), fruitless=found.fruitless)
    tried = [
        {"edit": s.edit.name, "good": s.good, "n": s.n, "broken": s.broken, "kept": s.kept}
        for s in found.tried
    ]
    return Made(
        remedy=remedy.id, kind=remedy.kind, release=place.kept(found.release, found.prompt), gaps=gaps, what=found.name,
        about={"diff": list(found.diff), "tried": tried},
    )  # fmt: skip


def _means(place: Workplace, issues: Sequence[Issue], failing: Sequence[Exchange]) -> Means:
    """Return the means of all issues together; what is held out must not stand in a prompt, so only one half is shown."""
    parts = [place.workshop.means(i, failing) for i in issues]
    teaching = {c.id for c in place.cases if not c.held_out}
    rules = tuple(dict.fromkeys(r for p in parts for r in p.rules))
    return replace(parts[0], rules=rules, exemplars=tuple(s for s in parts[0].exemplars if s.id in teaching))


def _rewritings(place: Workplace, base: Setup, model: ChatModel, teaching: Sequence[Case]) -> Iterator[Edit]:
    """Yield the prompt as a model rewrites it, where one is configured and may be paid for."""
    own = place.config.improve
    if own.model is None:
        return
    price = priced(own.price) or free(own.model)
    what = f"rewriting the prompt with {own.model}"
    if price is None:
        what += f" ({own.cap_calls} calls at most; set `improve.price`, as dollars are capped only then)"
    if not place.agreed("ChangePrompt", what, own.cap_usd if price is not None else inf):
        return
    budget = Budget(calls=own.cap_calls, usd=own.cap_usd, price=price)
    writer = Remembered(
        at_address(own.model), place.load(own.model), place.config.state / "probes.db", budget
    )
    optimise = import_module("advisor.apply.optimising").optimise
    prompt = optimise(base, model, writer, teaching, place.bench, calls=own.judged)
    if prompt is not None:
        yield Edit(name=f"the prompt rewritten by {own.model}", cost=4, setup=replace(base, prompt=prompt))
