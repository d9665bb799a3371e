import errno
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import building, wordpieces
from rag.documents import Document, Section
from rag.embedders.port import EmbedderFailed, Identity
from rag.embedders.static import Static
from rag.index import Index, IndexFailed, IndexMissing
from rag.settings import Alias, Chunking, Retrieval, Settings
from rag.snapshot import UnknownFilter
from rag.versions import UnknownVersion
from rag.visibility import Filter, Visibility

PAGES = [
    Document(
        id="ship",
        title="Delivery",
        text="We deliver to Ireland and Norway. A parcel takes two working days.",
        uri="https://x.example/ship",
    ),
    Document(
        id="ret", title="Returns", text="You can return unworn items within 45 days. The label is free."
    ),
    Document(
        id="gift",
        title="Gift cards",
        text="A gift card is valid for five years.",
        sections=(Section(start=0, heading=("Cards",), place="#cards"),),
    ),
]
CANADA = Document(id="ca", title="Canada", text="We ship to Canada for 24 euros.")


class Counting(Static):
    """Counts the texts it embeds; may fail at one."""

    def __init__(self, fail_at=None):
        super().__init__()
        self.passages = 0
        self.fail_at = fail_at

    def embed(self, texts, *, kind):
        if kind == "passage":
            self.passages += len(texts)
            if self.fail_at is not None and self.passages > self.fail_at:
                raise EmbedderFailed("the network is down", retryable=True)
        return super().embed(texts, kind=kind)


@pytest.fixture
def index(tmp_path):
    with Index(tmp_path / "kb", embedder="static", store="memory") as index:
        yield index


def test_a_question_finds_its_page_and_says_why(index):
    index.build(PAGES)
    hit = index.search("How long does a parcel to Norway take?")[0]
    assert hit.document == "ship"
    assert hit.link == "https://x.example/ship"
    assert hit.rank_words == 1
    assert hit.why.startswith("words: 1st (BM25 ")
    assert "meaning: " in hit.why
    assert 0 <= hit.score <= 1
    source = next(p for p in PAGES if p.id == "ship")
    assert source.text[hit.start : hit.end] == hit.text


def test_a_citation_opens_the_right_place(index):
    index.build([replace(PAGES[2], uri="https://x.example/gift")])
    hit = index.search("gift card")[0]
    assert (hit.link, hit.heading) == ("https://x.example/gift#cards", ("Cards",))


@pytest.mark.parametrize("query", ["", "   ", "?!", "zzzzqqq xyzzy", "\x00", "a" * 10_000])
def test_odd_queries_are_no_error(index, query):
    index.build(PAGES)
    assert isinstance(index.search(query), tuple)


def test_nothing_built_yet_is_said_so(index):
    with pytest.raises(IndexMissing, match="advise index build"):
        index.search("x")


def test_an_empty_index_finds_nothing(index):
    index.build([])
    assert index.search("anything") == ()


def test_building_twice_is_building_once(index):
    first = index.build(PAGES)
    assert index.build(reversed(PAGES)).id == first.id
    assert [m.id for m in index.versions()] == [first.id]


def test_only_what_changed_is_embedded_and_deletions_are_real(tmp_path):
    embedder = Counting()
    with Index(tmp_path, embedder=embedder, store="memory") as index:
        index.build(PAGES)
        assert embedder.passages == 3
        made = index.update(
            add=[CANADA, replace(PAGES[1], text="You can return items within 60 days.")], remove=["gift"]
        )
        assert embedder.passages == 5
        assert (made.embedded, made.reused, made.chunks) == (2, 1, 3)
        assert set(made.documents) == {"ship", "ret", "ca"}
        assert "gift" not in [h.document for h in index.search("gift card", k=9)]
        assert "60 days" in index.search("return items")[0].text
        # What was known once is not embedded again.
        index.update(add=[PAGES[1]])
        assert embedder.passages == 5


