"""Live: which release answers whom. One small file, replaced at once; requests look whether it changed.

live = Live(Path(".advisor"))
live.promote(release_id)                      # for everybody
live.canary(other_id, share=0.1, tenant="acme")
live.rollback(tenant="acme")                  # from the next request on; in other processes 50 ms later
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rag.files import write
from router.watched import Watched

ANYBODY = "*"
_FORMAT = "rightfix-live-1"
_REMEMBERED = 50


class NothingLive(LookupError):
    """No release answers here."""


class UnknownTenant(LookupError):
    """A customer that no route names, where such are refused."""


class UnknownRelease(LookupError):
    """A release that the customer's route does not name."""


class Moved(RuntimeError):
    """Another release is live than the one that was to be replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that was done to a route.

    Attributes:
        at: Seconds since the epoch.
        what: `promote`, `canary`, `shadow`, `stop` or `rollback`.
        release: The release it was about.
        why: In words; empty if nobody said.
    """

    at: float
    what: str
    release: str | None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What answers one tenant, or one task of one.

    Attributes:
        release: Id of the live release.
        previous: Ids that were live before, the latest first.
        canary: Id of a release that answers a share of the conversations; None for none.
        share: That share, 0-1.
        since: When the canary began; outcomes before that do not count for it.
        shadow: Id of a release that answers too and is not shown; None for none.
        changes: What was done to the route, the latest first; at most 50.
    """

    release: str
    previous: tuple[str, ...] = ()
    canary: str | None = None
    share: float = 0.0
    since: float = 0.0
    shadow: str | None = None
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What answers one request.

    Attributes:
        route: Name of the route that was followed, for instance `acme` or `*`.
        release: Id of the release.
        arm: `live`, `canary`, or `pinned` where the request itself named the release.
        shadow: Id of a release that is to answer too, unseen.
    """

    route: str
    release: str
    arm: Literal["live", "canary", "pinned"] = "live"
    shadow: str | None = None


def whose(route: str) -> tuple[str | None, str | None]:
    """Return tenant and task of a route by its name; None where it is for all."""
    tenant, _, task = route.partition("/")
    return (None if tenant == ANYBODY else tenant), task or None


def route_name(tenant: str | None, task: str | None) -> str:
    """Return the name of a route: `*`, `acme`, `acme/tickets`, `*/tickets`."""
    return (tenant or ANYBODY) + (f"/{task}" if task else "")


