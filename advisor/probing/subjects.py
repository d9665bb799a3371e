"""Which bot is asked: what is live, a model put in the bot's place, or the operator's own address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from advisor import config as settings
from advisor.diagnosis import Diagnosis
from advisor.exchange import Exchange
from advisor.logs.files import InputError
from advisor.probing.subject import Logged, Released, Subject
from rag.index import Index
from router import models
from router.live import Live
from router.models.called import endpoint
from router.models.port import ChatModel
from router.prompts import Prompts
from router.releases import Price, Release, Releases

LIVE = "live"


class Bots:
    """The bots that can be asked again.

    Args:
        default: Asked where no other fits.
        by_system: System prompts of the log to the bots that are live with them.
    """

    def __init__(self, default: Subject, by_system: Mapping[str, Subject] | None = None) -> None:
        self.default = default
        self._by_system = by_system or {}

    def of(self, exchanges: Sequence[Exchange]) -> Subject:
        """Return the bot that answered these."""
        return self._by_system.get(exchanges[0].system, self.default) if exchanges else self.default


def bots(
    config: settings.Config, seen: Sequence[tuple[Exchange, Diagnosis]], *, index: Index | None = None
) -> Bots:
    """Return the bots that `probe.bot` names: with `live`, each issue is asked of the release that answers with its system prompt.

    Raises:
        InputError: None is named.
        NothingLive: Nothing is live, where that is to be asked.
        ModelMissing: The model's package, file or key is not there.
    """
    default = subject(config, index=index)
    if config.probe.bot != LIVE:
        return Bots(default)
    own = {
        system: released(config.state, release, index)
        for _, release, systems in concerned(config.state, seen)
        for system in systems or ()
    }
    return Bots(default, own)


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


def subject(config: settings.Config, *, index: Index | None = None) -> Subject:
    """Return the bot that `probe.bot` names; with `live`, what answers where no tenant or task is named.

    Raises:
        InputError: None is named.
        NothingLive: Nothing is live, where that is to be asked.
        ModelMissing: The model's package, file or key is not there.
    """
    own = config.probe
    if own.bot is None:
        raise InputError(
            "no bot to ask; set `probe.bot` (or --bot) to live, to provider:name, or to the address of your bot"
        )
    if own.bot == LIVE:
        return released(config.state, Releases(config.state).get(Live(config.state).choose().release), index)
    if own.bot.startswith(("http://", "https://")):
        return Logged(own.bot, endpoint(own.bot), open_to=frozenset(own.open_to))
    options = {"base_url": own.base_url} if own.base_url else {}
    return Logged(
        own.bot,
        models.load(own.bot, adapters=config.state / "adapters", **options),
        max_tokens=own.max_tokens,
        temperature=own.temperature,
    )


def price(config: settings.Config) -> Price | None:
    """Return what the bot costs, None if that is not known."""
    own = config.probe
    if own.price is not None:
        return Price(input=own.price.input, output=own.price.output)
    if own.bot == LIVE:
        return Releases(config.state).get(Live(config.state).choose().release).price
    return (
        Price(input=0.0, output=0.0)
        if (own.bot or "").startswith(("local:", "transformers:", "scripted:"))
        else None
    )


def released(state: Path, release: Release, index: Index | None) -> Released:
    """Return a release as a bot that can be asked."""
    model: ChatModel = models.load(release.model, adapters=state / "adapters")
    searched = index.at(release.index) if index is not None and release.index else None
    return Released(release, Prompts(state).get(release.prompt), model, searched)


def _plain(text: str) -> str:
    return " ".join(text.split())
