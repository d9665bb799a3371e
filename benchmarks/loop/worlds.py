"""Bots with one cause planted in each, and what should be done about it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import shop
import yaml
from shop import CLOSING, Fact

from advisor.apply.releasing import kept
from advisor.config import load as load_config
from rag.index import Index
from rag.loading import load as load_pages
from rag.settings import Chunking, Retrieval, Settings
from router.composing import compose
from router.contract.rules import Contract
from router.live import Live
from router.prompts import Part, Prompt, Prompts
from router.releases import Generation, Release, Retrieving
from router.replies import Reply

sys.path.append(str(Path(__file__).parents[1]))
from planted.calls import requests

PLANTED = Path(__file__).parents[1] / "planted"
SHOP = Path(__file__).parents[2] / "examples" / "shop"
MODEL = "local:smollm2"
_SYSTEM = (
    "You are the assistant of Fernhill, a shop for outdoor clothing.\n"
    "Answer in one short sentence, with the words of the passage."
)
_CLOSING_RULE = {"kind": "ends_with", "text": CLOSING, "cause": "required_element"}
_EURO_RULE = {"kind": "forbidden", "words": ["euros", "euro"], "cause": "format"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question with the truth about it.

    Attributes:
        right: A reply that is right in every way.
        fact: The number, or label, that must stand in the reply; empty where the form says it all.
        planted: Whether a planted cause is on it.
        ask: What goes to the bot beside the message: tools, a schema.
    """

    text: str
    right: str
    fact: str = ""
    planted: bool = False
    ask: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class World:
    """A bot with planted causes.

    Attributes:
        gaps: That were planted; empty for an unharmed bot.
        remedies: Kinds of remedy that are right, one a planted cause.
        cheaper: Kinds that are as right where the bot, asked again, shows that they are enough.
        perhaps: Kinds that may be right beside them: whether less is enough is for the bot, asked again, to show.
        build: Writes the operator's files, and makes the bot live.
        logged: Questions that make the log.
        held_out: Questions for before and after.
        good: Whether a reply is right in every way.
        rounds: Times that the loop is gone through, each time on a new log of what is live then.
    """

    name: str
    gaps: frozenset[str]
    remedies: frozenset[str]
    cheaper: frozenset[str] = frozenset()
    perhaps: frozenset[str] = frozenset()
    build: Callable[[Path], None]
    logged: Sequence[Asked]
    held_out: Sequence[Asked]
    good: Callable[[Asked, Reply], bool]
    rounds: int = 1


# The bot that answers from pages


@dataclass(frozen=True, kw_only=True)
class Plants:
    """What is wrong with the bot that answers from pages.

    Attributes:
        missing: Every third page is not in the index.
        blind: The pages on parcels are told apart by their titles only, and titles are not searched.
        rules: Declared rules that the bot does not keep by itself.
        form: Turns a plain answer into the house form.
    """

    missing: bool = False
    blind: bool = False
    rules: tuple[dict[str, Any], ...] = ()
    form: Callable[[Fact], str] = lambda fact: fact.answer


def answers(
    name: str,
    gaps: set[str],
    remedies: set[str],
    plants: Plants,
    *,
    seed: int,
    rounds: int = 1,
    perhaps: Collection[str] = (),
) -> World:
    """Return a world of the bot that answers from pages."""
    known = shop.facts(seed)
    hidden = {f.code for f in known if plants.missing and f.number % 3 == 0}

    def build(folder: Path) -> None:
        for fact in known:
            place = folder / ("spare" if fact.code in hidden else "help") / fact.file
            place.parent.mkdir(parents=True, exist_ok=True)
            blind = plants.blind and fact.topic.code == "PAR"
            place.write_text(fact.untitled if blind else fact.page, encoding="utf-8")
        (folder / "spare").mkdir(exist_ok=True)
        with Index(folder / ".advisor/index", embedder="minilm", store="memory") as index:
            index.build(
                load_pages(folder / "help").documents,
                settings=Settings(chunking=Chunking(context=not plants.blind), retrieval=Retrieval(k=1)),
            )
            version = index.live.version
        prompt = Prompt.of(_SYSTEM)
        for n, (request, reply) in enumerate(shop.examples(), 1):
            prompt = prompt.with_part(Part(kind="example", name=f"shown-{n}", text=request, answer=reply))
        _configured(folder, {"rules": list(plants.rules)}, ["help"])
        _goes_live(folder, prompt, index=version)

    def questions(wordings: tuple[int, ...]) -> Iterator[Asked]:
        for fact in known:
            unknown = fact.code in hidden
            unfound = plants.blind and fact.topic.code == "PAR"
            right = plants.form(fact)
            formed = not all(_held(rule, fact.answer) for rule in plants.rules)
            for text in fact.questions(wordings):
                yield Asked(
                    text=text,
                    right=right,
                    fact=re.sub(r"\D", "", fact.value),
                    planted=unknown or unfound or formed,
                )

    def good(asked: Asked, reply: Reply) -> bool:
        return re.search(rf"\b{asked.fact}\b", reply.text) is not None and all(
            _held(rule, reply.text) for rule in plants.rules
        )

    return World(
        name=name, gaps=frozenset(gaps), remedies=frozenset(remedies), perhaps=frozenset(perhaps), build=build, logged=tuple(questions(shop.LOGGED)),
        held_out=tuple(questions(shop.HELD_OUT)), good=good, rounds=rounds,
    )  # fmt: skip