def test_text_put_before_a_chunk_moves_its_span_and_embeds_nothing_else(tmp_path):
    text = "Alpha page. " * 60 + "\n\n" + "Beta page. " * 60
    embedder = Counting()
    with Index(tmp_path, embedder=embedder, store="memory") as index:
        sections = (Section(start=0, heading=("A",)), Section(start=text.index("Beta"), heading=("B",)))
        index.build([Document(id="d", title="", text=text, sections=sections)])
        before = embedder.passages
        moved = "New. " + text
        index.build(
            [
                Document(
                    id="d",
                    title="",
                    text=moved,
                    sections=tuple(replace(s, start=s.start and s.start + 5) for s in sections),
                )
            ]
        )
        assert embedder.passages == before + 1 or embedder.passages < 2 * before
        for hit in index.search("beta", k=9):
            assert moved[hit.start : hit.end] == hit.text


def test_versions_are_compared_rolled_back_and_made_live_again(index):
    first = index.build(PAGES)
    second = index.update(add=[CANADA], remove=["gift"])
    third = index.update(add=[replace(CANADA, text="We ship to Canada for 30 euros.")])
    found = index.diff(first.id, third.id[:6])
    assert (found.added, found.removed, found.changed) == (("ca",), ("gift",), ())
    assert index.diff(second.id, third.id).changed == ("ca",)
    assert "30 euros" in index.search("ship to Canada")[0].text
    assert index.rollback().id == second.id
    assert "24 euros" in index.search("ship to Canada")[0].text
    assert index.rollback().id == first.id
    with pytest.raises(UnknownVersion, match="no version was live"):
        index.rollback()
    assert index.promote(third.id[:5]).id == third.id
    assert "30 euros" in index.search("ship to Canada")[0].text


def test_any_version_is_opened_beside_the_live_one(index):
    first = index.build(PAGES)
    index.update(add=[CANADA])
    with pytest.raises(UnknownVersion, match="there are"):
        index.at("ffff")
    old = index.at(first.id)
    assert "ca" not in [h.document for h in old.search("Canada", k=9)]
    old.close()


def test_a_version_may_wait_before_it_goes_live(index):
    index.build(PAGES)
    made = index.update(add=[CANADA], live=False)
    assert index.live.version != made.id
    assert "ca" not in [h.document for h in index.search("Canada", k=9)]
    index.promote(made.id)
    assert index.search("Canada")[0].document == "ca"


def test_garbage_is_collected_and_what_is_read_or_pinned_stays(index, tmp_path):
    made = [index.build(PAGES[: n + 1]) for n in range(3)]
    made.append(index.build([*PAGES, CANADA]))
    other = Index(tmp_path / "kb")
    held = other.at(made[0].id)
    removed = index.gc(keep=1, pinned=[made[1].id])
    assert removed.in_use == (made[0].id,)
    assert removed.versions == (made[2].id,)
    assert held.search("parcel")[0].document == "ship"
    held.close()
    assert index.gc(keep=1).versions == (made[0].id, made[1].id)
    assert index.search("Canada")[0].document == "ca"
    with pytest.raises(UnknownVersion):
        index.rollback()


def test_vectors_that_no_version_needs_are_forgotten(tmp_path):
    embedder = Counting()
    with Index(tmp_path, embedder=embedder, store="memory") as index:
        index.build([*PAGES, CANADA])
        index.build(PAGES)
        assert index.gc(keep=1).vectors == 1
        index.build([*PAGES, CANADA])
        assert embedder.passages == 5


def test_an_older_handle_follows_the_live_version(index, tmp_path):
    index.build(PAGES)
    other = Index(tmp_path / "kb")
    assert "ca" not in [h.document for h in other.search("Canada", k=9)]
    index.update(add=[CANADA])
    assert other.search("Canada")[0].document == "ca"
    index.rollback()
    assert "ca" not in [h.document for h in other.search("Canada", k=9)]
    other.close()


