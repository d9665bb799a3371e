"""FineTune: examples from the teaching half, checked and priced, trained on, and the tuned model put into a release for the gate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

from advisor.apply.examples import Bot, Built, build, labelled, without_calls
from advisor.apply.releasing import contract_for
from advisor.apply.weakening import weakest
from advisor.apply.workplace import Made, Workplace
from advisor.evidence import Gap
from advisor.gate import irrelevance
from advisor.gate.general import MOST_TOKENS
from advisor.gate.tuning import parity
from advisor.inputs import labelled as labelled_rows
from advisor.plan import Remedy
from advisor.remedies.training import LEAST_EXAMPLES
from finetune import datasets
from finetune.adapters import AdapterMissing, Adapters
from finetune.backends.port import JobError
from finetune.cleaning import cleaned
from finetune.examples import Example
from finetune.jobs import Job
from finetune.mixing import Reply, asks, prepared
from finetune.ordering import Ordering
from finetune.preflight import Report, Terms, check
from finetune.reading import UnreadableFile, read
from finetune.recipe import Recipe, Task
from finetune.starting import start
from finetune.weakening import weakened
from rag import embedders
from router.contract.checking import labels_of
from router.models.port import ModelError
from router.retrieving import query_of

_MOST = 2000
_TASKS: Mapping[Gap, Task] = {"style": "style", "tool_call": "tools", "classification": "classification"}
_WITHOUT_CALLS = 1 / 3
"""Share of the examples of a bot with tools in which none is called; with a sixth, an adapter called tools at small talk (docs/benchmarks.md)."""

_COPIES = 4
"""Most copies of one reply of the bot's own."""

_FEW = 8
"""Fewest examples that are trained on at all; below the number the plan asks for, it is tried and said."""


def make(place: Workplace, remedy: Remedy) -> Made:
    """Make a training remedy: an adapter or hosted model trained on the teaching half, as a release with nothing else changed."""
    gaps = frozenset(g for i in place.issues_of(remedy) for g in i.gaps if g in _TASKS)
    nothing = partial(Made, remedy=remedy.id, kind=remedy.kind, release=None, gaps=gaps, cost=2)
    head = remedy.details.get("method") == "classifier_head"
    # A head on frozen embeddings first; a language model is tuned for labels only where that is asked for by name.
    base = f"local:{embedders.default()}" if head else _base(place, remedy)
    if base is None:
        return nothing(
            what=f"{place.base.model} cannot be trained here; name a model that can under train.base"
        )
    recipe = _recipe(place, base, gaps, head=head)
    try:
        built = _built(place, remedy)
        if recipe.objective == "dpo":
            built = _pairs(built)
    except UnreadableFile as error:
        return nothing(what=str(error))
    about: dict[str, object] = {"examples": built.about(), "base": base}
    if len(built.examples) < _FEW:
        return nothing(
            what=f"{len(built.examples)} examples are too few to train on ({_why_few(built)})", about=about
        )
    own = _irrelevance(place, built) if recipe.task == "tools" and recipe.objective == "sft" else ()
    dataset = prepared(built.examples, recipe, reply=_own(place), own=own)
    dataset = replace(dataset, about={**built.about(), **dataset.about})
    try:
        folder = datasets.save(dataset, place.config.state / "datasets")
        report = check(folder, recipe, Terms(cap_usd=place.config.train.cap_usd))
    except datasets.DatasetFailed as error:
        return nothing(what=f"not trained: {error}", about=about)
    about |= {"dataset": folder.name, "preflight": report.data()}
    refused = _refused(place, recipe, report)
    if refused:
        return nothing(what=refused, about=about)
    try:
        job = _trained(place, folder, recipe, report)
        about |= {"job": job.key, "metrics": dict(job.metrics)}
        served = _enough(place, remedy, job, gaps, about) if job.model is not None else ""
    except JobError as error:
        return nothing(what=f"not trained: {error}", about=about)
    if not served:
        return nothing(what=f"training {job.state}: {job.message}{_anew(job)}", about=about)
    lost = _lost(place, served, base, about)
    if lost:
        return nothing(what=lost, about=about)
    return Made(
        remedy=remedy.id, kind=remedy.kind, release=place.kept(replace(place.base, model=served)), gaps=gaps,
        what=_what(built, recipe, served, about, gaps), cost=2, about=about,
    )  # fmt: skip


