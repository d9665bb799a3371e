import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.topics import spelled, topics, weights, words


def cut(questions, **limits):
    bags = [words(q) for q in questions]
    return [(t.words, [questions[i] for i in t.members]) for t in topics(bags, weights(bags), **limits)]


CANADA = [
    "Do you ship to Canada?",
    "Is there free shipping to Canada?",
    "Will I pay import duty in Canada?",
    "I live in Vancouver. Do you send parcels to Canada?",
]
GIFTS = ["Can you gift wrap my order?", "how much is gift wrapping", "gift wrap with a card please"]


def test_questions_about_one_thing_are_one_topic_however_they_are_worded():
    found = cut([*CANADA, *GIFTS, "What is the capital of Peru?"])
    assert [set(members) for _, members in found] == [
        set(CANADA),
        set(GIFTS),
        {"What is the capital of Peru?"},
    ]
    assert found[0][0][0] == "canada"
    assert found[-1][0] == ()


def test_words_that_any_question_has_make_no_topic():
    found = cut(
        ["How much is the tent?", "How much do you know of boots?", "Please tell me how much VAT I pay"]
    )
    assert [name for name, _ in found] == [()]


def test_the_same_question_asked_often_is_a_topic():
    assert cut(["Where is my parcel?"] * 5 + ["Do you sell hats?"])[0] == (
        ("parcel",),
        ["Where is my parcel?"] * 5,
    )


def test_what_is_rarer_than_the_limit_is_left_over():
    found = cut([*CANADA, *GIFTS], least=4)
    assert [set(members) for _, members in found] == [set(CANADA), set(GIFTS)]
    assert found[1][0] == ()
    assert len(cut([*CANADA, *GIFTS], most=1)) == 2


@pytest.mark.parametrize(
    ("questions", "named"),
    [
        (["你们寄到加拿大吗?", "加拿大的运费是多少", "可以发货到加拿大吗"], "加拿大"),
        (["क्या आप कनाडा भेजते हैं?", "कनाडा में डिलीवरी कितनी है", "कनाडा शिपिंग"], "कनाडा"),
        (["هل تشحنون إلى كندا؟", "الشحن كندا", "كم تكلفة الشحن إلى كندا"], "كندا"),
        (["Доставляете в Канаду?", "сколько стоит доставка в Канаду", "доставка Канаду"], "канаду"),
        (["캐나다 배송 되나요?", "캐나다 관세는 얼마", "캐나다 주소"], "캐나다"),
    ],
)
def test_any_script_gives_topics_in_its_own_words(questions, named):
    bags = [words(q) for q in questions]
    (topic,) = topics(bags, weights(bags))
    assert topic.members == (0, 1, 2)
    assert named in spelled(topic.words, questions)


def test_stems_are_shown_as_people_wrote_them():
    assert spelled(["ship"], ["Shipping?", "shipping costs", "ship it"]) == ("shipping",)


@settings(max_examples=60, deadline=None)
@given(
    questions=st.lists(
        st.lists(
            st.sampled_from(
                ["canada", "ship", "gift", "wrap", "boots", "size", "配送", "カナダ", "how", "much"]
            ),
            max_size=5,
        ).map(" ".join),
        max_size=30,
    ),
    seed=st.integers(0, 99),
)
def test_every_question_is_in_one_topic_and_order_does_not_matter(questions, seed):
    def sets(asked):
        return sorted((name, sorted(members)) for name, members in cut(asked))

    shuffled = list(questions)
    random.Random(seed).shuffle(shuffled)
    assert sets(questions) == sets(shuffled)
    assert sorted(q for _, members in cut(questions) for q in members) == sorted(questions)


@given(st.text(max_size=60))
def test_any_text_has_words_or_none(text):
    assert all(isinstance(word, str) and word for word in words(text))
