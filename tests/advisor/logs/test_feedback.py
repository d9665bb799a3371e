import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.logs.feedback import feedback, number_of, polarity, resolve, scale_of


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("thumbs", "up", 1), ("thumbs", "👎", -1), ("anything", "Thumbs Down", -1), ("vote", -1, -1), ("zork", "pass", 1),
        ("correctness", 1, 1), ("correctness", 0, -1), ("correctness", 0.5, 0), ("correctness", True, 1), ("is_correct", False, -1),
        ("hallucination", 1, -1), ("hallucination", 0, 1), ("hallucination", "yes", -1), ("toxicity", True, -1), ("incorrect", 1, -1),
        ("unhelpful", True, -1), ("dissatisfied", True, -1), ("harmlessness", 1, None), ("non_toxic", True, None), ("refusal", 1, -1),
        ("rating", 1, None), ("rating", 5, None), ("stars", "4", None), ("zork", 0.2, None), ("zork", "blue", None), ("comment", None, None),
        ("score", float("nan"), None), ("score", [1], None),
    ],
)  # fmt: skip
def test_the_direction_of_a_score(name, value, expected):
    assert polarity(name, value) == expected


def test_a_label_outranks_its_value():
    assert feedback("Hallucination", 1.0, label="factual").polarity == 1
    assert feedback("correctness", 1, label="incorrect").polarity == -1
    assert feedback("correctness", 1, label="incorrect").value == "incorrect"


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ({0, 1}, (0, 1)), ({-1, 1}, (-1, 1)), ({1, 5}, (1, 5)), ({2, 4}, (1, 5)), ({0, 1, 2}, (0, 5)), ({1, 8}, (1, 10)),
        ({0, 10}, (0, 10)), ({3}, None), (set(), None), ({-1, 5}, None), ({1, 100}, None),
    ],
)  # fmt: skip
def test_the_scale_a_column_shows(values, scale):
    assert scale_of(values) == scale


@pytest.mark.parametrize(
    ("name", "value", "column", "expected"),
    [
        ("rating", 1, {1, 5}, -1), ("rating", 3, {1, 5}, 0), ("rating", 4, {1, 5}, 1), ("rating", 1, {0, 1}, 1), ("rating", 1, {1}, None),
        ("groundedness", 1, {1, 2, 5}, -1), ("groundedness", 1, {0, 1}, 1), ("groundedness", 5, {1, 2, 5}, 1), ("toxicity", 5, {1, 5}, -1),
        ("zork", 5, {1, 5}, None), ("rating", "good", {1, 5}, 1),
    ],
)  # fmt: skip
def test_a_rating_is_decided_by_its_column(name, value, column, expected):
    assert resolve(feedback(name, value), {name: column}).polarity == expected


def test_words_are_no_numbers():
    assert number_of(feedback("a", "up")) is None and number_of(feedback("a", "nan")) is None
    assert number_of(feedback("a", "4.5")) == 4.5


def test_long_texts_are_cut():
    given = feedback("a", "x" * 999, comment="y" * 9999)
    assert (len(given.value), len(given.comment)) == (200, 2000)


_ANY = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.lists(st.integers(), max_size=2)
)


@given(st.text(max_size=12), _ANY, st.none() | st.text(max_size=6), st.sets(st.floats(-20, 200), max_size=4))
def test_any_score_is_good_bad_neutral_or_unknown(name, value, label, column):
    given_ = feedback(name, value, label=label)
    assert given_.polarity in (1, -1, 0, None)
    assert resolve(given_, {name: column}).polarity in (1, -1, 0, None)
