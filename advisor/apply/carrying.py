"""Carrying out: a plan's remedies made as releases in staging, each gated alone, then together; then live, or not.

Remedies that change different parts of a release are put together part by part. One that changes a part that another has changed
already is made once more on the release that has the other, and gated there, so that neither takes the other back.

Every step is written down when it is done (`State.note_step`), answers of the bot are kept by what was asked, index versions and
releases are named by their content, and jobs are sent once; so a run that is killed is finished by the next, and nothing is done
or paid for twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from itertools import product
from typing import Any, Literal

from advisor.apply.paying import refused
from advisor.apply.workplace import Made, Workplace
from advisor.evidence import GAPS, Gap
from advisor.gate import irrelevance, tuning
from advisor.gate.decision import Decision, Pair, Part, better, decide
from advisor.gate.trial import Case, pairs
from advisor.plan import Plan, Remedy
from advisor.probing.judging import Judged
from router.releases import Release
from router.replies import Reply

MAKERS: dict[str, str] = {
    "ChangePrompt": "advisor.apply.change_prompt:make",
    "UpdateIndex": "advisor.apply.update_index:make",
    "FineTune": "advisor.apply.fine_tune:make",
}
"""Kind of remedy to `module:function` of what makes it: `(Workplace, Remedy) -> Made`."""

_PARTS = ("model", "prompt", "index", "contract", "generation", "retrieving", "fallback")
"""Parts of a release that remedies change."""

_UNREAD = 20
"""Conversations in which a tuned model is asked without pages too."""

Standing = Literal[
    "accepted",
    "cheaper is as good",
    "dearer mends more",
    "left for later",
    "refused",
    "not enough evidence",
    "not made",
]
"""`dearer mends more` is what a dearer remedy makes needless; `left for later` is what was accepted alone and cannot be had beside the others; its failures are planned for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One remedy alone, or on the release of those before it where it changes what they change.

    Attributes:
        decision: Of the gate; None if nothing was made.
        standing: Whether it goes into the release.
        why: In one sentence.
    """

    made: Made
    decision: Decision | None
    standing: Standing
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What carrying a plan out came to, before anything goes live.

    Attributes:
        base: Release that was live.
        tried: Each remedy alone.
        release: The release with all that were accepted; None if none was.
        decision: Of the gate on that release.
        left_out: Remedies that were not looked at, by id, with why.
    """

    base: str
    tried: tuple[Tried, ...]
    release: str | None
    decision: Decision | None
    left_out: Mapping[str, str] = field(default_factory=dict)


