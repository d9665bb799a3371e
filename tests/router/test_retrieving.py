import pytest
from made_hits import hit

from router.retrieving import holds_answer, is_small_talk, query_of


@pytest.mark.parametrize(
    "text",
    ["Hi", "Hello there!", "hi, good morning", "Thanks so much!", "ok great, thank you 🙏", "Guten Tag!", "Vielen Dank", "merci beaucoup", "¡Hola!", "Gracias", "你好", "ありがとう", "Привет!", "How are you today?", "Bye!", "Thank you for your help"],
)  # fmt: skip
def test_small_talk_needs_no_pages(text):
    assert is_small_talk(text)


@pytest.mark.parametrize(
    "text",
    ["", "Hi, do you ship to Canada?", "Thanks, and what does it cost?", "How are you handling returns?", "no refund yet", "Hiking boots", "yes I want to return it", "Can you help me return a jacket?", "Danke, und was kostet das?", "Hidalgo", "okapi plush"],
)  # fmt: skip
def test_what_asks_for_something_is_no_small_talk(text):
    assert not is_small_talk(text)


def test_a_short_follow_up_takes_the_request_before_along():
    said = [
        {"role": "user", "content": "What does delivery to Norway cost?"}, {"role": "assistant", "content": "5 euros."}, {"role": "user", "content": "And Canada?"},
    ]  # fmt: skip
    assert query_of(said) == "And Canada? What does delivery to Norway cost?"
    assert query_of(said[:1]) == "What does delivery to Norway cost?"
    assert (
        query_of([{"role": "user", "content": "Hello!"}, {"role": "user", "content": "Canada?"}]) == "Canada?"
    )
    assert query_of([{"role": "assistant", "content": "x"}]) == ""
    parts = [{"role": "user", "content": [{"type": "text", "text": "Where is my parcel from yesterday?"}]}]
    assert query_of(parts) == "Where is my parcel from yesterday?"


def test_whether_something_found_may_hold_the_answer():
    found = [hit("A parcel to Norway costs 5 euros.")]
    assert holds_answer("What does a parcel to Norway cost?", found, least=0.5)
    assert not holds_answer("Do you sell aquariums for goldfish?", found, least=0.3)
    assert holds_answer("Do you sell aquariums for goldfish?", found, least=0)
    assert not holds_answer("anything", [], least=0)
