"""The figure of something else is seen; a page on the whole kind is not taken for one."""

import pytest

from advisor.checks.context import Context
from advisor.checks.subject import check_subject
from advisor.exchange import Exchange, Message, Passage, Source
from rag.documents import Document
from rag.lexical import LexicalIndex

JACKETS = {"Brandon": 350, "Corrib": 330, "Nephin": 410, "Errigal": 370}


def page(name):
    return Document(
        id=name, title=f"The {name} jacket", text=f"The {name} jacket weighs {JACKETS[name]} grams."
    )


ABROAD = Document(
    id="abroad", title="Delivery in Europe", text="Delivery in Europe costs 9.90 euros and takes 5 days."
)
PAGES = [*map(page, JACKETS), ABROAD]


def seen(question, reply, served, pages=PAGES):
    exchange = Exchange(
        id="e", conversation=(Message(role="user", content=question),), reply=Message(role="assistant", content=reply),
        source=Source(file="f", line=1, dialect="rows"), passages=(Passage(id=served.id, title=served.title, text=served.text),),
    )  # fmt: skip
    return list(check_subject(exchange, Context(documents=LexicalIndex.from_documents(pages))))


@pytest.mark.parametrize(
    ("question", "reply"),
    [
        ("How much does the Slieve jacket weigh?", "The Slieve jacket weighs 350 grams."),
        ("how heavy is the slieve jacket", "The slieve jacket weighs 350 grams."),
        ("How much does the Slieve jacket weigh?", "The Brandon jacket weighs 350 grams."),
        ("Slieve jacket, how many grams?", "That jacket weighs 350 grams."),
    ],
)
def test_what_a_page_says_of_another_thing_is_not_an_answer(question, reply):
    (found,) = seen(question, reply, page("Brandon"))
    assert (found.gap, found.cause) == ("knowledge", "missing_content")
    assert "slieve" in found.note
    assert "brandon" in found.note


def test_where_a_page_on_it_exists_it_was_not_found():
    (found,) = seen("How heavy is the Corrib jacket?", "The Corrib jacket weighs 350 grams.", page("Brandon"))
    assert found.cause == "retrieval_miss"


@pytest.mark.parametrize(
    ("question", "reply", "served"),
    [
        ("How heavy is the Brandon jacket?", "The Brandon jacket weighs 350 grams.", page("Brandon")),
        ("What does delivery to Spain cost?", "Delivery to Spain costs 9.90 euros.", ABROAD),
        ("How heavy is the Slieve jacket?", "I do not know.", page("Brandon")),
        ("How heavy is the Slieve jacket?", "It is a fine jacket.", page("Brandon")),
    ],
)
def test_right_answers_refusals_and_pages_on_the_whole_kind_are_left_alone(question, reply, served):
    assert seen(question, reply, served) == []


def test_one_page_alone_does_not_show_that_the_name_matters():
    assert seen("How heavy is the Slieve jacket?", "The Slieve jacket weighs 350 grams.", page("Brandon"), [page("Brandon")]) == []  # fmt: skip
