"""Holding: one pass over a draft that mends what can be mended, checks its citations, and says what it still breaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rag.grounding.cover import Weigh, plain
from rag.hits import Hit
from router.abstention import abstains
from router.citing import check, unsupported
from router.contract.checkers.verdict import words_of
from router.contract.checking import Breach, breaches, call_breaches, labels_of, schema_of
from router.contract.json_text import parse
from router.contract.mending import mend, mend_calls
from router.contract.rules import Contract, Rule
from router.models.port import Completion, ToolRequest
from router.replies import Citation, Intervention

_ANY_JSON: Mapping[str, Any] = {"type": "object"}
_LABEL = "label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """All that one reply must hold.

    Attributes:
        contract: The release's, with what the request itself demands.
        question: The request.
        said: What was said before and needs no support: the conversation.
        prompt: The bot's own system message.
        tools: Offered tools.
        named: Retrieved passages by label; None if nothing was looked for.
        cite: Whether citations are checked.
        grounded: Whether figures must stand in a passage or in what was said.
        weigh: Weight of a term.
    """

    contract: Contract
    question: str = ""
    said: tuple[str, ...] = ()
    prompt: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    named: Mapping[str, Hit] | None = None
    cite: bool = True
    grounded: bool = True
    weigh: Weigh = plain

    @property
    def told(self) -> tuple[str, ...]:
        """What the model was told but for passages; a source that is named there may be named again."""
        return (self.prompt, *self.said)

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """What the engine can hold the reply to while it is made; None for free text."""
        labels = labels_of(self.contract)
        if labels:
            properties = {_LABEL: {"type": "string", "enum": list(labels)}}
            return {
                "type": "object",
                "properties": properties,
                "required": [_LABEL],
                "additionalProperties": False,
            }
        if not any(r.kind == "json" for r in self.contract.rules):
            return None
        return schema_of(self.contract) or _ANY_JSON

    @property
    def closing(self) -> tuple[str, ...]:
        """Sentences that the contract makes every reply say."""
        return tuple(
            w
            for r in self.contract.rules
            if r.kind in ("ends_with", "starts_with")
            for w in words_of(r.params, "text")
        )

    @property
    def wants_citation(self) -> bool:
        """Whether a rule demands one."""
        return any(r.kind == "cites" for r in self.contract.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A reply on its way.

    Attributes:
        breaches: What it still breaks.
        grounds: Those of them that are figures without support.
    """

    text: str
    calls: tuple[ToolRequest, ...] = ()
    citations: tuple[Citation, ...] = ()
    interventions: tuple[Intervention, ...] = ()
    breaches: tuple[Breach, ...] = ()
    finish_reason: str | None = None
    grounds: tuple[str, ...] = field(default=())


def without_sources(contract: Contract) -> Contract:
    """Return a contract for a reply that no passages were looked for, such as to a greeting: it need cite none."""
    return replace(contract, rules=tuple(r for r in contract.rules if r.kind != "cites"))


def with_request(contract: Contract, schema: Mapping[str, Any] | None) -> Contract:
    """Return the contract of a reply: the JSON that a request demands in place of the release's rules, which are for people's eyes."""
    if schema is None:
        return contract
    return Contract(
        rules=(Rule(kind="json", params={"schema": dict(schema)} if schema else {}, origin="request"),)
    )


def draft_of(completion: Completion, demands: Demands) -> Draft:
    """Return a model's answer as a draft; a label comes out of the JSON it was asked in."""
    text = completion.text.strip()
    if labels_of(demands.contract) and text.startswith("{"):
        value = parse(text).value
        label = value.get(_LABEL) if isinstance(value, Mapping) else None
        text = str(label) if label is not None else text
    return Draft(text=text, calls=completion.tool_calls, finish_reason=completion.finish_reason)


def hold(draft: Draft, demands: Demands) -> Draft:
    """Mend a draft, check its citations and say what it still breaks. Pure.

    A reply that calls tools need not keep the rules for what a person reads, since nobody reads it yet.
    """
    if draft.calls:
        calls, mended = mend_calls(draft.calls, demands.tools)
        done = tuple(_mended(b) for b in mended)
        return replace(
            draft,
            calls=calls,
            interventions=(*draft.interventions, *done),
            breaches=call_breaches(calls, demands.tools),
        )
    draft = _mend_text(draft, demands)
    if demands.cite and (demands.named is not None or _names_sources(draft.text, demands)):
        draft = _cite(draft, demands)
    broken = breaches(
        draft.text, demands.contract, question=demands.question, finish_reason=draft.finish_reason
    )
    loose = _loose(draft.text, demands)
    grounds = tuple(
        Breach(
            rule="grounded",
            kind="grounded",
            note=f"The reply states {what}, which stands in no passage.",
            span=what,
        )
        for what in loose
    )
    return replace(draft, breaches=(*broken, *grounds), grounds=loose)


def complaint(broken: Sequence[Breach]) -> str:
    """Return what a model is told of a draft that was not accepted."""
    notes = " ".join(dict.fromkeys(b.note for b in broken[:5]))
    return f"That reply cannot be used. {notes} Give the whole reply again, put right, and nothing else."


def _mend_text(draft: Draft, demands: Demands) -> Draft:
    broken = breaches(
        draft.text, demands.contract, question=demands.question, finish_reason=draft.finish_reason
    )
    if not broken:
        return draft
    text, mended = mend(draft.text, demands.contract, broken)
    left = breaches(text, demands.contract, question=demands.question, finish_reason=draft.finish_reason)
    if len(left) >= len(broken):
        return draft
    return replace(draft, text=text, interventions=(*draft.interventions, *map(_mended, mended)))


def _names_sources(text: str, demands: Demands) -> bool:
    """Whether codes in brackets are sources where none was retrieved: not those that tools gave, such as an order's number, nor lists in JSON."""
    return not demands.tools and not text.lstrip().startswith(("{", "["))


def _cite(draft: Draft, demands: Demands) -> Draft:
    cited = check(
        draft.text,
        demands.named or {},
        question=demands.question,
        wanted=demands.wants_citation,
        closing=demands.closing,
        told=demands.told,
        weigh=demands.weigh,
    )
    return replace(
        draft,
        text=cited.text,
        citations=cited.citations,
        interventions=(*draft.interventions, *cited.interventions),
    )


def _loose(text: str, demands: Demands) -> tuple[str, ...]:
    if not demands.grounded or not demands.named or abstains(text) == "fully":
        return ()
    bare = text
    for sentence in demands.closing:
        bare = bare.replace(sentence, " ")
    return unsupported(
        bare, [f"{h.code or ''} {h.title}. {h.text}" for h in demands.named.values()], given=demands.said
    )


def _mended(breach: Breach) -> Intervention:
    return Intervention(kind="mended", rule=breach.rule, note=breach.note)
