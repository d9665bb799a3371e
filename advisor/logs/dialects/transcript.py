"""Plain text transcripts: `Speaker: what was said`, in several languages, with the bot told from the people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from advisor.exchange import Message, Role
from advisor.logs.records import Call, Skip

_USER = [
    "user",
    "human",
    "customer",
    "visitor",
    "you",
    "client",
    "guest",
    "me",
    "person",
    "kunde",
    "nutzer",
    "benutzer",
    "utilisateur",
    "client",
    "cliente",
    "usuario",
    "utente",
    "cliente",
    "usuário",
    "gebruiker",
    "klant",
    "用户",
    "客户",
    "ユーザー",
    "사용자",
    "пользователь",
    "клиент",
]
_BOT = [
    "assistant",
    "ai",
    "bot",
    "agent",
    "chatbot",
    "support",
    "chatgpt",
    "gpt",
    "claude",
    "gemini",
    "copilot",
    "model",
    "virtual-assistant",
    "assistent",
    "assistente",
    "asistente",
    "assistant",
    "助手",
    "机器人",
    "アシスタント",
    "어시스턴트",
    "ассистент",
    "бот",
]
_SPEAKER = re.compile(
    r"^\s*(?:>>\s*|\*\*|\[)?(?:[\[(]?\d{1,4}[-/:.\d\sTZ,APMapm]*[\])]?\s*)?(?P<who>[^\W\d_][\w .'’\-]{0,30}?)(?:\*\*|\])?\s*(?:\([^)\n]{0,40}\))?\s*(?:[:：]|>|says:)\s*(?P<text>.*)$"
)
_SAYS = re.compile(r"(?:^|;\s*)(User|Bot|Agent|Customer)\s+says:\s*", re.I)
_SEARCHED = 400_000


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the text has at least two lines with known speakers, one of them the bot or two alternating."""
    text = record.get("text")
    return isinstance(text, str) and any(m.role == "assistant" for m in turns(text[:_SEARCHED]))


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Skip]:
    """Yield one call a conversation; an empty run of three lines, a rule or a heading line parts conversations."""
    at = line
    for part in re.split(r"(\n(?:[ \t]*\n){2,}|\n[-=*_]{3,}[ \t]*\n)", str(record["text"])):
        spoken = turns(part)
        if any(m.role == "assistant" for m in spoken):
            yield Call(line=at + len(part) - len(part.lstrip("\n")), messages=spoken)
        elif part.strip(" \t\n-=*_"):
            yield Skip(file="", line=at, reason="a passage of text with no reply in it")
        at += part.count("\n")


def turns(text: str) -> tuple[Message, ...]:
    """Return the messages of a transcript, empty if it is none."""
    if len(_SAYS.findall(text)) >= 2:
        return _says(text)
    spoken: list[tuple[str, list[str]]] = []
    for raw in text.splitlines():
        hit = _SPEAKER.match(raw)
        if hit and (_role(hit["who"]) or _seen(spoken, hit["who"])):
            spoken.append((hit["who"], [hit["text"]]))
        elif spoken:
            spoken[-1][1].append(raw)
    roles = {who: _role(who) for who, _ in spoken}
    if "assistant" not in roles.values():
        # Where nobody else answers, it is the system that does.
        roles = {who: "assistant" if role == "system" else role for who, role in roles.items()}
    if len(spoken) < 2 or not {"user", "assistant"} <= set(roles.values()):
        return ()
    return tuple(
        Message(role=roles[who] or "assistant", content="\n".join(lines).strip()) for who, lines in spoken
    )


def _says(text: str) -> tuple[Message, ...]:
    parts = _SAYS.split(text)[1:]
    return tuple(
        Message(role=_role(who) or "assistant", content=said.strip().rstrip(";").strip())
        for who, said in zip(parts[::2], parts[1::2], strict=True)
    )


def _seen(spoken: list[tuple[str, list[str]]], who: str) -> bool:
    return any(name == who for name, _ in spoken)


def _role(who: str) -> Role | None:
    words = who.lower().replace("-", " ").split()
    if words in (["system"], ["tool"]):
        return "system" if words == ["system"] else "tool"
    if any(w in _BOT for w in words):
        return "assistant"
    return "user" if any(w in _USER for w in words) else None
