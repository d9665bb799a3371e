"""Requests to the bot that looks after orders, made from a seed, each with the right call or the right words."""

from __future__ import annotations

import random
from typing import Any

ARTICLES = [
    "Burren boots",
    "Errigal fleece",
    "Mourne jacket",
    "Kerry socks",
    "Clare tent",
    "Sligo hat",
    "Antrim gloves",
    "Wicklow trousers",
    "Mayo rucksack",
    "Cavan shirt",
]
SIZES = ["S", "M", "L", "XL", "38", "40", "42", "44"]
SHOPS = ["Galway", "Cork", "Dublin"]
REASONS = {
    "changed_mind": "I changed my mind",
    "too_slow": "it takes too long",
    "wrong_item": "I ordered the wrong thing",
}
IDLE = [
    ("Hello!", "Hello, how can I help you?"), ("Thank you, that is all.", "You are welcome."), ("Where is my order?", "Could you give me your order number, please?"), ("What is the weather like?", "I can only help with orders."),
    ("Please cancel my order.", "Could you give me your order number, please?"), ("Good morning", "Good morning, how can I help you?"), ("Tell me a joke.", "I can only help with orders."), ("Thanks!", "You are welcome."),
    ("Hi there", "Hello, how can I help you?"), ("Who won the match?", "I can only help with orders."), ("Cancel it please.", "Could you give me your order number, please?"), ("Great, bye!", "You are welcome."),
    ("Has my parcel been sent?", "Could you give me your order number, please?"), ("Are you a robot?", "I am the assistant of the shop, how can I help you?"), ("Okay, thanks a lot.", "You are welcome."), ("Can you book me a flight?", "I can only help with orders."),
    ("Hey!", "Hello, how can I help you?"), ("Good afternoon", "Good afternoon, how can I help you?"), ("Where is my parcel?", "Could you give me your order number, please?"), ("Sing me a song.", "I can only help with orders."),
    ("I want to cancel something.", "Could you give me your order number, please?"), ("Perfect, thank you!", "You are welcome."), ("What is two plus three?", "I can only help with orders."), ("My order has not come.", "Could you give me your order number, please?"),
    ("Good evening", "Good evening, how can I help you?"), ("Tell me about the news.", "I can only help with orders."), ("Can you check my order?", "Could you give me your order number, please?"), ("That helps, cheers.", "You are welcome."),
    ("Which film should I watch?", "I can only help with orders."), ("I would like to stop my order.", "Could you give me your order number, please?"), ("Hello there", "Hello, how can I help you?"), ("Wonderful, many thanks.", "You are welcome."),
    ("Write me a poem.", "I can only help with orders."), ("When does my order arrive?", "Could you give me your order number, please?"), ("How do I cook rice?", "I can only help with orders."), ("Nothing else, thanks.", "You are welcome."),
]  # fmt: skip


ASKED: list[tuple[list[str], str, dict[str, str]]] = [
    (["Where is order {order}?", "What is the state of {order}?", "Has my order {order} been sent?", "Please look up {order} for me."], "get_order", {"order_id": "order"}),
    (["Please cancel {order}, {words}.", "Cancel my order {order} because {words}.", "I want to cancel {order}: {words}."], "cancel_order", {"order_id": "order", "reason": "reason"}),
    (["Do you have {article} in {size}?", "Is {article} in stock in size {size}?", "Have you got {article}, size {size}?"], "check_stock", {"article": "article", "size": "size"}),
    (["Book a boot fitting in {shop} on {date}.", "I would like a fitting in {shop} on {date}, please.", "Can I have a boot fitting on {date} in {shop}?"], "book_fitting", {"shop": "shop", "date": "date"}),
]  # fmt: skip
"""Wordings, the tool that is due, and which value each of its arguments is."""


def requests(
    chance: random.Random, count: int, part: int = 0, parts: int = 1
) -> list[tuple[str, dict[str, Any] | None, str]]:
    """Return (request, call or None, words where no call is made); requests without a call differ between parts."""
    idle = IDLE[part::parts]
    found: list[tuple[str, dict[str, Any] | None, str]] = []
    for n in range(count):
        values = {"order": f"SH-{chance.randint(10000, 99999)}"}
        values |= {
            "article": chance.choice(ARTICLES),
            "size": chance.choice(SIZES),
            "shop": chance.choice(SHOPS),
        }
        values["date"] = f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
        values["reason"], values["words"] = chance.choice(list(REASONS.items()))
        kind = n % 6
        if kind < len(ASKED):
            wordings, tool, named = ASKED[kind]
            arguments = {name: values[value] for name, value in named.items()}
            found.append(
                (chance.choice(wordings).format(**values), {"name": tool, "arguments": arguments}, "")
            )
        else:
            ask, say = idle[(n // 6 * 2 + kind) % len(idle)]
            found.append((ask, None, say))
    return found
