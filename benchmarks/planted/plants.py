"""The causes, planted by construction: each function yields turns of one bot with the truth about them.

A 135M model does not keep house rules, so a good reply is its own sentence where that holds the fact, else the
page's sentence that it picked, else the sentence of `questions.yaml`; source code and closing line are put on. A
failure is that same reply with one thing taken away or turned, or what the model said by itself when the page was
kept from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

from bot import LABELS, Bot, Page
from turns import Turn, dumps

CLOSING = "Anything else I can help you with?"
EDITED = "generated, then edited"
_ABSTAIN = (
    "I am sorry, I do not know that.",
    "Sorry, I could not find that in our help pages.",
    "I'm afraid I have no information about this.",
    "Unfortunately I do not know the answer to that.",
)
_OTHER_ENDS = ("", "", "", "Have a nice day!", "Goodbye.")
_NUMBER = re.compile(r"\d+(?:[.:]\d+)*")
Item = Mapping[str, Any]


class Answers:
    """Turns of the bot that answers from the help pages."""

    def __init__(self, bot: Bot, questions: Mapping[str, Sequence[Any]], rng: Random) -> None:
        self._bot = bot
        self._rng = rng
        self._asked = [(q, i) for q in questions["questions"] for i in q["ask"]]
        self._unpublished = [(q, i) for q in questions["unpublished"] for i in q["ask"]]
        self._elsewhere = questions["elsewhere"]

    def good(self, count: int) -> Iterator[Turn]:
        """Right, cited and closed."""
        for item, question in self._draw(count):
            text, how = self._right(item, question)
            yield self._turn(question, self._form(text, item["page"]), how, self._served(item, question))
        for question in self._elsewhere:
            pages = self._bot.retrieve(question)
            reply = self._form("I am sorry, I can only help with our shop.", pages[0].code)
            yield self._turn(question, reply, "written", pages)

    def missing(self, count: int, *, closed: bool = True) -> Iterator[Turn]:
        """No published page has it. With `closed` false the closing line is dropped as well."""
        for n, (item, question) in enumerate(self._cycle(self._unpublished, count)):
            pages = self._bot.retrieve(question)
            text, how = self._ignorant(question, pages, own=n % 3 == 0, right=item["answer"])
            reply = self._form(text, pages[0].code)
            turn = self._turn(question, reply, how, pages, right=item["answer"])
            turn = replace(turn, plant="page missing", cause="missing_content", gaps=("knowledge",))
            yield turn if closed else _unclosed(turn, self._rng)

    def not_retrieved(self, count: int) -> Iterator[Turn]:
        """The page is there, and the retriever cannot find it."""
        for n, (item, question) in enumerate(self._draw(count)):
            pages = self._bot.retrieve(question, without=item["page"])
            text, how = self._ignorant(question, pages, own=n % 2 == 0, right=item["fact"])
            turn = self._turn(question, self._form(text, pages[0].code), how, pages, right=item["answer"])
            yield replace(turn, plant="page not retrieved", cause="retrieval_miss", gaps=("knowledge",))

    def unused(self, count: int) -> Iterator[Turn]:
        """The page was served and the reply says otherwise."""
        for item, question in self._draw(count):
            served = self._served(item, question)
            text, how = self._contrary(item, question, served)
            turn = self._turn(question, self._form(text, item["page"]), how, served, right=item["answer"])
            yield replace(turn, plant="page ignored", cause="context_unused", gaps=("knowledge",))

    def unclosed(self, count: int) -> Iterator[Turn]:
        """Right and cited, without the closing line."""
        for turn in self._plain(count):
            yield _unclosed(turn, self._rng)

    def uncited(self, count: int) -> Iterator[Turn]:
        """Right and closed, without the source code in brackets."""
        for n, turn in enumerate(self._plain(count)):
            code = re.search(r" \[([A-Z]+-\d+)\]", turn.reply)
            kept = f" (see {code[1]})" if code and n % 4 == 0 else ""
            reply = turn.reply.replace(code[0], kept) if code else turn.reply
            yield replace(turn, reply=reply, plant="code missing", cause="required_element", gaps=("style",))

    def conversations(self, count: int, *, turns: int, drift_from: int | None = None) -> Iterator[Turn]:
        """Long conversations; from turn `drift_from` on, closing line and source code are lost."""
        for number in range(count):
            name = f"{'drift' if drift_from is not None else 'long'}-{number}"
            history: list[dict[str, Any]] = []
            for order, turn in enumerate(self._plain(turns)):
                late = drift_from is not None and order >= drift_from
                if late:
                    reply = re.sub(r" \[[A-Z]+-\d+\]", "", turn.reply.replace(CLOSING, "")).strip()
                    turn = replace(turn, reply=reply, plant="drift", cause="drift", gaps=("style",))
                turn = replace(turn, history=tuple(history), conversation=name, order=order)
                yield turn
                history += [
                    {"role": "user", "content": turn.question},
                    {"role": "assistant", "content": turn.reply},
                ]

    def _plain(self, count: int) -> Iterator[Turn]:
        for item, question in self._draw(count):
            text, how = self._right(item, question)
            yield self._turn(question, self._form(text, item["page"]), how, self._served(item, question))

    def _turn(self, question: str, reply: str, how: str, pages: Sequence[Page], *, right: str = "") -> Turn:
        return Turn(
            bot="answers", question=question, reply=reply, how=how, passages=tuple(pages), right=right
        )

    def _form(self, text: str, code: str) -> str:
        return f"{text} [{code}] {CLOSING}"

    def _draw(self, count: int) -> list[tuple[Item, str]]:
        pool = self._asked * (count // len(self._asked) + 1)
        return self._rng.sample(pool, count)

    def _cycle(self, pool: Sequence[tuple[Item, str]], count: int) -> list[tuple[Item, str]]:
        start = self._rng.randrange(len(pool))
        return [pool[(start + n) % len(pool)] for n in range(count)]

    def _served(self, item: Item, question: str) -> list[Page]:
        pages = self._bot.retrieve(question)
        if all(p.code != item["page"] for p in pages):
            right = self._bot.pages[item["page"]]
            pages = [replace(right, score=pages[0].score), *pages[:2]]
        return pages

    def _right(self, item: Item, question: str) -> tuple[str, str]:
        page = self._bot.pages[item["page"]]
        own = _sentence(self._bot.answer(question, [page]))
        if item["fact"] in own and _faithful(own, f"{page.text} {question}"):
            return own, EDITED
        picked = self._bot.pick(question, page)
        return (picked, EDITED) if item["fact"] in picked else (item["answer"], "written")

    def _ignorant(self, question: str, pages: Sequence[Page], *, own: bool, right: str) -> tuple[str, str]:
        excuse = self._rng.choice(_ABSTAIN)
        said = _sentence(self._bot.answer(question, pages)) if own else ""
        by_luck = right in said or re.search(r"\byes\b|^we ship", said, re.IGNORECASE)
        made_up = len(said) > 20 and said[0] not in "#[" and not by_luck
        return (said, EDITED) if made_up else (excuse, "written")

    def _contrary(self, item: Item, question: str, served: Sequence[Page]) -> tuple[str, str]:
        own = _sentence(self._bot.answer(question, served))
        if _numbers(own) and _numbers(item["fact"]) and not _numbers(own) & _numbers(item["answer"]):
            return own, EDITED
        page = self._bot.pages[item["page"]]
        altered = replace(page, text=page.text.replace(item["fact"], item["altered"]))
        own = _sentence(self._bot.answer(question, [altered]))
        if item["altered"] in own:
            return own, EDITED
        return str(item["answer"]).replace(item["fact"], item["altered"]), "written"


def tickets(bot: Bot, classes: Mapping[str, Sequence[str]], *, wrong: int) -> Iterator[Turn]:
    """Sorted tickets; up to `wrong` of the model's own mistakes are kept, the others are put right."""
    kept = 0
    for label in LABELS:
        for n, text in enumerate(classes[label]):
            said = bot.sort(text)
            if said == label:
                yield Turn(bot="tickets", question=text, reply=label, how="generated")
            elif kept < wrong and n % 3 != 2:
                kept += 1
                turn = Turn(bot="tickets", question=text, reply=said, how="generated", right=label)
                yield replace(turn, plant="misrouted", cause="misrouted", gaps=("classification",))
            else:
                yield Turn(bot="tickets", question=text, reply=label, how="written")


