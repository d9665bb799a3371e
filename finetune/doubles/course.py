"""How a double's jobs go, where their own files do not end them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a job goes that is not ended by its own file.

    Attributes:
        stuck_at: A status it never leaves; empty for none.
        fails: Code and message with which it fails while running; None for none.
        word: A status of the provider's that nobody knows, told while it runs.
        blocked: Whether checks after the training block the tuned model: an event of a type that no SDK knows.
        cancel_race: Whether it succeeds in the moment in which it is cancelled.
    """

    stuck_at: str = ""
    fails: tuple[str, str] | None = None
    word: str = ""
    blocked: bool = False
    cancel_race: bool = False
