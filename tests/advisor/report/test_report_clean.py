from advisor.report.cells import columns, fit, pad, wrap
from advisor.report.clean import bounded, clean, cut, one_line


def test_escapes_controls_and_bidi_overrides_go():
    assert clean("\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07\x00\x9b2K\x7f!") == "red link!"
    assert clean("\x1b]0;title") == ""
    assert clean("a\u202eb\u2066c\ud800") == "abc\ufffd"
    assert clean("tab\tand\nline") == "tab\tand\nline"


def test_one_line_and_cut():
    assert one_line(" a\n\n b\x00 ") == "a b"
    assert cut("abcdefghij", 7) == "abcd…ij"
    assert cut("short", 7) == "short"


def test_a_huge_text_is_bounded():
    short = bounded("x" * 3_000_000)
    assert len(short) < 201_000
    assert "2,800,000 characters left out" in short


def test_columns_count_wide_and_combining_characters():
    assert columns("日本") == 4
    assert columns("é") == 1
    assert fit("日本語", 5) == "日本…"
    assert pad("ab", 4, right=True) == "  ab"


def test_wrap_keeps_lines_and_breaks_long_words():
    assert wrap("one two three\n  four", 8) == ["one two", "three", "  four"]
    assert wrap("abcdefghij", 4, indent="> ") == ["> ab", "> cd", "> ef", "> gh", "> ij"]
    assert wrap("", 4) == [""]
