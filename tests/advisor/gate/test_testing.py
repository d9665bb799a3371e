"""A tuned model against its base on what was held out: what is judged of a reply, and what the verdict says of some."""

import json

import pytest

from advisor.gate import general
from advisor.gate.testing import Always, Terms, asked, commonest, compare, judged
from finetune.examples import Example
from router.contract.rules import Contract, Rule
from router.models.port import Completion, ModelUnavailable, ToolRequest
from router.models.scripted import Scripted

ORDER = {
    "type": "object",
    "properties": {"order": {"type": "integer"}},
    "required": ["order"],
    "additionalProperties": False,
}
TOOLS = ({"type": "function", "function": {"name": "track", "parameters": ORDER}},)
CLOSING = Contract(rules=(Rule(kind="ends_with", params={"text": "Bye!"}),))


def said(text, n=1, *, system="Be short.", **more):
    messages = ({"role": "system", "content": system}, {"role": "user", "content": f"Question {n}?"}, {"role": "assistant", "content": text})  # fmt: skip
    return Example(messages=messages, group=f"g{n}", origin="file", source=f"e.jsonl:{n}", **more)


def call(order, name="track"):
    return ToolRequest(name=name, arguments=json.dumps({"order": order}))


def calling(n, order):
    made = [{"id": "c", "type": "function", "function": {"name": "track", "arguments": json.dumps({"order": order})}}]  # fmt: skip
    target = {"role": "assistant", "content": None, "tool_calls": made}
    messages = ({"role": "user", "content": f"Where is {order}?"}, target)
    return Example(messages=messages, tools=TOOLS, group=f"g{n}", origin="file", source=f"e.jsonl:{n}")


@pytest.mark.parametrize(
    ("calls", "valid", "right"),
    [
        ([call(7)], True, True),
        ([call(8)], True, False),
        ([call("7")], False, False),
        ([call(7, "find")], False, False),
        ([ToolRequest(name="track", arguments="{")], False, False),
        ([call(7), call(7)], True, False),
        ([], False, False),
    ],
)
def test_a_call_is_valid_by_its_schema_and_right_by_the_example(calls, valid, right):
    found = judged(calling(1, 7), Completion(text="", tool_calls=tuple(calls)), "tools")
    assert found == {"right call": right, "valid call": valid}


def test_no_call_is_due_where_the_example_makes_none():
    example = said("Which order?", tools=TOOLS)
    assert judged(example, Completion(text="Tell me."), "tools") == {"right call": True, "valid call": True}
    made = Completion(text="", tool_calls=(call(7),))
    assert judged(example, made, "tools") == {"right call": False, "valid call": False}


@pytest.mark.parametrize(
    ("reply", "form", "figures"),
    [
        ("It costs 5 euros. Bye!", True, True),
        ("It costs 6 euros. Bye!", True, False),
        ("See SHIP-04. Bye!", True, False),
        ("Question 1 is good.", False, True),
        ("", False, False),
    ],
)
def test_style_is_form_and_no_figure_that_stands_nowhere(reply, form, figures):
    example = said("It costs 5 euros. Bye!")
    found = judged(example, Completion(text=reply), "style", lambda system: CLOSING)
    assert found == {"form kept": form, "figures held": figures}
    assert judged(example, Completion(text=reply), "style")["form kept"] is None


def test_a_reply_that_should_be_a_call_has_no_form():
    assert judged(calling(1, 7), Completion(text="7"), "style", lambda system: CLOSING) == {}


def test_models_are_asked_what_the_example_says_and_alike():
    example = said("x", tools=TOOLS)
    earlier = {"role": "assistant", "content": "Hi.", "weight": 0}
    example = Example(messages=(earlier, *example.messages), tools=TOOLS, group="g", origin="file", source="s")  # fmt: skip
    model = Scripted(outputs=["a"])
    assert [r.text for r in asked(model, [example], max_tokens=9)] == ["a"]
    (got,) = model.asked
    assert list(got.messages) == [{"role": "assistant", "content": "Hi."}, *example.prompt[1:]]
    assert (got.tools, got.max_tokens, got.temperature) == (TOOLS, 9, 0.0)


def compared(n, *, base, tuned, terms, tell=None):
    examples = [said(f"Answer {k}. Bye!", k) for k in range(n)]
    return compare(examples, Scripted(outputs=base), Scripted(outputs=tuned), terms, tell=tell)


def plain(messages):
    return "Well."


def closing(messages):
    return "Well. Bye!"


