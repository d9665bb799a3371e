from hypothesis import given
from hypothesis import strategies as st

from rag import wordpieces
from rag.chunks import split
from rag.documents import Document, Section


def document(text, *starts):
    sections = tuple(Section(start=s, heading=(f"part {n}",), place=f"#{n}") for n, s in enumerate(starts))
    return Document(id="d", title="Title", text=text, sections=sections)


@given(st.text(max_size=600), st.integers(1, 60))
def test_chunks_lie_in_order_within_the_limit_and_lose_nothing(text, limit):
    chunks = list(split(document(text), limit=limit, measure=wordpieces.count))
    ends = [0, *(c.end for c in chunks)]
    assert all(c.start >= before for c, before in zip(chunks, ends, strict=False))
    assert all(c.text == text[c.start : c.end] for c in chunks)
    # One character may be several pieces by itself; nothing shorter can be cut.
    assert all(wordpieces.count(c.text) <= limit or len(c.text) == 1 for c in chunks)
    left = text
    for c in reversed(chunks):
        left = left[: c.start] + left[c.end :]
    assert not left.split()


def test_a_word_longer_than_the_limit_is_cut():
    chunks = list(split(document("1234567890" * 30), limit=10, measure=len))
    assert "".join(c.text for c in chunks) == "1234567890" * 30
    assert max(len(c.text) for c in chunks) <= 10


def test_chunks_know_the_section_they_begin_in():
    text = "alpha " * 40 + "beta " * 40
    chunks = list(split(document(text, 0, 240), limit=60))
    assert [(c.heading, c.place) for c in chunks] == [(("part 0",), "#0"), (("part 1",), "#1")]
    assert "beta" not in chunks[0].text


def test_small_sections_are_joined():
    text = "a short one. " * 2 + "another short one. " * 2
    assert len(list(split(document(text, 0, 26), limit=200))) == 1


def test_context_names_each_heading_once():
    chunk = next(
        split(
            Document(
                id="d",
                title="Shipping",
                text="x",
                sections=(Section(start=0, heading=("Shipping", "Canada")),),
            )
        )
    )
    assert chunk.context == "Shipping > Canada"
