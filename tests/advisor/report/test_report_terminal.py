import re
from dataclasses import replace

import pytest

from advisor.issues import Rate
from advisor.report.cells import columns
from advisor.report.terminal import exchange_text, issue_text, summary

ANSI = re.compile(r"\x1b\[\d+m")


@pytest.mark.parametrize("width", [10, 40, 60, 80, 100, 200])
@pytest.mark.parametrize("colour", [False, True])
def test_the_summary_fits_a_screen(result, width, colour):
    crowded = replace(
        result,
        issues=result.issues * 5,
        notices=("A long notice. " * 20,) * 6,
        plan=replace(result.plan, remedies=result.plan.remedies * 3),
    )
    lines = ANSI.sub("", summary(crowded, width=width, colour=colour)).split("\n")
    assert len(lines) <= 40
    assert max(map(columns, lines)) <= max(40, width)


def test_the_summary_says_what_counts(result):
    text = summary(result)
    for words in (
        "553 of 2,480 replies failed: 22% (95% interval 21–24%)",
        "2,611 records, 13 skipped",
        "Uncalibrated",
        "! Only 41%",
        "Style and form    13%  (12–14%)",
        "rising ↗",
        "i-1f0c",
        "1. Move the required ending",
        "free · mends 187–281 of 312 failures · 15–30 min",
        "$4.20–$9.80",
        "logs/extra.jsonl:1",
        "advise show i-1f0c",
        "vibe",
    ):
        assert words in text


def test_no_escape_of_a_log_reaches_the_terminal(result):
    hostile = result.examples["e-hostile</details>"]
    texts = [
        summary(result),
        issue_text(result.issues[-1], result.examples),
        exchange_text(hostile.exchange, hostile.diagnosis),
    ]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", "".join(texts))


def test_colour_is_only_used_on_request(result):
    assert "\x1b" not in summary(result)
    assert ANSI.sub("", summary(result, colour=True)) == summary(result)


def test_nothing_read(result):
    none = Rate(count=0, total=0, value=0.0, low=0.0, high=1.0)
    text = summary(replace(result, failed=none, issues=(), gaps={}, plan=replace(result.plan, remedies=())))
    assert text.startswith("No exchange found.")
    assert "advise show" not in text


def test_an_exchange_shows_its_evidence_in_place(result):
    example = result.examples["e-canada"]
    text = exchange_text(example.exchange, example.diagnosis, width=90)
    assert "takes «3 to 5 days»[1]" in text
    assert '«End every reply with "Anything else I can help with?"»[2]' in text
    assert "document SHIP-2: «Shipping to Canada: flat $19, 5 to 9 days.»" in text
    assert "[e-mail]" in text
    assert "jo.miller@example.com" in exchange_text(example.exchange, example.diagnosis, mask=False)
    assert max(map(columns, text.split("\n"))) <= 90


def test_a_quote_over_several_rows_is_reversed_in_each(result):
    example = result.examples["e-canada"]
    rows = exchange_text(example.exchange, example.diagnosis, width=40, colour=True).split("\n")
    reversed_ = [r for r in rows if "\x1b[7m" in r]
    assert len(reversed_) >= 6
    assert all(r.count("\x1b[7m") == r.count("\x1b[27m") for r in rows)


def test_a_tool_call_and_a_tool_error_are_shown(result):
    example = result.examples["e-tool"]
    text = exchange_text(example.exchange, example.diagnosis)
    assert "calls order_status" in text
    assert '«"yesterday", }»[1]' in text
    assert "reported an error" in text
    assert "confirmed by a probe" in text


def test_early_messages_are_left_out_unless_quoted(result):
    example = result.examples["e-canada"]
    early = tuple(
        replace(m, content=f"{m.content} {n}") for n in range(20) for m in example.exchange.conversation[1:2]
    )
    long = replace(example.exchange, conversation=(*early, *example.exchange.conversation))
    text = exchange_text(long, example.diagnosis)
    assert "11 earlier messages" in text
    assert "planter. 3" not in text


def test_an_issue_shows_its_figures_and_examples(result):
    text = issue_text(result.issues[0], result.examples)
    assert "312 of 2,480 exchanges, 13% (95% interval 11–14%); rising ↗" in text
    assert "How long can I return a planter?" in text
    assert "BOT ← judged" in text
    assert text.count("Evidence") == 2
    assert "Evidence" not in issue_text(result.issues[0], {})
