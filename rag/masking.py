"""Masks personal data and secrets in text before it is shown to more people than those who may read the log.

Only what its own form gives away: e-mail addresses, phone, card and account numbers, IP addresses, keys. Card and
account numbers must pass their checksum and a phone number must be written as one, because an order number, a
price or a date that is masked would take the evidence away. Names and postal addresses are not masked.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Masked(NamedTuple):
    """A span that is not shown.

    Attributes:
        start: Offset of its first character.
        end: Offset behind its last.
        label: What stands there instead, for instance `[e-mail]`.
    """

    start: int
    end: int
    label: str


def mask(text: str) -> str:
    """Return text with personal data and secrets replaced by what they are, for instance `[e-mail]`."""
    parts, at = [], 0
    for span in masked_spans(text):
        parts += [text[at : span.start], span.label]
        at = span.end
    return "".join((*parts, text[at:]))


def masked_spans(text: str) -> list[Masked]:
    """Return what `mask` replaces, in order and without overlaps; linear in the length of the text."""
    found = sorted(
        (Masked(start, end, label) for label, find in _FINDERS for start, end in find(text)),
        key=lambda s: (s.start, -s.end),
    )
    kept: list[Masked] = []
    for span in found:
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept


_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]++@[\w-]{1,63}(?:\.[\w-]{1,63}){1,6}")
_KEY = re.compile(
    r"(?<![\w-])(?:(?:sk|pk|rk|ghp|gho|ghs|github_pat|glpat|xox[abprs]|hf|AIza|AKIA|ASIA)[-_]?(?=[A-Za-z_-]*\d)[\w-]{16,200}"
    r"|eyJ[\w-]{8,4000}\.[\w-]{8,4000}(?:\.[\w-]{0,4000})?)"
    r"|(?<=[Bb]earer )[\w.~+/=-]{16,4000}"
)
_IBAN = re.compile(
    r"(?<![\w])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?(?!\w)", re.A
)
_CARD = re.compile(r"(?<![\w.,-])\d(?:[ -]?\d){12,18}(?![\w]|[.,-]\d)")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)", re.A)
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{6,39}(?![\w:])", re.A)

# Not within a longer number written in groups.
_ALONE = r"(?<![\w.,/-])(?<!\d[ -])"
_GROUPS = r"(?:[ ()./\u00a0-]{0,3}\d){6,14}"
_PHONE = re.compile(
    rf"(?<![\w+.])\+\d{_GROUPS}(?!\d)"
    rf"|{_ALONE}00[1-9]\d{{0,2}}[ /-](?:[ ()/-]{{0,2}}\d){{6,12}}(?!\d)"
    rf"|{_ALONE}\(?[2-9]\d{{2}}\)?[ .-]\d{{3}}[ .-]\d{{4}}(?![\w]|[.,-]\d)"
    rf"|{_ALONE}\(0?\d{{2,4}}\)[ -]?\d{{3,5}}[ -]?\d{{3,5}}(?![\w]|[.,-]\d)"
    rf"|{_ALONE}0\d{{1,4}}(?:[ /-]\d{{2,8}}){{1,5}}(?![\w]|[.,/-]\d)"
    rf"|{_ALONE}0\d(?:\.\d{{2}}){{4}}(?![\w]|[.,/-]\d)"
)
_PHONE_WORD = re.compile(
    r"(?:(?<!\w)(?:phone|tel|telephone|mobile|cell|whatsapp|fax|call (?:me|us) (?:at|on)|telefon|telefono|teléfono"
    r"|telefone|téléphone|handy|mobil|móvil|celular|portable|тел|телефон|telefonnummer|numer telefonu|telefoon)(?!\w)"
    r"|电话|電話|手机|手機|携帯|전화|휴대폰|هاتف|جوال|تلفن|फोन|मोबाइल|โทร)"
    r"(?: (?:number|no|nummer|number is|is))?[\s.:：#=\"']{0,6}(?P<number>[+(]?\d(?:[ ()./-]{0,2}\d){6,14})(?!\d)",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?<!\d)(?:\d{1,2}([./-])\d{1,2}\1\d{2,4}|\d{4}([./-])\d{1,2}\2\d{1,2})(?!\d)")
_DECIMAL = re.compile(r"\+\d{1,4}\.\d+")
_PHONE_DIGITS = (7, 15)
_NATIONAL_DIGITS = (9, 12)


def _whole(pattern: re.Pattern[str]) -> Callable[[str], Iterator[tuple[int, int]]]:
    return lambda text: (m.span() for m in pattern.finditer(text))


def _emails(text: str) -> Iterator[tuple[int, int]]:
    return (m.span() for m in _EMAIL.finditer(text)) if "@" in text else iter(())


def _digits(text: str) -> str:
    return "".join(str(int(c)) for c in text if c.isdecimal())


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for m in _CARD.finditer(text):
        number = _digits(m[0])
        if _issued(number) and _luhn(number):
            yield m.span()


def _issued(number: str) -> bool:
    """Whether a card network gives out numbers that begin so and are so long; spares most order numbers."""
    size, two, four = len(number), int(number[:2]), int(number[:4])
    if number[0] == "4":
        return size in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720 or 2200 <= four <= 2204:
        return size == 16
    if two in (34, 37):
        return size == 15
    if two in (36, 38) or 3000 <= four <= 3059:
        return size == 14
    return 16 <= size <= 19 and (
        two in (62, 65) or four == 6011 or 6440 <= four <= 6499 or 3528 <= four <= 3589
    )


def _luhn(number: str) -> bool:
    doubled = (int(d) * 2 for d in number[-2::-2])
    return (sum(map(int, number[-1::-2])) + sum(d - 9 if d > 9 else d for d in doubled)) % 10 == 0


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for m in _IBAN.finditer(text):
        for end in range(m.end(), m.start() + 14, -1):
            inside = end < len(text) and text[end].isalnum() and text[end - 1].isalnum()
            if not inside and text[end - 1].isalnum() and _iban(text[m.start() : end]):
                yield m.start(), end
                break


def _iban(text: str) -> bool:
    plain = text.replace(" ", "").replace("-", "").upper()
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_IPV4, _IPV6):
        for m in pattern.finditer(text):
            if pattern is _IPV6 and m[0].count(":") < 3:
                continue
            try:
                address = ipaddress.ip_address(m[0])
            except ValueError:
                continue
            if not (address.is_loopback or address.is_unspecified):
                yield m.span()


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for m in _PHONE.finditer(text):
        national = m[0][0] in "0(" and not m[0].startswith("00")
        low, high = _NATIONAL_DIGITS if national else _PHONE_DIGITS
        if low <= len(_digits(m[0])) <= high and not _DATE.search(m[0]) and not _DECIMAL.fullmatch(m[0]):
            yield m.span()
    for m in _PHONE_WORD.finditer(text):
        if not _DATE.search(m["number"]):
            yield m.span("number")


_FINDERS: tuple[tuple[str, Callable[[str], Iterator[tuple[int, int]]]], ...] = (
    ("[e-mail]", _emails),
    ("[key]", _whole(_KEY)),
    ("[IBAN]", _ibans),
    ("[card]", _cards),
    ("[IP]", _addresses),
    ("[phone]", _phones),
)
