from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.report.marks import Piece, Span, find, pieces
from rag.masking import Masked


def test_words_are_found_verbatim_and_whole_ones_first():
    assert find("in 2030 it takes 30 days", "30") == (17, 19)
    assert find("only 2030", "30") == (7, 9)


def test_words_are_found_with_other_blanks_and_case():
    assert find("End every\n   reply with thanks.", "end every reply") == (0, 18)
    assert find("nothing of the kind", "something else") is None
    assert find("any", "   ") is None


def test_overlapping_quotes_share_a_piece():
    found = pieces("one two three four", [Span(0, 13, 1), Span(8, 18, 2)])
    assert found == [
        Piece(text="one two ", notes=(1,)),
        Piece(text="three", notes=(1, 2), last=(1,)),
        Piece(text=" four", notes=(2,), last=(2,)),
    ]


def test_a_quote_that_cuts_a_masked_stretch_covers_all_of_it():
    text = "mail jo@x.org now"
    found = pieces(text, [Span(0, 7, 1)], masked=[Masked(5, 13, "[e-mail]")])
    assert found == [Piece(text="mail [e-mail]", notes=(1,), last=(1,)), Piece(text=" now")]


def test_the_middle_is_left_out_except_around_quotes():
    text = "head " * 400 + "THE POINT" + " tail" * 400
    found = pieces(text, [Span(2000, 2009, 1)], limit=600)
    shown = "".join(p.text for p in found)
    assert "THE POINT" in shown
    assert len(shown) < 1_200
    assert len(shown) + sum(p.left_out for p in found) == len(text)
    assert [bool(p.left_out) for p in found if not p.notes] == [False, True, False, False, True, False]


@settings(max_examples=150, deadline=None)
@given(
    st.text(alphabet="ab \n", max_size=900),
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 200)), max_size=5),
    st.sampled_from([0, 50, 300]),
)
def test_no_character_is_lost_or_doubled(text, places, limit):
    spans = [Span(a, min(len(text), a + n), i + 1) for i, (a, n) in enumerate(places) if a < len(text)]
    found = pieces(text, spans, limit=limit)
    assert sum(len(p.text) + p.left_out for p in found) == len(text)
    marked = "".join(p.text for p in found if p.notes)
    assert len(marked) == len({i for s in spans for i in range(s.start, s.end)})