@pytest.mark.parametrize(
    "identity",
    [
        Identity(model="static", dimension=128, fingerprint="other weights"),
        Identity(model="other", dimension=128),
        Identity(model="static", dimension=64),
        Identity(model="static", dimension=128, normalised=False),
    ],
)
def test_another_embedder_is_refused(tmp_path, identity):
    with Index(tmp_path, embedder="static", store="memory") as index:
        index.build(PAGES)
    other = Static()
    other.identity = identity
    with Index(tmp_path, embedder=other) as index:
        with pytest.raises(IndexMissing, match="cannot be compared"):
            index.search("parcel")
        with pytest.raises(IndexMissing, match="cannot be compared"):
            index.update(add=[CANADA])


def test_building_with_another_embedder_makes_a_version_of_its_own(tmp_path):
    with Index(tmp_path, embedder="static", store="memory") as index:
        first = index.build(PAGES)
    other = Counting()
    other.identity = Identity(model="other", dimension=128)
    with Index(tmp_path, embedder=other, store="memory") as index:
        made = index.build(PAGES)
        assert (made.embedded, made.id != first.id) == (3, True)
        assert "embedder" in index.diff(first.id, made.id).settings[0]
        assert index.search("parcel")[0].document == "ship"


def test_two_documents_of_one_id_are_an_error(index):
    with pytest.raises(ValueError, match="'ship'"):
        index.build([PAGES[0], PAGES[0]])


def test_halves_of_surrogate_pairs_do_no_harm(index):
    index.build([Document(id="d", title="t\ud800", text="broken \udfff text")])
    assert index.search("broken")[0].text == "broken ? text"


@given(st.text(max_size=500), st.integers(16, 64), st.booleans())
@settings(max_examples=30, deadline=None)
def test_no_chunk_is_longer_than_the_embedder_reads(tmp_path_factory, text, most, context):
    seen = []

    class Watching(Static):
        max_tokens = most

        def embed(self, texts, *, kind):
            seen.extend(texts)
            return super().embed(texts, kind=kind)

    document = Document(
        id="d",
        title="A title of some length " * 9,
        text=text,
        sections=(Section(start=0, heading=("head " * 30,)),),
    )
    with Index(tmp_path_factory.mktemp("kb"), embedder=Watching(), store="memory") as index:
        index.build([document], settings=Settings(chunking=Chunking(max_tokens=500, context=context)))
    assert all(wordpieces.count(t) <= most for t in seen)


# Settings


def test_words_alone_and_meaning_alone(index):
    index.build(PAGES, settings=Settings(retrieval=Retrieval(dense=0.0)))
    assert all(h.similarity is None for h in index.search("parcel"))
    index.update(settings=Settings(retrieval=Retrieval(dense=1.0)))
    assert all(h.rank_words is None and h.bm25 == 0 for h in index.search("parcel"))
    assert "dense: 0.0 -> 1.0" in index.diff(index.versions()[0].id, index.versions()[1].id).settings


def test_an_alias_is_found_and_not_shown(index):
    index.build(PAGES)
    assert index.search("bonus voucher")[:1] == () or index.search("bonus voucher")[0].rank_words is None
    made = index.update(
        settings=Settings(
            aliases=(Alias(document="gift", anchor="A gift card", text="What is a bonus voucher worth?"),)
        )
    )
    assert made.embedded == 1
    hit = index.search("bonus voucher")[0]
    assert hit.document == "gift"
    assert "bonus" not in hit.text
    assert len([h for h in index.search("bonus voucher", k=9) if h.document == "gift"]) == 1
    # It stays with its page through updates, and goes with it.
    index.update(add=[CANADA])
    assert index.search("bonus voucher")[0].document == "gift"
    index.update(remove=["gift"])
    assert "gift" not in [h.document for h in index.search("bonus voucher", k=9)]


def test_queries_can_be_turned_by_a_matrix(index):
    index.build(PAGES)
    unturned = [h.similarity for h in index.search("parcel", k=3)]
    made = index.update(settings=Settings(adapter=-np.eye(128, dtype=np.float32)))
    assert made.recipe.adapter
    turned = {h.document: h.similarity for h in index.search("parcel", k=3)}
    assert min(turned.values()) == pytest.approx(-max(unturned), abs=1e-5)
    index.update(add=[CANADA])
    assert index.versions()[-1].recipe.adapter == made.recipe.adapter
    assert index.search("parcel")


