"""What a tuned model must not cost: what the mended replies said, the good replies, general abilities, and being what was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from statistics import fmean
from typing import Any

from advisor.evidence import Gap
from advisor.gate import general
from advisor.gate.decision import Pair
from advisor.gate.general import Answering
from advisor.gate.trial import Case
from advisor.probing.judging import Judged
from rag.statistics import at_most
from rag.tool_text import written
from router.citing import unsupported
from router.models.port import ModelError, call_data

_ALIKE = 0.75
_NEARER = 0.8
_SAME = 0.98
_CHANCE = 0.05
_BETWEEN = 0.1
"""A reply that parts early from both, at a near tie, is as near to either, and tells nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """Whether what is served is what was trained.

    Engines round differently, so replies may part at a near tie; what must hold is that the served replies are near those of the trained
    weights, and nearer to them than to the base's. A merge that lost the change gives the base's replies.

    Attributes:
        n: Prompts asked.
        same: Share of replies that are the trained weights' to the letter, 0-1.
        alike: Mean likeness of served and trained replies, 0-1.
        base_alike: Mean likeness of served and base replies, 0-1.
        nearer: Share that is nearer to the trained one, 0-1, of the served replies that are plainly nearer to one where trained and base differ; 1 if
            there is none.
        tells: How many those are.
    """

    n: int
    same: float
    alike: float
    base_alike: float
    nearer: float
    tells: int

    @property
    def held(self) -> bool:
        """Whether it is what was trained, as far as these prompts tell: of a change that is kept four replies in five are nearer to it, up to chance."""
        return self.n == 0 or (
            self.alike >= _ALIKE and at_most(round(self.nearer * self.tells), self.tells, _NEARER) >= _CHANCE
        )

    def __str__(self) -> str:
        return (
            f"{self.same:.0%} of {self.n} replies are the trained weights' to the letter, likeness {self.alike:.2f} (to the base's {self.base_alike:.2f}), "
            f"{self.nearer:.0%} of the {self.tells} that tell nearer to what was trained"
        )


def parity(served: Answering, base: Answering, probes: Sequence[Mapping[str, Any]]) -> Parity:
    """Ask a served model what its trained weights were asked, and compare.

    Args:
        served: The model as it is served.
        base: Its base, served likewise.
        probes: `messages` and `tools`, and the `reply` of the trained weights with at most `most` tokens.
    """
    found: list[tuple[float, float, bool]] = []
    for probe in probes:
        trained = str(probe["reply"])
        try:
            now, then = (_reply(m, probe) for m in (served, base))
        except ModelError:
            continue
        found.append((_likeness(now, trained), _likeness(now, then), _likeness(trained, then) < _SAME))
    telling = [ours > theirs for ours, theirs, tells in found if tells and abs(ours - theirs) >= _BETWEEN]
    return Parity(
        n=len(found), same=fmean([x >= 1.0 for x, _, _ in found] or [1.0]), alike=fmean([x for x, _, _ in found] or [1.0]),
        base_alike=fmean([y for _, y, _ in found] or [0.0]), nearer=fmean(telling or [1.0]), tells=len(telling),
    )  # fmt: skip


def _reply(model: Answering, probe: Mapping[str, Any]) -> str:
    """A reply as the weights wrote it, its calls as text."""
    done = model.complete(probe["messages"], max_tokens=probe["most"], tools=probe.get("tools") or None)
    return "\n".join(filter(None, (done.text.strip(), written(call_data(done.tool_calls)))))


def _likeness(a: str, b: str) -> float:
    return SequenceMatcher(None, a, b, autojunk=False).ratio()


def kept(
    cases: Sequence[Case], before: Mapping[str, Judged], after: Mapping[str, Judged], *, gaps: frozenset[Gap]
) -> list[Pair]:
    """Return what the failures were good at, before and after: a reply whose form is mended must not say less than it said.

    Args:
        cases: The failures are looked at.
        before: How they fared before, by id.
        after: Likewise after.
        gaps: What the training is for; judged elsewhere.
    """
    found = []
    for case in cases:
        b, a = before.get(case.id), after.get(case.id)
        if case.kind != "target" or b is None or a is None:
            continue
        own = [g for g in b.gaps if g not in gaps and g in a.gaps]
        if own and all(b.gaps[g] for g in own):
            note = next((a.notes[g] for g in own if g in a.notes), "")
            now = all(a.gaps[g] for g in own)
            found.append(
                Pair(
                    id=f"{case.id} (what it says)",
                    group=case.group,
                    kind="good",
                    before=True,
                    after=now,
                    note=note,
                )
            )
    return found


def unread(cases: Sequence[Case], before: Mapping[str, str], after: Mapping[str, str]) -> list[Pair]:
    """Return what a bot with retrieval says where it is given no pages, before and after, for the cases where it invented nothing before.

    A model that learnt what an answer looks like, and not that it comes from a page, gives one without a page too: figures, codes
    and sources that stand in nothing it was told.

    Args:
        cases: What was asked.
        before: Replies of the base without pages, by id of the case.
        after: Likewise of the tuned model.
    """
    found = []
    for case in cases:
        if case.id not in before or case.id not in after:
            continue
        given = [m.content for m in case.exchange.conversation]
        then, now = (invented(told[case.id], given) for told in (before, after))
        if not then:
            note = f"Without pages it states {now[0]}, which stands in nothing it was told." if now else ""
            found.append(
                Pair(
                    id=f"{case.id} (without pages)", group=case.group, kind="good", before=True, after=not now, note=note,
                )
            )  # fmt: skip
    return found


def invented(reply: str, given: Sequence[str]) -> tuple[str, ...]:
    """Return the figures, codes, addresses and named sources of a reply that stand in none of the texts that were given."""
    # Brackets are taken off, so that a source that is named counts as a code.
    return unsupported(reply.replace("[", " ").replace("]", " "), [], given=given)


def abilities(
    before: Answering, after: Answering, *, most: int, tell: general.Tell | None = None
) -> list[Pair]:
    """Return the general suite, done by the base and by the tuned model, as pairs.

    Args:
        before: The base.
        after: The tuned model.
        most: Tasks that are asked at most.
        tell: Called now and then.
    """
    tasks = general.sample(most)
    return general.pairs(
        tasks, general.asked(before, tasks, tell=tell), general.asked(after, tasks, tell=tell)
    )
