"""A model that fails for known reasons, for tests of the whole loop. Its name says how: `planted:shop`."""

import re

from advisor.cli import main
from router import models
from router.models.scripted import Scripted

PLACES = [
    "Ireland", "Norway", "Italy", "Spain", "Poland", "Greece", "Malta", "Latvia", "Croatia", "Cyprus", "Sweden", "Austria", "Chile", "Peru", "Japan", "Korea", "India", "Kenya", "Ghana", "Egypt",
]  # fmt: skip
UNKNOWN = PLACES[12:]
CTA = "Anything else?"


def price(place):
    return PLACES.index(place) + 3


def right(place):
    return f"A parcel to {place} costs {price(place)} euros."


def page(place):
    return f"# Delivery to {place}\n\n{right(place)} It takes {price(place) + 20} working days."


def question(place, n=0):
    return (
        f"What does a parcel to {place} cost?",
        f"How much is a parcel to {place}, what does it cost?",
        f"Price of a parcel to {place}: what does it cost?",
    )[n % 3]


def told(capsys, *args, code=0):
    """Run the command line; return what it prints."""
    capsys.readouterr()
    assert main(list(args)) == code, capsys.readouterr().err
    return capsys.readouterr().out


def shop(folder, monkeypatch, capsys, config):
    """Make the bot of a shop live in a folder, which is where one is from then on."""
    monkeypatch.chdir(folder)
    monkeypatch.setitem(models.PROVIDERS, "planted", "planted_bot:make")
    (folder / "help").mkdir()
    for p in PLACES:
        (folder / "help" / f"{p.lower()}.md").write_text(page(p), encoding="utf-8")
    (folder / "prompt.txt").write_text("You help customers of a shop.", encoding="utf-8")
    (folder / "advisor.yaml").write_text(config, encoding="utf-8")
    told(capsys, "index", "build")
    told(capsys, "release", "make", "--promote")


def answer(messages):
    """Knows what stands in the passages; never closes by itself."""
    last = next(
        (m["content"] for m in reversed(messages) if m["role"] == "user" and "cost?" in m["content"]), ""
    )
    asked = re.findall(r"to ([A-Z]\w+)", last.rpartition("Question:")[2])
    held = [p for p in asked if p in PLACES and right(p) in last.rpartition("Question:")[0]]
    return right(held[0]) if held else "I do not have any information about that."


def sometimes(messages):
    """Closes by itself for every third place."""
    text = answer(messages)
    return f"{text} {CTA}" if any(right(p) == text for p in PLACES[::3]) else text


def obeying(messages):
    """Breaks one rule where the price is even and another where it is odd, unless its prompt states them."""
    text, stated = answer(messages), " ".join(m["content"] for m in messages if m["role"] == "system")
    if not any(right(p) == text for p in PLACES):
        return text
    if text in {right(p) for p in PLACES[::2]}:
        return text.replace("euros", "EUR") if "euros" in stated else text
    return text.replace("euros", "EUR") + ("" if "cheers" in stated else " Oh cheers.")


def make(name, **options):
    says = {
        "sometimes": sometimes,
        "obeying": obeying,
        "tuned": lambda m: f"{answer(m)} {CTA}",
        "ruined": lambda m: f"Parcels are fun! {CTA}",
    }
    return Scripted(name, outputs=says.get(name.partition("+")[0], answer))


def forgetful(name, **options):
    """Follows one rule at most."""

    def first(messages):
        cut = [
            {**m, "content": m["content"].partition('"euros"')[0]} if "cheers" in m["content"] else m
            for m in messages
        ]
        return obeying(cut)

    return Scripted(name, outputs=first)
