"""Testing: a tuned model and its base asked the same held-out examples, judged by what the training was for.

    held = datasets.load(job.dataset).held_out
    base, tuned = (models.load(m, adapters=Path(".advisor/adapters")) for m in (job.recipe.base, job.model))
    print(compare(held, base, tuned, Terms(task=job.recipe.task, tasks=general.sample(300))))

For files of an operator's own, which no log stands behind; a remedy for a log is judged by the gate on the log's other half.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from typing import Any

from advisor.gate import general
from advisor.gate.decision import MARGIN, NAMES, Decision, Kind, Pair, Part, decide, part
from advisor.gate.general import Answering, Item
from advisor.gate.tuning import invented
from advisor.probing.judging import same_calls, same_label
from finetune.examples import Example, text_of
from finetune.recipe import Task
from router.contract.checking import breaches, call_breaches
from router.contract.rules import Contract
from router.models.port import Completion, Messages, ModelError, calls_in

Tell = Callable[[str, int, int], None]
"""Told of a stage, how many of its questions are asked, and how many there are."""

Judgement = Mapping[str, bool | None]
"""What is right of a reply, by measure; None for what could not be judged."""

MEASURES: Mapping[Task, tuple[str, ...]] = {
    "tools": ("right call", "valid call"),
    "classification": ("right label",),
    "style": ("form kept", "figures held"),
}
"""What a training for each task is judged by; it must make the first better."""

_FIGURES, _GENERAL = "figures held", "general abilities"
_HEAD = f"{'':18} {'n':>4} {'base':>6} {'tuned':>6}  change (95 % interval)      p"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is judged, and how both are asked.

    Attributes:
        task: What the training was for; see `MEASURES`.
        contract: What replies must hold, by their system prompt; nothing unless given.
        tasks: General tasks that must not be lost; see `general.sample`.
        max_tokens: Most tokens of a reply to an example, of either model. Both give their likeliest words (temperature 0).
        margin: Drop of what must not be lost, 0-1, that is borne.
    """

    task: Task = "style"
    contract: Callable[[str], Contract] = field(default=lambda system: Contract())
    tasks: tuple[Item, ...] = ()
    max_tokens: int = 512
    margin: float = MARGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A tuned model against its base.

    Attributes:
        decision: What the outcomes allow, in one word and one sentence.
        parts: Each measure, and the general abilities, base against tuned.
        macro_f1: Of base and tuned model, 0-1 each, over the labels of the examples; None for other tasks.
        notes: What was not judged, and why, one sentence each.
    """

    decision: Decision
    parts: Mapping[str, Part]
    macro_f1: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def better(self) -> bool:
        """Whether it is better by more than chance and nothing is seen to be harmed."""
        return self.decision.verdict in ("promote", "canary")

    @property
    def verdict(self) -> str:
        """The decision in one line."""
        return f"{self.decision.verdict}: {self.decision.reason}"

    def data(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "verdict": self.decision.verdict, "reason": self.decision.reason, "better": self.better,
            "measures": {name: asdict(p) for name, p in self.parts.items()},
            "macro_f1": None if self.macro_f1 is None else dict(zip(("base", "tuned"), self.macro_f1, strict=True)),
            "notes": list(self.notes),
        }  # fmt: skip

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield _HEAD
        for name, p in self.parts.items():
            yield f"{name:18} {p.n:4} {p.before.value:6.0%} {p.after.value:6.0%}  {p.difference:+.2f} [{p.low:+.2f}, {p.high:+.2f}]  {p.p:9.2g}"
        if self.macro_f1 is not None:
            yield f"{'macro-F1':18} {'':4} {self.macro_f1[0]:6.2f} {self.macro_f1[1]:6.2f}"
        lost = self.decision.target.broken
        if lost:
            yield f"lost: {', '.join(lost[:5])}{', …' if len(lost) > 5 else ''}"
        yield from self.notes
        yield self.verdict


class Always:
    """A model that says one thing whatever it is asked: what a classifier is held against whose embeddings answer nothing by themselves.

    Args:
        text: What it says.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def complete(
        self, messages: Messages, *, max_tokens: int = 512, tools: Sequence[Mapping[str, Any]] | None = None
    ) -> Completion:
        """Return the text."""
        return Completion(text=self._text)


def compare(
    examples: Sequence[Example], base: Answering, tuned: Answering, terms: Terms, *, tell: Tell | None = None
) -> Compared:
    """Ask both models the examples as they stand, and return how the replies compare.

    Args:
        examples: Held-out ones: the tuned model must not have learnt them. Some twenty at least, or the verdict can hardly be other than
            "not enough evidence".
        base: What was tuned.
        tuned: What came of it.
        terms: What is judged. An example that either model gives no answer to is left out and noted.
        tell: Called after each question.
    """
    contract = cache(terms.contract)
    stages = [(base, "asking the base"), (tuned, "asking the tuned model")]
    before, after = (
        asked(model, examples, max_tokens=terms.max_tokens, tell=_staged(tell, stage)) for model, stage in stages
    )  # fmt: skip
    pairs = {name: list[Pair]() for name in MEASURES[terms.task]}
    for example, b, a in zip(examples, before, after, strict=True):
        was, now = ({} if r is None else judged(example, r, terms.task, contract) for r in (b, a))
        for name, found in pairs.items():
            found.append(_pair(example, name, was.get(name), now.get(name)))
    abilities = _abilities(stages, terms, tell)
    parts = {name: part(found) for name, found in {**pairs, _GENERAL: abilities}.items() if found}
    first = MEASURES[terms.task][0]
    counted = [*pairs[first], *pairs.get(_FIGURES, ()), *abilities]
    names: dict[Kind, str] = {**NAMES, "target": "held-out examples", "good": "replies without new figures"}
    if terms.task != "style":
        del names["good"]
    return Compared(
        decision=decide(counted, margin=terms.margin, names=names), parts=parts, notes=tuple(_notes(parts[first], terms, before, after)),
        macro_f1=_macro_f1(examples, before, after) if terms.task == "classification" else None,
    )  # fmt: skip


