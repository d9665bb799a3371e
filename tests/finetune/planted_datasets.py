"""Datasets with one planted fault each, and good ones: name, code that must be found, dataset, recipe."""

import random

from finetune.datasets import Dataset
from finetune.examples import Example
from finetune.recipe import Recipe

MINI = Recipe(base="openai:gpt-4.1-mini-2025-04-14")
PAIRS = Recipe(base="openai:gpt-4.1-mini", objective="dpo")
NOVA = Recipe(base="bedrock:amazon.nova-micro-v1:0:128k")
NOVA2 = Recipe(base="bedrock:nova-2-lite")
LLAMA = Recipe(base="bedrock:llama-3.1-8b")
RFT = Recipe(base="mantle:openai.gpt-oss-20b", objective="rft", extra={"grader": {"type": "lambda", "lambda": {"function": "arn:aws:lambda:us-west-2:1:function:g"}}})  # fmt: skip
WORDS = (
    "refund parcel invoice password hours voucher return size colour repair delivery complaint garden kitchen winter river signal "
    "copper yellow engine carpet window market ticket bridge candle doctor forest guitar hammer island jacket ladder mirror needle "
    "orange pencil rocket saddle tunnel velvet walnut basket cactus desert falcon goblet helmet"
).split()
FIND = {"type": "function", "function": {"name": "find_order", "parameters": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}}}  # fmt: skip


def say(role, content, **more):
    return {"role": role, "content": content, **more}


def made(n, *messages, part="train", **more):
    """One example; without messages, a plain question about a topic and its answer."""
    chosen = random.Random(n).sample(WORDS, 12)
    plain = (say("user", f"{' '.join(chosen[:5])}?"), say("assistant", f"{' '.join(chosen[5:])}, {n}."))
    rest = {"group": f"{part}-{n}", "origin": "file", "source": f"{part}.jsonl:{n}", **more}
    return Example(messages=messages or plain, **rest)


def good(count=40, **more):
    return [made(n, **more) for n in range(count)]


def with_one(*messages, count=40, **more):
    return Dataset(train=(*good(count), made(count, *messages, **more)))


def call(name="find_order", arguments='{"id": "A1"}', **more):
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def called(*calls, tools=(FIND,), answer=True, last=True):
    messages = [say("user", "Where is A1?"), say("assistant", None, tool_calls=list(calls))]
    messages += [say("tool", "on its way", tool_call_id="c1")] if answer else []
    messages += [say("assistant", "On its way.")] if last else []
    return Dataset(train=(*good(), made(40, *messages, tools=tuple(tools))))


def pairs(rejected="Go away.", count=40):
    given = lambda n: None if rejected is None and n == 3 else say("assistant", rejected or "Go away.")  # noqa: E731
    return Dataset(train=tuple(made(n, rejected=given(n)) for n in range(count)))


USER, ANSWER = say("user", "When?"), say("assistant", "On Monday.")

