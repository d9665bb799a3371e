"""Releasing: the bot of the settings as a bundle that can go live: prompt and contract kept, the index version pinned."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from advisor import config as settings
from advisor.logs.files import InputError
from advisor.rules import rules_of_prompt
from rag.index import Index
from router.contract.rules import Contract
from router.prompts import Prompt, Prompts
from router.releases import Generation, Release, Releases, Retrieving


def bundle(config: settings.Config, *, note: str = "") -> Release:
    """Return the release of the settings, its prompt kept in the state folder; nothing goes live.

    Raises:
        InputError: The prompt cannot be read.
    """
    own = config.chat
    prompt = Prompt.of(_text(own.prompt), no_answer=own.no_answer)
    Prompts(config.state).add(prompt)
    return Release(
        model=own.model, prompt=prompt.id, index=_live_version(config) if own.retrieve else None, contract=contract_for(prompt, config),
        generation=Generation(
            max_tokens=own.max_tokens, temperature=own.temperature, stop=own.stop, strict=own.strict, retries=own.retries, stream=own.stream
        ),
        retrieving=Retrieving(k=own.k, decline_below=own.decline_below, cite=own.cite, grounded=own.grounded), fallback=own.fallback,
        price=settings.priced(own.price), note=note, made=time.time(),
    )  # fmt: skip


def contract_for(prompt: Prompt, config: settings.Config) -> Contract:
    """Return what replies must hold: the declared rules, and those read off the prompt unless that is switched off."""
    declared = settings.contract_of(config)
    if not declared.read_prompts:
        return declared
    read = tuple(r for r in rules_of_prompt(prompt.system) if r.id not in {d.id for d in declared.rules})
    return replace(declared, rules=(*declared.rules, *read))


def kept(config: settings.Config, release: Release) -> str:
    """Keep a release and return its id."""
    return Releases(config.state).add(release)


def followed(config: settings.Config, id: str, *, wait_s: float = 60) -> None:
    """Make the index version of a release that went live the one that is searched and changed by hand, so that the next change begins with its pages.

    Only if it grew from that one: what was changed by hand meanwhile is not taken back.

    Raises:
        IndexFailed: Another process has been writing to the index for `wait_s` seconds.
    """
    version = Releases(config.state).get(id).index
    with Index(config.index.folder or config.state / "index", wait_s=wait_s) as index:
        parents = {m.id: m.parent for m in index.versions()}
        grown: str | None = version
        while grown is not None and grown != index.live.version:
            grown = parents.get(grown)
        if version is not None and grown is not None and grown != version:
            index.promote(version)


def _live_version(config: settings.Config) -> str | None:
    with Index(config.index.folder or config.state / "index") as index:
        return index.live.version


def _text(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"chat.prompt: {file} cannot be read ({error}); name a UTF-8 text file") from None