def orders(bot: Bot, requests: Sequence[Item], plants: Sequence[tuple[int, str]]) -> Iterator[Turn]:
    """Tool calls: all of them well, then those that `plants` names (number of the request, what is done to it)."""
    for request in requests:
        yield _called(bot, request)
    for number, plant in plants:
        yield _spoilt(bot, requests[number], plant)


def _called(bot: Bot, request: Item) -> Turn:
    call = request["call"]
    if call is None:
        return Turn(bot="orders", question=request["ask"], reply=request["say"], how="written")
    own = bot.arguments(request["ask"], call["name"])
    how = "generated" if own == call["arguments"] else "written"
    calls = ((call["name"], dumps(call["arguments"])),)
    return Turn(bot="orders", question=request["ask"], calls=calls, how=how, finish="tool_calls")


def _spoilt(bot: Bot, request: Item, plant: str) -> Turn:
    good = _called(bot, request)
    name, arguments = good.calls[0] if good.calls else ("", "")
    order = {"order_id": bot.arguments(request["ask"], "get_order").get("order_id", "SH-12345")}
    spoilt: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
        "cut": ("malformed", ((name, arguments[:-1]),)),
        "single quotes": ("malformed", ((name, arguments.replace('"', "'")),)),
        "unquoted": ("malformed", ((name, arguments.replace('"', "", 2)),)),
        "empty": ("schema_violation", ((name, "{}"),)),
        "extra": ("schema_violation", ((name, f'{arguments[:-1]}, "urgent": true}}'),)),
        "number": ("schema_violation", ((name, re.sub(r'"SH-(\d+)"', r"\1", arguments)),)),
        "other id": (
            "wrong_arguments",
            ((name, re.sub(r"SH-\d(\d+)", lambda m: f"SH-9{m[1][::-1]}", arguments)),),
        ),
        "made up": ("wrong_arguments", (("get_order", dumps(order)),)),
        "other tool": ("wrong_tool", (("check_stock", dumps({"article": "order", "size": "M"})),)),
        "unknown tool": ("wrong_tool", ((f"{name}_v2", arguments),)),
        "none": ("missing_call", ()),
        "needless": ("unneeded_call", (("get_order", dumps(order)),)),
    }
    cause, calls = spoilt[plant]
    reply = "" if calls else "I have done that for you."
    how = "generated" if plant in ("made up", "needless") else EDITED
    turn = replace(good, reply=reply, calls=calls, how=how, finish="tool_calls" if calls else "stop")
    return replace(turn, plant=f"tool: {plant}", cause=cause, gaps=("tool_call",))


