"""Apply: a plan carried out on every live release that it concerns; gated; then live, in part, or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from advisor import config as settings
from advisor import inputs
from advisor.advisor import context_of
from advisor.apply.carrying import Carried, Carrier, as_data
from advisor.apply.releasing import followed
from advisor.apply.workplace import Agreed, Tell, Workplace
from advisor.diagnosis import Diagnosis
from advisor.exchange import Exchange
from advisor.gate.trial import Bench, cases_of
from advisor.logs.files import InputError
from advisor.plan import Plan
from advisor.probing.asking import Budget, CapReached, Remembered, size_of
from advisor.probing.means import Sources, Workshop
from advisor.probing.subject import Subject
from advisor.probing.subjects import concerned
from advisor.probing.subjects import price as price_of
from advisor.state import Outcome, State
from rag.index import Index, IndexMissing
from rag.locks import Locked, exclusive, make
from router import models
from router.live import Live, whose
from router.models.port import ChatModel
from router.releases import Release, Releases

SHARE = 0.1
"""Share of the conversations that a canary answers."""

Action = Literal["promoted", "canary", "refused", "not enough evidence", "nothing to do", "not agreed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of a plan on one route.

    Attributes:
        route: Name of the route.
        action: What was done.
        reason: Why, in one sentence.
    """

    route: str
    carried: Carried
    action: Action
    reason: str

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"route": self.route, "action": self.action, "reason": self.reason, **as_data(self.carried)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How a plan is to be carried out.

    Attributes:
        only: Kinds or ids of remedies; all that can be made unless given.
        agreed: Asks before anything is paid for.
        live: Asks before anything goes live.
        tell: Called now and then.
        share: Share of the conversations for a canary, 0-1.
    """

    only: tuple[str, ...] = ()
    agreed: Agreed
    live: Callable[[Carried], bool]
    tell: Tell
    share: float = SHARE


def apply(plan: Plan, config: settings.Config, state: State, index: Index, wishes: Wishes) -> list[Applied]:
    """Carry a plan out on every live release whose bot failed.

    Raises:
        InputError: Another process is applying a plan, or nothing of the last run is known.
            Money or calls are at their end; what was asked is kept.
    """
    seen = list(state.exchanges())
    if not seen or not state.issues():
        raise InputError(f"{state.path}: nothing of the last run is known; run `advise LOGS` first")
    try:
        with alone(config.state):
            return [
                _on_route(name, release, systems, plan, (config, state, index, wishes, seen))
                for name, release, systems in concerned(config.state, seen, _bases(plan, config, state))
            ]
    except CapReached as reached:
        raise InputError(
            f"{reached}; answers are kept: run again, or raise gate.cap_calls or gate.cap_usd"
        ) from None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the right to apply in a state folder.

    Raises:
        InputError: Another process holds it.
    """
    lock = folder / "apply.lock"
    if not lock.exists():
        make(lock)
    try:
        with exclusive(lock, wait_s=1):
            yield
    except Locked:
        raise InputError(
            f"{lock}: another process is applying a plan or reads logs for one; wait for it"
        ) from None


def _on_route(
    name: str, release: Release, systems: frozenset[str] | None, plan: Plan, parts: tuple[Any, ...]
) -> Applied:
    config, state, index, wishes, seen = parts
    base = _begun(name, release, plan, config, state)
    place = _place(base, systems, config, state, index, wishes, _asked_of(name, config, seen))
    place = replace(place, tenant=whose(name)[0])
    carried = Carrier(place, plan, only=wishes.only, most_good=config.gate.good).run()
    action, reason = _decided(carried, wishes)
    if action in ("promoted", "canary"):
        # Written down first, so that a run after a kill knows this release as its own and not as somebody else's.
        state.note_step(plan.hash, f"route {name}", "begun", {"base": base.id, "goes": carried.release})
        _goes_live(name, carried, action, reason, config, wishes)
    _noted(state, plan, name, carried, action, reason)
    return Applied(route=name, carried=carried, action=action, reason=reason)


def _bases(plan: Plan, config: settings.Config, state: State) -> dict[str, Release]:
    """Return, by route, what was live when the plan began there, as long as nobody else has changed it: the bot of the log."""
    found = {}
    for name, route in Live(config.state).routes().items():
        known = state.step(plan.hash, f"route {name}", "begun")
        if known is not None and route.release in (known["base"], known["goes"]):
            found[name] = Releases(config.state).get(known["base"])
    return found


def _begun(name: str, release: Release, plan: Plan, config: settings.Config, state: State) -> Release:
    """Return the release that the plan began on; another that somebody made live since begins it anew."""
    key = (plan.hash, f"route {name}", "begun")
    known = state.step(*key)
    if known is not None and release.id in (known["base"], known["goes"]):
        return Releases(config.state).get(known["base"])
    state.note_step(*key, {"base": release.id, "goes": None})
    return release


