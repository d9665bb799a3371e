"""Irrelevance: requests that call for none of a bot's tools. A model that learnt to call is asked them, as it may have learnt to call whatever it is asked.

Three kinds: small talk, other subjects, and requests that name what a tool does and give nothing that it needs. Half of them teach, half judge. BFCL
measures the same under this name, and models for function calling are trained on such requests too (Lin et al. 2024, Hammer, 2410.04587).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, zip_longest

from advisor.checks.tool_fit import IDENTIFIES, IS_FREE_TEXT, best_fit, plain, properties
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
    "Explain how a bicycle works.", "Why is the sky blue?", "Give me a riddle.", "How far away is the moon?", "Do you like music?", "Who painted the Mona Lisa?",
    "What should I have for dinner?", "What is your favourite colour?", "What do you think of politics?", "Is there life on Mars?", "Do you dream?", "What makes a good friend?",
    "How do I fix a leaking tap?", "Who is the best football player?", "Tell me a story about a dragon.", "What is happiness?",
)  # fmt: skip
"""Nothing that weather, time, sums or translations are asked for."""

_WORDINGS = (
    "Can you {what}?",
    "I want to {what}.",
    "Please {what}.",
    "I need help, I would like to {what}.",
)
_MOST_TOOLS = 20
_FITS = 0.2


def cases(known: Iterable[Case], *, judging: bool) -> list[Case]:
    """Return the requests as cases of the bot that others are of: with its system prompt, and the tools that it offered first; none where it offered none.

    Args:
        known: Cases of the bot.
        judging: Whether those that judge are wanted, or those that teach.
    """
    offered = next((c.exchange for c in known if c.exchange.tools), None)
    if offered is None:
        return []
    kind = "irrelevance-judging" if judging else "irrelevance-teaching"
    system = tuple(m for m in offered.conversation if m.role == "system")
    found = []
    for n, ask in enumerate(_asked(offered.tools, judging=judging), 1):
        id = f"{kind}-{n}"
        asked = Exchange(
            id=id, conversation=(*system, Message(role="user", content=ask)), reply=Message(role="assistant", content=""), source=replace(offered.source, file=kind, line=n),
            tools=offered.tools, tenant=offered.tenant,
        )  # fmt: skip
        found.append(Case(id=id, group=id, kind="good", exchange=asked))
    return found


def _asked(tools: Sequence[Tool], *, judging: bool) -> Sequence[str]:
    """The kinds by turns, so that the first few are of every kind; none that may well be a call."""
    named = list(_named(tools))
    # Of a search, or whatever else takes words as they are, any question may be a call.
    others = () if any(IS_FREE_TEXT.search(p) for t in tools for p in properties(t)) else _OTHER_SUBJECTS
    own = [kind[judging::2] for kind in (named, _SMALL_TALK, others)]
    found = [ask for ask in chain.from_iterable(zip_longest(*own)) if ask is not None]
    return [a for a in found if a in named or best_fit(a, tools)[0] < _FITS][:MOST]


def _named(tools: Sequence[Tool]) -> Iterator[str]:
    """Yield requests that say what a tool is called and not which one it is to work on; of a tool that needs no number or name that may well be a call."""
    for tool in tools[:_MOST_TOOLS]:
        needed = (tool.parameters or {}).get("required")
        if any(IDENTIFIES.search(str(p).lower()) for p in needed or () if isinstance(needed, list)):
            yield from (wording.format(what=plain(tool.name)) for wording in _WORDINGS)


def unneeded(asked: Sequence[Case], before: Mapping[str, Reply], after: Mapping[str, Reply]) -> list[Pair]:
    """Return the requests to which the base made no call, before and after.

    Args:
        asked: The requests.
        before: Replies of the base, by id of the case.
        after: Likewise of the tuned model.
    """
    found = []
    for case in asked:
        then, now = before.get(case.id), after.get(case.id)
        if then is None or now is None or called(then):
            continue
        note = f"It calls a tool at {case.exchange.question!r}, which calls for none." if called(now) else ""
        found.append(
            Pair(
                id=case.id, group=case.group, kind="irrelevance", before=True, after=not called(now), note=note
            )
        )  # fmt: skip
    return found


def called(reply: Reply) -> bool:
    """Return whether a model made a call, also one that was taken out of its reply because it breaks its schema."""
    return bool(reply.tool_calls) or any(i.kind == "call_dropped" for i in reply.interventions)
