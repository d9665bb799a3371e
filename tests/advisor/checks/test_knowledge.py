import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.checks.answer_type import focus, lacks_answer
from advisor.checks.context import Context
from advisor.checks.knowledge import check_knowledge, check_length, content_of
from advisor.exchange import Exchange, Message, Passage, Source, Tool
from rag.documents import Document
from rag.grounding.contradiction import contradiction
from rag.grounding.cover import best_window, plain, share
from rag.grounding.facts import facts, missing
from rag.lexical import LexicalIndex, terms
from router.abstention import abstains
from router.contract.rules import Rule

SHIP = "We deliver to Ireland and Norway. A parcel to Norway costs 9.90 euros and takes 3 working days."
RETURN = "You can return unworn items within 45 days of delivery. The return label costs 4 euros."
WASH = "Wash waterproof jackets at 30 degrees with liquid soap and no softener."
INDEX = LexicalIndex.from_documents([
    Document(id="ship", title="Delivery", text=SHIP), Document(id="ret", title="Returns", text=RETURN), Document(id="wash", title="Care", text=WASH),
])  # fmt: skip
CONTEXT = Context(documents=INDEX)


def ask(question, answer, *served, **fields):
    passages = tuple(Passage(id=i, text=t) for i, t in served)
    return Exchange(
        id="e", conversation=(Message(role="user", content=question),), reply=Message(role="assistant", content=answer),
        source=Source(file="f", line=1, dialect="rows"), passages=passages, **fields,
    )  # fmt: skip


def seen(exchange, context=CONTEXT):
    return {e.check: e for e in check_knowledge(exchange, context)}


def test_an_answer_taken_from_what_was_served_speaks_for_itself():
    found = seen(
        ask("What does a parcel to Norway cost?", "A parcel to Norway costs 9.90 euros.", ("ship", SHIP))
    )
    assert found["knowledge.reply_unsupported"].strength < 0
    assert found["knowledge.facts_held"].strength < 0
    assert found["knowledge.better_document"].strength <= 0
    assert "contradiction.number" not in found


def test_a_number_that_the_passage_gives_otherwise_is_a_contradiction_with_both_quoted():
    found = seen(
        ask("What does a parcel to Norway cost?", "A parcel to Norway costs 19.90 euros.", ("ship", SHIP))
    )
    evidence = found["contradiction.number"]
    assert evidence.cause == "context_unused"
    assert "19.90" in evidence.quotes[0].text and "9.90" in evidence.quotes[1].text


def test_a_better_document_that_was_not_served_is_named():
    found = seen(
        ask("At how many degrees do I wash waterproof jackets?", "I do not know that.", ("ret", RETURN))
    )
    evidence = found["knowledge.better_document"]
    assert evidence.strength > 0.5 and evidence.cause == "retrieval_miss"
    assert evidence.quotes[0].id == "wash"
    assert found["knowledge.declined_though_held"].strength > 0
    assert found["knowledge.rank"].strength > -1


def test_a_question_that_no_document_covers_is_told():
    found = seen(ask("Do you sell climbing ropes in Zurich?", "Yes, we do, from 80 metres.", ("ret", RETURN)))
    assert found["knowledge.nowhere"].strength > 0.5
    assert found["knowledge.nowhere"].cause == "missing_content"
    assert found["knowledge.facts_invented"].strength > 0


def test_declining_where_the_passage_has_the_answer_is_held_against_the_reply():
    found = seen(
        ask("What does the return label cost?", "Sorry, I have no information about that.", ("ret", RETURN))
    )
    assert found["knowledge.declined_though_served"].strength > 0
    assert "knowledge.declined_rightly" not in found


def test_declining_where_nothing_holds_it_speaks_for_the_reply():
    found = seen(
        ask("Do you sell climbing ropes?", "Sorry, I have no information about that.", ("ret", RETURN))
    )
    assert found["knowledge.declined_rightly"].strength < 0


def test_retrieval_that_found_nothing_is_told_from_a_log_that_does_not_say():
    assert "knowledge.nothing_served" in seen(ask("What does a parcel cost?", "Nine euros."))
    unsaid = dataclasses.replace(ask("What does a parcel cost?", "Nine euros."), passages=None)
    assert "knowledge.nothing_served" not in seen(unsaid)
    assert seen(unsaid, Context()) == {}


@pytest.mark.parametrize("fields", [{"tools": (Tool(name="find"),)}, {"response_format": {}}])
def test_bots_that_are_not_asked_for_content_are_left_alone(fields):
    exchange = dataclasses.replace(ask("Cancel order 7 for me please", "Done."), passages=None, **fields)
    assert seen(exchange) == {}


def test_a_passage_shown_as_it_is_does_not_speak_for_itself():
    shown = seen(ask("How do I wash waterproof jackets?", RETURN, ("ret", RETURN)))
    assert not shown.keys() & {"knowledge.reply_unsupported", "knowledge.facts_held", "knowledge.from_memory"}
    assert shown["knowledge.served_off"].strength > 0
    retold = seen(
        ask("How do I wash waterproof jackets?", "Unworn items return within 45 days.", ("ret", RETURN))
    )
    assert retold["knowledge.reply_unsupported"].strength < 0


