"""A backend whose jobs go as written beforehand, for tests and rehearsals without a provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune.backends.port import FINAL, Action, JobError, JobRefused, Note, Order, Standing


class Scripted:
    """Answers `submit` and `poll` from lists, one a call; the last standing stays.

    Attributes:
        jobs: Key to provider id of the jobs that exist "there".
        submits: Keys in the order they were asked for, `perhaps_sent` beside them.
    """

    def __init__(
        self,
        standings: Sequence[Standing | JobError] = (),
        *,
        submits: Sequence[JobError | None] = (),
        lose_answers: bool = False,
    ) -> None:
        self._standings = list(standings) or [
            Standing(state="succeeded", raw="succeeded", model="scripted:tuned")
        ]
        self._submits = list(submits)
        self._lose = lose_answers
        self.jobs: dict[str, str] = {}
        self.submits: list[tuple[str, bool]] = []
        self.polls = 0

    def submit(self, order: Order, *, steps: Mapping[str, Any], note: Note, perhaps_sent: bool) -> str:
        """Make the job; see `Backend`."""
        self.submits.append((order.key, perhaps_sent))
        if perhaps_sent and order.key in self.jobs:
            return self.jobs[order.key]
        planned = self._submits.pop(0) if self._submits else None
        if planned is not None and not self._lose:
            raise planned
        self.jobs[order.key] = f"job-{len(self.jobs) + 1}"
        if planned is not None:
            raise planned
        return self.jobs[order.key]

    def poll(self, order: Order, provider_id: str, *, steps: Mapping[str, Any], note: Note) -> Standing:
        """Return the next standing; see `Backend`."""
        planned = self._standings[min(self.polls, len(self._standings) - 1)]
        self.polls += 1
        if isinstance(planned, JobError):
            raise planned
        return planned

    def control(self, order: Order, provider_id: str, action: Action) -> None:
        """Cancel, pause or resume; see `Backend`."""
        last = self._standings[min(self.polls, len(self._standings)) - 1]
        if self.polls and isinstance(last, Standing) and last.state in FINAL:
            raise JobRefused(f"the job is over: {last.state}")
        states = {"cancel": "cancelled", "pause": "paused", "resume": "running"}
        self._standings = [Standing(state=states[action], raw=states[action])]  # type: ignore[arg-type]
        self.polls = 0
