"""Progress: how a training stands, in one small file that the trainer replaces and anybody reads."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rag.files import write

Stage = Literal["starting", "loading", "training", "saving", "succeeded", "failed", "paused", "cancelled"]
FILE = "progress.json"
CANCEL = "cancel"
"""Name of the file whose presence asks the trainer to stop for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How a training stands.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        left_s: Seconds left, from the pace of this process; None before there is one.
        loss: Of the last steps.
        held_loss: Of the validation part at the last look.
        tokens: Tokens learnt so far.
        message: Why it failed or stopped.
        model: Reference of what was made.
        metrics: By name.
        files: Name to path.
        updated: Seconds since the epoch.
    """

    stage: Stage
    step: int = 0
    steps: int = 0
    left_s: float | None = None
    loss: float | None = None
    held_loss: float | None = None
    tokens: int = 0
    message: str = ""
    model: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    updated: float = 0.0

    @property
    def line(self) -> str:
        """It all in one line."""
        parts = [f"{self.stage} {self.step}/{self.steps}" if self.steps else self.stage]
        parts += [f"loss {self.loss:.3f}"] if self.loss is not None else []
        parts += [f"held-out loss {self.held_loss:.3f}"] if self.held_loss is not None else []
        parts += (
            [f"{_time(self.left_s)} left"] if self.left_s is not None and self.stage == "training" else []
        )
        return ", ".join([*parts, *([self.message] if self.message else [])])


def tell(folder: Path, progress: Progress) -> None:
    """Write it down for others to read."""
    data = {**asdict(progress), "updated": time.time()}
    write(json.dumps(data, sort_keys=True) + "\n", folder / FILE)


def read(folder: Path) -> Progress | None:
    """Return how a training stands, None if it has not begun."""
    try:
        data: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Progress(**data)


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
