"""Which bot is asked: what is live, a model put in the bot's place, or the operator's own address."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from advisor import config as settings
from advisor.diagnosis import Diagnosis
from advisor.exchange import Exchange
from advisor.logs.files import InputError
from advisor.probing.subject import Logged, Released, Subject, at_address
from rag.index import Index
from router import models
from router.live import Live
from router.models.called import endpoint
from router.models.port import ChatModel
from router.prompts import Prompts
from router.releases import Price, Release, Releases

LIVE = "live"
ADDRESS = ("http://", "https://")
_HERE = ("local:", "hf:", "head:", "scripted:")
_VENDOR = re.compile(
    r"^(?:(?:us|eu|apac|global)\.)?(?:anthropic|amazon|meta|mistral|cohere|openai|deepseek|qwen)\."
)
_SNAPSHOT = re.compile(
    r"[-@](?:latest|(?P<date>20\d\d-?[01]\d-?[0-3]\d|[01]\d[0-3]\d|2\d[01]\d))(?:-v\d+(?::\d+)?)?$"
)
"""How names of models end that say when they were made: `-2024-07-18`, `-20241022-v2:0`, `-0613`, `-latest`."""


class Bots:
    """The bots that can be asked again.

    Args:
        default: Gives what is asked where no other fits.
        by_system: System prompts of the log to the bots that are live with them.
    """

    def __init__(
        self, default: Callable[[], Subject], by_system: Mapping[str, Subject] | None = None
    ) -> None:
        self._default = cache(default)
        self._by_system = {_plain(system): bot for system, bot in (by_system or {}).items()}

    def of(self, exchanges: Sequence[Exchange]) -> Subject:
        """Return the bot that answered these.

        Raises:
            NothingLive: It is not live, nor is another that could be asked in its place.
        """
        own = self._by_system.get(_plain(exchanges[0].system)) if exchanges else None
        return own or self._default()

    def stands_in(self, exchanges: Sequence[Exchange]) -> bool:
        """Return whether the bot that is asked is another than the one that answered in the log; False where the log does not say."""
        asked = self.of(exchanges)
        if isinstance(asked, Released):
            systems = {_plain(e.system) for e in exchanges}
            return any(self._by_system.get(s) is not asked for s in systems if s or self._by_system)
        if asked.reference.startswith(ADDRESS):
            return False  # the operator's own bot, reached as a whole
        return any(not same_model(asked.reference, e.model) for e in exchanges if e.model)


def bots(
    config: settings.Config, seen: Sequence[tuple[Exchange, Diagnosis]], *, index: Index | None = None
) -> Bots:
    """Return the bots that `probe.bot` names: with `live`, each issue is asked of the release that answers with its system prompt.

    Raises:
        InputError: None is named.
        ModelMissing: The model's package, file or key is not there.
    """
    if config.probe.bot != LIVE:
        default = subject(config)
        return Bots(lambda: default)
    live = [(release, systems) for _, release, systems in concerned(config.state, seen)]
    own = {
        system: released(config.state, release, index)
        for release, systems in live
        for system in systems or ()
    }
    alone = next((release for release, systems in live if systems is None), None)
    return Bots(lambda: released(config.state, alone or _untold(config.state), index), own)


def concerned(
    folder: Path, seen: Sequence[tuple[Exchange, Diagnosis]], before: Mapping[str, Release] | None = None
) -> Iterator[tuple[str, Release, frozenset[str] | None]]:
    """Yield the live releases with the system prompts of the log that are theirs; None for all, where only one is live and none fits.

    `before` holds, by route, a release that was live there when the log was written, whose prompt counts as well.
    """
    routes = Live(folder).routes()
    told = {_plain(e.system): e.system for e, _ in seen}
    for name, route in routes.items():
        release = Releases(folder).get(route.release)
        ours = (release, *(r for n, r in (before or {}).items() if n == name))
        prompts = {_plain(Prompts(folder).get(r.prompt).system) for r in ours}
        own = frozenset(told[p] for p in prompts if p in told)
        if own:
            yield name, release, own
        elif len(routes) == 1:
            yield name, release, None


def subject(config: settings.Config) -> Subject:
    """Return the bot that `probe.bot` names by its address or its model.

    Raises:
        InputError: None is named.
        ModelMissing: The model's package, file or key is not there.
    """
    own = config.probe
    if own.bot is None:
        raise InputError(
            "no bot to ask; set `probe.bot` (or --bot) to live, to provider:name, or to the address of your bot"
        )
    if own.bot.startswith(ADDRESS):
        return Logged(own.bot, endpoint(own.bot), temperature=None, open_to=frozenset(own.open_to))
    options = {"base_url": own.base_url} if own.base_url else {}
    return Logged(
        own.bot,
        models.load(own.bot, adapters=config.state / "adapters", **options),
        kept_under=at_address(own.bot, own.base_url),
        max_tokens=own.max_tokens,
        temperature=own.temperature,
    )


def price(config: settings.Config, releases: Iterable[Release]) -> Price | None:
    """Return what the bots that are asked cost, the dearest of them; None if that of any is not known."""
    own = settings.priced(config.probe.price)
    if own is not None:
        return own
    known = [r.price or free(r.model) for r in releases]
    found = [p for p in known if p is not None]
    if len(found) < len(known) or not found:
        return None
    return Price(input=max(p.input for p in found), output=max(p.output for p in found))


def free(model: str) -> Price | None:
    """Return the price of a model on this machine, which is nothing; None for others."""
    return Price(input=0.0, output=0.0) if model.startswith(_HERE) else None


def same_model(a: str, b: str) -> bool:
    """Return whether two names are of one model, providers left out; a dated snapshot is the model that its name has without the date."""
    (name, date), (other, dated) = _named(a), _named(b)
    return name == other and (date == dated or not (date and dated))


def released(state: Path, release: Release, index: Index | None) -> Released:
    """Return a release as a bot that can be asked."""
    model: ChatModel = models.load(release.model, adapters=state / "adapters")
    searched = index.at(release.index) if index is not None and release.index else None
    return Released(release, Prompts(state).get(release.prompt), model, searched)


def _untold(state: Path) -> Release:
    """Return what answers where neither tenant nor task is told."""
    return Releases(state).get(Live(state).choose().release)


def _named(model: str) -> tuple[str, str]:
    """A model's name without its provider, and the date of its snapshot."""
    provider, _, rest = model.casefold().partition(":")
    name = _VENDOR.sub("", (rest if provider in models.PROVIDERS else model.casefold()).rpartition("/")[2])
    found = _SNAPSHOT.search(name)
    date = "".join(c for c in found["date"] or "" if c.isdigit()) if found else ""
    return name[: found.start()] if found else name, date


def _plain(text: str) -> str:
    return " ".join(text.split())
