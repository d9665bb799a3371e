import pathlib
import zipfile
from datetime import date

import pytest

from rag.loading import load


def put(folder, name, text, **how):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text) if isinstance(text, bytes) else path.write_text(text, encoding="utf-8", **how)
    return path


def one(path):
    (document,) = load(path).documents
    return document


def reason(path):
    loaded = load(path)
    assert loaded.documents == ()
    (told,) = loaded.skipped
    assert told.startswith(f"{path}: ")
    return told


def under(document, words):
    """The section that a place of the text lies in."""
    at = document.text.index(words)
    return [s for s in document.sections if s.start <= at][-1]


MARKDOWN = """---
title: Delivery
url: https://shop.example/help/delivery
language: en
valid_from: 2026-01-01
valid_to: 2026-12-31
tenant: acme
access: [staff, partners]
product: boots
---
# Delivery [SHIP-04]

Express costs more.

## Norway

Two days.

```
# not a heading
```

## Norway
Again.
"""


def test_markdown_keeps_front_matter_headings_and_exact_places(tmp_path):
    path = put(tmp_path, "a.md", MARKDOWN)
    d = one(path)
    assert (d.title, d.uri, d.language, d.tenant, d.access, d.code) == (
        "Delivery", "https://shop.example/help/delivery", "en", "acme", ("partners", "staff"), "SHIP-04",
    )  # fmt: skip
    assert (d.valid_from, d.valid_to) == (date(2026, 1, 1), date(2026, 12, 31))
    assert d.metadata == {"product": "boots"}
    assert under(d, "Two days").heading == ("Delivery [SHIP-04]", "Norway")
    assert [s.place for s in d.sections] == ["#delivery-ship-04", "#norway", "#norway-1"]
    at = d.text.index("Two days")
    assert MARKDOWN[d.offset + at :].startswith("Two days")


def test_html_keeps_what_a_person_sees(tmp_path):
    d = one(
        put(
            tmp_path,
            "a.html",
            """<html lang=de><head><title>Hilfe</title><style>p{}</style><link rel=canonical href="https://x.de/hilfe"></head>
            <body><nav>Menü</nav><h1>Versand</h1><script>alert("<p>böse</p>")</script><h2 id=norwegen>Norwegen</h2>
            <p>Zwei <b>Tage</b>.</p><!-- geheim --><footer>Impressum</footer></body></html>""",
        )
    )
    assert (d.title, d.language, d.uri) == ("Hilfe", "de", "https://x.de/hilfe")
    assert d.text == "Versand\n\nNorwegen\n\nZwei Tage."
    assert under(d, "Zwei").heading == ("Versand", "Norwegen")
    assert under(d, "Zwei").place == "#norwegen"


def test_a_table_of_questions_and_answers(tmp_path):
    path = put(
        tmp_path, "faq.csv", "question,answer,language,area\nShip to Canada?,Yes [SHIP-06].,en,shipping\n"
    )
    d = one(path)
    assert (d.id, d.title, d.text, d.code, d.language, d.metadata) == (
        "faq.csv:2", "Ship to Canada?", "Yes [SHIP-06].", "SHIP-06", "en", {"area": "shipping"},
    )  # fmt: skip


def test_json_lines_and_json(tmp_path):
    put(
        tmp_path, "a.jsonl", '{"id": "x", "text": "One", "metadata": {"tenant": "acme"}}\n\n{"text": "Two"}\n'
    )
    put(tmp_path, "b.json", '[{"title": "T", "body": "Three"}]')
    found = {d.id: d for d in load(tmp_path).documents}
    assert {k: d.text for k, d in found.items()} == {"x": "One", "a.jsonl:3": "Two", "b.json:1": "Three"}
    assert found["x"].tenant == "acme"


def test_a_folder_gives_ids_by_path_and_defaults_fill_what_is_not_said(tmp_path):
    put(tmp_path, "a/x.md", "One")
    put(tmp_path, "b/x.md", "---\nlanguage: de\n---\nTwo")
    put(tmp_path, "b/x.png", b"\x89PNG")
    loaded = load(tmp_path, defaults={"language": "en", "tenant": "acme"})
    assert [(d.id, d.language, d.tenant) for d in loaded.documents] == [
        ("a/x.md", "en", "acme"),
        ("b/x.md", "de", "acme"),
    ]
    assert loaded.skipped == ()


