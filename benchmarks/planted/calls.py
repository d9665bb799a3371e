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


def requests(
    chance: random.Random, count: int, part: int = 0, parts: int = 1
) -> list[tuple[str, dict[str, Any] | None, str]]:
    """Return (request, call or None, words where no call is made); requests without a call differ between parts."""
    idle = IDLE[part::parts]
    found: list[tuple[str, dict[str, Any] | None, str]] = []
    for n in range(count):
        order = f"SH-{chance.randint(10000, 99999)}"
        article, size, shop = chance.choice(ARTICLES), chance.choice(SIZES), chance.choice(SHOPS)
        day = f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
        reason, words = chance.choice(list(REASONS.items()))
        kind = n % 6
        if kind == 0:
            ask = chance.choice(
                [
                    "Where is order {0}?",
                    "What is the state of {0}?",
                    "Has my order {0} been sent?",
                    "Please look up {0} for me.",
                ]
            )
            found.append((ask.format(order), {"name": "get_order", "arguments": {"order_id": order}}, ""))
        elif kind == 1:
            ask = chance.choice(
                ["Please cancel {0}, {1}.", "Cancel my order {0} because {1}.", "I want to cancel {0}: {1}."]
            )
            found.append(
                (
                    ask.format(order, words),
                    {"name": "cancel_order", "arguments": {"order_id": order, "reason": reason}},
                    "",
                )
            )
        elif kind == 2:
            ask = chance.choice(
                ["Do you have {0} in {1}?", "Is {0} in stock in size {1}?", "Have you got {0}, size {1}?"]
            )
            found.append(
                (
                    ask.format(article, size),
                    {"name": "check_stock", "arguments": {"article": article, "size": size}},
                    "",
                )
            )
        elif kind == 3:
            ask = chance.choice(
                [
                    "Book a boot fitting in {0} on {1}.",
                    "I would like a fitting in {0} on {1}, please.",
                    "Can I have a boot fitting on {1} in {0}?",
                ]
            )
            found.append(
                (
                    ask.format(shop, day),
                    {"name": "book_fitting", "arguments": {"shop": shop, "date": day}},
                    "",
                )
            )
        else:
            ask, say = idle[(n // 6 * 2 + kind) % len(idle)]
            found.append((ask, None, say))
    return found