class Carrier:
    """Carries the remedies of one plan out on one release.

    Args:
        place: What it works with.
        plan: The plan.
        only: Kinds or ids of the remedies that are wanted; all that can be made unless given.
        most_good: Good replies that are asked again by the gate.
    """

    def __init__(
        self, place: Workplace, plan: Plan, *, only: Sequence[str] = (), most_good: int = 150
    ) -> None:
        self._place = place
        self._plan = plan
        self._only = tuple(only)
        self._most_good = most_good
        self._answers: dict[tuple[str, int], dict[str, Judged]] = {}
        self._general: dict[tuple[str, str], list[Pair]] = {}

    def run(self) -> Carried:
        """Make, gate, join, and gate again."""
        out = {r.id: why for r in self._plan.remedies if r.kind in MAKERS and (why := self._why_not(r))}
        wanted = [r for r in self._plan.remedies if r.kind in MAKERS and r.id not in out]
        release, tried = self._joined(self._cheapest(self._alone(wanted)))
        taken = [t for t in tried if t.standing == "accepted"]
        nothing = Carried(
            base=self._place.base.id, tried=tuple(tried), release=None, decision=None, left_out=out
        )
        if not taken:
            return nothing
        decision = taken[0].decision
        if len(taken) > 1:
            decision = self._gated(release, self._remedies(taken), gaps=_gaps(t.made for t in taken))
        return replace(nothing, release=release, decision=decision)

    def _remedies(self, tried: Sequence[Tried]) -> list[Remedy]:
        own = {t.made.remedy for t in tried}
        return [r for r in self._plan.remedies if r.id in own]

    # One remedy alone

    def _why_not(self, remedy: Remedy) -> str:
        """Why a remedy is left out; empty if it is not."""
        place = self._place
        if (
            self._only
            and remedy.kind not in self._only
            and not any(remedy.id.startswith(o) for o in self._only)
        ):
            return "it is not among those that are wanted"
        if not place.issues_of(remedy):
            return "its issues are not those of the last run; plan anew with `advise LOGS`"
        if not place.failures(remedy, held_out=True):
            taught = len(place.failures(remedy, held_out=False))
            return (
                f"all {taught} failures of it are on the half that suggests changes, none is left to judge them; more logs are needed"
                if taught
                else "none of its failures is kept for this bot"
            )
        if remedy.kind == "FineTune" and remedy.blocked and not self._only:
            return f"it waits: {'; '.join(remedy.needs)} (--only FineTune tries it all the same)"
        return ""

    def _alone(self, remedies: Sequence[Remedy]) -> list[Tried]:
        """Make and gate each; several that come to the same release, such as pages that one index version adds, are gated as one."""
        made = [(r, self._made(r, self._place)) for r in remedies]
        decisions: dict[str, Decision] = {}
        for _, one in made:
            if one.release is not None and one.release not in decisions:
                same = [(r, m) for r, m in made if m.release == one.release]
                decisions[one.release] = self._gated(
                    one.release, [r for r, _ in same], gaps=_gaps(m for _, m in same)
                )
        shared = Counter(m.release for _, m in made)
        return [
            _own(r, tried) if shared[m.release] > 1 else tried
            for r, m in made
            for tried in [_tried(m, decisions.get(m.release or ""))]
        ]

    def _made(self, remedy: Remedy, place: Workplace) -> Made:
        state, key = place.state, (self._plan.hash, place.named(remedy), "made")
        why = refused(place, remedy)
        if why:
            return Made(remedy=remedy.id, kind=remedy.kind, release=None, gaps=frozenset(), what=why)
        known = state.step(*key)
        # What could not be made, for want of money, a key or room, is tried again.
        if known is not None and known["release"] is not None:
            return Made(**{**known, "gaps": frozenset(g for g in GAPS if g in known["gaps"])})
        module, _, name = MAKERS[remedy.kind].partition(":")
        maker: Callable[[Workplace, Remedy], Made] = getattr(import_module(module), name)
        made = maker(place, remedy)
        state.note_step(*key, {**_plain(made), "gaps": sorted(made.gaps)})
        return made

    def _cheapest(self, tried: Sequence[Tried]) -> list[Tried]:
        """Drop a dearer remedy where a cheaper one for the same issue and gap is as good, and a cheaper one of whose failures it mends all that are
        mended, and more."""
        found = list(tried)
        rivals = list(self._rivals(found))
        for n, m, wins, seen in rivals:
            if not wins and _stand(found[n], found[m]):
                why = f"{found[m].made.what} is cheaper and as good: {_against(seen)}"
                found[n] = replace(found[n], standing="cheaper is as good", why=why)
        # Only what still stands makes a cheaper one needless.
        for n, m, wins, seen in rivals:
            dear, cheap = found[n], found[m]
            covered = cheap.made.gaps <= dear.made.gaps and self._issues(cheap) <= self._issues(dear)
            if wins and not seen.lost and covered and _stand(dear, cheap):
                why = f"{dear.made.what} mends all that it mends, and more: {_against(seen)}"
                found[m] = replace(cheap, standing="dearer mends more", why=why)
        return found

    def _rivals(self, tried: Sequence[Tried]) -> Iterator[tuple[int, int, bool, Part]]:
        """Yield the places of each accepted remedy and of each accepted cheaper one for the same issue and gap; whether the dearer mends more, and the comparison."""
        for n, m in product(range(len(tried)), repeat=2):
            dear, cheap = tried[n], tried[m]
            gaps = cheap.made.gaps & dear.made.gaps
            if (
                _stand(dear, cheap)
                and cheap.made.cost < dear.made.cost
                and gaps
                and self._issues(cheap) & self._issues(dear)
            ):
                first, second = (
                    self._pairs(t.made.release or "", self._remedies([dear, cheap]), gaps=gaps, base=self._place.base) for t in (dear, cheap)
                )  # fmt: skip
                yield n, m, *better(first, second)

    def _issues(self, tried: Tried) -> set[str]:
        return {i for r in self._remedies([tried]) for i in r.issues}

    # Together

    def _joined(self, tried: Sequence[Tried]) -> tuple[str, list[Tried]]:
        """Return the release with the changes of all that are accepted, and how each stands once it is there."""
        base, release = self._place.base, self._place.base
        found: list[Tried] = []
        for one in tried:
            if one.standing == "accepted":
                changes = _changes(base, self._place.releases.get(one.made.release or ""))
                before = _changes(base, release)
                clash = sorted(n for n in changes.keys() & before.keys() if changes[n] != before[n])
                if not clash:
                    release = replace(release, **changes)
                else:
                    one = self._after(release, one, [t for t in found if t.standing == "accepted"], clash)
                    if one.standing == "accepted":
                        release = self._place.releases.get(one.made.release or "")
            found.append(one)
        return self._place.kept(release), found

    def _after(self, release: Release, alone: Tried, before: Sequence[Tried], clash: Sequence[str]) -> Tried:
        """Make a remedy once more on the release of those before it, which change the same parts; what those mend must stay mended."""
        later = replace(alone, standing="left for later", why=f"others change the {' and '.join(clash)} too")
        if "model" in clash:
            return replace(later, why=f"{later.why}, and only one of two models can answer")
        (remedy,) = self._remedies([alone])
        made = self._made(remedy, replace(self._place, base=release))
        if made.release is None:
            return replace(later, why=f"{later.why}; on top of theirs: {made.what}")
        all_of = [*before, replace(alone, made=made)]
        decision = self._gated(
            made.release, self._remedies(all_of), gaps=_gaps(t.made for t in all_of), base=release
        )
        again = _tried(made, decision)
        return (
            again
            if again.standing == "accepted"
            else replace(later, why=f"{later.why}; on top of theirs: {again.why}")
        )

    # The gate

    def _gated(
        self, release: str, remedies: Sequence[Remedy], *, gaps: frozenset[Gap], base: Release | None = None
    ) -> Decision:
        found = self._pairs(release, remedies, gaps=gaps, base=base or self._place.base)
        return decide(found, margin=self._place.config.gate.margin)

    def _pairs(
        self, release: str, remedies: Sequence[Remedy], *, gaps: frozenset[Gap], base: Release
    ) -> list[Pair]:
        failures = {c.id: c for r in remedies for c in self._place.failures(r, held_out=True)}
        cases = [*failures.values(), *self._place.good(held_out=True, most=self._most_good)]
        changed = self._place.releases.get(release)
        before, after = self._asked(base, cases), self._asked(changed, cases)
        chosen = None
        if base.generation.temperature > 0:
            chosen = self._asked(base, [c for c in cases if c.kind == "good"], again=1)
        found = pairs(cases, before, after, gaps=gaps, chosen=chosen)
        if changed.model != base.model:
            found += tuning.kept(cases, before, after, gaps=gaps)
            # A head gives labels and was never meant to do anything else.
            if not changed.model.startswith("head:"):
                found += self._abilities(base, changed) + self._unread(base, changed, cases)
                found += self._irrelevance(base, changed)
        return found

    def _abilities(self, base: Release, changed: Release) -> list[Pair]:
        """What another model must not have unlearnt; asked once for each pair of models."""
        most, key = self._place.config.gate.general, (base.model, changed.model)
        if key not in self._general:
            own, other = (self._place.bench.model(self._place.subject(r)) for r in (base, changed))
            what = f"general abilities of {changed.model}"
            self._general[key] = tuning.abilities(
                own, other, most=most, tell=lambda done, total: self._place.tell(what, done, total)
            )
        return self._general[key]

    def _unread(self, base: Release, changed: Release, cases: Sequence[Case]) -> list[Pair]:
        """What another model says where retrieval gives it nothing."""
        if base.index is None:
            return []
        some = list({c.group: c for c in cases if not c.exchange.tools}.values())[:_UNREAD]
        before, after = (
            {
                id: r.text
                for id, r in self._replies(some, replace(release, index=None), "asking without pages").items()
            }
            for release in (base, changed)
        )
        return tuning.unread(some, before, after)

    def _irrelevance(self, base: Release, changed: Release) -> list[Pair]:
        """Whether another model calls tools where no call is due."""
        asked = irrelevance.cases(self._place.cases, judging=True)
        before, after = (self._replies(asked, r, "asking what calls for no tool") for r in (base, changed))
        return irrelevance.unneeded(asked, before, after)

    def _replies(self, cases: Sequence[Case], release: Release, what: str) -> dict[str, Reply]:
        subject = self._place.subject(release)
        return self._place.bench.replies(
            cases, subject, tell=lambda done, total: self._place.tell(what, done, total)
        )

    def _asked(self, release: Release, cases: Sequence[Case], *, again: int = 0) -> Mapping[str, Judged]:
        known = self._answers.setdefault((release.id, again), {})
        left = [c for c in cases if c.id not in known]
        if left:
            what = f"asking release {release.id}"
            known |= self._place.bench.asked(
                left,
                self._place.subject(release),
                again=again,
                tell=lambda done, total: self._place.tell(what, done, total),
            )
        return known


