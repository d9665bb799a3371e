"""Directive: one sentence of a prompt that may state a rule, and the reader of such sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from router.contract.rules import Origin, Rule

_QUOTED = re.compile(
    r'"([^"\n]{1,300})"|“([^”"\n]{1,300})[”"]|”([^”"\n]{1,300})[”"]|«\s?([^»\n]{1,300}?)\s?»|„([^“”"\n]{1,300})[“”"]'
    r"|「([^」\n]{1,300})」|`([^`\n]{1,300})`|‘([^’\n]{1,200})’(?!\w)|(?<![\w'])'((?:[^'\n]|(?<=\w)'(?=\w)){1,200})'(?!\w)"
)
_NEGATED = re.compile(
    r"\b(?:do not|\w+n['’]t|never|must not|should not|shouldn['’]t|mustn['’]t|cannot|can['’]t|not|no|without|avoid|"
    r"refrain from|exclude|excluding|nicht|keine?|ohne|niemals|ne|sans|jamais|nunca|sin|evita|mai|senza|non|n[ãa]o|"
    r"sem|niet|geen|zonder)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """One sentence of a prompt.

    Attributes:
        text: The sentence as written.
        low: The same in lower case.
        after: What follows it in the prompt, at most some thousand characters; lists stand there.
        whole: The whole prompt it stands in.
        origin: Where the prompt came from.
    """

    text: str
    low: str
    after: str
    whole: str
    origin: Origin

    def rule(self, kind: str, cause: str = "format", **params: Any) -> Rule:
        """Return a rule read off this sentence."""
        return Rule(
            kind=kind, params=_plain(params), origin=self.origin, cause=cause, quote=self.text.strip()[:300]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One way to read a rule.

    Attributes:
        needs: Lower-case strings of which at least one must stand in the sentence; keeps reading fast.
        read: The reading itself.
    """

    needs: tuple[str, ...]
    read: Callable[[Directive], Iterable[Rule]]

    def wants(self, low: str) -> bool:
        """Whether lower-case text may hold such a rule."""
        return any(n in low for n in self.needs)


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in params.items() if v is not None}


def quoted(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int, str]]:
    """Return (start, end, inner text) of every short quoted span in `text[start:end]`."""
    found = []
    for m in _QUOTED.finditer(text, start, len(text) if end is None else end):
        inner = next(g for g in m.groups() if g is not None)
        found.append((m.start(), m.end(), inner.strip()))
    return found


def first_quoted(text: str, start: int, *, within: int = 40) -> str | None:
    """Return the first quoted span that opens at most `within` characters after `start`."""
    spans = quoted(text, start)
    return spans[0][2] if spans and spans[0][0] - start <= within and spans[0][2] else None


def negated(text: str, end: int, *, reach: int = 60) -> bool:
    """Whether a negation stands in the `reach` characters before `end`."""
    return _NEGATED.search(text, max(0, end - reach), end) is not None
