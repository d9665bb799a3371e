"""Support: does a text hold what a sentence says? The test a citation must pass, and the one a reply is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rag.grounding.contradiction import Contradiction, contradiction
from rag.grounding.cover import Weigh, plain, share, vocabulary
from rag.grounding.facts import facts, missing

HELD = 0.55
"""Share of a sentence's own words that a text must hold to support it; the advisor counts a reply as unsupported below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """How far texts hold a sentence.

    Attributes:
        share: Share of the weight of the sentence's words that one of the texts holds, 0-1; words that stand in `given` do
            not count, and 1 if none is left.
        lacking: Numbers, codes and addresses of the sentence that stand nowhere in the texts or in what was given.
        against: A number of the sentence that the texts contradict, None if they contradict none.
    """

    share: float
    lacking: tuple[str, ...]
    against: Contradiction | None

    @property
    def held(self) -> bool:
        """Whether the texts support the sentence."""
        return self.share >= HELD and not self.lacking and self.against is None


def support(
    sentence: str, texts: Sequence[str], *, given: Sequence[str] = (), weigh: Weigh = plain
) -> Support:
    """Hold a sentence against texts.

    Lexical: a faithful paraphrase in other words may look unsupported, a false sentence in the texts' words supported.

    Args:
        sentence: What is said.
        texts: What it should stand in; one of them must hold its words.
        given: What was said before, such as the question; its words and figures need no support.
        weigh: Weight of a term.
    """
    known = frozenset[str]().union(*map(vocabulary, given))
    said = frozenset(vocabulary(sentence)) - known
    held = max((share(said, vocabulary(t), weigh) for t in texts), default=0.0) if said else 1.0
    absent = missing(facts(sentence), [*texts, *given])
    lacking = tuple(sorted(absent.numbers | absent.codes | absent.urls))
    return Support(share=held, lacking=lacking, against=contradiction(sentence, texts))