def _tried(made: Made, decision: Decision | None) -> Tried:
    if decision is None:
        return Tried(made=made, decision=None, standing="refused" if made.fruitless else "not made", why=made.what)  # fmt: skip
    standing: Standing = (
        "refused"
        if decision.verdict == "refuse"
        else "not enough evidence"
        if decision.verdict == "not enough evidence"
        else "accepted"
    )
    return Tried(made=made, decision=decision, standing=standing, why=decision.reason)


def _stand(*tried: Tried) -> bool:
    return all(t.standing == "accepted" for t in tried)


def _against(seen: Part) -> str:
    return f"{seen.after.value:.0%} against {seen.before.value:.0%} of {seen.n} held-out failures good"


def _own(remedy: Remedy, tried: Tried) -> Tried:
    """Refuse a remedy that came to one release with others and mends nothing of its own: it is live with them, and its failures are planned for again."""
    issues = tried.decision.issues if tried.decision is not None else {}
    own = [issues[id] for id in remedy.issues if id in issues]
    n, gained, lost = sum(p.n for p in own), sum(p.gained for p in own), sum(p.lost for p in own)
    if tried.standing != "accepted" or not n or gained > lost:
        return tried
    why = f"{gained} of {n} held-out failures of its own are mended and {lost} lost, where others in one release with it mend theirs"
    return replace(tried, standing="refused", why=why)