def asked(
    model: Answering, examples: Sequence[Example], *, max_tokens: int = 512, tell: general.Tell | None = None
) -> list[Completion | None]:
    """Return a model's reply to each example's messages, with the example's tools; None where it gave none."""
    found: list[Completion | None] = []
    for number, example in enumerate(examples, 1):
        # What is learnt of a conversation is said to trainers only.
        messages = [{k: v for k, v in m.items() if k != "weight"} for m in example.prompt]
        try:
            found.append(model.complete(messages, max_tokens=max_tokens, tools=example.tools or None))
        except ModelError:
            found.append(None)
        if tell is not None:
            tell(number, len(examples))
    return found


def judged(
    example: Example, reply: Completion, task: Task, contract: Callable[[str], Contract] | None = None
) -> Judgement:
    """Return what is right of a reply to an example, by the measures of a task.

    Args:
        example: What was asked, and the reply as it should be.
        reply: The reply.
        task: Tools: a call is made exactly where one is due and fits its schema, and it is the example's, in arguments too. Classification: the
            label is the example's. Style: the contract is kept, and no figure, code or address stated that neither the messages nor the
            example's reply hold; a reply that should have been a call is not judged so.
        contract: What a reply must hold, by its system prompt.
    """
    if task == "tools":
        return _calls(example, reply)
    if task == "classification":
        return {"right label": same_label(reply.text, label_of(example))}
    if example.target.get("tool_calls"):
        return {}
    system = "\n".join(text_of(m) for m in example.prompt if m.get("role") == "system")
    wanted = contract(system) if contract is not None else Contract()
    said = bool(reply.text.strip())
    broken = breaches(reply.text, wanted, question=example.request, finish_reason=reply.finish_reason)
    return {
        "form kept": said and not broken if wanted.rules or wanted.labels else None,
        _FIGURES: said and not invented(reply.text, [text_of(m) for m in example.messages]),
    }


def label_of(example: Example) -> str:
    """Return the label of an example, or else its reply."""
    return example.label or text_of(example.target).strip()


def commonest(examples: Sequence[Example]) -> str:
    """Return the label that most examples have, the first of the alphabet among equals; empty of none."""
    counts = Counter(map(label_of, examples))
    return min(counts, key=lambda label: (-counts[label], label), default="")


def _calls(example: Example, reply: Completion) -> Judgement:
    wanted = [(c.name, _read(c.arguments)) for c in calls_in(example.target)]
    valid = not call_breaches(reply.tool_calls, example.tools) and bool(reply.tool_calls) == bool(wanted)
    return {"right call": valid and same_calls(reply.tool_calls, wanted), "valid call": valid}


def _read(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments  # which no valid call has


def _pair(example: Example, name: str, before: bool | None, after: bool | None) -> Pair:
    kind: Kind = "good" if name == _FIGURES else "target"
    return Pair(id=example.source, group=example.group, kind=kind, before=before, after=after)


def _abilities(stages: Sequence[tuple[Answering, str]], terms: Terms, tell: Tell | None) -> list[Pair]:
    if not terms.tasks:
        return []
    done = [
        general.asked(model, terms.tasks, tell=_staged(tell, f"{stage}, general tasks"))
        for model, stage in stages
    ]
    return general.pairs(terms.tasks, *done)


def _staged(tell: Tell | None, stage: str) -> general.Tell | None:
    return partial(tell, stage) if tell is not None else None


def _macro_f1(
    examples: Sequence[Example], before: Sequence[Completion | None], after: Sequence[Completion | None]
) -> tuple[float, float]:
    import numpy as np

    from finetune.head import macro_f1  # needs numpy and embedders, and only labels do

    known = sorted({label_of(e) for e in examples})
    rows = [
        (known.index(label_of(e)), *(next((n for n, k in enumerate(known) if same_label(r.text, k)), len(known)) for r in (b, a)))
        for e, b, a in zip(examples, before, after, strict=True)
        if b is not None and a is not None
    ]  # fmt: skip
    right, was, now = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return macro_f1(right, was, len(known)), macro_f1(right, now, len(known))


def _notes(
    first: Part, terms: Terms, before: Sequence[Completion | None], after: Sequence[Completion | None]
) -> Iterator[str]:
    silent = sum(b is None or a is None for b, a in zip(before, after, strict=True))
    if silent:
        yield f"{silent} of {len(before)} examples got no answer from one of the two and are left out"
    if terms.task == "style" and first.n == 0 and silent < len(before):
        yield "form was not judged: neither the settings (contract) nor the system prompts hold a rule"