def test_a_page_that_knows_only_the_name_does_not_hold_what_is_asked_of_it():
    club = "Norden Rovers are a football club. They play in Malmby at the Olvi Arena."
    context = Context(
        documents=LexicalIndex.from_documents([Document(id="club", title="Norden Rovers", text=club)])
    )
    unknown = seen(
        ask("Who is the captain of Norden Rovers?", "Olle Berg is the captain.", ("club", club)), context
    )
    known = seen(ask("Where do Norden Rovers play?", "They play at Malmby.", ("club", club)), context)
    assert unknown["knowledge.focus_nowhere"].strength > 0.5 > 0 > known["knowledge.focus_nowhere"].strength
    assert unknown["knowledge.focus_nowhere"].cause == "missing_content"
    assert unknown["knowledge.served_fits"].strength < 0 < known["knowledge.served_fits"].strength


@pytest.mark.parametrize(
    ("question", "left"),
    [
        ("Who is the captain of KalPa?", {"captain"}),
        ("What does Explorer 20 cost?", {"cost"}),
        ("Norway?", {"norway"}),
        ("who is the captain of kalpa", {"captain", "kalpa"}),
        (
            "Wie lange dauert der Versand nach Kanada?",
            {"wie", "lange", "dauert", "versand", "nach", "kanada"},
        ),
    ],
)
def test_the_focus_of_a_question_is_what_it_asks_of_what_it_names(question, left):
    asked = frozenset(terms(question))
    assert focus(question, asked) == left & asked and left & asked


@pytest.mark.parametrize(("then", "found"), [("And to Norway?", "ship"), ("How to wash jackets?", "wash")])
def test_only_a_question_that_leans_is_searched_with_the_one_before(then, found):
    exchange = ask(then, "I do not know that.")
    before = (
        Message(role="user", content="What does a parcel cost?"),
        Message(role="assistant", content="?"),
    )
    exchange = dataclasses.replace(exchange, conversation=before + exchange.conversation)
    assert seen(exchange)["knowledge.better_document"].quotes[0].id == found


def test_small_talk_is_no_question():
    assert seen(ask("hi", "Hello!")) == {}


def test_a_demanded_ending_and_citations_are_no_content():
    rule = Rule(kind="ends_with", params={"text": "Anything else?"})
    assert content_of("It is free. [RET-01] Anything else?", (rule,)).split() == ["It", "is", "free."]
    assert content_of('{"answer": "free", "confidence": 4, "sure": true}') == "free 4"


@pytest.mark.parametrize(
    ("reply", "text", "expected"),
    [
        ("Delivery takes 5 days.", "Delivery takes 3 days.", True),
        ("Delivery takes 3 days.", "Delivery takes 3 days.", False),
        ("Delivery takes 5 days.", "Repairs take 3 weeks.", False),
        ("Delivery costs 5 euros.", "Delivery takes 3 days.", False),
        ("Delivery takes 2 to 5 days.", "Delivery takes 3 days.", False),
        ("Delivery costs €5.", "Delivery costs 7 euros.", True),
    ],
)
def test_only_another_number_for_the_same_thing_contradicts(reply, text, expected):
    assert (contradiction(reply, [text]) is not None) is expected


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        ("When did the shop open?", "The shop opened in 1998.", -0.4),
        ("When did the shop open?", "The shop sells boots.", 1.0),
        ("How many shops are there?", "There are 12 shops in town.", -0.4),
        ("How many shops are there?", "There are shops in town.", 1.0),
        ("Who founded it?", "It was founded by Mary Jones.", -0.4),
        ("Why is it closed?", "It is closed.", None),
    ],
)
def test_the_kind_of_answer_is_looked_for_in_the_nearest_sentences(question, text, expected):
    found = lacks_answer(question, [text], set(terms(question)))
    assert (found[0] if found else None) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I'm sorry, I do not have that information.", "fully"),
        ("Das steht leider nicht in den Unterlagen.", "fully"),
        ("The parcel takes three days.", "no"),
        ("", "no"),
    ],
)
def test_declining_is_told_from_answering(text, expected):
    assert abstains(text, None) == expected


@pytest.mark.parametrize(
    ("a", "b"),
    [("1,000 euros", "1000 euros"), ("3.0 kg", "3 kg"), ("two days", "2 days"), ("٤٢ days", "42 days")],
)
def test_numbers_are_compared_in_normal_form(a, b):
    assert facts(a).numbers == facts(b).numbers


def test_what_is_stated_and_nowhere_held_is_found():
    lacking = missing(facts("Order AB-123 ships on 5 May to a@b.ie"), ["order ab-123 ships"])
    assert "5" in lacking.numbers
    assert not lacking.codes
    assert lacking.urls == {"a@b.ie"}


def test_two_sentences_count_more_than_a_long_page():
    wanted = frozenset(terms("norway parcel cost"))
    near, far = (
        "A parcel to Norway has a cost.",
        "A parcel. " + "Filler words here. " * 5 + "Norway. " + "More filler. " * 5 + "The cost.",
    )
    assert best_window(wanted, [near], plain) == 1.0
    assert best_window(wanted, [far], plain) < 1.0
    assert share(wanted, frozenset(terms(far)), plain) == 1.0


def test_a_long_reply_to_a_short_page_is_verbose_and_a_copied_page_is_not():
    page = "Boots are sold in many sizes and colours and are made of leather by hand in Cork. " * 6
    chatty = "Well, " + "let me tell you a great deal about this very interesting topic indeed. " * 12
    assert next(iter(check_length(ask("Which boots?", chatty, ("p", page)), CONTEXT))).strength > 0.5
    assert list(check_length(ask("Which boots?", page, ("p", page)), CONTEXT)) == []


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_any_text_gives_graded_evidence_and_never_an_error(question, answer, passage):
    for evidence in check_knowledge(ask(question, answer, ("p", passage)), CONTEXT):
        assert -1 <= evidence.strength <= 1
        assert evidence.note
