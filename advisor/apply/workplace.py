"""Workplace: what carrying a plan out works with, handed to every maker of a remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from advisor import config as settings
from advisor.diagnosis import Diagnosis
from advisor.evidence import Gap
from advisor.exchange import Exchange
from advisor.gate.trial import Bench, Case
from advisor.issues import Issue
from advisor.plan import Remedy
from advisor.probing.asking import Budget
from advisor.probing.means import Workshop
from advisor.probing.subject import Released
from advisor.state import State
from rag.index import Index
from router.models.port import ChatModel
from router.prompts import Prompt, Prompts
from router.releases import Release, Releases

Agreed = Callable[[str, str, float], bool]
"""Asks whether something may be paid for: for which kind of remedy, what it is, and at most how many US dollars; infinite if nobody knows."""

Tell = Callable[[str, int, int], None]
"""Called with what is being done, and how many of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A remedy as a release: what is live with this one change.

    Attributes:
        remedy: Id of the remedy.
        kind: Its kind.
        release: Id of the release; None if nothing could be made.
        gaps: Gaps that it mends; alone it is judged by these.
        what: What was changed, in one sentence; why nothing could be made.
        cost: Order of its cost among remedies for the same issue: prompt, index, training.
        about: Plain data for the report.
        fruitless: Whether nothing was made because nothing that was tried mends any failure: what is dearer need not wait for it.
    """

    remedy: str
    kind: str
    release: str | None
    gaps: frozenset[Gap]
    what: str
    cost: int = 0
    about: Mapping[str, object] = field(default_factory=dict)
    fruitless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """What carrying one plan out works with.

    Attributes:
        issues: Of the last run, by id.
        seen: Its stored exchanges.
        cases: Failures and good replies of the bot that is changed.
        workshop: Makes means.
        bench: Asks and judges.
        base: The release that is changed.
        budget: What asking the bot may cost; of dollars, what was agreed to.
        load: Gives the model of a reference.
        agreed: Asks before anything is paid for.
        tell: Called now and then.
        tenant: The customer whose bot is changed; None for all.
    """

    config: settings.Config
    state: State
    index: Index
    issues: Mapping[str, Issue]
    seen: Sequence[tuple[Exchange, Diagnosis]]
    cases: Sequence[Case]
    workshop: Workshop
    bench: Bench
    base: Release
    budget: Budget
    load: Callable[[str], ChatModel]
    agreed: Agreed
    tell: Tell
    tenant: str | None = None

    @property
    def prompts(self) -> Prompts:
        """Prompts of the state folder."""
        return Prompts(self.config.state)

    @property
    def releases(self) -> Releases:
        """Releases of the state folder."""
        return Releases(self.config.state)

    def subject(self, release: Release, prompt: Prompt | None = None) -> Released:
        """Return a release as a bot that can be asked."""
        searched = self.index.at(release.index) if release.index else None
        return Released(
            release, prompt or self.prompts.get(release.prompt), self.load(release.model), searched
        )

    def issues_of(self, remedy: Remedy) -> list[Issue]:
        """Return the issues of a remedy that are known."""
        return [self.issues[id] for id in remedy.issues if id in self.issues]

    def named(self, remedy: Remedy) -> str:
        """Return the name under which is kept what came of a remedy: one tenant's is nobody else's, though both begin on one release."""
        return "/".join(filter(None, (self.base.id, self.tenant, remedy.id)))

    def failures(self, remedy: Remedy, *, held_out: bool) -> list[Case]:
        """Return the failures of a remedy's issues on one side of the split."""
        own = {i.id for i in self.issues_of(remedy)}
        return [c for c in self.cases if c.kind == "target" and c.issue in own and c.held_out is held_out]

    def good(self, *, held_out: bool, most: int) -> list[Case]:
        """Return what was good on one side of the split."""
        return [c for c in self.cases if c.kind == "good" and c.held_out is held_out][:most]

    def kept(self, release: Release, prompt: Prompt | None = None) -> str:
        """Keep a release, and its prompt if it is new; return its id."""
        if prompt is not None:
            release = replace(release, prompt=self.prompts.add(prompt))
        return self.releases.add(release)
