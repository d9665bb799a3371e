import pytest

from rag.hits import Hit
from rag.measure import Question, Score, compare, holds, score
from rag.statistics import at_most, mcnemar, share


def hit(document, text=""):
    return Hit(
        id=document, document=document, title="", heading=(), text=text, start=0, end=0, uri=None, place=None, code=None, score=1.0,
        similarity=None, bm25=0.0, rank_words=None, rank_meaning=None,
    )  # fmt: skip


def scores(*hits):
    return [Score(rank=1 if h else None, held=None) for h in hits]


def test_a_hit_is_any_of_the_named_documents_and_its_rank_counts():
    found = {"a": [hit("x"), hit("y")], "b": [hit("z")]}
    asked = [
        Question(text="a", documents=frozenset({"y", "q"})),
        Question(text="b", documents=frozenset({"y"})),
    ]
    assert [s.rank for s in score(lambda q, k, filter: found[q][:k], asked, k=2)] == [2, None]
    assert [s.rank for s in score(lambda q, k, filter: found[q][:k], asked, k=1)] == [None, None]


def test_without_documents_the_answer_itself_is_looked_for():
    found = [hit("a", "We have shops in Cork."), hit("b", "Delivery to Norway costs 12 euros.")]
    asked = [Question(text="q", answer="Delivery to Norway costs 12 euros")]
    assert score(lambda q, k, filter: found, asked, k=2) == [Score(rank=2, held=True)]


@pytest.mark.parametrize(
    "answer, expected",
    [
        ("12 euros for Norway", True),
        ("13 euros for Norway", False),
        ("Delivery costs 12 euros", True),
        ("gift cards expire", False),
        ("", False),
    ],
)
def test_passages_hold_an_answer_with_all_its_figures_and_most_of_its_words(answer, expected):
    assert holds(["Delivery to Norway costs 12 euros."], answer) is expected


def test_newcombes_interval_as_published():
    # Newcombe 1998 (Statistics in Medicine 17:2635), table I, the pairs 12, 9, 2, 21 of 44, method 10.
    before = scores(*[1] * 12, *[1] * 9, *[0] * 2, *[0] * 21)
    after = scores(*[1] * 12, *[0] * 9, *[1] * 2, *[0] * 21)
    found = compare(before, after, k=5)
    assert (found.gained, found.lost, found.n) == (2, 9, 44)
    assert found.difference == pytest.approx(-7 / 44)
    assert found.low < found.difference < found.high < 0.02


def test_nothing_changed_is_no_difference_around_zero():
    found = compare(scores(1, 0, 1), scores(1, 0, 1), k=5)
    assert found.difference == 0.0
    assert found.low < 0 < found.high
    assert found.p == 1.0


def test_no_questions_prove_nothing():
    found = compare([], [], k=5)
    assert (found.low, found.high, found.n) == (-1.0, 1.0, 0)


def test_runs_over_other_questions_cannot_be_compared():
    with pytest.raises(ValueError):
        compare(scores(1), scores(1, 0), k=5)


def test_at_most_is_exact():
    assert at_most(0, 2, 0.8) == pytest.approx(0.04)
    assert at_most(7, 9, 0.8) == pytest.approx(1 - 0.8**9 - 9 * 0.8**8 * 0.2)
    assert at_most(3, 3, 0.8) == pytest.approx(1) == at_most(0, 0, 0.8)


def test_mcnemar_is_exact():
    assert mcnemar(6, 0) == pytest.approx(0.03125)
    assert mcnemar(5, 0) == pytest.approx(0.0625)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(3000, 2900) == pytest.approx(0.2, abs=0.1)


def test_shares_carry_wilsons_interval():
    found = share(10, 10)
    assert (found.value, round(found.low, 2), found.high) == (1.0, 0.72, 1.0)
    assert (share(0, 0).low, share(0, 0).high) == (0.0, 1.0)