def test_the_query_can_be_widened_by_its_best_hits(index):
    index.build(PAGES, settings=Settings(retrieval=Retrieval(expand=True)))
    assert index.search("parcel to Norway")[0].document == "ship"


def test_no_more_than_so_many_chunks_of_one_document(index):
    long = Document(
        id="long",
        title="",
        text="\n\n".join(f"The parcel number {n} goes to Norway. " * 12 for n in range(8)),
    )
    index.build([*PAGES, long], settings=Settings(retrieval=Retrieval(per_document=2)))
    assert [h.document for h in index.search("parcel to Norway", k=3)].count("long") == 2
    # But rather more of one document than fewer than asked for.
    assert len(index.search("parcel to Norway", k=6)) == 6
    index.update(settings=Settings(retrieval=Retrieval(per_document=9)))
    assert [h.document for h in index.search("parcel to Norway", k=3)].count("long") == 3


def test_a_version_that_was_only_tried_is_thrown_away(index):
    live = index.build(PAGES)
    tried = index.update(add=[CANADA], live=False)
    index.discard(tried.id)
    assert [m.id for m in index.versions()] == [live.id]
    with pytest.raises(ValueError, match="is live"):
        index.discard(live.id)


# Who may see what

names = st.sampled_from(["acme", "bolt", "corp"])
tags = st.sampled_from(["staff", "partner"])
languages = st.sampled_from(["en", "de", "de-AT"])
days = st.dates(date(2026, 1, 1), date(2026, 12, 31))
documents = st.lists(
    st.builds(
        lambda n, tenant, access, language, start, end, area: Document(
            id=str(n), title="Delivery", text=f"parcel number {n} takes two days", tenant=tenant, access=tuple(sorted(access)), language=language,
            valid_from=start, valid_to=end, metadata={"area": area} if area else {},
        ),
        st.integers(), st.none() | names, st.frozensets(tags), st.none() | languages, st.none() | days, st.none() | days, st.none() | names,
    ),
    max_size=12, unique_by=lambda d: d.id,
)  # fmt: skip
filters = st.builds(
    lambda tenant, access, language, on, area: Filter(tenant=tenant, access=access, language=language, on=on, where={"area": area} if area else {}),
    st.none() | names, st.frozensets(tags), st.none() | languages, st.none() | days, st.none() | names,
)  # fmt: skip


@given(documents, filters, st.text(max_size=30) | st.just("parcel number takes days"), st.integers(1, 15))
@settings(max_examples=60, deadline=None)
def test_no_filter_and_no_text_shows_what_the_asker_may_not_see(tmp_path_factory, pages, asked, query, k):
    with Index(tmp_path_factory.mktemp("kb"), embedder="static", store="memory") as index:
        index.build(pages, settings=Settings(chunking=Chunking(filterable=("area",))))
        own = {d.id: d for d in pages}
        found = [own[h.document] for h in index.search(query, k=k, filter=asked)]
        for d in found:
            assert d.tenant in (None, asked.tenant)
            assert not d.access or asked.access & set(d.access)
            assert not asked.where or d.metadata == asked.where
        # And all that may be seen is found: filters work before ranking, not after.
        if query.startswith("parcel"):
            visible = [d for d in pages if asked.admits(Visibility.of(d, ["area"]), date.today())]
            assert len(found) == min(k, len(visible))


def test_a_filter_by_what_is_not_kept_is_an_error(index):
    index.build(PAGES)
    with pytest.raises(UnknownFilter, match="filterable"):
        index.search("x", filter=Filter(where={"area": "x"}))