def _enough(
    place: Workplace, remedy: Remedy, job: Job, gaps: frozenset[Gap], about: dict[str, object]
) -> str:
    """The reference under which a trained model answers: of an adapter trained here, as much of it as mends what it is for."""
    model = Ordering(place.config.state).serve(job)
    adapters, id = Adapters(place.config.state / "adapters"), model.rpartition("+")[2]
    if job.backend != "local" or job.recipe.weights not in ("lora", "qlora") or "+" not in model:
        return model

    def weaker(strength: float) -> str:
        return adapters.reference(weakened(adapters, id, strength))

    chosen, weighed = weakest(place, remedy, model, gaps, weaker)
    about["strength"] = {
        "chosen": chosen.strength,
        "tried": {f"{w.strength:g}": {"mended": w.mended, "broken": w.broken} for w in weighed},
    }
    return chosen.model


def _trained(place: Workplace, folder: Path, recipe: Recipe, report: Report) -> Job:
    """Train, or wait for the training that was begun. What failed here goes on, what was cancelled is begun anew; what is paid for only if a person says so."""
    order = partial(
        start, folder, recipe, state=place.config.state, cap_usd=place.config.train.cap_usd, estimate=report.estimate,
        open_cap_usd=place.config.train.open_cap_usd,
    )  # fmt: skip
    running = order()
    begun = running.jobs.get(running.key)
    if begun.backend == "local" and begun.state == "cancelled":
        running = order(again=True)
    return running.wait(on_change=partial(_tell, place))


def _anew(job: Job) -> str:
    """How a person has a training that came to nothing tried again."""
    if job.backend == "local":
        return "; applying again tries it again"
    return (
        f"; it is sent again only by a person: advise finetune run {job.dataset} --again, with the same base"
    )


def _base(place: Workplace, remedy: Remedy) -> str | None:
    """What is trained: what the settings name, else the live model itself where it can be, else what the plan found."""
    own = place.config.train.base
    if own is not None:
        return own
    provider, _, name = place.base.model.partition(":")
    if provider == "local":
        return f"local:{name.partition('+')[0]}"
    named, model = remedy.details.get("provider"), remedy.details.get("model")
    return f"{named}:{model}" if named in ("openai", "bedrock") and model else None


def _recipe(place: Workplace, base: str, gaps: frozenset[Gap], *, head: bool) -> Recipe:
    own = place.config.train
    local = base.startswith("local:")
    whom = {"tenant": place.tenant} if local and place.tenant else {}
    if head:
        return Recipe(base=base, task="classification", weights="head", replay_share=0.0, extra=whom)
    task: Task = next((_TASKS[g] for g in ("tool_call", "classification", "style") if g in gaps), "style")
    return Recipe(
        base=base, task=task, objective=own.objective, weights=own.weights if local else "hosted", epochs=own.epochs,
        replay_share=own.replay_share if own.objective == "sft" else 0.0, extra=whom,
    )  # fmt: skip


def _own(place: Workplace) -> Reply:
    """Ask the live model, bare, for replies of its own."""
    model = place.bench.model(place.subject(place.base))

    def reply(ask: str) -> str:
        try:
            return model.complete([{"role": "user", "content": ask}], max_tokens=MOST_TOKENS).text
        except ModelError:
            return ""

    return reply


def _built(place: Workplace, remedy: Remedy) -> Built:
    cases = [*place.failures(remedy, held_out=False), *place.good(held_out=False, most=_MOST)]
    prompt = place.prompts.get(place.base.prompt)
    setup = place.subject(place.base).setup(cases[0].exchange) if cases else None
    contract = contract_for(prompt, place.config)
    files = list(read(place.config.train.examples))
    if labels_of(contract) and place.config.labelled is not None:
        files += list(labelled(labelled_rows(place.config.labelled), prompt.system))
    # What judges must not teach by another door.
    judging = {asks([c.exchange.question]) for c in place.cases if c.held_out}
    own = [e for e in files if asks([e.request]) not in judging]
    judged = {"asks what judges": len(files) - len(own)} if len(own) < len(files) else {}
    if setup is None:
        return Built(examples=tuple(cleaned(own)), left_out=judged, knowledge=())
    oracle = {
        c.id: place.workshop.sources(c.exchange)
        for c in cases
        if query_of([{"role": "user", "content": c.exchange.question}])
    }
    built = build(cases, Bot(setup=setup, contract=contract, oracle=oracle), own)
    return replace(built, left_out={**built.left_out, **judged})