PLANTED = [
    ("nothing to train on", "empty", Dataset(train=()), MINI),
    ("seven examples", "too_few", Dataset(train=tuple(good(7))), MINI),
    ("too few for Llama", "too_few", Dataset(train=tuple(good(99))), LLAMA),
    ("too many for Nova", "too_many", Dataset(train=tuple(good(20_001))), NOVA),
    ("an unknown role", "role", with_one(USER, say("customer", "Hi"), ANSWER), MINI),
    ("ends with the user", "no_target", with_one(USER, ANSWER, say("user", "And then?")), MINI),
    ("no messages", "no_messages", with_one(made(0).messages[0], ANSWER, group="x"), MINI),
    ("an empty answer", "empty_message", with_one(USER, say("assistant", "  ")), MINI),
    ("no content", "no_content", with_one(say("user", None), ANSWER), MINI),
    ("content that is a number", "no_content", with_one(say("user", 7), ANSWER), MINI),
    ("an image", "not_text", with_one(say("user", [{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "?"}]), ANSWER), MINI),
    ("a key no provider knows", "unknown_key", with_one(say("user", "Hi", mood="sad"), ANSWER), MINI),
    ("a weight of 2", "weight", with_one(USER, say("assistant", "On Monday.", weight=2)), MINI),
    ("a weight on the user", "weight", with_one(say("user", "When?", weight=0), ANSWER), MINI),
    ("a weight where there are none", "weight", with_one(USER, say("assistant", "Soon.", weight=0), say("user", "Exactly?"), ANSWER), NOVA),
    ("nothing learnt", "nothing_learnt", with_one(USER, say("assistant", "On Monday.", weight=0)), MINI),
    ("nobody asks", "no_question", with_one(say("system", "Be kind."), ANSWER), MINI),
    ("two users in a row", "not_alternating", with_one(USER, USER, ANSWER), NOVA),
    ("the assistant begins", "first_not_user", with_one(ANSWER, USER, ANSWER), NOVA),
    ("a late system message", "system_place", with_one(USER, say("system", "Be kind."), ANSWER), NOVA),
    ("two system messages", "system_twice", with_one(say("system", "A."), say("system", "B."), USER, ANSWER), NOVA),
    ("a long conversation for Llama 3.1", "too_many_turns", with_one(USER, ANSWER, USER, ANSWER, count=120), LLAMA),
    ("a tool nobody offered", "unknown_tool", called(call(name="cancel_order")), MINI),
    ("arguments that are not JSON", "call_arguments", called(call(arguments="{id: A1")), MINI),
    ("arguments against the schema", "call_arguments", called(call(arguments='{"id": 5}')), MINI),
    ("a call without an id", "call_shape", called({k: v for k, v in call().items() if k != "id"}, answer=False, last=False), MINI),
    ("a call without an answer", "unanswered_call", called(call(), answer=False), MINI),
    ("an answer without a call", "answer_to_nothing", with_one(USER, say("tool", "x", tool_call_id="c9"), ANSWER), MINI),
    ("the same tool twice", "tool_twice", called(call(), tools=(FIND, FIND)), MINI),
    ("a tool with a bad name", "tool_name", called(call(), tools=(FIND, {"type": "function", "function": {"name": "not a name!"}})), MINI),
    ("a tool with a broken schema", "tool_schema", called(call(), tools=(FIND, {"type": "function", "function": {"name": "f", "parameters": {"type": "objct"}}})), MINI),
    ("tools for Nova 2", "no_tools", called(call()), NOVA2),
    ("no rejected reply", "no_pair", pairs(None), PAIRS),
    ("a rejected reply of the user", "pair_shape", Dataset(train=tuple(made(n, rejected=say("user", "Go.")) for n in range(20))), PAIRS),
    ("a pair of the same", "same_pair", Dataset(train=(*pairs().train, made(90, rejected=made(90).messages[-1]))), PAIRS),
    ("longer than the model takes", "too_long", with_one(say("user", "word " * 66_000), ANSWER), MINI),
    ("a reserved word", "reserved_word", with_one(say("user", "User: when?"), ANSWER), NOVA),
    ("an e-mail address", "personal_data", with_one(say("user", "I am jane.doe@example.org"), ANSWER), MINI),
    ("a card number", "personal_data", with_one(say("user", "My card is 4111 1111 1111 1111."), ANSWER), MINI),
    ("a bank account", "personal_data", with_one(say("user", "Pay to DE89 3704 0044 0532 0130 00."), ANSWER), MINI),
    ("a key", "secret", with_one(say("user", "Use sk-proj-Ab3dEf6hIj9kLm2nOp5q"), ANSWER), MINI),
    ("what moderation stops", "moderation", with_one(say("user", "Tell me how to make a pipe bomb"), ANSWER), MINI),
    ("half a character", "characters", with_one(say("user", "ok \ud83d"), ANSWER), MINI),
    ("control characters", "characters", with_one(say("user", "ok \x00"), ANSWER), MINI),
    ("a lost character", "broken_characters", with_one(say("user", "caf\ufffd?"), ANSWER), MINI),
    ("examples to the letter", "duplicate", Dataset(train=(*good(), made(3, group="other", source="b:1"))), MINI),
    ("nearly the same", "near_duplicate", Dataset(train=tuple(made(n, say("user", f"Please tell me where my parcel number {n} is right now?"), say("assistant", f"Parcel {n} is in transit, number {n}.")) for n in range(30))), MINI),
    ("one question, two answers", "contradiction", with_one(made(3).messages[0], say("assistant", "No idea.")), MINI),
    ("one answer to everything", "one_answer", Dataset(train=tuple(made(n, made(n).messages[0], say("assistant", "I do not know.")) for n in range(30))), MINI),
    ("no pair here", "no_pair", Dataset(train=tuple(good())), Recipe(base="local:smollm2", objective="dpo")),
    ("an example on both sides", "leak", Dataset(train=tuple(good()), validation=(made(3, group="v", source="v:1"),)), MINI),
    ("a conversation on both sides", "group_leak", Dataset(train=tuple(good()), held_out=(made(99, group="train-3", source="h:1"),)), MINI),
    ("a question on both sides", "question_leak", Dataset(train=tuple(good()), held_out=(made(0, made(3).messages[0], say("assistant", "Other."), group="h", source="h:1"),)), MINI),
    ("one author", "one_author", Dataset(train=tuple(good(author="u1"))), MINI),
    ("a validation set that is ignored", "validation_ignored", Dataset(train=tuple(good()), validation=tuple(made(n, part="v") for n in range(90, 95))), NOVA2),
]  # fmt: skip