def test_a_sitemap_gives_urls_and_stays_in_its_folder(tmp_path):
    secret = put(tmp_path, "secret.html", "<p>secret</p>")
    site = tmp_path / "site"
    put(site, "help/delivery.html", "<h1>Delivery</h1>")
    put(site, "index.html", "<h1>Home</h1>")
    put(site, "other.md", "Other")
    put(
        site,
        "sitemap.xml",
        """<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
        <url><loc>https://x.example/help/delivery</loc><lastmod>2026-05-01T10:00:00Z</lastmod></url>
        <url><loc>https://x.example/</loc></url>
        <url><loc>https://x.example/../secret.html</loc></url><url><loc>https://x.example/gone</loc></url></urlset>""",
    )
    loaded = load(site / "sitemap.xml")
    assert [(d.uri, d.metadata) for d in loaded.documents] == [
        ("https://x.example/help/delivery", {"changed": "2026-05-01"}),
        ("https://x.example/", {}),
    ]
    assert len(loaded.skipped) == 2
    assert secret.exists()
    assert {d.uri for d in load(site).documents} == {
        "https://x.example/",
        "https://x.example/help/delivery",
        str(site / "other.md"),
    }


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path):
    put(tmp_path, "secret.md", "secret")
    (tmp_path / "in").mkdir()
    pathlib.Path(tmp_path / "in" / "link.md").symlink_to(tmp_path / "secret.md")
    loaded = load(tmp_path / "in")
    assert loaded.documents == ()
    assert "leads out of" in loaded.skipped[0]


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("a.md", b"\xff\x00\x00", "binary"),
        ("a.md", b"caf\xe9", "UTF-8"),
        ("a.md", "---\n: [\n---\nx", "front matter"),
        ("a.md", "---\nvalid_to: soon\n---\nx", "date"),
        ("a.md", "  \n", "no text"),
        ("a.xyz", "x", "unknown ending .xyz"),
        ("a.json", "{", "not JSON"),
        ("a.json", "[[1]]", "not an object"),
        ("a.jsonl", '{"text": "x"}\n{"nothing": 1}\n', "line 2"),
        ("a.csv", "a,b\n1,2\n", "line 2"),
        ("a.xml", "<rss/>", "no sitemap"),
        ("a.xml", "<!DOCTYPE x [<!ENTITY a 'b'>]><urlset/>", "entities"),
        ("a.xml", "<<<", "not a sitemap"),
    ],
)
def test_what_cannot_be_read_is_skipped_with_the_reason(tmp_path, name, content, told):
    assert told in reason(put(tmp_path, name, content))


def test_a_huge_text_is_skipped(tmp_path):
    path = tmp_path / "big.txt"
    with path.open("wb") as file:
        file.truncate(200 * 2**20)
    assert "split it" in reason(path)


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load(tmp_path / "nothing")


def test_utf16_is_read(tmp_path):
    assert one(put(tmp_path, "a.txt", "Grüße".encode("utf-16"))).text == "Grüße"


class TestPdf:
    def pdf(self, *pages):
        """A PDF by hand: a font and a line of text on every page."""
        objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
        kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
        objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
        objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
        for n, text in enumerate(pages):
            stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET"
            objects.append(
                f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * n} 0 R /Resources << /Font << /F1 3 0 R >> >> >>"
            )
            objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        out, places = "%PDF-1.4\n", []
        for number, body in enumerate(objects, 1):
            places.append(len(out))
            out += f"{number} 0 obj\n{body}\nendobj\n"
        table = "".join(f"{p:010d} 00000 n \n" for p in places)
        count = len(objects) + 1
        return f"{out}xref\n0 {count}\n0000000000 65535 f \n{table}trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF".encode()

    def test_each_page_is_a_place(self, tmp_path):
        pytest.importorskip("pypdf")
        d = one(put(tmp_path, "a.pdf", self.pdf("Delivery to Norway", "Returns within 45 days")))
        assert under(d, "Returns").place == "#page=2"
        assert under(d, "Norway").place == "#page=1"

    @pytest.mark.parametrize(
        "content", [b"", b"%PDF-1.4 garbage", b"\x00" * 999, b"%PDF-1.7\n" + bytes(range(256)) * 50]
    )
    def test_garbage_is_skipped(self, tmp_path, content):
        pytest.importorskip("pypdf")
        assert "PDF" in reason(put(tmp_path, "a.pdf", content)) or "no text" in reason(tmp_path / "a.pdf")

    def test_a_scan_is_told_of(self, tmp_path):
        pytest.importorskip("pypdf")
        assert "OCR" in reason(put(tmp_path, "a.pdf", self.pdf("")))


class TestDocx:
    def test_headings_and_tables(self, tmp_path):
        docx = pytest.importorskip("docx")
        word = docx.Document()
        word.add_heading("Delivery", 1)
        word.add_heading("Norway", 2)
        word.add_paragraph("Two days.")
        table = word.add_table(rows=1, cols=2)
        table.rows[0].cells[0].text, table.rows[0].cells[1].text = "Express", "12 euros"
        word.save(tmp_path / "a.docx")
        d = one(tmp_path / "a.docx")
        assert under(d, "Two days").heading == ("Delivery", "Norway")
        assert "Express | 12 euros" in d.text

    def test_a_bomb_is_not_opened(self, tmp_path):
        pytest.importorskip("docx")
        with (
            zipfile.ZipFile(tmp_path / "a.docx", "w", zipfile.ZIP_DEFLATED) as packed,
            packed.open("word/document.xml", "w") as inner,
        ):
            for _ in range(201):
                inner.write(b"\0" * 2**20)
        assert (tmp_path / "a.docx").stat().st_size < 2**20
        assert "unpacks to" in reason(tmp_path / "a.docx")

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 garbage", b"not a zip"])
    def test_garbage_is_skipped(self, tmp_path, content):
        pytest.importorskip("docx")
        assert "DOCX" in reason(put(tmp_path, "a.docx", content))

    def test_names_that_climb_are_harmless(self, tmp_path):
        pytest.importorskip("docx")
        with zipfile.ZipFile(tmp_path / "a.docx", "w") as packed:
            packed.writestr("../../escaped.txt", "x")
        assert "DOCX" in reason(tmp_path / "a.docx")
        assert not (tmp_path.parent / "escaped.txt").exists()
