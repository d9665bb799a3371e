"""Faults: what is wrong with a dataset or a recipe, once for each kind, with where it was seen first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning"]
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault.

    Attributes:
        code: Its name, for `--allow` and for machines.
        level: Whether it forbids the job.
        message: What is wrong.
        hint: What a person can do.
        places: Where it was seen, as sources of examples; empty if it is about the whole.
    """

    code: str
    level: Level
    message: str
    hint: str = ""
    places: tuple[str, ...] = ()

    def __str__(self) -> str:
        more = f" and {len(self.places) - _SHOWN} more" if len(self.places) > _SHOWN else ""
        where = f" [{', '.join(self.places[:_SHOWN])}{more}]" if self.places else ""
        return f"{self.level}: {self.message}{where}{f'; {self.hint}' if self.hint else ''} ({self.code})"


def error(code: str, message: str, *, hint: str = "", places: Iterable[str] = ()) -> Fault:
    """Return a fault that forbids the job."""
    return Fault(code=code, level="error", message=message, hint=hint, places=tuple(places))


def warning(code: str, message: str, *, hint: str = "", places: Iterable[str] = ()) -> Fault:
    """Return a fault that a person should know of."""
    return Fault(code=code, level="warning", message=message, hint=hint, places=tuple(places))


def joined(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return the faults with those of one kind as one, errors first, the message being that of the first."""
    found: dict[tuple[Level, str], Fault] = {}
    for fault in faults:
        key = (fault.level, fault.code)
        before = found.get(key)
        places = (*(before.places if before else ()), *fault.places)
        first = before or fault
        found[key] = Fault(
            code=first.code, level=first.level, message=first.message, hint=first.hint, places=places
        )
    return tuple(sorted(found.values(), key=lambda f: f.level != "error"))
