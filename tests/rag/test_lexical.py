import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.chunks import split
from rag.documents import Document
from rag.lexical import LexicalIndex, terms
from rag.loading import load

PAGES = [
    Document(
        id="ship", title="Delivery", text="We deliver to Ireland and Norway. A parcel takes two working days."
    ),
    Document(
        id="ret", title="Returns", text="You can return unworn items within 45 days. The label is free."
    ),
    Document(id="jp", title="配送", text="日本への配送は五日かかります。"),
]
INDEX = LexicalIndex.from_documents(PAGES)


def test_the_page_that_speaks_of_it_comes_first():
    assert INDEX.search("how can I return an item?")[0].id == "ret"
    assert INDEX.search("deliveries to Norway")[0].id == "ship"


def test_scripts_without_spaces_are_searched():
    assert INDEX.search("配送は何日ですか")[0].id == "jp"


def test_no_word_in_common_means_no_hit():
    assert INDEX.search("zebra") == ()
    assert INDEX.search("") == ()
    assert LexicalIndex.from_documents([]).search("anything") == ()


def test_rare_words_weigh_more_and_unknown_ones_most():
    assert INDEX.idf("norway") > INDEX.idf("days")
    assert INDEX.idf("never-seen") >= INDEX.idf("norway")


def test_coverage_is_the_share_of_the_weight_held():
    assert INDEX.coverage("Norway", "we go to Norway") == 1.0
    assert INDEX.coverage("Norway zebra", "we go to Norway") == pytest.approx(0.5, abs=0.2)
    assert INDEX.coverage("", "anything") == 0.0


def test_a_hit_says_where_in_the_document_it_stands():
    long = Document(
        id="long", title="Long", text="Filler sentence here. " * 200 + "The secret word is xylophone."
    )
    hit = LexicalIndex.from_documents([long]).search("xylophone")[0]
    assert "xylophone" in long.text[hit.start : hit.end]
    assert hit.end - hit.start < len(long.text)


@given(st.text(max_size=400), st.integers(5, 50))
def test_chunks_cover_the_text_in_order_and_keep_to_their_size(text, most):
    document = Document(id="d", title="t", text=text)
    chunks = list(split(document, limit=most))
    assert [c.start for c in chunks] == sorted(c.start for c in chunks)
    assert set(text.split()) == {word for c in chunks for word in text[c.start : c.end].split()}


@given(st.text(max_size=200))
def test_any_text_has_terms_and_no_empty_one(text):
    assert all(terms(text))


def test_documents_are_read_in_the_forms_people_keep_them(tmp_path):
    (tmp_path / "a.md").write_text("# Delivery [SHIP-01]\n\nWe deliver.", encoding="utf-8")
    (tmp_path / "b.html").write_text(
        "<html><title>Returns</title><script>x()</script><p>Send it back.</p></html>", encoding="utf-8"
    )
    (tmp_path / "c.jsonl").write_text('{"id": "x", "title": "Gifts", "text": "We wrap."}\n', encoding="utf-8")
    (tmp_path / "d.png").write_bytes(b"\x89PNG\x00")
    (tmp_path / "e.txt").write_bytes(b"\xff\xfe\xff\x00\x01")
    loaded = load(tmp_path)
    by_text = {d.text: d for d in loaded.documents}
    assert any(d.code == "SHIP-01" for d in loaded.documents)
    assert any("Send it back." in t and "x()" not in t for t in by_text)
    assert any(d.title == "Gifts" and d.id == "x" for d in loaded.documents)
    assert len({d.id for d in loaded.documents}) == len(loaded.documents)


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere")