class Live:
    """The live pointer of a state folder, `live.json`. Any number of processes may read and change it.

    Args:
        state: The state folder.
        unknown: What a tenant gets whom no route names: what is for `anybody`, or a refusal.
    """

    def __init__(self, state: Path, *, unknown: Literal["default", "refuse"] = "default") -> None:
        self._file = state / "live.json"
        self._watched: Watched[Mapping[str, Route]] = Watched(self._file, _read, empty={})
        self._unknown = unknown

    # Reading

    def routes(self) -> Mapping[str, Route]:
        """Return all routes by name; the file is looked at again after 50 ms, and read again only if it changed.

        Raises:
            NothingLive: The file is damaged.
        """
        return self._watched.get()

    def choose(
        self, *, tenant: str | None = None, task: str | None = None, conversation: str = "", release: str | None = None
    ) -> Choice:  # fmt: skip
        """Return what answers a request; the same conversation gets the same answer as long as the route stays.

        Args:
            tenant: Who asks.
            task: What for, if routes tell tasks apart.
            conversation: Id of the conversation.
            release: Id of the release that is to answer; only one that a route of the tenant names, now or before.

        Raises:
            UnknownTenant: No route names the tenant, and such are refused.
            UnknownRelease: No route of the tenant names the release.
            NothingLive: Nothing is live for it.
        """
        if release is not None:
            return self._pinned(release, tenant)
        name, route = self._route(tenant, task)
        takes = route.canary is not None and _place(route.canary, conversation) < route.share
        chosen = route.canary if takes and route.canary is not None else route.release
        return Choice(route=name, release=chosen, arm="canary" if takes else "live", shadow=route.shadow)

    def reach(self, tenant: str | None = None) -> Mapping[str, Route]:
        """Return the routes that may answer a tenant, by name: its own, and those for anybody if such are not refused.

        Raises:
            UnknownTenant: No route names the tenant, and such are refused.
        """
        routes = self.routes()
        self._admitted(tenant, routes)
        return {n: r for n, r in routes.items() if n.partition("/")[0] in (tenant, ANYBODY)}

    def _pinned(self, release: str, tenant: str | None) -> Choice:
        for name, route in self.reach(tenant).items():
            if release in (route.release, route.canary, *route.previous):
                return Choice(route=name, release=release, arm="pinned")
        raise UnknownRelease(f"there is no model {release!r} here")

    def _admitted(self, tenant: str | None, routes: Mapping[str, Route]) -> None:
        own = {name.partition("/")[0] for name in routes}
        if tenant is not None and tenant not in own and self._unknown == "refuse":
            raise UnknownTenant(f"no route names the tenant {tenant!r}")

    def _route(self, tenant: str | None, task: str | None) -> tuple[str, Route]:
        routes = self.routes()
        self._admitted(tenant, routes)
        names = [route_name(t, k) for t in dict.fromkeys((tenant, None)) for k in dict.fromkeys((task, None))]
        name = next((n for n in names if n in routes), None)
        if name is None:
            raise NothingLive(
                f"nothing is live for {names[0]}; promote a release with `advise release promote`"
            )
        return name, routes[name]

    # Changing

    def promote(
        self, release: str, *, tenant: str | None = None, task: str | None = None, why: str = "", tried: bool = False, expected: str | None = None
    ) -> Route:  # fmt: skip
        """Make a release live; a canary or shadow of the route ends. With `tried`, only if it is the canary still.

        Raises:
            Moved: `expected` is named and is not what is live.
        """

        def change(route: Route | None) -> Route:
            _expected(route, expected)
            if tried and (route is None or route.canary != release):
                return _there(route)
            if route is None:
                return Route(release=release)
            before = (route.release, *route.previous) if route.release != release else route.previous
            kept = tuple(p for p in dict.fromkeys(before) if p != release)[:_REMEMBERED]
            return Route(release=release, previous=kept, changes=route.changes)

        return self._changed(route_name(tenant, task), change, ("promote", release, why))

    def canary(
        self, release: str, *, share: float, tenant: str | None = None, task: str | None = None, why: str = "", expected: str | None = None
    ) -> Route:  # fmt: skip
        """Let a release answer a share of the conversations.

        Raises:
            Moved: `expected` is named and is not what is live.
            ValueError: The share is not within 0-1.
            NothingLive: Nothing is live that it could be held against.
        """
        if not 0 < share < 1:
            raise ValueError(f"a canary answers a share of more than 0 and less than 1, not {share}")

        def change(route: Route | None) -> Route:
            _expected(route, expected)
            return replace(_there(route), canary=release, share=share, since=time.time())

        return self._changed(route_name(tenant, task), change, ("canary", release, why))

    def shadow(
        self, release: str | None, *, tenant: str | None = None, task: str | None = None, why: str = ""
    ) -> Route:
        """Let a release answer too without being shown; None ends that.

        Raises:
            NothingLive: Nothing is live beside which it could answer.
        """
        return self._changed(
            route_name(tenant, task), lambda r: replace(_there(r), shadow=release), ("shadow", release, why)
        )

    def stop_canary(
        self, *, tenant: str | None = None, task: str | None = None, release: str | None = None, why: str = ""
    ) -> Route:
        """End a canary; if `release` is named, only if that is the one.

        Raises:
            NothingLive: There is no such route.
        """

        def change(route: Route | None) -> Route:
            held = _there(route)
            return (
                held
                if release is not None and held.canary != release
                else replace(held, canary=None, share=0.0, since=0.0)
            )

        return self._changed(route_name(tenant, task), change, ("stop", release, why))

    def rollback(self, *, tenant: str | None = None, task: str | None = None, why: str = "") -> Route:
        """Take back: a canary ends if there is one, else what was live before is live again.

        Raises:
            NothingLive: There is nothing to go back to.
        """

        def change(route: Route | None) -> Route:
            held = _there(route)
            if held.canary is not None:
                return replace(held, canary=None, share=0.0, since=0.0)
            if not held.previous:
                raise NothingLive(f"nothing was live before {held.release}")
            return replace(held, release=held.previous[0], previous=held.previous[1:], shadow=None)

        return self._changed(route_name(tenant, task), change, ("rollback", None, why))

    def _changed(
        self, name: str, change: Callable[[Route | None], Route], told: tuple[str, str | None, str]
    ) -> Route:
        with self._watched.changing() as routes:
            before = routes.get(name)
            route = change(before)
            if route == before:
                return route
            what, release, why = told
            done = Change(at=time.time(), what=what, release=release or route.release, why=why)
            route = replace(route, changes=(done, *route.changes)[:_REMEMBERED])
            data = {
                "format": _FORMAT,
                "routes": {n: asdict(r) for n, r in sorted({**routes, name: route}.items())},
            }
            write(json.dumps(data, ensure_ascii=False, indent=2) + "\n", self._file)
            return route


def _there(route: Route | None) -> Route:
    if route is None:
        raise NothingLive("nothing is live on this route yet; promote a release first")
    return route


def _expected(route: Route | None, release: str | None) -> None:
    if release is not None and (route is None or route.release != release):
        now = "nothing" if route is None else route.release
        raise Moved(f"{now} is live, no longer {release}, which this was made and gated against; do it anew")


def _place(release: str, conversation: str) -> float:
    """A number of 0-1 that a conversation keeps as long as the canary is the same."""
    return int.from_bytes(hashlib.sha256(f"{release}/{conversation}".encode()).digest()[:8]) / 2**64


def _read(file: Path) -> Mapping[str, Route]:
    try:
        data: Any = json.loads(file.read_text(encoding="utf-8"))
        if data["format"] != _FORMAT:
            raise ValueError(f"its format is {data['format']!r}")
        return {
            name: Route(
                **{**r, "previous": tuple(r["previous"]), "changes": tuple(Change(**c) for c in r["changes"])}
            )
            for name, r in data["routes"].items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NothingLive(
            f"{file}: cannot be read ({error}); restore it, or delete it and promote a release again"
        ) from None
