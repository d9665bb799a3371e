"""Releases: immutable bundles of model, prompt, index version and contract; what answers, under one id."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rag.files import write
from router.contract.rules import Contract, Rule

FORMAT = "rightfix-release-1"


class ReleaseMissing(LookupError):
    """There is no such release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How the model is asked.

    Attributes:
        max_tokens: Most tokens of a reply.
        temperature: 0 for the likeliest words, 2 for the wildest.
        stop: Texts before which a reply is cut.
        strict: Whether a reply that must be JSON or a label is held to that while it is made, where the engine can.
        retries: How often the model is asked again, with the fault named, before the fallback.
        stream: `live`: words are shown as they come; `checked`: only once the reply holds its contract; `auto`: live if
            whatever the contract wants can still be mended at the end.
    """

    max_tokens: int = 512
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    strict: bool = True
    retries: int = 1
    stream: Literal["auto", "live", "checked"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieving:
    """How passages are looked for and used.

    Attributes:
        k: Passages served.
        decline_below: Share of the weight of the question's words that two neighbouring sentences of a passage must hold, 0-1;
            where none does, the bot says that it does not know. 0 leaves that to the model.
        cite: Whether replies name the passages they rest on, checked one by one.
        grounded: Whether a reply whose figures, codes or addresses stand in no passage is asked for again, and declined if it stays so.
    """

    k: int = 3
    decline_below: float = 0.0
    cite: bool = True
    grounded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars for a million tokens."""

    input: float
    output: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What answers.

    Attributes:
        model: `provider:name`, with `+adapter` behind it if one is used.
        prompt: Id of the prompt.
        index: Version of the index; None for a bot without retrieval.
        contract: What every reply must satisfy.
        fallback: What is said when a reply cannot be made to; None: the best reply there was is said, breach and all.
        price: Of the model, None if not known.
        note: What a person should know of it. Neither note nor `made` count for the id.
        made: Seconds since the epoch.
    """

    model: str
    prompt: str
    index: str | None = None
    contract: Contract = field(default_factory=Contract)
    generation: Generation = field(default_factory=Generation)
    retrieving: Retrieving = field(default_factory=Retrieving)
    fallback: str | None = None
    price: Price | None = None
    note: str = ""
    made: float = 0.0

    @property
    def id(self) -> str:
        """SHA-256 of what answers, 12 hex digits."""
        data = {k: v for k, v in _data(self).items() if k not in ("note", "made")}
        return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]

    def cost(self, input_tokens: int | None, output_tokens: int | None) -> float | None:
        """Return what so many tokens cost in US dollars, None if price or tokens are not known."""
        if self.price is None or input_tokens is None or output_tokens is None:
            return None
        return (input_tokens * self.price.input + output_tokens * self.price.output) / 1e6


class Releases:
    """The releases of a state folder, `releases/<id>.json`; written once, never changed."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "releases"

    def add(self, release: Release) -> str:
        """Keep a release and return its id; one that is there already stays as it is."""
        file = self._folder / f"{release.id}.json"
        if not file.exists():
            data = {"format": FORMAT, "id": release.id, **_data(release), "made": release.made or time.time()}
            write(json.dumps(data, ensure_ascii=False, indent=2) + "\n", file)
        return release.id

    def get(self, id: str) -> Release:
        """Return a release by its id or the beginning of it.

        Raises:
            ReleaseMissing: There is none, more than one, or its file was changed.
        """
        found = [f for f in self._files() if f.stem == id] or [
            f for f in self._files() if f.stem.startswith(id) and id
        ]
        if len(found) != 1:
            told = "no release" if not found else f"{len(found)} releases"
            raise ReleaseMissing(f"{told} {id!r} in {self._folder}; `advise release list` shows them")
        return _read(found[0])

    def all(self) -> list[Release]:
        """Return all releases, the oldest first."""
        return sorted((_read(f) for f in self._files()), key=lambda r: (r.made, r.id))

    def _files(self) -> list[Path]:
        return [f for f in self._folder.glob("*.json") if not f.name.startswith(".")]


def _data(release: Release) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(asdict(release), ensure_ascii=False))
    return data


def _read(file: Path) -> Release:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        found = _release(data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseMissing(f"{file}: is no release ({error})") from None
    if found.id != data.get("id"):
        raise ReleaseMissing(f"{file}: its content has id {found.id}; it was changed since it was made")
    return found


def _release(data: Mapping[str, Any]) -> Release:
    contract, generation = data["contract"], data["generation"]
    return Release(
        model=data["model"], prompt=data["prompt"], index=data["index"],
        contract=Contract(
            rules=tuple(Rule(**r) for r in contract["rules"]), labels=tuple(contract["labels"]), read_prompts=contract["read_prompts"]
        ),
        generation=Generation(**{**generation, "stop": tuple(generation["stop"])}), retrieving=Retrieving(**data["retrieving"]),
        fallback=data["fallback"], price=Price(**data["price"]) if data["price"] else None, note=data["note"], made=data["made"],
    )  # fmt: skip
