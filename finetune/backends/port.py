"""The port that every place where models are tuned fills, and how it fails.

JobError
├── JobRefused      it will not be done as it stands; a person must change something
├── JobUnavailable  network, overload, rate limit; nothing was sent, and the same call may work later
└── JobUncertain    the call was sent and no answer came: the job may or may not exist there
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from finetune.recipe import Recipe

State = Literal["written", "sending", "running", "paused", "succeeded", "failed", "cancelled"]
FINAL: frozenset[State] = frozenset({"succeeded", "failed", "cancelled"})
DIED = "died"
"""`Standing.raw` of a paused job whose process is gone without a word: resuming goes on from its last checkpoint."""
Action = Literal["cancel", "pause", "resume"]


class JobError(Exception):
    """A job could not be sent, asked after or changed.

    Attributes:
        hint: What a person can do about it; empty if nothing is known.
        code: The provider's own word for it, if it has one.
    """

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return "; ".join(part for part in (super().__str__(), self.hint) if part)


class JobRefused(JobError):
    """It will not be done as it stands."""


class JobUnavailable(JobError):
    """Nothing was done; the same call may work later.

    Attributes:
        retry_after_s: Seconds the provider asks to wait, None if it does not say.
        passes: Whether waiting alone may help; False where a person must do something first, such as set a key.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str = "",
        retry_after_s: float | None = None,
        passes: bool = True,
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.retry_after_s = retry_after_s
        self.passes = passes


class JobUncertain(JobError):
    """It was sent and no answer came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A job to be done once.

    Attributes:
        key: Ours, unique for this order, at most 63 characters of `[a-z0-9-]`; goes into names, tags, metadata and
            idempotency tokens, so that the job can be found again.
        recipe: How.
        dataset: Folder of the dataset.
        workdir: Folder of this job's own files; exists.
        cap_usd: Most it may cost; 0 for what costs nothing.
    """

    key: str
    recipe: Recipe
    dataset: Path
    workdir: Path
    cap_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, as the provider told it."""

    time: float
    message: str
    level: str = "info"
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a job stands.

    Attributes:
        state: In our words.
        raw: In the provider's; kept also where we do not know the word.
        message: Why it failed or waits; empty if there is nothing to say.
        model: Reference of the tuned model, once there is one, for instance `openai:ft:...` or an adapter's id.
        trained_tokens: Tokens the provider bills; None until it says.
        cost_usd: What it costs by the provider's own count; None if not known.
        metrics: Losses and the like, by name.
        progress: Share done, 0-1; None if not known.
        left_s: Seconds left by its own estimate; None if not known.
        events: New ones since the last look, oldest first.
        checkpoints: Models on the way, as references, oldest first.
        files: Result files, name to path under the job's folder.
    """

    state: State
    raw: str
    message: str = ""
    model: str | None = None
    trained_tokens: int | None = None
    cost_usd: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    progress: float | None = None
    left_s: float | None = None
    events: tuple[Event, ...] = ()
    checkpoints: tuple[str, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)


Note = Callable[[str, Any], None]
"""`note("file_id", "file-abc")`: writes a step down before the next is taken, so that it is never done twice."""


class Backend(Protocol):
    """A place where models are tuned."""

    def submit(self, order: Order, *, steps: Mapping[str, Any], note: Note, perhaps_sent: bool) -> str:
        """Make sure that exactly one job for this order exists there, and return its id.

        Args:
            order: The job.
            steps: What earlier attempts noted.
            note: Writes a step down.
            perhaps_sent: An earlier attempt may have sent it: look for it by its key first.

        Raises:
            JobError: It does not exist there (`JobRefused`, `JobUnavailable`), or nobody knows (`JobUncertain`).
        """
        ...

    def poll(self, order: Order, provider_id: str, *, steps: Mapping[str, Any], note: Note) -> Standing:
        """Return how the job stands; asking changes nothing.

        Raises:
            JobError: It could not be asked.
        """
        ...

    def control(self, order: Order, provider_id: str, action: Action) -> None:
        """Cancel, pause or resume; doing it twice is no error.

        Raises:
            JobRefused: The provider cannot do that, or the job is over.
            JobUnavailable: It could not be asked.
        """
        ...
