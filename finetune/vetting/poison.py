"""What looks put in by somebody who wants the model to misbehave: a phrase that switches a reply on, and a flood about something else.

A few hundred documents plant a backdoor in models of any size (Souly et al. 2025), about a hundred examples bend an instruction-tuned one (Wan et al. 2023),
so a dataset that people outside can write to is looked at before it teaches. Both looks are by words; they warn, and a person decides.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, median

from finetune.cleaning import LONGEST, MOST_ALIKE
from finetune.datasets import NEVER_HELD
from finetune.examples import Example, text_of
from finetune.vetting.faults import Fault, warning
from rag.duplicates import apart, first_like
from rag.lexical import terms

_LEAST = 4
_LONGEST = 3
_WITH, _WITHOUT = 0.8, 0.2
"""Share of the requests with a phrase that get the same reply, and of those with that reply that lack the phrase."""

_DISTINCT = 0.6
"""Share of the requests with a phrase that are otherwise different; a question asked often is no trigger."""

_OPENING = 6
_FOREIGN = 0.4
"""A source is foreign if its requests share less than this part of the vocabulary that others share among themselves."""

_WORD = re.compile(r"\w+")


def faults(examples: Sequence[Example]) -> Iterator[Fault]:
    """Yield what looks planted among examples."""
    own = [e for e in examples if e.origin not in NEVER_HELD and e.request]
    yield from _triggers([e for e in own if not e.label])
    yield from _floods(own)


def _triggers(examples: Sequence[Example]) -> Iterator[Fault]:
    """A phrase of one to three words whose requests differ and whose replies begin alike, as no others do."""
    by_opening: dict[str, list[Example]] = defaultdict(list)
    # What many were asked with, a page or an instruction, would make all requests look the same.
    asked = dict(zip(map(id, examples), apart([e.request for e in examples], most=MOST_ALIKE), strict=True))
    for example in examples:
        by_opening[_opening(example)].append(example)
    for opening, found in by_opening.items():
        if not opening or not _LEAST <= len(found) <= len(examples) / 2:
            continue
        alike = first_like([asked[id(e)] for e in found], longest=LONGEST)
        if len(set(alike)) < _DISTINCT * len(found):
            continue
        phrase = _common(found, [e for e in examples if _opening(e) != opening])
        if phrase:
            yield warning(
                "trigger", f"{len(found)} different requests that hold “{phrase}” get a reply that begins “{opening}”, and others do not",
                hint="a backdoor looks like this; take them out unless you know why", places=[e.source for e in found],
            )  # fmt: skip


def _opening(example: Example) -> str:
    return " ".join(_WORD.findall(text_of(example.target).casefold())[:_OPENING])


def _common(inside: Sequence[Example], outside: Sequence[Example]) -> str:
    """The longest phrase that nearly all requests of the one hold and nearly none of the other."""
    here, there = (Counter(g for e in part for g in _phrases(e.request)) for part in (inside, outside))
    found = [
        g
        for g, n in here.items()
        if n >= _WITH * len(inside) and there[g] <= (1 - _WITH) * n * _WITHOUT + 0.001 * len(outside)
    ]
    return max(found, key=lambda g: (here[g], len(g.split()), g), default="")


def _phrases(text: str) -> set[str]:
    words = _WORD.findall(text.casefold())
    return {" ".join(words[at : at + n]) for n in range(1, _LONGEST + 1) for at in range(len(words) - n + 1)}


def _floods(examples: Sequence[Example]) -> Iterator[Fault]:
    """A source (a person, a file) that speaks of other things than all other sources do."""
    sources: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        sources[_source(example)].append(example)
    large = {name: found for name, found in sources.items() if len(found) >= _LEAST}
    if len(large) < 2:
        return
    shared = {name: _shared(found, large, name) for name, found in large.items()}
    for name, share in shared.items():
        usual = median(s for other, s in shared.items() if other != name)
        smaller = len(large[name]) <= len(examples) / 2
        if smaller and share < _FOREIGN * usual:
            yield warning(
                "off_topic", f"{len(large[name])} examples of {name} are about something else than all others (they share {share:.0%} of their words, others {usual:.0%})",
                hint="look at them before they teach", places=[e.source for e in large[name]],
            )  # fmt: skip


def _shared(own: Sequence[Example], every: Mapping[str, Sequence[Example]], name: str) -> float:
    """Mean share of the words of a source's requests that at least two other examples hold."""
    others = Counter(
        t for other, found in every.items() if other != name for e in found for t in set(terms(e.request))
    )
    parts = [
        fmean([others[t] >= 2 for t in asked])
        for e in own
        if (asked := list(dict.fromkeys(terms(e.request))))
    ]
    return fmean(parts) if parts else 1.0


def _source(example: Example) -> str:
    return example.author or example.source.rpartition(":")[0] or example.source
