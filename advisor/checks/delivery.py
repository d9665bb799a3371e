"""Did a reply arrive, whole and once, and filled in?"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from advisor.checks.context import Context
from advisor.evidence import Evidence, Gap, Quote, quote
from advisor.exchange import Exchange, Message

_CAP = 12_000
_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "token_limit", "incomplete"})
_FILTERED = frozenset(
    {"content_filter", "content_filtered", "contentfilter", "guardrail_intervened", "safety", "refusal", "recitation", "blocklist", "prohibited_content", "spii", "blocked", "moderation", "language"}
)  # fmt: skip
_BROKEN = frozenset(
    {
        "error",
        "malformed_function_call",
        "unexpected_tool_call",
        "failed",
        "timeout",
        "internal_error",
    }
)
_FAULT_TEXT = re.compile(
    r"\A\W*(?:(?:an? )?(?:internal server|api|connection|timeout|rate ?limit|server|network|unexpected|unknown|openai|http)[ _]?error\b|error(?: code)?\s*[:=]\s*\S|http/?\s?[\d.]*\s?[45]\d\d\b|[45]\d\d (?:internal|bad gateway|service unavailable|too many|unauthorized|forbidden|gateway)|traceback \(most recent|rate limit (?:reached|exceeded)|request timed out|service (?:is )?(?:temporarily )?unavailable|(?:oops[,!. ]+)?something went wrong|an (?:unexpected )?error (?:has )?occurred|(?:es ist )?ein fehler (?:ist )?aufgetreten|une erreur (?:est survenue|s'est produite)|(?:ha ocurrido|se ha producido) un error|ocorreu um erro|si è verificato un errore|произошла ошибка|发生错误|エラーが発生)",
    re.IGNORECASE,
)
_FENCED = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|\$\$.*?\$\$|\\\(.*?\\\)", re.DOTALL)
_UNIT = re.compile(r"(?<=[.!?。！？])\s*|\n+")
_WHOLE = re.compile(
    r"[.!?…。！？؟।:;)\]}>\"'”’»」』`*_|~\-–—=/\\]$|[\u2600-\u27bf\ufe0f\U0001f000-\U0001faff]$"
)
_STOP = re.compile(r"[.!?。！？؟।](?=\s|$|[^\x00-\x7f])")
_URL_END = re.compile(r"(?:https?://|www\.)\S+$|\S+@\S+$")
_WANTS_REPEATS = re.compile(
    r"repeat|\d+ times|wiederhol|répét|repite|repet|ripet|повтор|重复|繰り返|반복|كرر|lyrics|poem|song|chant|list all",
    re.IGNORECASE,
)
_WANTS_BLANKS = re.compile(
    r"templat|draft|e-?mail|letter|placeholder|fill[- ]in|blank|code|script|regex|function|html|snippet|format string|vorlage|entwurf|brief|modèle|lettre|plantilla|carta|modelo|modello|lettera|sjabloon|szablon|şablon|шаблон|письмо|模板|邮件|テンプレート|メール|템플릿|메일|قالب|रसाल",
    re.IGNORECASE,
)
_HOLE = re.compile(
    r"\{\{\s*[\w .|-]{2,40}\s*\}\}|(?<![\w\\^_}$])\{[a-z][a-z_]{2,30}(?:[ _.][a-z_]+){0,4}\}(?!\w)|\$\{[a-z_][\w.]{1,40}\}|%\([a-z_]{2,30}\)s|\[object Object\]|\blorem ipsum dolor\b"
    r"|\[(?:insert|enter|add|fill in|type|your|customer|client|user|company|name of|recipient)\b[^\]\n]{0,60}\](?!\()|\[(?:name|date|link|url|order (?:number|id)|phone(?: number)?|email(?: address)?|amount|price|product(?: name)?|city|address|x+)\](?!\()"
    r"|<(?:your|insert|customer|user|company|first|last|order)[ _-][a-z _-]{1,40}>|<(?:name|insert|link here|date here)>|\[(?:ihr|dein|name des|hier|votre|nom|su|tu|nombre|seu|nome|il tuo|uw|jouw|twoj|twoje|adınız|ваш|имя|您的|姓名|氏名|お名前)[ \w'’]{0,40}\](?!\()|\bTODO:|\bTBD\b",
    re.IGNORECASE,
)
_SLOT = re.compile(
    r"(?:\b(?i:hi|hello|dear|hey|hallo|liebe[rs]?|bonjour|hola|olá|ciao|order|number|name|date|total|price|Mr\.?|Ms\.?|Mrs\.?)[:#]? ?|[:#€$£] ?)\b(?:undefined|null|NaN|None)\b(?=\s*[,.!;\n]|\s*$)|\bundefined undefined\b",
)
_MACHINE = re.compile(
    r"\bas an? (?:ai|artificial intelligence|large)?[ -]?(?:language model|ai (?:model|assistant|chatbot|language))|als (?:ki|ai)[- ]?(?:sprach)?modell|als (?:ein )?(?:großes )?sprachmodell|en tant que? (?:modèle de langage|(?:qu')?(?:ia|intelligence artificielle))|como (?:un |um )?modelo de (?:lenguaje|linguagem)|in quanto (?:ia|modello linguistico)|come modello linguistico|als (?:ai-)?taalmodel|jako (?:model językowy|sztuczna inteligencja)|bir (?:yapay zeka )?dil modeli olarak|как (?:большая )?языковая модель|作为(?:一个|一名)?(?:人工智能|ai|语言模型|大型语言模型)|(?:ai|大規模)?言語モデルとして|(?:ai )?언어 ?모델(?:로서|로써)|كنموذج لغ|एक (?:ai )?भाषा मॉडल",
)
_OF_MACHINES = (
    "model",
    "modèle",
    "sprachmodell",
    "artificial",
    "inteligencja",
    "модель",
    "模型",
    "人工智能",
    "モデル",
    "모델",
    "نموذج",
    "मॉडल",
    " ai ",
    "taal",
    "intelligence",
    " ia",
)
_ABOUT_MACHINES = re.compile(
    r"\b(?:ai|robot|bot|human|language model|\w*gpt\w*|llm|alexa|siri|feelings?|conscious\w*|opinion|your (?:name|creator|maker|developers?)|about yourself|(?:made|created|trained|built|developed|designed) you|you (?:made|created|trained|built|developed)|who are you|what are you|are you (?:a|an|from|based)|ki|ia|mensch|sprachmodell|wer bist du|qui es-tu|quién eres|quem é você|chi sei|kim ?sin|кто ты)\b|人工智能|机器人|你是谁|ロボット|あなたは誰|인공지능|누구",
    re.IGNORECASE,
)
_LONG_REPLY = 80


def check_delivery(exchange: Exchange, context: Context) -> Iterator[Evidence]:
    """Say whether the reply is missing, cut off, filtered, stuck in a loop, said before, or not filled in."""
    text = exchange.reply.content
    finish = _reason(exchange.finish_reason)
    if exchange.error:
        shown = quote(exchange.error, "reply", limit=200)
        yield _seen("error", None, 1.0, "An error took the reply's place.", shown)
    elif finish in _BROKEN:
        yield _seen("error", None, 0.8, f"The model's turn ended with {finish}.", *_start(text))
    if finish in _FILTERED:
        yield _seen("filtered", None, 0.9, f"The provider held the reply back ({finish}).", *_start(text))
    if not text.strip():
        if not exchange.reply.tool_calls and not exchange.error:
            asked = quote(exchange.question, "request", limit=160)
            yield _seen("empty", None, 1.0, "Nothing came back.", *((asked,) if asked.text else ()))
        return
    yield from _spoken(exchange, text, finish)


def _spoken(exchange: Exchange, text: str, finish: str) -> Iterator[Evidence]:
    fault = _FAULT_TEXT.match(text) if len(text) < 400 and not exchange.error else None
    if fault and fault[0].lower() not in exchange.question.lower():
        shown = quote(text, "reply", limit=160)
        yield _seen("error", None, 0.8, "The reply is a message of an error.", shown)
    yield from _broken_off(text, finish, called=bool(exchange.reply.tool_calls))
    if len(text) >= _LONG_REPLY:
        yield from _loop(text[:_CAP], exchange.question)
        yield from _said_before(exchange, text)
    yield from _unfilled(exchange, text[:_CAP])


def _reason(raw: str | None) -> str:
    """The reason the model stopped, without the name of an enumeration before it."""
    return (raw or "").strip().rpartition(".")[2].lower().removeprefix("finish_reason_")


def _start(text: str) -> tuple[Quote, ...]:
    return (quote(text, "reply", limit=160),) if text.strip() else ()


def _seen(
    check: str, gap: Gap | None, strength: float, note: str, *quotes: Quote, cause: str | None = None
) -> Evidence:
    return Evidence(
        check=f"delivery.{check}", gap=gap, cause=cause, strength=round(strength, 3), note=note, quotes=quotes
    )


def _broken_off(text: str, finish: str, *, called: bool) -> Iterator[Evidence]:
    end = text.rstrip()[-240:]
    whole = _WHOLE.search(end) is not None
    if finish in _CUT:
        # At the limit of its length a reply may by chance just be done.
        strength = 0.6 if whole else 0.95
        yield _seen(
            "truncated",
            "style",
            strength,
            f"The reply was cut off ({finish}).",
            quote(end[-160:], "reply"),
            cause="length",
        )
    elif not finish and not called and not whole and _in_mid_sentence(text.rstrip(), end):
        note = "The reply seems to end in the middle of a sentence."
        yield _seen("truncated", "style", 0.4, note, quote(end[-160:], "reply"), cause="length")


def _in_mid_sentence(text: str, end: str) -> bool:
    """Whether a text that else ends its sentences stops without an end; headings, names and links have none."""
    last = end.rpartition("\n")[2]
    if (
        len(text) < 160
        or _URL_END.search(last)
        or text.startswith(("{", "[", "<", "```"))
        or text.count("```") % 2
    ):
        return False
    if end.endswith(","):
        return True
    dense = not last.isascii() and len(last.split()) < 4
    running = len(last) > 60 or (dense and len(last) > 25)
    return running and len(_STOP.findall(text[-1500:])) >= 2


def _loop(text: str, question: str) -> Iterator[Evidence]:
    if _WANTS_REPEATS.search(question[:1000]):
        return
    plain = _FENCED.sub(" ", text) if "`" in text else text
    found = _repeated_unit(plain) or _repeated_run(plain)
    if found is not None:
        words, times, share = found
        note = f"The reply says the same {times} times."
        strength = min(1.0, 0.4 + 0.6 * share + 0.02 * times)
        yield _seen("loop", "style", strength, note, quote(words, "reply"), cause="format")


def _repeated_unit(text: str) -> tuple[str, int, float] | None:
    """The sentence or line that comes most often: its words, how often, and its share of the text."""
    units = Counter(
        u for raw in _UNIT.split(text) if len(u := raw.strip()) >= 8 and sum(map(str.isalpha, u)) >= 6
    )
    if not units:
        return None
    unit, times = units.most_common(1)[0]
    share = times * len(unit) / max(1, len(text))
    return (unit, times, min(1.0, share)) if times >= 4 and share >= 0.3 else None


def _repeated_run(text: str) -> tuple[str, int, float] | None:
    """A run of words that comes again and again without a stop between."""
    words = text.lower().split()
    tokens: Sequence[str] = words if len(words) > len(text) / 25 else text
    size = 5 if tokens is words else 10
    if len(tokens) < 8 * size or text.count("|") > len(text) / 40:
        return None
    if len(text) / len(zlib.compress(text.encode(errors="replace"), 1)) < 4:
        return None  # no text that repeats itself much packs so badly, and this is quicker than counting
    runs = Counter(zip(*(islice(tokens, n, None) for n in range(size)), strict=False))
    run, times = runs.most_common(1)[0]
    share = sum(n for n in runs.values() if n >= 4) / max(1, sum(runs.values()))
    if times < 6 or share < 0.5:
        return None
    return (" " if tokens is words else "").join(run), times, share


def _said_before(exchange: Exchange, text: str) -> Iterator[Evidence]:
    if text.lstrip().startswith(("{", "[")):
        return  # two texts may well have one classification
    said = " ".join(text.split())
    asked, times, now = "", 0, _asked(exchange.question)
    for message in exchange.conversation:
        if message.role == "user":
            asked = _asked(message.content)
        elif _same(message, text, said) and asked != now:
            times += 1
    if times:
        note = f"The reply is word for word that to {times} earlier question(s) of this conversation."
        yield _seen("same_reply", None, min(0.8, 0.4 + 0.1 * times), note, quote(text, "reply", limit=160))


def _asked(text: str) -> str:
    return " ".join(text[:1000].lower().split())


def _same(message: Message, text: str, said: str) -> bool:
    near = message.role == "assistant" and abs(len(message.content) - len(text)) <= 8
    return near and " ".join(message.content.split()) == said


def _unfilled(exchange: Exchange, text: str) -> Iterator[Evidence]:
    plain = _FENCED.sub(" ", text) if "`" in text or "\\(" in text or "$$" in text else text
    hole = (
        _HOLE.search(plain)
        if any(c in plain for c in "{[<%$") or "TODO" in plain or "TBD" in plain or "ipsum" in plain
        else None
    )
    hole = hole or (
        _SLOT.search(plain) if any(w in plain for w in ("undefined", "null", "NaN", "None")) else None
    )
    is_json = text.lstrip().startswith(("{", "[{")) and text.rstrip().endswith(("}", "]"))
    if hole and not is_json and not _known(exchange, hole[0]):
        wanted = _WANTS_BLANKS.search(f"{exchange.question[:1500]} {exchange.system[:300]}")
        note = "The reply holds a placeholder that nobody filled."
        yield _seen(
            "placeholder", "style", 0.25 if wanted else 0.9, note, quote(hole[0], "reply"), cause="format"
        )
    low = plain[:2000].lower()
    machine = _MACHINE.search(low) if any(word in low for word in _OF_MACHINES) else None
    if machine and not _ABOUT_MACHINES.search(exchange.question[:600]):
        note = "The reply speaks as a language model, not as the bot."
        yield _seen("placeholder", "style", 0.5, note, quote(machine[0], "reply"), cause="persona")


def _known(exchange: Exchange, hole: str) -> bool:
    """Whether the person or what was served writes the same, so that it is content."""
    low = hole.lower()
    texts = [exchange.question[:4000], *(p.text[:4000] for p in (exchange.passages or ())[:5])]
    return any(low in t.lower() for t in texts)
