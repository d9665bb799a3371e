"""What a person complains of, read off their words; and whether they are content instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from advisor.checks.complaint_words import DENSE, EASTERN, ENGLISH, GERMANIC, LOOSE, ROMANCE, Kind, Row

_CAP = 2_000
_HEAD = 400
_EARLY = 120
_LONG = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One thing a person said against a reply.

    Attributes:
        sure: How surely it is a complaint of that kind, 0-1.
        words: The words that say so, with what stands around them.
        start: Where they begin in the text without quotations.
    """

    kind: Kind
    sure: float
    words: str
    start: int


_QUOTED = re.compile(
    r"^[ \t]*>[^\n]*$|```.*?(?:```|\Z)|\"[^\"\n]{1,400}\"|“[^”\n]{1,400}”|„[^“”\n]{1,400}[“”]|«[^»\n]{1,400}»|「[^」\n]{1,400}」|『[^』\n]{1,400}』",
    re.MULTILINE | re.DOTALL,
)
_MARKS = str.maketrans({"’": "'", "‘": "'", "`": "'", "\u00a0": " ", "\u202f": " "})
# What is only supposed, or asked about, is not said.
_SUPPOSED = re.compile(
    r"(?:\bif|\bwhether|\bin case|\bunless|\bwenn|\bfalls|\bob|\bsi|\bse|\bals|\bjeśli|\beğer|\bесли|\bli|如果|万一|もし|만약|\bإذا|अगर)\W*(?:\w+\W+){0,2}$"
)


def _compiled(rows: Sequence[Row], *, edge: bool) -> re.Pattern[str]:
    parts = "|".join(f"(?P<r{n}>{pattern})" for n, (_, _, pattern) in enumerate(rows))
    return re.compile(rf"(?:(?<!\w)(?=\w)|^)(?:{parts})" if edge else parts)


