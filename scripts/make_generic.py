"""Writes `finetune/generic.jsonl`: small tasks of other kinds than a bot's own, mixed in so that training does not unteach them.

    python scripts/make_generic.py

All of it was written here (Apache-2.0): tasks with an answer that code can compute, and open ones that the base answers itself. None is a task of
the general-ability suite that judges.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

OUT = Path(__file__).parents[1] / "finetune" / "generic.jsonl"
PEOPLE = ["Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Ines", "Karl", "Lena", "Max", "Nora"]
TOWNS = ["Hamburg", "Seville", "Prague", "Dublin", "Vienna", "Zurich", "Lisbon", "Gdansk", "Nantes", "Verona"]
GOODS = [
    "a camera",
    "two pillows",
    "a garden hose",
    "a teapot",
    "an umbrella",
    "a backpack",
    "a mirror",
    "a rug",
    "a toaster",
    "a helmet",
]
FRUIT = ["apples", "pears", "plums", "lemons", "figs", "grapes", "cherries"]
OPEN = [
    "Explain in two sentences what a volcano is.", "Give me three tips for a good night's rest.", "Describe a market on a summer morning.", "Why do leaves change colour in autumn?",
    "What can I cook with eggs and potatoes?", "Write a short thank-you note to a teacher.", "How do I keep a houseplant alive?", "Suggest a name for a small boat.", "What is a compass for?",
    "Tell me a short story about a fox.", "What should I pack for a weekend in the mountains?", "Explain what recycling is to a child.", "Describe the taste of an orange.", "How does a candle burn?",
    "Write two lines about friendship.", "What are the benefits of walking every day?", "How can I learn ten new words a week?", "Describe your favourite colour.", "What is the difference between a lake and a pond?",
    "Give an example of a polite request.", "Why is it dark at night?", "How do birds find their way?", "What is a good gift for a gardener?", "Explain how to tie a knot.", "What makes a good team?",
    "Write a title for an article about old castles.", "What is the purpose of a bridge?", "How do you make a paper plane?", "Describe a snowy street.", "What does a baker do in the morning?",
    "How can I save water at home?", "What is a dictionary used for?", "Give me an idea for a rainy afternoon.", "Explain why we brush our teeth.", "What is a rainbow?", "How do I write a good letter?",
    "Name things one finds on a beach.", "What is a telescope?", "Why do people keep diaries?", "How is cheese made?",
]  # fmt: skip


def tasks(chance: random.Random) -> Iterator[tuple[str, str | None]]:
    for n in range(24):
        a, b = chance.randint(41, 99), chance.randint(3, 40)
        yield (
            f"{PEOPLE[n % 12]} has {a} {FRUIT[n % 7]} and gives away {b}. How many are left? Reply with the number only.",
            str(a - b),
        )
        yield f"Add {a} and {b}. Reply with the number only.", str(a + b)
        who, town, what, day = (
            PEOPLE[(5 * n) % 12],
            TOWNS[(3 * n) % 10],
            GOODS[(7 * n) % 10],
            chance.randint(1, 28),
        )
        text = f"{who} in {town} bought {what} on {day} March."
        yield f"{text} Who bought something? Answer with the name.", who
        yield f"{text} In which town? Answer with the town.", town
    for n, fruit in enumerate(FRUIT):
        upper = f"We sell {fruit} in {TOWNS[n]}."
        yield f"Write this in lower case: {upper}", upper.lower()
        yield f"Repeat this sentence and add nothing: {upper}", upper
        yield (
            f"List {fruit}, {FRUIT[n - 1]} and {FRUIT[n - 2]} as bullet points.",
            f"- {fruit}\n- {FRUIT[n - 1]}\n- {FRUIT[n - 2]}",
        )
        yield (
            f"{upper} What is the warranty? If the text does not say, answer: I do not know.",
            "I do not know.",
        )
    yield "Good afternoon!", "Good afternoon! How can I help you?"
    yield "Thanks for everything.", "You are welcome! Is there anything else you need?"
    for ask in OPEN:
        yield ask, None


def main() -> None:
    lines = [{"ask": ask, "answer": answer} for ask, answer in dict(tasks(random.Random(0))).items()]
    OUT.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    print(f"{len(lines)} tasks, {sum(line['answer'] is None for line in lines)} of them open")


if __name__ == "__main__":
    main()