def _gaps(made: Iterable[Made]) -> frozenset[Gap]:
    return frozenset(g for m in made for g in m.gaps)


def _changes(base: Release, release: Release) -> dict[str, Any]:
    """Return the parts in which a release is another than the one it was made from."""
    return {n: getattr(release, n) for n in _PARTS if getattr(release, n) != getattr(base, n)}


def as_data(carried: Carried) -> dict[str, Any]:
    """Return what was carried out as plain data, for the ledger and for other programs."""
    return {
        "left_out": dict(carried.left_out), "base": carried.base, "release": carried.release, "decision": decision_data(carried.decision) if carried.decision else None,
        "tried": [{**_plain(t.made), "gaps": sorted(t.made.gaps), "standing": t.standing, "why": t.why, "decision": decision_data(t.decision) if t.decision else None} for t in carried.tried],
    }  # fmt: skip


def decision_data(decision: Decision) -> dict[str, Any]:
    """Return a decision as plain data."""
    return {
        "verdict": decision.verdict, "reason": decision.reason, "target": _part(decision.target), "good": _part(decision.good), "general": _part(decision.general),
        "irrelevance": _part(decision.irrelevance), "issues": {name: _part(p) for name, p in decision.issues.items()},
    }  # fmt: skip


def _part(p: Part) -> dict[str, Any]:
    return {
        "n": p.n, "before": round(p.before.value, 4), "after": round(p.after.value, 4), "difference": [round(x, 4) for x in (p.difference, p.low, p.high)],
        "gained": p.gained, "lost": p.lost, "p": round(p.p, 4), "unjudged": p.unjudged, "broken": list(p.broken),
    }  # fmt: skip


def _plain(made: Made) -> dict[str, Any]:
    return {**asdict(replace(made, gaps=frozenset())), "gaps": sorted(made.gaps)}