_SPACED_ROWS: tuple[Row, ...] = (*ENGLISH, *GERMANIC, *ROMANCE, *EASTERN)
_SPACED = _compiled(_SPACED_ROWS, edge=True)
_DENSE = _compiled(DENSE, edge=False)
_LOOSE = _compiled(LOOSE, edge=False)
_NON_LATIN = re.compile(r"[\u0600-\u06ff\u0900-\u097f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@lru_cache(maxsize=2048)
def own_words(text: str) -> str:
    """Return the first 2,000 characters of a text without quotations and code, apostrophes straight."""
    return _QUOTED.sub(" ", text[:_CAP]).translate(_MARKS).strip()


@lru_cache(maxsize=2048)
def complaints(text: str, *, of_rating: bool = False) -> tuple[Complaint, ...]:
    """Return what a text complains of, the surest complaint of each kind.

    Args:
        text: A person's words.
        of_rating: Whether they stand beside a rating, so that their subject is the reply.
    """
    own = own_words(text)
    scanned = own[:_HEAD]
    low = scanned.lower()
    if len(low) != len(scanned):  # A few letters grow when made small; then positions would not fit.
        scanned = low
    found: dict[Kind, Complaint] = {}
    for complaint in _found(scanned, low, of_rating):
        far = 1.0 if of_rating or complaint.start <= _EARLY else 0.6
        sure = complaint.sure * far * (0.6 if len(own) > _LONG and not of_rating else 1.0)
        known = found.get(complaint.kind)
        if known is None or sure > known.sure:
            found[complaint.kind] = Complaint(
                kind=complaint.kind, sure=sure, words=complaint.words, start=complaint.start
            )
    return tuple(found.values())


def _found(text: str, low: str, of_rating: bool) -> Iterator[Complaint]:
    spans = list(_matches(_SPACED, _SPACED_ROWS, text, low))
    if not text.isascii() and _NON_LATIN.search(text):
        spans += _matches(_DENSE, DENSE, text, low)
    yield from (complaint for complaint, _ in spans)
    if of_rating:
        # What was told precisely is not read again loosely: "wrong format" does not say that a fact is wrong.
        for _, (start, end) in (s for s in spans if s[0].kind in ("class", "action", "form", "wrong")):
            low = low[:start] + " " * (end - start) + low[end:]
        yield from (complaint for complaint, _ in _matches(_LOOSE, LOOSE, text, low))


def _matches(
    pattern: re.Pattern[str], rows: Sequence[Row], text: str, low: str
) -> Iterator[tuple[Complaint, tuple[int, int]]]:
    for match in pattern.finditer(low):
        if match.lastgroup is None or _SUPPOSED.search(low[max(0, match.start() - 24) : match.start()]):
            continue
        kind, sure, _ = rows[int(match.lastgroup[1:])]
        words = text[max(0, match.start() - 20) : match.end() + 60].strip()
        yield Complaint(kind=kind, sure=sure, words=words, start=match.start()), match.span()


_CONTENT = re.compile(
    r"^\W*(?:(?:ok(?:ay)?|oh|ah|aha|yes|yeah|yep|no|well|wow|alright|right|great|good|many|so|very|nice|got it|i see|ja|nein|nee|vielen|herzlichen|besten|super|oui|non|ah oui|sí|si|muchas|mil|sim|não|muito|mille|tante|grazie|hartelijk|heel|tak|evet|tamam|çok|да|нет|большое|огромное|ок|好的?|嗯|哦|非常|はい|どうも|네|예|정말|아|نعم|حسنا|तो|हाँ|बहुत|ठीक है)[\s,.!、，。~-]+){0,3}"
    r"(?:thank(?:s| you)|thx|ty\b|cheers|perfect|great\b|awesome|excellent|brilliant|wonderful|amazing|fantastic|(?:that|it|this)(?:'s| has| is)? ?(?:worked|works(?: now)?|helped|helps|did it|solve[sd] (?:it|my)|fixed (?:it|my)|solved|fixed|working now|perfect|great|very helpful|exactly what)|problem solved|solved\b|got it\b"
    r"|danke|dankeschön|dank\b|perfekt|prima\b|klasse\b|hat geklappt|funktioniert jetzt|jetzt geht(?:'s| es)|super\b|merci|parfait|génial|ça marche|c'est bon|gracias|perfecto|genial\b|funcionó|resuelto|obrigad[oa]|perfeito|ótimo|resolvido|funcionou|valeu|grazie|perfetto|ottimo|risolto"
    r"|bedankt|dankjewel|dankuwel|opgelost|top\b|dzięk\w+|świetnie|rozwiązane|teşekk\w+|sağ ?ol\w*|mükemmel|harika|çözüldü|спасибо|благодар\w+|отлично|идеально|помогло|решено|谢谢|多谢|感谢|謝謝|太好了|解决了|搞定|完美|ありがと|助かりました|解決しました|完璧|감사|고마워|고맙|해결됐|해결되|완벽|شكرا|شكرًا|ممتاز|تم حل|धन्यवाद|शुक्रिया|बढ़िया|हल हो गया)"
)
_BUT = re.compile(
    r"\b(?:but|however|although|though|still|not|nothing|never|unfortunately|aber|jedoch|trotzdem|leider|nicht|nichts|mais|toujours|pas|rien|pero|sin embargo|sigue|nada|mas|porém|ainda|não|ma|però|ancora|non|maar|echter|nog|niet|ale|jednak|nadal|nie|ama|fakat|ancak|hâlâ|değil|но|однако|не|ничего)\b|n't\b|但|可是|不过|還是|还是|没|でも|しかし|けど|ですが|ない|ません|하지만|그런데|지만|안 |못 |لكن|ولكن|लेकिन|मगर|नहीं"
)


@lru_cache(maxsize=2048)
def content_words(text: str) -> str:
    """Return the words by which a person says that they are content, empty if they do not say so."""
    own = own_words(text)[:_HEAD]
    match = _CONTENT.match(own.lower())
    if match is None or _BUT.search(own.lower(), match.end(), match.end() + _EARLY):
        return ""
    return own[: match.end()].strip()