def _asked_of(
    route: str, config: settings.Config, seen: Sequence[tuple[Exchange, Diagnosis]]
) -> Sequence[tuple[Exchange, Diagnosis]]:
    """What a route may learn from: a tenant's from that tenant only, all others' from nobody who has one of their own."""
    tenant, _ = whose(route)
    own = {whose(name)[0] for name in Live(config.state).routes()} - {None}
    return [(e, d) for e, d in seen if (e.tenant not in own if tenant is None else e.tenant == tenant)]


def _place(
    release: Release, systems: frozenset[str] | None, config: settings.Config, state: State, index: Index, wishes: Wishes, seen: Sequence[tuple[Exchange, Diagnosis]]
) -> Workplace:  # fmt: skip
    own = [(e, d) for e, d in seen if systems is None or e.system in systems]
    documents = tuple(inputs.pages((*config.documents, *config.index.candidates)))
    try:
        snapshot = index.snapshot()
    except IndexMissing:
        snapshot = None
    workshop = Workshop(own, config, Sources(documents=documents, snapshot=snapshot))
    issues = {i.id: i for i in state.issues()}
    cases = cases_of(issues.values(), own, sources=workshop.sources)
    price = price_of(config, [release])
    # What is free needs no dollars; of what is not, none may be spent before somebody agreed.
    paid = price is not None and (price.input > 0 or price.output > 0)
    size = size_of(e for e, _ in own)
    budget = Budget(calls=config.gate.cap_calls, usd=0.0 if paid else None, price=price, size=size)
    loaded: dict[str, ChatModel] = {}

    def load(reference: str) -> ChatModel:
        if reference not in loaded:
            loaded[reference] = models.load(reference, adapters=config.state / "adapters")
        return loaded[reference]

    def remembered(subject: Subject) -> Remembered:
        return Remembered(subject.model_reference, subject.model, config.state / "probes.db", budget)

    return Workplace(
        config=config, state=state, index=index, issues=issues, seen=own, cases=cases, workshop=workshop, bench=Bench(model=remembered, context=context_of(config)),
        base=release, budget=budget, load=load, agreed=wishes.agreed, tell=wishes.tell,
    )  # fmt: skip


def _decided(carried: Carried, wishes: Wishes) -> tuple[Action, str]:
    if carried.release is None or carried.decision is None:
        reasons = [f"{t.made.kind}: {t.why}" for t in carried.tried]
        refused = any(t.standing == "refused" for t in carried.tried)
        few = any(t.standing == "not enough evidence" for t in carried.tried)
        reasons += [f"remedy {id[:8]} left out: {why}" for id, why in carried.left_out.items()]
        told = "; ".join(reasons) or "the plan has no remedy that can be carried out"
        return ("refused" if refused else "not enough evidence" if few else "nothing to do"), told
    decision = carried.decision
    if decision.verdict in ("refuse", "not enough evidence"):
        return ("refused" if decision.verdict == "refuse" else "not enough evidence"), decision.reason
    if not wishes.live(carried):
        return "not agreed", f"release {carried.release} waits: advise release promote {carried.release}"
    return ("canary" if decision.verdict == "canary" else "promoted"), decision.reason


def _goes_live(
    name: str, carried: Carried, action: Action, reason: str, config: settings.Config, wishes: Wishes
) -> None:
    """Move the pointer, unless it points there already.

    Raises:
        Moved: Another release than the base was made live meanwhile.
    """
    release = carried.release or ""
    tenant, task = whose(name)
    whom: Mapping[str, Any] = {"tenant": tenant, "task": task, "why": reason}
    live = Live(config.state)
    route = live.routes()[name]
    if action == "canary" and route.release != release:
        if route.canary != release:
            live.canary(release, share=wishes.share, expected=carried.base, **whom)
        return
    if route.release != release:
        live.promote(release, expected=carried.base, **whom)
    followed(config, release)


def _noted(state: State, plan: Plan, route: str, carried: Carried, action: Action, reason: str) -> None:
    """Write down what came of each remedy, once for each plan."""
    by_id = {r.id: r for r in plan.remedies}
    counted: set[str | None] = set()
    for tried in carried.tried:
        key = (plan.hash, f"{carried.base}/{tried.made.remedy}", f"outcome {route}")
        word = action if tried.standing == "accepted" else tried.standing
        live = tried.standing == "accepted" and action in ("promoted", "canary")
        # Remedies that came to one release were gated once, so what that mended counts once.
        once = tried.decision if tried.made.release not in counted else None
        counted.add(tried.made.release)
        body = {
            "plan": plan.hash, "remedy": tried.made.remedy, "issues": list(by_id[tried.made.remedy].issues), "route": route, "release": carried.release,
            "what": tried.made.what, "why": tried.why, "reason": reason, "mended": once.target.gained if once else 0,
            "tried": once.target.n if once else 0,
        }  # fmt: skip
        verdict = f"applied: {word}" if live else word
        state.note_outcome(Outcome(kind=tried.made.kind, verdict=verdict, body=body), once=key)
