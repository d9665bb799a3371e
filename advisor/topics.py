"""Topics: what questions are about, told by the words they share, in any script.

Leader clustering (Hartigan 1975, ch. 3) over words weighted by their rarity: the most typical question leads, each
further one joins the likest leader or leads itself, then like clusters are joined and every question goes to the
likest of those that are left. Deterministic, and linear: clusters are learnt on a bounded sample, a question is compared
only with clusters that share one of its heavier words.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from rag.lexical import STOP, stem

_SPACELESS = "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
# The vowel signs of many scripts are marks, not letters; without them words would fall apart.
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0970-\u0dff\u0f71-\u0fbc"
_WORD = re.compile(rf"[{_SPACELESS}]+|(?:(?![{_SPACELESS}])[^\W\d_]|[{_MARKS}]|(?<=[^\W\d_])[0-9])+")
_DENSE = re.compile(rf"[{_SPACELESS}]")
_SMALL_TALK = (
    "please thanks thank hello hi hey dear know tell want wants like need needs help give get gets getting got going go make makes made take takes "
    "long much many often soon still yet now next back last first until till while since after before every each all both other another more most "
    "less least high low one two three way thing things something anything someone say says said mean means find show ask question answer use using "
    "work works see look let new old good right wrong sure possible really able let's whats what's hows how's it's that's i'd i'll i've we're you're "
    "bitte danke hallo möchte will kann können muss wenn noch schon mehr sehr mir mich mein meine gibt geht habe hat haben wann warum welche wo wer bei "
    "bonjour merci veux voudrais peux peut quand comment combien avez ai mon ma mes votre vos plus très si sur avec ce cette ça quel quelle je j'ai "
    "hola gracias quiero puedo puede cuando cuándo cómo como cuánto mi mis tu su más muy hay tengo tiene este esta qué cuál dónde favor "
    "ciao grazie vorrei posso quando come quanto mio mia più molto ho hai questo questa cosa olá obrigado quero quanto meu minha mais muito tem isso "
    "bedankt graag wil kan hoe wanneer waar veel mijn jullie heb heeft het een van"
)
_EMPTY = STOP | frozenset(_SMALL_TALK.split())
_LIKE, _LIKE_JOINED, _LIKE_AT_LAST = 0.35, 0.45, 0.22
_LEARNT_FROM = 10_000
_HEAVIEST, _CLUSTERS_A_WORD, _WORDS_KEPT = 5, 12, 24
_NAMED_BY = 3
_LEAST_SHARE = 0.4
_GROWS_AT, _LONGEST_GROWN = 0.7, 12


@lru_cache(maxsize=65_536)
def _terms_of(token: str) -> tuple[str, ...]:
    if _DENSE.match(token):
        return tuple(token[i : i + 2] for i in range(len(token) - 1))
    if len(token) < 2 or token in _EMPTY:
        return ()
    cut = stem(token)
    # "shipping" and "ship" are one word.
    doubled = cut != token and len(cut) > 3 and cut[-1] == cut[-2] and cut[-1] in "bdgmnprt"
    return (cut[:-1] if doubled else cut,)


def words(text: str) -> frozenset[str]:
    """Return the words of a text that can tell what it is about: stems, or pairs of characters without spaces."""
    return frozenset(term for token in _WORD.findall(text.lower()) for term in _terms_of(token))


@dataclass(frozen=True, slots=True)
class Topic:
    """Questions about the same thing.

    Attributes:
        words: The words that set them apart, the weightiest first; empty for what is left over.
        members: Indices of the questions, rising.
    """

    words: tuple[str, ...]
    members: tuple[int, ...]


def weights(bags: Sequence[frozenset[str]]) -> dict[str, float]:
    """Return how much each word tells: the rarer among distinct questions, the more; natural log units."""
    distinct = set(bags)
    spread = Counter(word for bag in distinct for word in bag)
    return {word: math.log(1 + len(distinct) / n) for word, n in spread.items()}


def topics(
    bags: Sequence[frozenset[str]], weight: Mapping[str, float], *, least: int = 2, most: int = 30
) -> list[Topic]:
    """Cut questions, given by their words, into topics; what belongs to none comes last, if there is any.

    The same questions in another order are cut alike, but for ties in size at the limit.

    Args:
        bags: Words of each question.
        weight: Weight of every word in them.
        least: Fewest questions that make a topic.
        most: Largest number of topics; the smaller ones are left over.
    """
    holders: dict[frozenset[str], list[int]] = defaultdict(list)
    for index, bag in enumerate(bags):
        holders[bag].append(index)
    shared = Counter(word for bag in holders for word in bag)
    vectors = {
        bag: vector
        for bag, own in holders.items()
        if (vector := _vector(bag, weight, shared, often=len(own) > 1))
    }
    clusters = _learnt(vectors, holders, shared)
    large = sorted((c for c in clusters if c.size >= least), key=lambda c: (-c.size, c.name))[: 2 * most]
    settled = _settled(vectors, holders, large)
    kept = sorted((t for t in settled if len(t) >= least), key=lambda t: (-len(t), t[0]))[:most]
    found = [Topic(_name([bags[i] for i in members], weight), tuple(members)) for members in kept]
    taken = {i for topic in found for i in topic.members}
    rest = tuple(i for i in range(len(bags)) if i not in taken)
    return [*found, Topic((), rest)] if rest else found


_Vector = dict[str, float]


def _vector(
    bag: frozenset[str], weight: Mapping[str, float], shared: Mapping[str, int], *, often: bool
) -> _Vector:
    """Unit vector over the words that another question has too; a word nobody else uses cannot connect.

    Words weigh more the more questions of the bucket they connect, so that the large topics win. A question that was asked
    often can stand alone.
    """
    raw = {word: weight[word] * math.log(1 + shared[word]) for word in sorted(bag) if shared[word] > 1}
    if not raw and often:
        raw = {word: weight[word] for word in sorted(bag)}
    length = math.sqrt(sum(x * x for x in raw.values()))
    return {word: x / length for word, x in raw.items()} if length else {}


@dataclass(slots=True)
class _Cluster:
    name: int
    size: int = 0
    sums: _Vector = field(default_factory=dict)
    square: float = 0.0

    def dot(self, vector: _Vector) -> float:
        # The innermost loop of grouping; a generator would double its time.
        total, sums = 0.0, self.sums
        for word, x in vector.items():
            if word in sums:
                total += x * sums[word]
        return total

    def like(self, vector: _Vector) -> float:
        return self.dot(vector) / math.sqrt(self.square) if self.square else 0.0

    def add(self, vector: _Vector, times: int) -> None:
        self.square += 2 * times * self.dot(vector) + times * times * sum(x * x for x in vector.values())
        for word, x in vector.items():
            self.sums[word] = self.sums.get(word, 0.0) + times * x
        self.size += times

    def cut(self) -> None:
        """Keep the heaviest words only; the length stays that of all."""
        self.sums = dict(sorted(self.sums.items(), key=lambda item: (-item[1], item[0]))[:_WORDS_KEPT])


class _Clusters:
    """Clusters that can be found by their words."""

    def __init__(self) -> None:
        self.all: list[_Cluster] = []
        self._by_word: dict[str, list[int]] = defaultdict(list)

    def likest(self, vector: _Vector, least: float) -> _Cluster | None:
        heaviest = sorted(vector, key=lambda word: (-vector[word], word))[:_HEAVIEST]
        near = {i for word in heaviest for i in self._by_word.get(word, ())}
        best, found = least, None
        for i in sorted(near):
            likeness = self.all[i].like(vector)
            if likeness > best:
                best, found = likeness, self.all[i]
        return found

    def add(self, cluster: _Cluster, vector: _Vector, times: int) -> None:
        if cluster.size == 0:
            self.all.append(cluster)
        for word in vector:
            known = self._by_word[word]
            # A bounded list keeps the work linear; the first clusters are those of the most typical questions.
            if word not in cluster.sums and len(known) < _CLUSTERS_A_WORD:
                known.append(len(self.all) - 1 if cluster.size == 0 else cluster.name)
        cluster.add(vector, times)


def _learnt(
    vectors: Mapping[frozenset[str], _Vector],
    holders: Mapping[frozenset[str], Sequence[int]],
    shared: Mapping[str, int],
) -> list[_Cluster]:
    found = _Clusters()
    for bag in _typical_first(vectors, holders, shared):
        vector, times = vectors[bag], len(holders[bag])
        cluster = found.likest(vector, _LIKE) or _Cluster(len(found.all))
        found.add(cluster, vector, times)
    return _joined(found.all)


def _typical_first(
    vectors: Mapping[frozenset[str], _Vector],
    holders: Mapping[frozenset[str], Sequence[int]],
    shared: Mapping[str, int],
) -> list[frozenset[str]]:
    """A sample by hash, the questions whose weight lies in widely shared words first."""
    keys = {bag: " ".join(sorted(bag)) for bag in vectors}
    sample = sorted(vectors, key=lambda bag: (zlib.crc32(keys[bag].encode("utf-8", "replace")), keys[bag]))[
        :_LEARNT_FROM
    ]
    typical = {
        bag: sum(x * x * math.log(1 + shared[word]) for word, x in vectors[bag].items())
        + math.log(len(holders[bag]))
        for bag in sample
    }
    return sorted(sample, key=lambda bag: (-round(typical[bag], 9), keys[bag]))


def _joined(clusters: Sequence[_Cluster]) -> list[_Cluster]:
    """Join clusters whose centres are alike, the smaller into the larger."""
    found = _Clusters()
    for cluster in sorted(clusters, key=lambda c: (-c.size, c.name)):
        cluster.cut()
        centre = {word: x / math.sqrt(cluster.square) for word, x in cluster.sums.items()}
        target = found.likest(centre, _LIKE_JOINED) or _Cluster(len(found.all))
        found.add(target, centre, cluster.size)
    return found.all


def _settled(
    vectors: Mapping[frozenset[str], _Vector],
    holders: Mapping[frozenset[str], Sequence[int]],
    clusters: Sequence[_Cluster],
) -> list[list[int]]:
    """Every question with the likest cluster, if any is like it at all."""
    finder = _Clusters()
    for cluster in clusters:
        cluster.cut()
        finder.add(
            _Cluster(len(finder.all)),
            {word: x / math.sqrt(cluster.square) for word, x in cluster.sums.items()},
            1,
        )
    members: dict[int, list[int]] = defaultdict(list)
    for bag, vector in vectors.items():
        best = finder.likest(vector, _LIKE_AT_LAST)
        if best is not None:
            members[best.name].extend(holders[bag])
    return [sorted(found) for _, found in sorted(members.items())]


def _name(bags: Sequence[frozenset[str]], weight: Mapping[str, float]) -> tuple[str, ...]:
    """The words that most of them share, and at least one."""
    counts = Counter(word for bag in bags for word in bag)
    ranked = sorted(counts, key=lambda word: (-counts[word] * weight[word], word))
    return (ranked[0], *(word for word in ranked[1:] if counts[word] >= max(2.0, _LEAST_SHARE * len(bags))))[
        :_NAMED_BY
    ]


def spelled(topic: Sequence[str], texts: Sequence[str]) -> tuple[str, ...]:
    """Return the words of a topic as people wrote them: the commonest form of each stem, pairs of characters grown to words."""
    forms: dict[str, Counter[str]] = {term: Counter() for term in topic}
    for text in texts:
        for token in _WORD.findall(text.lower()):
            for term in _terms_of(token):
                if term in forms and not _DENSE.match(term):
                    forms[term][token] += 1
    shown: list[str] = []
    for term in topic:
        form = (
            _grown(term, texts)
            if _DENSE.match(term)
            else min(forms[term], key=lambda w: (-forms[term][w], w), default=term)
        )
        if not any(form in other or other in form for other in shown if _DENSE.match(form)):
            shown.append(form)
    return tuple(dict.fromkeys(shown))


def _grown(term: str, texts: Sequence[str]) -> str:
    """Grow a pair of characters by what nearly always stands before and after it: a whole word in most cases."""
    for forward in (True, False):
        while len(term) < _LONGEST_GROWN:
            beside = Counter(
                c for text in texts if (c := _beside(term, text.lower(), forward=forward)) is not None
            )
            best = min(beside, key=lambda c: (-beside[c], c), default="")
            if not _DENSE.match(best) or beside[best] < _GROWS_AT * sum(beside.values()):
                break
            term = term + best if forward else best + term
    return term


def _beside(term: str, text: str, *, forward: bool) -> str | None:
    at = text.find(term)
    if at < 0:
        return None
    return text[at + len(term) : at + len(term) + 1] if forward else text[max(0, at - 1) : at]
