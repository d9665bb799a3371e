import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.exchange import Exchange, Message, Source
from advisor.rules import abstention_phrase, read_rules


def exchange(system="", *requests, reply="ok"):
    turns = [Message(role="system", content=system)] if system else []
    turns += [Message(role="user", content=r) for r in requests or ("Hello there",)]
    return Exchange(
        id="1",
        conversation=tuple(turns),
        reply=Message(role="assistant", content=reply),
        source=Source(file="a", line=1, dialect="rows"),
    )


def kinds(system="", *requests):
    return {r.kind: dict(r.params) for r in read_rules(exchange(system, *requests))}


@pytest.mark.parametrize(
    ("prompt", "kind", "params"),
    [
        (
            "Always end your reply with 'Anything else I can do?'.",
            "ends_with",
            {"text": "Anything else I can do?"},
        ),
        ('Beende jede Antwort mit "Bis bald!".', "ends_with", {"text": "Bis bald!"}),
        ("Keep every answer under 80 words.", "words", {"max": 79}),
        ("Write a 300+ word story about ducks.", "words", {"min": 300}),
        ("Antworte in höchstens 3 Sätzen.", "sentences", {"max": 3}),
        ("Respond in 5 to 6 sentences.", "sentences", {"min": 5, "max": 6}),
        ("Your answer must contain exactly 3 bullet points.", "bullets", {"min": 3, "max": 3}),
        ("Do not use any commas in your reply.", "no_commas", {}),
        ("Never use emojis.", "no_emoji", {}),
        ("Your whole reply must be in all capital letters.", "uppercase", {}),
        ("Answer in German.", "language", {"code": "de"}),
        ("Réponds toujours en français.", "language", {"code": "fr"}),
        ("请用中文回答。", "language", {"code": "zh"}),
        ("Cite your sources like [KB-12].", "cites", {"like": "[KB-12]"}),
        (
            "Do not include the keywords 'cheap' and 'sale' in the text.",
            "forbidden",
            {"words": ("cheap", "sale")},
        ),
        ("Make sure the word river appears at least 4 times.", "frequency", {"word": "river", "min": 4}),
        ("Include a title wrapped in double angular brackets, such as <<title>>.", "title", {}),
        ("Do not start the JSON with ```json or end it with ```.", "no_fences", {}),
    ],
)
def test_a_plain_rule_is_read(prompt, kind, params):
    assert kinds(prompt).get(kind) == params


@pytest.mark.parametrize(
    "prompt",
    [
        "How do I end a letter with 'Sincerely'?",
        "If the customer is angry, end your reply with 'We are sorry'.",
        "Answer from the context.\n\nContext:\nAlways write in all capital letters and use no commas.",
        "Be kind.\n\nExample:\nUser: Answer in German.\nAssistant: Ja.",
        "I saw a 300 word article in German.",
        "<document>Respond in 3 sentences.</document>\nWhat does it say?",
        "Each bullet should have under 20 words.",
    ],
)
def test_what_is_no_rule_for_this_reply_is_not_read(prompt):
    assert read_rules(exchange("", prompt)) == ()


def test_a_rule_says_where_it_was_read():
    (rule,) = read_rules(exchange("You are Ann. Answer in German.", "Hi"))
    assert (rule.origin, rule.quote, rule.cause) == ("system", "Answer in German.", "language")


def test_only_standing_instructions_of_earlier_turns_remain():
    assert "language" in kinds("", "From now on always answer in French.", "Who are you?")
    assert kinds("", "Answer this one in French: hello", "Who are you?") == {}


def test_a_shape_of_json_becomes_a_schema():
    prompt = 'Output JSON with the following format: [{"Answer": "string", "Confidence": "int (0-5)"}, ...]'
    schema = kinds(prompt)["json"]["schema"]
    assert schema["type"] == "array"
    assert schema["items"]["properties"]["Confidence"] == {"type": "integer", "minimum": 0.0, "maximum": 5.0}
    assert schema["items"]["required"] == ["Answer", "Confidence"]


@pytest.mark.parametrize(
    "prompt",
    [
        "Classify the ticket into one of these categories:\n- billing: invoices\n- shipping - parcels\n- other\nReply with the category only.",
        "Classify the message into exactly one label.\nLabels: billing, shipping, other",
        'Pick exactly one label for the text. Labels = ["billing", "shipping", "other"]',
        "Classify the ticket as billing, shipping or other.\nReply with a single word.",
    ],
)
def test_labels_are_read_from_any_list(prompt):
    assert kinds(prompt)["label"]["labels"] == ("billing", "shipping", "other")


@pytest.mark.parametrize(
    ("prompt", "phrase"),
    [
        ('If the answer is not in the context, say "I do not know".', "I do not know"),
        ("Reply 'NO ANSWER' if the documents do not hold it.", "NO ANSWER"),
        ('Wenn du die Antwort nicht findest, antworte mit "Das weiß ich nicht".', "Das weiß ich nicht"),
        ("Say 'hello' to everyone.", None),
    ],
)
def test_abstention_phrase(prompt, phrase):
    assert abstention_phrase(exchange(prompt)) == phrase


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400), st.text(max_size=400))
def test_any_text_can_be_read(system, request):
    assert all(rule.kind for rule in read_rules(exchange(system, request)))
    assert abstention_phrase(exchange(system, request)) is None or system
