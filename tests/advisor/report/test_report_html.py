import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from advisor.issues import Rate
from advisor.logs.reading import Counts
from advisor.plan import Plan
from advisor.report.html import render
from advisor.result import Example

VOID = {"meta", "br", "input", "polygon", "polyline", "circle"}


class Page(HTMLParser):
    """Checks that tags are balanced and collects what the page holds."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.ids, self.links, self.marks, self.words = (
            [],
            set(),
            set(),
            [],
            [],
            [],
            [],
        )
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        if tag == "mark":
            self.marks.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "mark":
            self.marks[-1] += data
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())


def test_hostile_log_text_is_escaped(result):
    text = render(result)
    page = Page(text)
    assert text.count("<script") == 1
    assert not page.tags & {"img", "iframe", "link", "object"}
    assert not {a for a in page.attributes if a.startswith("on")}
    assert "<script>alert(1)</script>" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    text.encode("utf-8")


def test_the_page_needs_nothing_from_outside(result):
    text = render(result)
    assert not re.search(r"""(?:src|href)=["'](?!#)|url\(|@import""", text)
    assert "default-src 'none'" in text


def test_every_link_has_its_target_and_ids_are_unique(result):
    page = Page(render(result))
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_quotes_are_marked_in_place(result):
    page = Page(render(result))
    assert 'End every reply with "Anything else I can help with?"' in page.marks
    assert "3 to 5 days" in page.marks
    assert "مجانًا خلال 24 ساعة" in page.marks
    assert '"yesterday", }' in page.marks
    assert "I want my money back" in page.marks
    assert "<b>bold</b>" in page.marks
    assert "Shipping to Canada: flat $19, 5 to 9 days." in page.text


def test_a_long_text_is_cut_around_its_quotes(result):
    page = Page(render(result))
    assert re.search(r"… [\d,]+ characters left out …", page.text)
    assert "Then it says " in page.marks


def test_personal_data_is_masked_unless_told_otherwise(result):
    text = render(result)
    assert "jo.miller@example.com" not in text
    assert "415 555 0132" not in text
    assert "[e-mail] or [phone]" in Page(text).text
    bare = Page(render(result, mask=False)).text
    assert "jo.miller@example.com or +1 415 555 0132" in bare
    assert "not masked in this copy" in bare


@pytest.mark.parametrize(
    "words",
    [
        "22% of replies failed",
        "553 of 2,480 exchanges; 95% interval 21–24%",
        "Uncalibrated: label 40 exchanges with advise label",
        "Only 41% of the exchanges",
        "Move the required ending",
        "187–281 of 312 failures",
        "$4.20–$9.80",
        "never more than $12 without asking",
        "15–30 min",
        "Blocked; first needs",
        "Fine-tuning would teach the same ending",
        "Index the page on shipping abroad",
        "5.7% (4.8–6.7%)",
        "rising ↗",
        "confirmed by a probe",
        "undetermined: a person should look",
        "advise show i-1f0c",
        "2,598 read + 13 skipped",
        "openai-chat",
        "unterminated string",
        "<i>msg</i>",
        "vibe",
        "3 identical records",
        "thumbs = down (bad, by user)",
    ],
)
def test_the_page_says(result, words):
    assert words in Page(render(result)).text


def test_nothing_failed_and_nothing_read(result):
    none = Rate(count=0, total=0, value=0.0, low=0.0, high=1.0)
    plan = Plan(hash="0", exchanges=0, failures=0, undetermined=0, calibrated=False, remedies=())
    empty = replace(
        result, counts=Counts(), skips=(), unknown_scores=(), issues=(), plan=plan, failed=none, gaps={}, examples={}, calibration="", notices=()
    )  # fmt: skip
    page = Page(render(empty))
    assert "No exchange found" in page.text
    assert "Nothing was skipped." in page.text


def test_a_reply_of_megabytes_gives_a_page_of_kilobytes(result):
    example = result.examples["e-ending"]
    huge = replace(example.exchange, reply=replace(example.exchange.reply, content="word " * 1_000_000))
    text = render(
        replace(
            result,
            examples={**result.examples, "e-ending": Example(exchange=huge, diagnosis=example.diagnosis)},
        )
    )
    assert len(text) < 120_000
    Page(text)


def test_the_same_result_gives_the_same_page(result):
    assert render(result) == render(result)