def test_validity_and_languages(index):
    index.build(
        [replace(PAGES[0], valid_to=date(2026, 5, 31), language="de-AT"), replace(PAGES[1], language="en")]
    )
    found = lambda **asked: {h.document for h in index.search("parcel items days", filter=Filter(**asked))}  # noqa: E731
    assert found(on=date(2026, 5, 31)) == {"ship", "ret"}
    assert found(on=date(2026, 6, 1)) == {"ret"}
    assert found(on=date(2026, 1, 1), language="de") == {"ship"}
    assert found(on=date(2026, 1, 1), language="d") == set()


# What can go wrong


def test_an_embedder_that_fails_leaves_the_live_version_and_what_was_embedded(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "BATCH", 1)
    with Index(tmp_path, embedder=Counting(), store="memory") as index:
        first = index.build(PAGES[:1])
    with Index(tmp_path, embedder=Counting(fail_at=1), store="memory") as index:
        with pytest.raises(IndexFailed, match=f"network is down.*{first.id} is still live"):
            index.build([*PAGES, CANADA])
        assert index.search("parcel")[0].document == "ship"
        assert list((tmp_path / "staging").iterdir()) == []
    resumed = Counting()
    with Index(tmp_path, embedder=resumed, store="memory") as index:
        index.build([*PAGES, CANADA])
    assert resumed.passages == 2


def test_a_full_disk_leaves_the_live_version(index, monkeypatch):
    first = index.build(PAGES)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(np, "save", full)
        with pytest.raises(IndexFailed, match=r"No space left.*still live"):
            index.update(add=[CANADA])
    assert index.live.version == first.id
    assert index.search("parcel")[0].document == "ship"
    assert index.update(add=[CANADA]).id != first.id


def test_two_writers_at_once_both_get_their_pages_in(tmp_path):
    Index(tmp_path, embedder="static", store="memory").build(PAGES)
    failed = []

    def add(name):
        try:
            with Index(tmp_path) as index:
                for n in range(5):
                    index.update(add=[Document(id=f"{name}{n}", title="", text=f"Page {n} of {name}.")])
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=add, args=(name,)) for name in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with Index(tmp_path) as index:
        live = index.live.version
        assert len(next(m for m in index.versions() if m.id == live).documents) == 13


def test_a_writer_that_takes_too_long_is_told_of(tmp_path):
    with Index(tmp_path, embedder="static", store="memory", wait_s=0.1) as index:
        index.build(PAGES)
        with (
            index._versions.writing(wait_s=1),
            pytest.raises(IndexFailed, match="another process has been writing"),
        ):
            Index(tmp_path, wait_s=0.1).update(add=[CANADA])


@pytest.mark.parametrize("store", ["memory", "chroma"])
def test_a_writer_killed_anywhere_leaves_a_whole_index(tmp_path, store):
    if store == "chroma":
        pytest.importorskip("chromadb")
    with Index(tmp_path / "kb", embedder="static", store=store) as index:
        index.build(PAGES)
        script = textwrap.dedent(f"""
            import sys, threading, os, time
            from rag.documents import Document
            from rag.index import Index
            Index({str(tmp_path / "kb")!r}).search("x")
            threading.Timer(float(sys.argv[1]), os._exit, [9]).start()
            index = Index({str(tmp_path / "kb")!r})
            for n in range(10_000):
                index.update(add=[Document(id="new", title="", text=f"Fresh page {{n}} about parcels. " * 40)])
        """)
        for delay in ("0.001", "0.01", "0.03", "0.1", "0.2"):
            done = subprocess.run(
                [sys.executable, "-c", script, delay], timeout=60, check=False, capture_output=True
            )
            assert done.returncode == 9, done.stderr
            hits = index.search("parcel", k=9)
            assert "ship" in [h.document for h in hits]
            new = {h.text.split()[2] for h in hits if h.document == "new"}
            assert len(new) <= 1
            index.update(add=[CANADA])
            assert index.search("Canada")[0].document == "ca"


def test_a_damaged_version_is_named(index, tmp_path):
    made = index.build(PAGES)
    index.close()
    (Path(tmp_path) / "kb/versions" / made.id / "manifest.json").write_text("{")
    with pytest.raises(UnknownVersion, match="cannot be read"):
        index.search("x")
