"""Readers of label lists: the classes a prompt offers a classifying bot."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from advisor.rulebook.directive import Directive, Reader
from router.contract.rules import Rule

_NOUN = r"(?:labels?|class(?:es)?|categor(?:y|ies)|intents?|tags?|topics?|departments?|queues?|routes?|buckets?|sentiments?|types?|Kategorien?|Klassen?|Absichten|catégories?|étiquettes?|categorías?|etiquetas?|categorie|etichette|categorieën)"
_TASK = re.compile(
    r"\b(?:classif\w+|categori[sz]\w+|label (?:the|each|this|it)|route|router|routing|triage|assign|tag the|pick|choose|select|determine|detect|identify|predict|"
    rf"klassifizier\w*|ordne|einordnen|classe[zr]?|clasific\w+|classific\w+|classificeer)\b|\b(?:exactly|only|single|one)\b[^.\n]{{0,20}}\b{_NOUN}\b|分类|分類|분류|классифиц",
    re.IGNORECASE,
)
_HEADER = re.compile(
    rf"(?:^|\n|[.;:] |\()[^\n.:]{{0,60}}?\b(?:(?:valid |allowed |possible |available |following |candidate |intent |ticket |the )*{_NOUN}"
    r"(?: (?:are|list|names?|options?|below))?|one of(?: the following)?(?: \w+){0,3}|from the (?:following )?list(?: \w+){0,3}|into)(?:\s?\([^)\n]{1,60}\))?"
    r"(?:,? (?:(?:and|with|without|but|only) )?(?:nothing|no|only|any|exactly)\b[^:\n.]{0,40})?\s*(?:are|is)?\s*[:=：]\s*",
    re.IGNORECASE,
)
_TAGGED = re.compile(rf"<({_NOUN}|options|choices)>(.{{3,20000}}?)</\1>", re.IGNORECASE | re.DOTALL)
_INLINE = re.compile(
    r"\b(?:as (?:either )?|one of |into (?:one of )?|either |als |comme )(?P<list>(?:[\"'“`]?[\w/-]+(?: [\w/-]+)?[\"'”`]?, ){1,20}?[\"'“`]?[\w/-]+[\"'”`]?,? (?:or|and|oder|ou|o|e|y|of) [\"'“`]?[\w/-]+[\"'”`]?|[\"'“`]?[\w/-]+[\"'”`]? (?:or|oder) [\"'“`]?[\w/-]+[\"'”`]?)",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^\s*(?:[-*•·]|\d{1,3}[.):]|[a-zA-Z][.)])\s+(.{1,400})$")
_EXCLUSIVE = re.compile(
    rf"\b(?:exactly one|only one|one of|single|one {_NOUN}|the {_NOUN}|best|most (?:appropriate|likely|relevant|fitting)|only the|just the|nur (?:das|die|den)|genau ein\w*|"
    r"uniquement|seulement|únicamente|solo|solamente|soltanto|apenas|somente|alleen)\b|只|仅|만",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"^(?:other|others|none|none of (?:the above|these)|n/?a|unknown|out[ _-]of[ _-]scope|oos|misc\w*|general|sonstige\w*|andere\w*|autre|otro|otros|altro|outro|overig|其他)$",
    re.IGNORECASE,
)


def _labels(directive: Directive) -> Iterator[Rule]:
    if not _TASK.search(directive.text):
        return
    found = read_labels(directive.whole)
    if found is not None:
        names, notes = found
        yield directive.rule("label", "misrouted", labels=names, notes=notes)


def read_labels(prompt: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the labels a prompt lists and a description of each (empty where it has none), None if it lists none."""
    if not _EXCLUSIVE.search(prompt):
        return None
    tagged = _TAGGED.search(prompt)
    if tagged is not None and (found := _parse(tagged[2])) is not None:
        return found
    for header in _HEADER.finditer(prompt):
        found = _parse(prompt[header.end() : header.end() + 40000])
        if found is not None:
            return found
    inline = _INLINE.search(prompt)
    if inline is not None:
        parts = [
            p.strip(" \"'“”`")
            for p in re.split(r",\s*(?:or |and |oder )?|\s(?:or|and|oder|ou|o|e|y|of)\s", inline["list"])
        ]
        return _checked([(p, "") for p in parts if p])
    return None


def _parse(block: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    block = block.lstrip(" \t")
    if block.startswith("["):
        return _from_array(block)
    line, _, rest = block.lstrip("\n").partition("\n")
    if _BULLET.match(line):
        return _checked([_named(m[1]) for m in _run(block.lstrip("\n").split("\n")) if m is not None])
    if block.startswith("\n") and "," not in line:
        lines = [s.strip() for s in block.strip("\n").partition("\n\n")[0].split("\n")]
        return _checked([_named(s) for s in lines if s])
    if rest and line.rstrip().endswith(","):
        line = block.strip().partition("\n\n")[0].replace("\n", " ")
    return _checked(
        [
            (p.strip(" \"'“”`*"), "")
            for p in re.split(r"[,;|、，]\s*(?:or |and |oder )?", line.rstrip(" .)"))
            if p.strip()
        ]
    )


def _run(lines: list[str]) -> list[re.Match[str] | None]:
    """The bullet lines up to the first line that is neither bullet nor blank nor indented."""
    found: list[re.Match[str] | None] = []
    for line in lines:
        match = _BULLET.match(line)
        if match is None and line.strip() and not line.startswith((" ", "\t")):
            break
        if match is not None:
            found.append(match)
    return found


def _named(text: str) -> tuple[str, str]:
    name, _, note = re.sub(r"[*`\"“”]", "", text).partition(":")
    if not note:
        parts = re.split(r"\s+[-–—=]+>?\s+|\s\(", name, maxsplit=1)
        name, note = parts[0], parts[1] if len(parts) > 1 else ""
    return name.strip(" ,;."), note.strip(" ,;)")


def _from_array(block: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    inner = block[1:].partition("]")[0]
    try:
        value = json.loads(f"[{inner}]")
    except ValueError:
        value = [p.strip(" \n\"'") for p in inner.split(",")]
    return _checked([(v, "") for v in value if isinstance(v, str)])


def _checked(items: list[tuple[str, str]]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Labels are at least two, all short and all different; anything else was prose."""
    names = dict(reversed(items))
    ordered = [name for name, _ in items]
    if (
        not 2 <= len(names) <= 2000
        or len(names) < len(ordered)
        or not all(n and len(n) <= 60 and len(n.split()) <= 7 for n in ordered)
    ):
        return None
    return tuple(ordered), tuple(names[n] for n in ordered) if any(names.values()) else ()


def is_other(label: str) -> bool:
    """Whether a label stands for "none of the others"."""
    return _OTHER.match(label.strip().replace("_", " ")) is not None


READERS = (
    Reader(
        needs=("classif", "categor", "label", "rout", "triage", "assign", "tag", "pick", "choose", "select", "determine", "detect", "identify", "predict", "klass", "ordne", "classe", "clasific", "intent", "class", "分", "분류", "классиф"),
        read=_labels,
    ),
)  # fmt: skip