def _held(rule: dict[str, Any], reply: str) -> bool:
    if rule["kind"] == "ends_with":
        return reply.rstrip().endswith(rule["text"])
    return not any(word in reply.lower().split() for word in rule["words"]) and " euros" not in reply


# The bots that fill in cards, sort tickets, and call tools


def cards(*, seed: int) -> World:
    """Return a world of the bot that fills in product cards and breaks its JSON."""
    schema = json.loads((SHOP / "card.schema.json").read_text(encoding="utf-8"))
    products = yaml.safe_load((PLANTED / "products.yaml").read_text(encoding="utf-8"))

    def build(folder: Path) -> None:
        rule = {"kind": "json", "schema": schema, "cause": "format"}
        _configured(folder, {"rules": [rule]}, [])
        _goes_live(folder, Prompt.of((SHOP / "prompts/cards.txt").read_text(encoding="utf-8").strip()))

    def questions(starts: Sequence[str]) -> tuple[Asked, ...]:
        return tuple(
            Asked(text=start + p["text"], right=json.dumps(p["card"], ensure_ascii=False), planted=True)
            for p in products
            for start in starts
        )

    def good(asked: Asked, reply: Reply) -> bool:
        try:
            found = json.loads(reply.text)
        except ValueError:
            return False
        return isinstance(found, dict) and set(schema["required"]) <= set(found)

    return World(
        name="JSON broken", gaps=frozenset({"style"}), remedies=frozenset({"ChangePrompt"}), build=build,
        logged=questions(("", "New in: ", "A card for: ")), held_out=questions(("Just arrived: ", "For the web shop: ")), good=good,
    )  # fmt: skip


def tickets(*, seed: int) -> World:
    """Return a world of the bot that sorts tickets into ten classes and takes the wrong one."""
    classes: dict[str, list[str]] = yaml.safe_load((PLANTED / "tickets.yaml").read_text(encoding="utf-8"))
    openings = ("", "Hello, ", "Hi there. ", "Good morning! ", "Please help. ", "Quick one: ")

    def build(folder: Path) -> None:
        _configured(folder, {"labels": list(classes)}, [], labelled=str(SHOP / "labelled_tickets.csv"))
        prompt = Prompt.of((SHOP / "prompts/tickets.txt").read_text(encoding="utf-8").strip())
        # Every reply is one of the labels from the start; only which one is wrong.
        _goes_live(folder, prompt, contract=Contract(labels=tuple(classes), read_prompts=False))

    def questions(part: int) -> tuple[Asked, ...]:
        # A ticket is on one side only, in two openings, so that nothing that judges has been seen.
        own = Random(f"{seed} tickets")
        found = []
        for label, texts in classes.items():
            for n, text in enumerate(texts):
                chosen = own.sample(openings, 4)
                if n % 3 == 2 if part else n % 3 != 2:
                    found += [
                        Asked(text=o + text, right=label, fact=label, planted=True)
                        for o in (chosen[:2] if part else chosen)
                    ]
        return tuple(found)

    return World(
        name="tickets misrouted", gaps=frozenset({"classification"}), remedies=frozenset({"FineTune"}), cheaper=frozenset({"ChangePrompt"}), build=build, logged=questions(0),
        held_out=questions(1), good=lambda asked, reply: reply.text.strip().strip(".").lower() == asked.right,
    )  # fmt: skip


def calls(*, seed: int) -> World:
    """Return a world of the bot that looks after orders with four tools and calls them wrongly; its staff wrote down what is right for others."""
    tools = json.loads((SHOP / "tools.json").read_text(encoding="utf-8"))
    system = (SHOP / "prompts/orders.txt").read_text(encoding="utf-8").strip()

    def build(folder: Path) -> None:
        prompt = Prompt.of(system)
        for n, (request, reply) in enumerate(_IDLE, 1):
            prompt = prompt.with_part(Part(kind="example", name=f"shown-{n}", text=request, answer=reply))
        written = [
            {"messages": [*_shown(prompt, text), _called(call, say)], "tools": tools}
            for text, call, say in requests(Random(f"{seed} written"), 108, 0, 3)
        ]
        lines = "".join(json.dumps(w, ensure_ascii=False) + "\n" for w in written)
        (folder / "written.jsonl").write_text(lines, encoding="utf-8")
        _configured(folder, {}, [], examples="written.jsonl")
        _goes_live(folder, prompt, most=120)

    def questions(part: int, count: int) -> tuple[Asked, ...]:
        return tuple(
            Asked(
                text=text, right=json.dumps(call) if call else say, fact=json.dumps(call) if call else "", planted=True, ask={"tools": tools}
            )
            for text, call, say in requests(Random(f"{seed} {part}"), count, part, 3)
        )  # fmt: skip

    def good(asked: Asked, reply: Reply) -> bool:
        wanted = json.loads(asked.fact) if asked.fact else None
        made = [{"name": c.name, "arguments": json.loads(c.arguments)} for c in reply.tool_calls]
        whole = bool(reply.text.strip()) and reply.finish_reason != "length"
        return made == ([wanted] if wanted else []) and (wanted is not None or whole)

    return World(
        name="calls wrong", gaps=frozenset({"tool_call"}), remedies=frozenset({"FineTune"}), perhaps=frozenset({"ChangePrompt"}), build=build,
        logged=questions(1, 96), held_out=questions(2, 36), good=good,
    )  # fmt: skip