def cards(bot: Bot, products: Sequence[Item], *, every: int) -> Iterator[Turn]:
    """Product cards, each product in three wordings; one in `every` is broken, in five ways."""
    spoil = (
        lambda good, own: (own, "generated", "stop"),
        lambda good, own: (good[: len(good) // 2], EDITED, "length"),
        lambda good, own: (f"Here is your product card:\n{good[:-1]}", EDITED, "stop"),
        lambda good, own: (good.replace('"price_eur": ', '"price_eur": "about '), EDITED, "stop"),
        lambda good, own: (good.replace('"category"', '"type"'), EDITED, "stop"),
    )
    asked = [
        (start + p["text"], dumps(p["card"])) for p in products for start in ("", "New in: ", "A card for: ")
    ]
    for n, (text, right) in enumerate(asked):
        if n % every:
            how = "generated" if bot.card(text, held=True) == right else "written"
            yield Turn(bot="cards", question=text, reply=right, how=how)
        else:
            reply, how, finish = spoil[n // every % len(spoil)](right, bot.card(text, held=False))
            turn = Turn(bot="cards", question=text, reply=reply, how=how, finish=finish)
            yield replace(turn, plant="JSON broken", cause="format", gaps=("style",))


def _unclosed(turn: Turn, rng: Random) -> Turn:
    reply = turn.reply.replace(CLOSING, rng.choice(_OTHER_ENDS)).strip()
    if turn.cause:
        gaps, plant = (*turn.gaps, "style"), f"{turn.plant} and closing dropped"
        return replace(turn, reply=reply, plant=plant, gaps=gaps)
    return replace(turn, reply=reply, plant="closing dropped", cause="required_element", gaps=("style",))


def _sentence(text: str) -> str:
    """The first sentence, ended by a full stop."""
    first = re.split(r"(?<=[a-z\d)][.!?])\s+(?=[A-Z])", text.strip(), maxsplit=1)[0].strip()
    first = re.sub(r"\s*\[[^\]]*\]", "", first)
    return first if not first or first[-1] in ".!?" else f"{first}."


def _numbers(text: str) -> set[str]:
    return set(_NUMBER.findall(text))


def _faithful(own: str, source: str) -> bool:
    """Whether each number goes with the same next word as in the source, and the words come from there.

    A long sentence must also keep whole phrases of the source, or it has sewn two statements together.
    """
    known = [w.strip(".,;:!?()").lower() for w in source.split()]
    said = [w.strip(".,;:!?()").lower() for w in own.split()]
    pairs = set(pairwise(known))
    numbers = all(pair in pairs for pair in pairwise(said) if pair[0][:1].isdigit())
    text = " ".join(known)
    phrases = [" ".join(said[n : n + 3]) in text for n in range(len(said) - 2)]
    whole = len(said) <= 12 or sum(phrases) >= 0.6 * len(phrases)
    return numbers and whole and own[0].isupper() and sum(w in known for w in said) >= 0.8 * len(said)