RECIPES = [
    ("99 epochs", "setting", Recipe(base=MINI.base, epochs=99)),
    ("half an epoch", "setting", Recipe(base=MINI.base, epochs=1.5)),
    ("six epochs of Nova", "setting", Recipe(base=NOVA.base, epochs=6)),
    ("a rate too high", "setting", Recipe(base=NOVA.base, learning_rate=0.1)),
    ("a batch Nova does not know", "no_setting", Recipe(base=NOVA.base, batch_size=8)),
    ("a rank", "no_setting", Recipe(base=MINI.base, rank=8)),
    ("a setting nobody knows", "unknown_setting", Recipe(base=MINI.base, extra={"bata": 0.1})),
    ("a setting nobody knows here", "unknown_setting", Recipe(base="local:smollm2", extra={"procesess": 4})),
    ("a suffix with a blank", "suffix", Recipe(base=MINI.base, suffix="my bot")),
    ("reinforcement without a grader", "grader", Recipe(base=RFT.base, objective="rft")),
    ("a grader for nothing", "grader", Recipe(base=MINI.base, extra={"grader": {"type": "lambda"}})),
    ("a model nobody knows", "unknown_model", Recipe(base="openai:gpt-9")),
    ("pairs for Nova", "no_method", Recipe(base=NOVA.base, objective="dpo")),
    ("a model that is closed", "closed", Recipe(base="bedrock:claude-3-haiku")),
    ("a model without a price", "price_unknown", LLAMA),
    ("a model that ends soon", "ends_soon", MINI),
]

GOOD = [
    ("plain", Dataset(train=tuple(good())), MINI),
    ("validated", Dataset(train=tuple(good()), validation=tuple(made(n, part="v") for n in range(90, 95))), MINI),
    ("tools", Dataset(train=(*good(), *called(call()).train[40:])), MINI),
    ("a call is the answer", called(call(), answer=False, last=False), MINI),
    ("weights", with_one(USER, say("assistant", "Soon.", weight=0), say("user", "Exactly?"), ANSWER), MINI),
    ("pairs", pairs(), PAIRS),
    ("Nova", Dataset(train=tuple(good())), NOVA),
    ("Nova 2", Dataset(train=tuple(good())), NOVA2),
    ("a system prompt", with_one(say("system", "Be kind."), USER, ANSWER), NOVA),
    ("order numbers and prices", with_one(say("user", "Order 4711-0815 of 3 May cost 1,234.56 euros"), ANSWER), MINI),
    ("sad, not harmful", with_one(say("user", "My battery died and the heat is killing me"), ANSWER), MINI),
    ("labels", Dataset(train=tuple(made(n, made(n).messages[0], say("assistant", "billing" if n % 3 else "other"), label="billing") for n in range(40))), MINI),
]  # fmt: skip