def _irrelevance(place: Workplace, built: Built) -> tuple[Example, ...]:
    """What the bot says to requests that call for no tool, so many that a third of what it learns with tools is not to call, at most four times each."""
    taught = [bool(e.target.get("tool_calls")) for e in built.examples if e.tools]
    wanted = math.ceil(sum(taught) * _WITHOUT_CALLS / (1 - _WITHOUT_CALLS)) - taught.count(False)
    asked = irrelevance.cases(place.cases, judging=False)
    if not asked or wanted <= 0:
        return ()
    subject = place.subject(place.base)
    replies = place.bench.replies(asked, subject)
    contract = contract_for(place.prompts.get(place.base.prompt), place.config)
    bot = Bot(setup=subject.setup(asked[0].exchange), contract=contract)
    own = tuple(without_calls(((c.exchange, replies[c.id]) for c in asked if c.id in replies), bot))
    return tuple(islice(chain.from_iterable(repeat(own, _COPIES)), wanted))


def _pairs(built: Built) -> Built:
    """Keep the pairs: only from them can a preference be learnt."""
    pairs = tuple(e for e in built.examples if e.rejected is not None)
    alone = len(built.examples) - len(pairs)
    return replace(
        built, examples=pairs, left_out={**built.left_out, **({"no rejected reply": alone} if alone else {})}
    )


def _refused(place: Workplace, recipe: Recipe, report: Report) -> str:
    if not report.ok:
        return f"not trained: {'; '.join(str(f) for f in report.faults if f.level == 'error')}"
    usd = report.estimate.high
    if usd > 0 and not place.agreed("FineTune", f"training {recipe.base}", usd):
        return f"not agreed: training {recipe.base} may cost up to ${usd:.2f}"
    return ""


def _lost(place: Workplace, model: str, base: str, about: dict[str, object]) -> str:
    """Why what would be served is not what was trained; empty if it is, or if that cannot be told."""
    # `base+id`, or the file of a model that stands alone: `.../adapters/<id>/model.gguf`.
    id = model.rpartition("+")[2] if "+" in model else Path(model.partition(":")[2]).parent.name
    adapters = Adapters(place.config.state / "adapters")
    try:
        probes = adapters.probes(id) if id else []
    except AdapterMissing:
        return ""
    if not probes:
        return ""
    seen = parity(place.load(model), place.load(base), probes)
    about["parity"] = str(seen)
    return "" if seen.held else f"what is served is not what was trained: {seen}"


def _why_few(built: Built) -> str:
    reasons = [f"{count} {reason}" for reason, count in sorted(built.left_out.items())]
    more = f"; {len(built.knowledge)} belong into the index" if built.knowledge else ""
    return ("left out: " + ", ".join(reasons) if reasons else "nothing to learn from") + more


def _tell(place: Workplace, job: Job) -> None:
    step, steps = job.metrics.get("step"), job.metrics.get("steps")
    if step and steps:
        place.tell(f"training {job.recipe.base}", int(step), int(steps))


def _what(built: Built, recipe: Recipe, model: str, about: Mapping[str, Any], gaps: frozenset[Gap]) -> str:
    origins: Any = built.about()["origins"]
    told = ", ".join(f"{count} {name}" for name, count in origins.items())
    least = max((LEAST_EXAMPLES.get(g, 0) for g in gaps), default=0)
    few = f"; fewer than the {least} that training needs as a rule" if len(built.examples) < least else ""
    strength = about.get("strength", {}).get("chosen", 1.0)
    part = f" at {strength:.0%} of its strength" if strength < 1 else ""
    return (
        f"{recipe.weights} on {recipe.base} from {len(built.examples)} examples ({told}){few}: {model}{part}"
    )
