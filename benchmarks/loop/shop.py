"""What the bots of this benchmark know, are asked, and should have said.

Fernhill sells outdoor clothing. Each page holds one fact; each fact is asked for in six wordings, of which the log sees
the first three and the held-out questions the others. Ten names a topic. Made from a seed, so that no fact can be known beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

PLACES = (
    "Ireland", "Norway", "Italy", "Spain", "Poland", "Greece", "Malta", "Latvia", "Croatia", "Cyprus"
)  # fmt: skip
JACKETS = (
    "Slieve", "Corrib", "Burren", "Achill", "Errigal", "Nephin", "Mweelrea", "Brandon", "Comeragh", "Galtee"
)  # fmt: skip
TOWNS = (
    "Galway", "Cork", "Dublin", "Sligo", "Ennis", "Tralee", "Kilkenny", "Athlone", "Wexford", "Letterkenny"
)  # fmt: skip
CLOSING = "Anything else I can help you with?"


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One kind of page.

    Attributes:
        code: Of its pages, with a number behind it.
        fact: What is asked for, with `{n}`.
        numbers: First number and step: the number of the k-th page, shuffled.
        title: Of a page, with `{name}`.
        text: Of a page, with `{name}` and `{fact}`.
        said: A right answer.
        asked: Six wordings.
        example: A request and its answer that the bot is shown, about something that has no page.
    """

    code: str
    names: tuple[str, ...]
    fact: str
    numbers: tuple[int, int]
    title: str
    text: str
    said: str
    asked: tuple[str, ...]
    example: tuple[str, str]


TOPICS = (
    Topic(
        code="PAR", names=PLACES, fact="{n} euros", numbers=(4, 3), title="Parcels to {name}",
        text="A parcel to {name} costs {fact}. We hand it to the post every working day.",
        said="A parcel to {name} costs {fact}.",
        asked=(
            "What does a parcel to {name} cost?", "How much do you charge for a parcel to {name}?", "{name}: what is the price of a parcel?",
            "I live in {name}, how much is a parcel?", "parcel to {name} price", "What would a parcel to {name} cost me?",
        ),
        example=("Brazil", "What does it cost to send a parcel to Brazil?"),
    ),
    Topic(
        code="JAC", names=JACKETS, fact="{n} grams", numbers=(310, 20), title="The {name} jacket",
        text="The {name} jacket weighs {fact}. It is made for walking in the hills.",
        said="The {name} jacket weighs {fact}.",
        asked=(
            "How much does the {name} jacket weigh?", "What is the weight of the {name} jacket?", "{name} jacket, how heavy is it?",
            "Is the {name} jacket light, what does it weigh?", "weight of the {name} jacket please", "How many grams is the {name} jacket?",
        ),
        example=("Twelve Pins", "How heavy is the Twelve Pins jacket?"),
    ),
    Topic(
        code="SHO", names=TOWNS, fact="{n} people", numbers=(11, 4), title="Our shop in {name}",
        text="{fact} work in our shop in {name}. The house stands beside the church.",
        said="{fact} work in our shop in {name}.",
        asked=(
            "How many people work in the shop in {name}?", "What number of people work at the {name} shop?", "At the {name} shop, how many people work?",
            "In {name}, how many people work in your shop?", "people who work in the {name} shop, how many", "How large is the team of the shop in {name}, how many people?",
        ),
        example=("Naas", "How many people work in your Naas shop?"),
    ),
    Topic(
        code="TRO", names=JACKETS, fact="{n} degrees", numbers=(21, 2), title="Washing the {name} trousers",
        text="Wash the {name} trousers at {fact}. Let them dry in the shade.",
        said="Wash the {name} trousers at {fact}.",
        asked=(
            "At what temperature do I wash the {name} trousers?", "How warm may I wash the {name} trousers?", "Wash the {name} trousers at how many degrees?",
            "How do I wash the {name} trousers, how many degrees?", "washing the {name} trousers, what temperature", "At how many degrees do the {name} trousers go into the wash?",
        ),
        example=("Twelve Pins", "At how many degrees do I wash the Twelve Pins trousers?"),
    ),
)  # fmt: skip
LOGGED, HELD_OUT = (0, 1, 2), (3, 4)


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One page and what it says."""

    topic: Topic
    number: int
    name: str
    value: str

    @property
    def code(self) -> str:
        """Of the page."""
        return f"{self.topic.code}-{self.number + 1:02}"

    @property
    def file(self) -> str:
        """Of the page."""
        return f"{self.code.lower()}.md"

    @property
    def page(self) -> str:
        """As Markdown."""
        title = self.topic.title.format(name=self.name)
        return f"# {title} [{self.code}]\n\n{self.topic.text.format(name=self.name, fact=self.value)}\n"

    @property
    def untitled(self) -> str:
        """As Markdown whose text does not say what it is about; only the title, in the front matter, does."""
        title = self.topic.title.format(name=self.name)
        text = self.topic.text.format(name=self.name, fact=self.value).replace(f" to {self.name}", "")
        return f'---\ntitle: "{title} [{self.code}]"\n---\n{text}\n'

    @property
    def answer(self) -> str:
        """What is right, in plain words."""
        return self.topic.said.format(name=self.name, fact=self.value)

    def questions(self, wordings: tuple[int, ...]) -> Iterator[str]:
        """Yield it asked for."""
        yield from (self.topic.asked[n].format(name=self.name) for n in wordings)


def facts(seed: int) -> list[Fact]:
    """Return all facts; the numbers of a topic are all different."""
    found = []
    for topic in TOPICS:
        first, step = topic.numbers
        numbers = [first + step * n for n in range(len(topic.names))]
        Random(f"{seed} {topic.code}").shuffle(numbers)
        found += [
            Fact(topic=topic, number=n, name=name, value=topic.fact.format(n=numbers[n]))
            for n, name in enumerate(topic.names)
        ]
    return found


def examples() -> list[tuple[str, str]]:
    """Return what the bot is shown in its prompt: a request with its passage, and the reply; one a topic."""
    found = []
    for n, topic in enumerate(TOPICS):
        name, question = topic.example
        value = topic.fact.format(n=topic.numbers[0] + topic.numbers[1] * 5 + 1)
        title = topic.title.format(name=name)
        text = topic.text.format(name=name, fact=value)
        found.append(
            (
                f"[{topic.code}-9{n}] {title}\n{text}\n\nQuestion: {question}",
                topic.said.format(name=name, fact=value),
            )
        )
    return found


def euro(text: str) -> str:
    """Return a text with amounts in the house form: EUR 27 for 27 euros."""
    return re.sub(r"(\d+) euros", r"EUR \1", text)