_IDLE = (
    ("Good evening", "Good evening, how can I help you?"),
    ("Can you sing a song?", "I can only help with orders."),
    ("Please change my order.", "Could you give me your order number, please?"),
)
"""What the bot is shown: words where no call is due."""


def _shown(prompt: Prompt, text: str) -> list[dict[str, Any]]:
    """What the bot is sent; the replies in it are not to be learnt again."""
    messages = compose(prompt, [{"role": "user", "content": text}], None)
    return [{**m, "weight": 0} if m["role"] == "assistant" else dict(m) for m in messages]


def _called(call: dict[str, Any] | None, say: str) -> dict[str, Any]:
    if call is None:
        return {"role": "assistant", "content": say}
    function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
    }


# What all share


def _configured(
    folder: Path,
    contract: dict[str, Any],
    documents: list[str],
    *,
    labelled: str | None = None,
    examples: str | None = None,
) -> None:
    settings = {
        "documents": documents,
        "labelled": labelled,
        "contract": {**contract, "read_prompts": False},
        "index": {
            "embedder": "minilm",
            "store": "memory",
            "sources": documents,
            "candidates": ["spare"] if documents else [],
        },
        "run": {"logs": [".advisor/traces"]},
        "probe": {"bot": "live", "price": {"input": 0, "output": 0}, "cap_calls": 4000},
    }
    # A hundred general tasks instead of all, for the time; fewer can only make the gate more careful.
    settings["gate"] = {"general": 100}
    if not documents:
        settings.pop("index")
    if examples:
        settings["train"] = {"examples": [examples]}
    (folder / "advisor.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def _goes_live(
    folder: Path,
    prompt: Prompt,
    *,
    index: str | None = None,
    contract: Contract | None = None,
    most: int = 60,
) -> None:
    """Make the bot as it was before anybody declared how it should answer: held to nothing, or to the labels only."""
    config = configured(folder)
    Prompts(config.state).add(prompt)
    release = Release(
        model=MODEL, prompt=prompt.id, index=index, contract=contract or Contract(read_prompts=False),
        generation=Generation(max_tokens=most, strict=contract is not None, retries=0), retrieving=Retrieving(k=1, cite=False, grounded=False),
    )  # fmt: skip
    Live(config.state).promote(kept(config, release), why="as it was")


def configured(folder: Path) -> Any:
    """Return the settings of a world's folder."""
    return load_config(folder / "advisor.yaml", {"state": folder / ".advisor"})


def worlds(seed: int) -> list[World]:
    """Return all worlds, what is cheap to mend first."""

    def closed(fact: Fact) -> str:
        return f"{fact.answer} {CLOSING}"

    def priced(fact: Fact) -> str:
        return shop.euro(fact.answer)

    def whole(fact: Fact) -> str:
        return f"{shop.euro(fact.answer)} {CLOSING}"

    know, say = {"knowledge"}, {"style"}
    return [
        answers("nothing", set(), set(), Plants(), seed=seed),
        answers("pages missing", know, {"UpdateIndex"}, Plants(missing=True), seed=seed + 1),
        answers("pages not found", know, {"UpdateIndex"}, Plants(blind=True), seed=seed + 2),
        answers("closing line dropped", say, {"ChangePrompt"}, Plants(rules=(_CLOSING_RULE,), form=closed), seed=seed + 3),
        cards(seed=seed),
        answers("amounts in the wrong form", say, {"FineTune"}, Plants(rules=(_EURO_RULE,), form=priced), seed=seed + 4, perhaps={"ChangePrompt"}),
        tickets(seed=seed),
        calls(seed=seed),
        answers(
            "all three: pages missing, closing line, amounts", know | say, {"UpdateIndex", "ChangePrompt"},
            Plants(missing=True, rules=(_CLOSING_RULE, _EURO_RULE), form=whole), seed=seed + 5, rounds=2, perhaps={"FineTune"},
        ),
    ]  # fmt: skip