def test_what_keeps_the_form_and_forgets_nothing_is_better():
    told = []
    tasks = general.sample(30)
    terms = Terms(task="style", contract=lambda system: CLOSING, tasks=tasks, margin=0.2)
    found = compared(20, base=plain, tuned=closing, terms=terms, tell=lambda *t: told.append(t))
    assert found.better and found.decision.verdict == "promote", found.verdict
    assert found.verdict.startswith("promote: 20 of 20 held-out examples are mended")
    assert found.parts["form kept"].p < 1e-5 and found.parts["general abilities"].n == len(tasks)
    assert told[-1] == ("asking the tuned model, general tasks", len(tasks), len(tasks))
    assert json.loads(json.dumps(found.data()))["measures"]["form kept"]["gained"] == 20
    assert "form kept" in str(found) and str(found).endswith(found.verdict)


def test_five_held_out_examples_are_too_few_for_any_verdict():
    found = compared(5, base=plain, tuned=closing, terms=Terms(contract=lambda system: CLOSING))
    assert found.decision.verdict == "not enough evidence" and not found.better
    assert "1 or more further cases are needed" in found.decision.reason


def test_a_model_that_lost_its_general_abilities_is_refused():
    good = {i.ask: str(i.number) for i in general.items() if i.number is not None}
    tasks = tuple(i for i in general.items() if i.ask in good)[:40]

    def able(messages):
        return good.get(messages[-1]["content"], "Well.")

    terms = Terms(contract=lambda system: CLOSING, tasks=tasks)
    found = compared(20, base=able, tuned=closing, terms=terms)
    assert found.decision.verdict == "refuse" and not found.better
    assert "40 of 40 general abilities are broken" in found.decision.reason


def test_a_model_that_learnt_to_invent_is_refused():
    def inventing(messages):
        return "It costs 99 euros. Bye!"

    found = compared(20, base=plain, tuned=inventing, terms=Terms(contract=lambda system: CLOSING))
    assert found.decision.verdict == "refuse"
    assert "20 of 20 replies without new figures are broken" in found.decision.reason


def test_a_model_that_is_worse_is_refused_and_what_it_lost_is_named():
    found = compared(20, base=closing, tuned=plain, terms=Terms(contract=lambda system: CLOSING))
    assert found.verdict == "refuse: held-out examples get worse: 20 of 20 held-out cases are lost, 0 gained"
    assert "lost: e.jsonl:0, e.jsonl:1" in str(found)


def test_without_a_contract_form_is_not_judged_and_that_is_said():
    found = compared(20, base=plain, tuned=closing, terms=Terms())
    assert found.decision.verdict == "not enough evidence"
    assert found.notes[0].startswith("form was not judged: neither the settings")


def test_no_answer_is_left_out_and_said():
    outputs = [ModelUnavailable("busy"), *["Well. Bye!"] * 19]
    found = compared(20, base=plain, tuned=outputs, terms=Terms(contract=lambda system: CLOSING))
    assert found.parts["form kept"].n == 19 and found.better
    assert found.notes == ("1 of 20 examples got no answer from one of the two and are left out",)


def test_labels_are_held_to_the_examples_and_to_macro_f1():
    examples = [said("", n, label="card" if n < 15 else "parcel") for n in range(20)]

    def knows(messages):
        return "Card." if int(messages[-1]["content"].split()[1][:-1]) < 15 else "parcel"

    base = Always(commonest(examples))
    found = compare(examples, base, Scripted(outputs=knows), Terms(task="classification"))
    assert found.macro_f1 == pytest.approx((0.5 * 30 / 35, 1.0))
    assert (found.parts["right label"].before.value, found.parts["right label"].after.value) == (0.75, 1.0)
    assert found.decision.verdict == "not enough evidence"  # five gained may be chance
    chatty = compare(examples, base, Scripted(outputs=plain), Terms(task="classification"))
    assert chatty.macro_f1[1] == 0.0 and chatty.decision.verdict == "refuse"


def test_a_right_label_may_stand_in_the_reply_only():
    assert judged(said("Parcel"), Completion(text="parcel"), "classification") == {"right label": True}
    assert commonest([]) == "" and commonest([said("b"), said("a")]) == "a"


def test_what_cannot_be_told_apart_by_conversation_counts_once():
    examples = [said("Well. Bye!", 1) for _ in range(20)]
    found = compare(examples, Scripted(outputs=plain), Scripted(outputs=closing), Terms(contract=lambda s: CLOSING))  # fmt: skip
    assert found.decision.verdict == "not enough evidence", "twenty examples of one conversation are one"
