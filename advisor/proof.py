"""Proof: what probes showed of an issue: which change turned its failures, how many of how many, and what it broke."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from advisor.evidence import Gap

RungName = Literal["unchanged", "settings", "rule", "exemplars", "retrieval", "oracle", "oracle+rule"]
"""Rungs of the ladder, the cheapest first."""

Turned = Literal["yes", "no", "open"]

NEARLY = 0.95
"""Share of the failures that a change must be able to turn if nothing dearer is to be tried beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """What one change did to the failures of an issue, as far as one gap goes.

    Attributes:
        name: Of the rung.
        asked: Failures that could be judged after the change.
        turned: Those that were good then; of several answers of the bot unchanged, as many as are good on average.
        low: Lower end of the share turned, 0-1 (a confidence sequence at 90 %, so that stopping early is allowed).
        high: Upper end.
        verdict: `yes`: it turns most of what the bot does not turn by itself; `no`: it does not; `open`: too few to say.
        good: Good exchanges that were asked again after the change.
        broken: Those of them that were good unchanged and bad then.
        failed: Calls that gave no answer or none that could be judged; they count for nothing.
        alone: Share of the same failures, 0-1, that are good by themselves when the bot is asked once more unchanged; 0 for one without chance.
    """

    name: RungName
    asked: int
    turned: int
    low: float
    high: float
    verdict: Turned
    good: int = 0
    broken: int = 0
    failed: int = 0
    alone: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What probes showed of one gap of an issue.

    Attributes:
        gap: The gap.
        rungs: What was tried, in order.
        named: The cheapest rung that turned the failures without breaking good replies; None if none did.
        settled: Whether that is certain: a rung turned them, or every rung that could was shown not to.
        subject: Reference of the bot that was asked.
        stand_in: Whether it was another bot than the one in the log; then this holds for that bot only.
        pooled: What the naming rung did over all issues of the bot with this cause together, where this issue alone is too small to say.
    """

    gap: Gap
    rungs: tuple[Rung, ...]
    named: RungName | None
    settled: bool
    subject: str
    stand_in: bool
    pooled: Rung | None = None

    @property
    def shows(self) -> bool:
        """Whether it is certain that the gap is there."""
        return self.settled and self.named != "unchanged"

    @property
    def refutes(self) -> bool:
        """Whether it is certain that the gap is not there: asked again, the bot does well."""
        return self.settled and self.named == "unchanged"

    @property
    def short(self) -> bool:
        """Whether all that was tried surely leaves failures: no rung's interval reaches nearly all of them (0.95), and words in the prompt were
        among what was tried. Never of a gap that is gone."""
        tried = {r.name: r for r in (*self.rungs, *((self.pooled,) if self.pooled is not None else ()))}
        left = [r for name, r in tried.items() if name != "unchanged" and r.asked]
        worded = any(r.name in ("rule", "exemplars") for r in left)
        return self.named != "unchanged" and worded and all(r.high < NEARLY for r in left)

    @property
    def told(self) -> str:
        """What was shown, in one sentence."""
        tried = ", ".join(_told(r) for r in self.rungs if r.asked)
        like = (
            f" With the bot's other issues of this cause, {_told(self.pooled)}."
            if self.pooled is not None
            else ""
        )
        whose = (
            f" Asked was {self.subject}, not the bot of the log; it holds for that one only."
            if self.stand_in
            else ""
        )
        return f"Probed: {tried or 'nothing could be judged'}.{like}{whose}"

    def rung(self, name: RungName) -> Rung | None:
        """Return what a rung showed, None if it was not tried."""
        return next((r for r in self.rungs if r.name == name), None)


def _told(rung: Rung) -> str:
    alone = f"; {rung.alone:.2f} by itself" if rung.alone else ""
    return f"{rung.name} turned {rung.turned} of {rung.asked} ({rung.low:.2f}-{rung.high:.2f}{alone})"
