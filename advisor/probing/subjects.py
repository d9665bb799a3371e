"""Which bot is asked: what is live, a model put in the bot's place, or the operator's own address."""

from __future__ import annotations

from pathlib import Path

from advisor import config as settings
from advisor.logs.files import InputError
from advisor.probing.subject import Logged, Released, Subject
from rag.index import Index
from router import models
from router.live import Live
from router.models.called import endpoint
from router.models.port import ChatModel
from router.prompts import Prompts
from router.releases import Price, Releases

LIVE = "live"


def subject(config: settings.Config, *, index: Index | None = None) -> Subject:
    """Return the bot that `probe.bot` names.

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
        return _live(config.state, index)
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


def _live(state: Path, index: Index | None) -> Released:
    release = Releases(state).get(Live(state).choose().release)
    model: ChatModel = models.load(release.model, adapters=state / "adapters")
    searched = index.at(release.index) if index is not None and release.index else None
    return Released(release, Prompts(state).get(release.prompt), model, searched)
