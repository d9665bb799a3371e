"""Cleaning: personal data out, repetitions out, and nothing else."""

import json
from dataclasses import replace

from made_examples import example

from finetune.cleaning import cleaned, masked
from finetune.examples import Example

INSTRUCTION = "Below is a ticket. Write what a friendly person would answer to it, in two sentences. " * 6


def asked(n, said, origin="approved", told="Yes."):
    return Example(
        messages=({"role": "user", "content": said}, {"role": "assistant", "content": told}), group=f"g{n}", origin=origin, source=f"log:{n}"
    )  # fmt: skip


def called(arguments):
    calls = [{"id": "c", "type": "function", "function": {"name": "pay", "arguments": arguments}}]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def test_what_many_were_asked_with_makes_no_repetition():
    things = ["boots", "tents", "lamps", "ropes", "stoves", "maps", "socks", "packs", "mats", "mugs"]
    do = ["wash", "return", "repair", "exchange", "insure"]
    said = [f"{INSTRUCTION}\n### Input: May I {d} {t}?\n### Answer:" for d in do for t in things]
    assert len(cleaned(asked(n, s) for n, s in enumerate(said))) == 50


def test_replies_that_differ_behind_a_long_beginning_are_all_kept():
    ends = [" ".join(f"{chr(97 + n % 26)}{m * 7919 % 26 + n}x{chr(97 + m % 26)}{n // 26}" for m in range(200)) for n in range(40)]  # fmt: skip
    found = [asked(n, f"What is said of item {n}?", told=INSTRUCTION + end) for n, end in enumerate(ends)]
    assert len(cleaned(found)) == 40
    assert len(cleaned(replace(e, messages=(e.messages[0], {**e.target, "content": f"{INSTRUCTION} {n}"})) for n, e in enumerate(found))) == 12  # fmt: skip


def test_an_operators_own_are_kept_as_they_are_each_once():
    own = [asked(n, f"Where is order SH-{n}?", "file") for n in range(40)]
    pair = replace(own[0], rejected={"role": "assistant", "content": "No."})
    assert cleaned([*own, pair, *own]) == [*own, pair]
    assert cleaned([replace(own[0], origin="approved"), *own])[1:] == own[1:], "of a log's, not again"


def test_masking_leaves_arguments_json_and_the_rest_as_it_was():
    given = {"to": "ana@example.org", "cards": [4111111111111111, "no"], "count": 2, "now": True, "at": None}
    e = replace(example(1), messages=(*example(1).prompt, called(json.dumps(given))))
    (made,) = cleaned([e])
    said = json.loads(made.target["tool_calls"][0]["function"]["arguments"])
    assert said == {**given, "to": "[e-mail]", "cards": ["[card]", "no"]}
    plain = replace(e, messages=(*e.prompt, called('{ "count":2 }')))
    assert masked(plain) == plain
    broken = replace(e, rejected=called("{ana@example.org"))
    assert masked(broken).rejected == called("{[e-mail]")
    assert cleaned([e], mask=False) == [e]


def test_parts_that_are_no_text_stay():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,+49301234567"}}
    parts = [{"type": "text", "text": "I am ana@example.org"}, image]
    e = replace(example(1), messages=({"role": "user", "content": parts}, example(1).target))
    assert masked(e).messages[0]["content"] == [{"type": "text", "text": "I am [e-mail]"}, image]
