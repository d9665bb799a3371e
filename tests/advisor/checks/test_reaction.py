"""Ratings, their comments, and what the person did next."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.checks.complaints import complaints, content_words, own_words
from advisor.checks.context import Context
from advisor.checks.reaction import check_feedback, check_reaction
from advisor.exchange import Exchange, Feedback, Message, Source, Tool
from router.contract.rules import Contract

PLAIN = Context()
QUESTION = "How long does delivery to Cork take?"
REPLY = "Delivery to Cork takes two days."


def exchange(*later, question=QUESTION, reply=REPLY, **more):
    messages = tuple(m if isinstance(m, Message) else Message(role="user", content=m) for m in later)
    return Exchange(
        id="1", conversation=(Message(role="user", content=question),), reply=Message(role="assistant", content=reply),
        source=Source(file="a", line=1, dialect="rows"), later=messages, **more,
    )  # fmt: skip


def after(*later, **more):
    return {e.check: e for e in check_reaction(exchange(*later, **more), PLAIN)}


def rated(*, context=PLAIN, reply=REPLY, **parts):
    given = Feedback(name="thumbs", **parts)
    return {e.check: e for e in check_feedback(exchange(reply=reply, feedback=(given,)), context)}


def kinds(text, **how):
    return {c.kind for c in complaints(text, **how)}


@pytest.mark.parametrize(
    ("parts", "check", "strength"),
    [
        ({"polarity": -1}, "feedback.negative", 1.0),
        ({"polarity": -1, "source": "annotator"}, "feedback.negative", 1.0),
        ({"polarity": -1, "target": "conversation"}, "feedback.negative", 0.4),
        ({"polarity": -1, "source": "llm_judge"}, "feedback.weak_negative", 0.6),
        ({"polarity": 1}, "feedback.positive", -1.0),
        ({"polarity": 1, "source": "code"}, "feedback.weak_positive", -0.6),
    ],
)
def test_ratings_weigh_by_who_gave_them_and_to_what(parts, check, strength):
    found = rated(value="x", **parts)
    assert list(found) == [check]
    assert found[check].strength == pytest.approx(strength)
    assert found[check].gap is None
    assert found[check].quotes


def test_a_rating_without_direction_says_nothing():
    assert rated(value="3", polarity=None) == {}
    assert rated(value="0", polarity=0) == {}


@pytest.mark.parametrize(
    ("comment", "check", "gap"),
    [
        ("wrong", "reaction.says_wrong", "knowledge"),
        ("Wrong number.", "reaction.says_wrong", "knowledge"),
        ("That price is outdated", "reaction.says_wrong", "knowledge"),
        ("The bot does not know anything.", "reaction.says_wrong", "knowledge"),
        ("veraltete Auskunft", "reaction.says_wrong", "knowledge"),
        ("答案错误", "reaction.says_wrong", "knowledge"),
        ("ответ неверный", "reaction.says_wrong", "knowledge"),
        ("Wrong format", "reaction.says_form", "style"),
        ("way too long", "reaction.says_form", "style"),
        ("rude!", "reaction.says_form", "style"),
        ("you forgot the link", "reaction.says_form", "style"),
        ("Where does this come from?", "reaction.says_form", "style"),
        ("muy larga la respuesta, demasiado largo", "reaction.says_form", "style"),
        ("cancelled the wrong order", "reaction.says_action", "tool_call"),
        ("didn't book anything", "reaction.says_action", "tool_call"),
        ("Wrong department", "reaction.says_class", "classification"),
        ("falsche Abteilung", "reaction.says_class", "classification"),
        ("I had to forward this by hand.", "reaction.says_class", "classification"),
    ],
)
def test_a_comment_tells_what_it_complains_of(comment, check, gap):
    found = rated(polarity=-1, comment=comment)
    said = {c: e for c, e in found.items() if c.startswith("reaction.says")}
    assert list(said) == [check]
    assert said[check].gap == gap
    assert said[check].quotes[0].place == "feedback"


def test_what_is_complained_of_precisely_is_not_read_again_as_a_wrong_fact():
    assert kinds("wrong format", of_rating=True) == {"form"}
    assert kinds("wrong team", of_rating=True) == {"class"}
    assert kinds("wrong format and the price is wrong too", of_rating=True) == {"form", "wrong"}


def test_praise_and_a_program_s_reasons_are_no_complaint():
    assert not [c for c in rated(polarity=1, comment="not wrong at all, too long for me") if "says" in c]
    assert not [
        c for c in rated(polarity=None, comment="checks for wrong facts", source="code") if "says" in c
    ]
    assert kinds("nothing wrong here", of_rating=True) == set()


def test_a_comment_that_names_another_label_says_the_right_class():
    context = Context(contract=Contract(labels=("billing", "delivery")))
    assert "reaction.says_class" in rated(
        polarity=-1, comment="this is billing", reply="delivery", context=context
    )
    assert "reaction.says_class" not in rated(
        polarity=-1, comment="delivery?", reply="delivery", context=context
    )


WRONG = [
    "That's wrong, it takes five days.", "No, that is not true.", "Das stimmt nicht.", "Das ist leider falsch.", "C'est faux.", "Vous vous trompez",
    "Eso no es cierto", "Isso está errado.", "Non è vero!", "Dat klopt niet.", "To nieprawda.", "Bu yanlış.", "Это неправда", "不对，要五天",
    "この情報は間違っています", "그건 틀렸어요", "هذا خطأ", "यह गलत है",
]  # fmt: skip


@pytest.mark.parametrize("turn", WRONG)
def test_the_next_turn_may_say_that_the_reply_is_wrong(turn):
    said = after(turn)["reaction.says_wrong"]
    assert said.gap == "knowledge"
    assert 0.3 <= said.strength < 0.9  # weaker than in the comment of a rating
    assert said.quotes[0].text.lower() in turn.lower()


@pytest.mark.parametrize(
    "turn",
    [
        "What is wrong with my order?", "The trousers are too long for me", "I received the wrong size, can I return it?", "What if that is wrong?",
        "I ordered the wrong item, how do I cancel?", "Is there a form for the wrong colour?", "Mein Paket ist falsch geliefert worden, was nun?",
        'My boss says "that is wrong, you are rude", what shall I answer?', "> That's wrong\nWhat did you mean by the line above?",
        "How do I use the like operator?", "Do your agents work at night?", "Can I order a table in oak?", "没用过的商品可以退吗？",
    ],
)  # fmt: skip
def test_what_merely_sounds_like_a_complaint_is_none(turn):
    assert kinds(turn) == set()


def test_doing_the_wrong_thing_counts_more_for_a_bot_that_can_do_things():
    talks, acts = (
        after("You cancelled the wrong order"),
        after("You cancelled the wrong order", tools=(Tool(name="cancel"),)),
    )
    assert talks["reaction.says_action"].gap == "tool_call"
    assert talks["reaction.says_action"].strength < acts["reaction.says_action"].strength


@pytest.mark.parametrize("turn", ["Can I talk to a human?", "agent please", "Ich will mit einem Mitarbeiter sprechen", "转人工", "оператор", "quiero hablar con un agente"])  # fmt: skip
def test_asking_for_a_human_is_an_escalation(turn):
    assert after(turn)["reaction.escalated"].strength == 1.0


def test_a_human_whom_the_bot_offered_says_less():
    offered = after(
        "Can I speak to an agent?", reply="I can help with orders. Or do you want to speak to an agent?"
    )
    assert offered["reaction.escalated"].strength == pytest.approx(0.4)


@pytest.mark.parametrize(
    "turn",
    [
        "That's not what I asked.",
        "You don't understand me",
        "Das hilft mir nicht",
        "ça ne m'aide pas",
        "答非所问",
    ],
)
def test_general_discontent_names_no_gap(turn):
    found = after(turn)
    assert found["reaction.rejected"].gap is None
    assert not [c for c in found if "says" in c]


def test_the_same_again_and_the_same_in_other_words():
    assert after(QUESTION)["reaction.repeated"].strength == 1.0
    again = after("how long until a delivery to Cork arrives?")["reaction.rephrased"]
    assert 0.3 <= again.strength < 1
    assert {q.place for q in again.quotes} == {"later", "request"}
    assert "reaction.rephrased" in after("I mean, how long is the delivery time to Cork exactly?")


@pytest.mark.parametrize(
    "turn",
    ["How long does delivery to Galway take?", "And how long does delivery to Cork take by express?", "What about delivery to Cork on Sundays?", "Do you have gift cards?"],
)  # fmt: skip
def test_the_same_question_of_another_thing_is_not_asked_again(turn):
    assert not {"reaction.rephrased", "reaction.repeated"} & set(after(turn))


def test_another_number_makes_another_question():
    found = after("Where is my order 78 please?", question="Where is my order 77 now?")
    assert "reaction.rephrased" not in found


@pytest.mark.parametrize("turn", ["no", "No.", "nein", "M", "the blue one", "No, it is a present"])
def test_an_answer_to_the_bot_s_own_question_is_no_reaction(turn):
    assert not [e for e in after(turn, reply="Is it for yourself?").values() if e.strength > 0]


def test_contradicting_a_statement_is_a_reaction():
    assert "reaction.says_wrong" in after("No, it takes five days")


@pytest.mark.parametrize("turn", ["Thanks!", "perfect, that worked", "vielen Dank", "merci beaucoup", "muchas gracias", "спасибо", "谢谢", "ありがとうございます", "감사합니다", "شكرا", "धन्यवाद"])  # fmt: skip
def test_thanks_speak_for_the_reply(turn):
    assert after(turn)["reaction.thanks"].strength < 0


@pytest.mark.parametrize(
    "turn",
    ["Thanks, but it still fails", "thanks for nothing", "Danke, aber das geht nicht", "谢谢，但是不行"],
)
def test_thanks_with_a_but_are_none(turn):
    assert content_words(turn) == ""
    assert "reaction.thanks" not in after(turn)


def test_going_on_to_something_else_speaks_weakly_for_the_reply():
    moved = after("Which boots are good for wet ground?")["reaction.moved_on"]
    assert -0.5 < moved.strength < 0
    declined = after("Which boots are good for wet ground?", reply="I am sorry, I do not know that.")[
        "reaction.moved_on"
    ]
    assert moved.strength < declined.strength


def test_two_turns_on_only_the_question_itself_counts():
    between = Message(role="assistant", content="It is free above 60 euros.")
    found = after("What does delivery cost?", between, QUESTION)
    assert 0 < found["reaction.repeated"].strength <= 0.5
    assert "reaction.says_wrong" not in after("What does delivery cost?", between, "That's wrong")
    assert "reaction.says_wrong" in after("Hm.", "That's wrong")  # nothing came between


def test_a_regenerated_reply_says_more_if_nobody_went_on():
    left, stayed = after(alternatives=("Three days.",)), after("Thanks", alternatives=("Three days.",))
    assert left["reaction.regenerated"].strength > stayed["reaction.regenerated"].strength > 0
    assert "reaction.regenerated" not in after(alternatives=(REPLY,))


def test_own_words_leave_out_quotations_and_code():
    assert own_words('> old\nhe said "no no" ```x = 1``` so’s') == "he said     so's"


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_is_read(turn, question):
    found = [*check_reaction(exchange(turn, question, question=question), PLAIN)]
    found += check_feedback(exchange(feedback=(Feedback(name="n", comment=turn, polarity=-1),)), PLAIN)
    assert all(-1 <= e.strength <= 1 and e.strength and e.quotes for e in found)


@pytest.mark.parametrize("unit", ["that's ", "no, ", '"', "you ", "i want a ", "错了", "```", "should have "])
def test_reading_takes_no_time(unit):
    start = time.process_time()
    complaints(unit * 20_000, of_rating=True)
    content_words(unit * 20_000)
    assert time.process_time() - start < 1.5
