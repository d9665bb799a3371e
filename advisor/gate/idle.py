"""Idle: requests that call for none of a bot's tools. A model that learnt to call is asked them, as it may have learnt to call whatever it is asked.

Three kinds: small talk, other subjects, and requests that name what a tool does and give nothing that it needs. Half of them teach, half judge. Models for
function calling are trained on such requests too (Lin et al. 2024, Hammer, 2410.04587).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest

from advisor.checks.tool_fit import plain
from advisor.exchange import Exchange, Message, Tool
from advisor.gate.decision import Pair
from advisor.gate.trial import Case
from router.replies import Reply

MOST = 40
"""Requests that judge, or teach, at most."""

_SMALL_TALK = (
    "Hi!", "Hello, is anybody there?", "How are you today?", "I have a question.", "Lovely, thanks for your help.", "No, that was everything.", "See you!", "Have a nice day.",
    "You have been very helpful.", "Sorry, wrong chat.", "One moment please.", "Good night", "That was quick, well done.", "Never mind.", "Can you help me?", "Who am I talking to?",
    "Nice to meet you.", "All clear now, goodbye.", "Fine, I will wait.", "I am still here.",
)  # fmt: skip
_OTHER_SUBJECTS = (
    "Explain how a bicycle works.", "What is the capital of Peru?", "Give me a riddle.", "How far away is the moon?", "Translate 'apple' into French.", "Who painted the Mona Lisa?",
    "What should I have for dinner?", "Will it rain tomorrow?", "What do you think of politics?", "Is there life on Mars?", "What time is it in Tokyo?", "Recommend a book to me.",
    "How do I fix a leaking tap?", "Who is the best football player?", "Tell me a story about a dragon.", "What is seven times eight?",
)  # fmt: skip
_WORDINGS = (
    "Can you {what}?",
    "I want to {what}.",
    "Please {what}.",
    "I need help, I would like to {what}.",
)
_MOST_TOOLS = 20


def cases(exchange: Exchange, *, judging: bool) -> list[Case]:
    """Return the requests as cases of the bot that an exchange is of: with its system prompt and the tools that it offered.

    Args:
        exchange: One with tools.
        judging: Whether those that judge are wanted, or those that teach.
    """
    system = tuple(m for m in exchange.conversation if m.role == "system")
    found = []
    for n, ask in enumerate(_asked(exchange.tools, judging=judging)):
        id = f"idle-{'judging' if judging else 'teaching'}-{n}"
        asked = Exchange(
            id=id, conversation=(*system, Message(role="user", content=ask)), reply=Message(role="assistant", content=""), source=exchange.source,
            tools=exchange.tools, tenant=exchange.tenant,
        )  # fmt: skip
        found.append(Case(id=id, group=id, kind="good", exchange=asked))
    return found


def _asked(tools: Sequence[Tool], *, judging: bool) -> Sequence[str]:
    """The kinds by turns, so that the first few are of every kind."""
    named = list(_named(tools))
    own = [kind[judging::2] for kind in (named, _SMALL_TALK, _OTHER_SUBJECTS)]
    return [ask for ask in chain.from_iterable(zip_longest(*own)) if ask is not None][:MOST]


def _named(tools: Sequence[Tool]) -> Iterator[str]:
    """Yield requests that say what a tool is called; of one that needs nothing such a request may well be a call."""
    for tool in tools[:_MOST_TOOLS]:
        if (tool.parameters or {}).get("required"):
            yield from (wording.format(what=plain(tool.name)) for wording in _WORDINGS)


def undue(asked: Sequence[Case], before: Mapping[str, Reply], after: Mapping[str, Reply]) -> list[Pair]:
    """Return the requests to which the base made no call, before and after.

    Args:
        asked: The requests.
        before: Replies of the base, by id of the case.
        after: Likewise of the tuned model.
    """
    found = []
    for case in asked:
        then, now = before.get(case.id), after.get(case.id)
        if then is None or now is None or then.tool_calls:
            continue
        called = now.tool_calls[0].name if now.tool_calls else ""
        note = f"It calls {called} at {case.exchange.question!r}, which calls for nothing." if called else ""
        found.append(
            Pair(
                id=f"{case.id} (no call is due)", group=case.group, kind="good", before=True, after=not called, note=note
            )
        )  # fmt: skip
    return found
