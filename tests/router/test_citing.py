"""Citations: retrieved, supporting, or gone; the same while a reply streams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_hits import hit

from router.citing import Running, check, unsupported
from router.composing import labels

REFUND = hit(
    "We refund within 6 working days after the parcel reaches us.\nMoney goes back to the way you paid.",
    "Refunds",
    "RET-02",
    uri="help/ret.md",
    place="#refunds",
)
SHIP = hit("Standard delivery in Ireland costs 4.95 euros and takes 2 working days.", "Delivery", "SHIP-01")
NAMED = labels([REFUND, SHIP])
QUESTION = "How long does a refund take?"
CTA = "Anything else I can help with?"


def checked(text, **more):
    return check(text, NAMED, **{"question": QUESTION, "closing": (CTA,), **more})


def test_passages_are_named_by_their_code_or_by_number():
    again = hit("Other text.", "Other", "RET-02")
    assert list(labels([REFUND, again, hit("Plain.")])) == ["RET-02", "2", "3"]


def test_a_right_citation_stays_and_says_where_it_stands():
    found = checked(f"We refund within 6 working days. [RET-02] {CTA}")
    assert found.text == f"We refund within 6 working days. [RET-02] {CTA}"
    assert not found.interventions
    (citation,) = found.citations
    assert (citation.label, citation.link, citation.chunk) == ("RET-02", "help/ret.md#refunds", REFUND.id)
    assert citation.quote == "We refund within 6 working days after the parcel reaches us."
    assert citation.sentence == "We refund within 6 working days."


@pytest.mark.parametrize("marker", ["[SHIP-01]", "[SHIP-99]", "[2]"])
def test_a_wrong_one_is_moved_to_the_passage_that_supports_the_sentence(marker):
    found = checked(f"We refund within 6 working days {marker}.")
    assert found.text == "We refund within 6 working days [RET-02]."
    assert [i.kind for i in found.interventions] == ["citation_moved"]


def test_one_that_nothing_supports_is_taken_out():
    found = checked("Refunds take 99 days on the moon [RET-02].")
    assert found.text == "Refunds take 99 days on the moon."
    assert not found.citations
    assert [i.kind for i in found.interventions] == ["citation_dropped"]


def test_each_sentence_has_its_own():
    found = checked(
        "We refund within 6 working days [RET-02]. Delivery in Ireland costs 4.95 euros [SHIP-01]."
    )
    assert [c.label for c in found.citations] == ["RET-02", "SHIP-01"]


def test_a_missing_one_is_added_where_it_is_wanted():
    found = checked(f"We refund within 6 working days. {CTA}", wanted=True)
    assert found.text == f"We refund within 6 working days. [RET-02] {CTA}"
    assert [i.kind for i in found.interventions] == ["citation_added"]
    assert checked("We refund within 6 working days.").citations == ()
    assert checked("Bananas are yellow fruit from warm countries.", wanted=True).citations == ()


def test_a_reply_that_declines_names_the_nearest_page():
    found = checked(f"I do not know. {CTA}", wanted=True)
    assert found.text == f"I do not know. [RET-02] {CTA}"


@pytest.mark.parametrize(
    "text", ["He said [sic] it.", "See [the page](http://x).", "A list [a, b]", "x[i] = 5", "[", "]", "[]"]
)
def test_other_brackets_are_left_alone(text):
    assert checked(text).text == text


def test_figures_without_support_are_named():
    assert {"9", "ab-77"} <= set(unsupported("It takes 9 days, code AB-77.", [REFUND.text], given=[QUESTION]))
    assert unsupported("It takes 6 working days.", [REFUND.text], given=[QUESTION]) == ()
    assert unsupported("Order SH-1 takes 6 working days.", [REFUND.text], given=["Where is SH-1?"]) == ()


def streamed(text, size):
    running = Running(NAMED, question=QUESTION, closing=(CTA,))
    shown = "".join(running.feed(text[i : i + size]) for i in range(0, len(text), size)) + running.end()
    return shown, running


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    "text",
    [
        f"We refund within 6 working days. [RET-02] {CTA}", "We refund within 6 working days [SHIP-99].", "Refunds take 99 days on the moon [RET-02].",
        "He said [sic] it, x[i].", "An open [bracket that is far too long to be any citation at all", "Ends with space ", "[RET-02]",
    ],
)  # fmt: skip
def test_a_stream_is_checked_as_the_whole_is(text, size):
    shown, running = streamed(text, size)
    whole = checked(text)
    assert shown == whole.text.rstrip(" ")
    assert [c.label for c in running.citations] == [c.label for c in whole.citations]


@given(st.text(alphabet="ab []RET-02.\n", max_size=60), st.integers(1, 9))
def test_no_stream_loses_or_adds_words(text, size):
    shown, _ = streamed(text, size)
    assert "".join(c for c in shown if c in "ab") == "".join(c for c in text if c in "ab")
