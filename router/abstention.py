"""Abstentions: did the reply decline, wholly or in part?"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

_HEAD = 1500
_DECLINES = re.compile(
    r"""
      not\ enough\ (?:context|information|data) | (?:no|insufficient)\ (?:specific\ |relevant\ |such\ |further\ |additional\ )?(?:information|details|data|mention|context|answer)
    | (?:do|does|did|is|are|was|were|has|have|can|could)(?:\ not|n['’]t)\ (?:\w+\ ){0,3}?(?:have|contain|include|provide|specify|specif|mention|mentioned|provided|specified|find|found|know|state|stated|answer|
        address|cover|able|available|information|access|explicitly|sure|aware|see|seem)
    | (?:unable|not\ able)\ to\ (?:\w+\ ){0,2}(?:find|answer|provide|determine|help|locate|access) | (?:cannot|can['’]?t)\ (?:\w+\ )?(?:find|answer|provide|help|determine|assist|locate|confirm)
    | i(?:\ am|['’]?m)\ (?:sorry|afraid)\b(?!\ (?:to\ hear|for\ the\ (?:delay|inconvenience)|about\ th)) | i\ (?:am|'m)\ not\ (?:sure|certain|able|aware|familiar) | unanswerable | \bno\ idea\b | not\ (?:mentioned|specified|stated|provided|available|known)\b
    | can\ only\ (?:help|assist|answer|support)\b | only\ able\ to\ (?:help|assist|answer)
    | outside\ (?:of\ )?(?:my|the|our)\ (?:knowledge|scope) | beyond\ (?:my|the)\ (?:knowledge|scope) | i\ don['’]?t\ know | not\ in\ (?:the|my)\ (?:context|documents?|passages?|knowledge)
    | (?:keine|nicht\ genug)\ (?:\w+\ )?informationen | weiß\ ich\ (?:leider\ )?nicht | kann\ ich\ (?:leider\ )?nicht\ (?:beantworten|sagen|finden) | leider\ nicht
    | je\ ne\ (?:sais|peux|dispose|trouve) | pas\ d['’]information | aucune\ information | désolé
    | no\ (?:tengo|dispongo|encuentro|sé|se\ menciona|hay)\b | lo\ siento | não\ (?:tenho|sei|encontr|há|posso) | desculpe | non\ (?:ho|so|dispongo|posso|trovo)\b | mi\ dispiace
    | geen\ informatie | weet\ ik\ niet | helaas | 没有(?:相关|足够)?(?:的)?信息 | 无法(?:回答|提供|确定) | 抱歉 | 不知道 | 申し訳 | わかりません | 分かりません | 見つかりません | 情報がありません
    | 죄송 | 모르겠 | 정보가\ 없 | не\ (?:знаю|могу|нашёл|нашел|найден|указан) | нет\ информации | к\ сожалению | माफ़ | नहीं\ (?:पता|मिल|है) | لا\ (?:أعرف|أعلم|توجد|يمكنني) | عذرا | آسف
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")


@lru_cache(maxsize=4096)
def abstains(reply: str, phrase: str | None = None) -> Literal["no", "partly", "fully"]:
    """Say whether a reply declines to answer; `phrase` is what the prompt told it to say then."""
    head = reply[:_HEAD].strip()
    if phrase and len(phrase) > 3 and phrase.strip(" .\"'").lower() in head.lower():
        return "fully" if len(head) < len(phrase) + 160 else "partly"
    first = _DECLINES.search(head)
    if not first:
        return "no"
    sentences = [s for s in _SENTENCE.split(head) if s.strip()]
    declining = sum(bool(_DECLINES.search(s)) for s in sentences)
    opening = first.start() < 120
    if opening and (len(sentences) <= 2 or declining >= 0.5 * len(sentences)):
        return "fully"
    return "partly" if opening or declining >= 0.4 * len(sentences) else "no"
