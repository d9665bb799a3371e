import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.duplicates import apart, first_like

LONG = "Order 77 is on its way to you and should arrive on Monday. Anything else I can help you with?"


@pytest.mark.parametrize(
    "other",
    [
        LONG.upper(),
        LONG.replace("77", "98123"),
        LONG.replace("Monday", "Sunday"),
        LONG.replace("your", "you r").replace(".", " !"),
        LONG + " ",
    ],
)
def test_a_number_a_name_or_a_slip_makes_no_new_text(other):
    assert first_like(["something else entirely", LONG, other]) == [0, 1, 1]


@pytest.mark.parametrize("other", ["Do you ship to Norway?", "Is there a fee for Canada?", LONG, ""])
def test_other_texts_are_their_own(other):
    assert first_like(["Do you ship to Canada?", other]) == [0, 1]


def test_scripts_without_spaces_are_told_apart_too():
    first, like, other = (
        "请问你们的商店可以把帐篷寄到加拿大的温哥华吗?运费是多少",
        "请问你们的商店可以把帐篷寄到加拿大的温哥华吗?运费是多少呢",
        "靴子的尺码怎么选才合适?我平时穿四十二码",
    )
    assert first_like([first, like, other]) == [0, 0, 2]


@given(st.lists(st.text(max_size=30), max_size=30))
def test_each_text_leads_to_the_first_of_its_kind(texts):
    found = first_like(texts)
    assert all(first <= index and found[first] == first for index, first in enumerate(found))
    assert all(found[index] == found[texts.index(text)] for index, text in enumerate(texts))


def test_a_lone_half_of_a_surrogate_pair_does_no_harm():
    assert first_like(["\ud800 ship", "x"]) == [0, 1]


def test_apart_leaves_what_only_few_say_and_the_end():
    texts = [f"Read this. Then answer.\nQuestion: item {n}? Thanks." for n in range(5)]
    assert apart(texts, most=4) == [f"item {n}\nThanks" for n in range(5)]
    assert apart(texts[:4], most=4)[0] == "Read this\nThen answer\nQuestion\nitem 0\nThanks"
    assert apart(["a. b."] * 9 + [""], most=4) == ["a\nb"] * 9 + [""], "the same text counts once"


def test_how_much_is_looked_at_can_be_said():
    first, other = ("word " * 100 + end for end in ("Boots are sold on Monday, tents never.", "Quite another thing! " * 30))  # fmt: skip
    assert first_like([first, other]) == [0, 0]
    assert first_like([first, other], longest=4_000) == [0, 1]
