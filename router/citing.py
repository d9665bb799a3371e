"""Citing: every citation of a reply is a passage that was retrieved and that supports the sentence it stands behind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rag.grounding.cover import Weigh, plain, share, vocabulary
from rag.grounding.support import support
from rag.hits import Hit
from router.abstention import abstains
from router.replies import Citation, Intervention, InterventionKind

_MARKER = re.compile(r"\s?\[([^\[\]\n]{1,40})\]")
_CODE = re.compile(r"(?:[A-Z][A-Z0-9]{0,9}[-_ ]?)\d{1,5}\Z|\d{1,3}\Z")
_END = re.compile(
    r"[.!?]+[\"”'’)*]*(?:\s?\[[^\[\]\n]{1,40}\])*(?:\s+(?![a-z\s])|\Z)|[。！？]+(?:\s?\[[^\[\]\n]{1,40}\])*|\n+"
)
"""Where a sentence ends; markers behind its full stop belong to it."""
_LEAST_WORDS = 2
_LONGEST_MARKER = 44


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """A reply whose citations were checked.

    Attributes:
        text: The reply.
        citations: In the order of the text.
        interventions: What was done to it.
    """

    text: str
    citations: tuple[Citation, ...]
    interventions: tuple[Intervention, ...]


def check(
    text: str,
    named: Mapping[str, Hit],
    *,
    question: str,
    wanted: bool = False,
    closing: Sequence[str] = (),
    told: Sequence[str] = (),
    weigh: Weigh = plain,
) -> Cited:
    """Check the citations of a reply, and mend them.

    A marker that names no retrieved passage, or one that does not support its sentence, is moved to the passage that does, or
    taken out. If a citation is wanted and none is left, one is added where a passage supports a sentence; a reply that
    declines gets the passage that comes nearest.

    Args:
        text: The reply.
        named: The retrieved passages by label.
        question: What was asked; its words need no support.
        wanted: Whether the reply must cite.
        closing: Sentences that are said for form, such as a required ending; nothing need support them.
        told: What the model was told. Where no passage was retrieved, a source that is named in it may be named again; no other may.
        weigh: Weight of a term.
    """
    checker = _Checker(named, question, tuple(closing), tuple(told), weigh)
    parts = [checker.sentence(s) for s in _sentences(text)]
    whole = "".join(part for part, _ in parts)
    citations = tuple(c for _, found in parts for c in found)
    done = list(checker.done)
    if wanted and not citations and named:
        added = checker.added(whole)
        if added is not None:
            whole, citation = added
            citations = (citation,)
            done.append(
                Intervention(
                    kind="citation_added",
                    rule="cites",
                    note=f"The reply named no source; [{citation.label}] supports it.",
                )
            )
    return Cited(text=whole, citations=citations, interventions=tuple(done))


def unsupported(text: str, texts: Sequence[str], *, given: Sequence[str]) -> tuple[str, ...]:
    """Return the figures, codes and addresses of a reply that stand in no passage and in nothing that was said, and numbers that contradict them."""
    plain_text = _MARKER.sub(" ", text)
    found = support(plain_text, texts, given=given)
    said = found.against.said if found.against is not None else ""
    against = (said,) if said and said.partition(" ")[0] not in found.lacking else ()
    return tuple(dict.fromkeys((*found.lacking, *against)))


class Running:
    """Checks citations while a reply is still coming: text passes through, a marker waits until it is whole and is then checked."""

    def __init__(
        self, named: Mapping[str, Hit], *, question: str, closing: Sequence[str] = (), told: Sequence[str] = (), weigh: Weigh = plain
    ) -> None:  # fmt: skip
        self._checker = _Checker(named, question, tuple(closing), tuple(told), weigh)
        self._waiting = ""
        self._sentence = ""
        self.citations: list[Citation] = []

    @property
    def interventions(self) -> tuple[Intervention, ...]:
        """What was done so far."""
        return tuple(self._checker.done)

    def feed(self, text: str) -> str:
        """Take what came and return what may be shown."""
        self._waiting += text
        shown = []
        while (opening := self._waiting.find("[")) >= 0:
            shown.append(self._passed(self._waiting[:opening].rstrip(" ")))
            gap = self._waiting[:opening][len(self._waiting[:opening].rstrip(" ")) :]
            self._waiting = gap + self._waiting[opening:]
            closing = self._waiting.find("]")
            if closing < 0 and len(self._waiting) <= _LONGEST_MARKER and "\n" not in self._waiting:
                return "".join(shown)
            marker = self._waiting[: closing + 1] if closing >= 0 else self._waiting[: len(gap) + 1]
            self._waiting = self._waiting[len(marker) :]
            shown.append(self._marked(marker))
        if not self._waiting.endswith(" "):
            shown.append(self._passed(self._waiting))
            self._waiting = ""
        return "".join(shown)

    def end(self) -> str:
        """Return what still waits."""
        rest, self._waiting = self._waiting, ""
        return rest.rstrip(" ")

    def _passed(self, text: str) -> str:
        self._sentence += text
        return text

    def _marked(self, marker: str) -> str:
        # What comes before the last full stop that text follows on is another sentence.
        start = max((end for _, end in _spans(self._sentence) if end < len(self._sentence)), default=0)
        sentence = self._sentence[start:]
        checked, found = self._checker.sentence(sentence + marker)
        self.citations += found
        return checked[len(sentence) :]


class _Checker:
    def __init__(
        self, named: Mapping[str, Hit], question: str, closing: tuple[str, ...], told: tuple[str, ...], weigh: Weigh
    ) -> None:  # fmt: skip
        self._named = {label.casefold(): (label, hit) for label, hit in named.items()}
        self._question = question
        self._closing = closing
        self._told = "" if named else "\n".join(told).casefold()
        self._weigh = weigh
        self.done: list[Intervention] = []

    def sentence(self, text: str) -> tuple[str, list[Citation]]:
        """Return a sentence with its markers checked, and its citations."""
        bare = _MARKER.sub("", text).strip()
        found: list[Citation] = []

        def replaced(match: re.Match[str]) -> str:
            label = match[1].strip()
            if label.casefold() not in self._named and not _CODE.match(label):
                return match[0]  # a bracket that is no citation
            if self._told and re.search(rf"(?<!\w){re.escape(label.casefold())}(?!\w)", self._told):
                return match[0]
            citation = self._cited(label, bare)
            if citation is None:
                self._tell("citation_dropped", label, "and no retrieved passage supports the sentence")
                return ""
            if citation.label.casefold() != label.casefold():
                self._tell("citation_moved", label, f"and [{citation.label}] does")
            found.append(citation)
            space = " " if match[0][0].isspace() else ""
            return f"{space}[{citation.label}]"

        return _MARKER.sub(replaced, text), found

    def added(self, text: str) -> tuple[str, Citation] | None:
        """Return the text with a citation behind the last sentence that a passage supports; None if none does."""
        spans = [s for s in _spans(text) if not self._is_form(text[s[0] : s[1]])]
        for start, end in reversed(spans):
            sentence = text[start:end].strip()
            label = self._best(sentence, nearest=abstains(sentence) != "no")
            if label is not None:
                at = start + len(text[start:end].rstrip())
                return f"{text[:at]} [{label}]{text[at:]}", self._citation(label, sentence)
        return None

    def _cited(self, label: str, sentence: str) -> Citation | None:
        own = self._named.get(label.casefold())
        if own is not None and self._supports(own[1], sentence):
            return self._citation(own[0], sentence)
        best = self._best(sentence, nearest=own is not None and abstains(sentence) != "no")
        return None if best is None else self._citation(best, sentence)

    def _supports(self, hit: Hit, sentence: str) -> bool:
        if self._is_form(sentence):
            return True
        return (
            abstains(sentence) != "no"
            or support(sentence, [_whole(hit)], given=[self._question], weigh=self._weigh).held
        )

    def _best(self, sentence: str, *, nearest: bool) -> str | None:
        """Return the label of the passage that supports a sentence best; with `nearest`, of the one retrieved first if none does."""
        if len(vocabulary(sentence)) < _LEAST_WORDS and not nearest:
            return None
        scored = []
        for rank, (label, hit) in enumerate(self._named.values()):
            found = support(sentence, [_whole(hit)], given=[self._question], weigh=self._weigh)
            own = frozenset(vocabulary(sentence))
            if found.held:
                scored.append((share(own, vocabulary(_whole(hit)), self._weigh), -rank, label))
        if scored:
            return max(scored)[2]
        return next((label for label, _ in self._named.values()), None) if nearest else None

    def _citation(self, label: str, sentence: str) -> Citation:
        hit = self._named[label.casefold()][1]
        return Citation(
            label=label, chunk=hit.id, document=hit.document, title=hit.title, start=hit.start, end=hit.end, link=hit.link, sentence=sentence,
            quote=_quote(hit.text, sentence, self._weigh),
        )  # fmt: skip

    def _is_form(self, sentence: str) -> bool:
        bare = " ".join(sentence.split()).casefold()
        return not re.search(r"\w", bare) or any(
            bare and bare in " ".join(c.split()).casefold() for c in self._closing
        )

    def _tell(self, kind: InterventionKind, label: str, rest: str) -> None:
        self.done.append(
            Intervention(kind=kind, rule="cites", note=f"[{label}] does not support the sentence, {rest}.")
        )


def _whole(hit: Hit) -> str:
    return f"{hit.title}. {hit.text}"


def _quote(text: str, sentence: str, weigh: Weigh) -> str:
    """Return the sentence of a passage that holds most of what is said."""
    said = frozenset(vocabulary(sentence))
    parts = [text[start:end].strip() for start, end in _spans(text)]
    return max(parts, key=lambda p: share(said, vocabulary(p), weigh), default=text)[:300]


def _sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text with what parts them; a marker belongs to the sentence it stands behind."""
    for start, end in _spans(text):
        yield text[start:end]


def _spans(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in _END.finditer(text):
        yield start, match.end()
        start = match.end()
    if start < len(text):
        yield start, len(text)
