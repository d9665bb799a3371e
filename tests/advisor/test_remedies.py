import dataclasses
import os
import random
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from advisor.grouping import group
from advisor.issues import Broken, Member
from advisor.plan import Facts
from advisor.planfile import from_json, to_json
from advisor.proof import Proof, Rung
from advisor.remedies import plan
from advisor.remedies.training import choose
from finetune.catalog import rows

FACTS = Facts(
    exchanges=1000, failures=60, undetermined=0, good=900, calibrated=False, documents=20, served=0.9, labelled=0, models={"llama-3-8b": 1000},
    tokens=400.0, days=7.0, today="2026-11-23",
)  # fmt: skip


def issues(count=30, **fields):
    fields = {"gaps": ("knowledge",), "cause": "missing_content", "confidence": 0.8, "signature": ()} | fields
    members = [
        Member(
            id=f"{i:016x}",
            question=f"question {i} canada",
            reply=f"{chr(97 + i % 26) * 3} reply {i}",
            **fields,
        )
        for i in range(count)
    ]
    return group(
        [dataclasses.replace(m, question=f"{chr(97 + i % 26) * 4} canada") for i, m in enumerate(members)],
        total=1000,
        clock={},
    )


def kinds(found, facts=FACTS):
    return [(r.kind, r.blocked) for r in plan(found, facts).remedies]


SYSTEM = Broken(rule="ends_with(text=Bye)", origin="system", words="End with Bye")
DECLARED = dataclasses.replace(SYSTEM, origin="declared")

TABLE = [
    # cause, further fields, first remedy, must be in its action
    ({"cause": "missing_content"}, "UpdateIndex", "Write the page"),
    ({"cause": "stale_content"}, "UpdateIndex", "Correct the page"),
    ({"cause": "retrieval_miss"}, "UpdateIndex", "Index again"),
    ({"cause": "context_unused"}, "ChangePrompt", "only from the passages"),
    ({"cause": "unanswerable"}, "ChangePrompt", "when to decline"),
    ({"gaps": ("style",), "cause": "format", "signature": ("json.parse",)}, "ChangePrompt", "strict JSON"),
    ({"gaps": ("style",), "cause": "required_element", "broken": (DECLARED,)}, "ChangePrompt", "Append the rule"),
    ({"gaps": ("style",), "cause": "required_element", "broken": (SYSTEM,)}, "ChangePrompt", "Move the broken rules"),
    ({"gaps": ("style",), "cause": "drift", "broken": (SYSTEM,)}, "ChangePrompt", "Repeat the rule"),
    ({"gaps": ("style",), "cause": "length", "signature": ("length.verbose",)}, "ChangePrompt", "short answers"),
    ({"gaps": ("tool_call",), "cause": "schema_violation"}, "ChangePrompt", "strict tool calls"),
    ({"gaps": ("tool_call",), "cause": "wrong_tool"}, "ChangePrompt", "tool descriptions"),
    ({"gaps": ("classification",), "cause": "misrouted"}, "ChangePrompt", "each label"),
    ({"gaps": ("classification",), "cause": "misrouted", "signature": ("label.not_allowed",)}, "ChangePrompt", "enumeration"),
    ({"gaps": (), "cause": None}, "NotEnoughEvidence", "label some"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "kind", "action"), TABLE)
def test_the_cheapest_remedy_comes_first(fields, kind, action):
    first = plan(issues(**fields), FACTS).remedies[0]
    assert first.kind == kind
    assert action in first.action
    assert first.why and first.why_not_next
    assert first.gain.failures == 30


def test_training_is_never_proposed_for_knowledge():
    for cause in ("missing_content", "retrieval_miss", "context_unused", "stale_content", None):
        assert "FineTune" not in [k for k, _ in kinds(issues(cause=cause))]


def test_training_for_form_waits_for_the_prompt_and_comes_last():
    found = plan(issues(gaps=("style",), cause="tone", signature=()), FACTS)
    assert [r.kind for r in found.remedies] == ["ChangePrompt", "FineTune"]
    assert found.remedies[1].blocked
    assert any("tried first" in need for need in found.remedies[1].needs)


def test_training_is_not_proposed_where_a_setting_mends_it_or_failures_are_few():
    assert [k for k, _ in kinds(issues(gaps=("style",), cause="format", signature=("json.schema",)))] == [
        "ChangePrompt"
    ]
    assert [k for k, _ in kinds(issues(count=10, gaps=("style",), cause="tone"))] == ["ChangePrompt"]


def test_small_issues_of_one_form_are_enough_together():
    (few,) = issues(count=8, gaps=("tool_call",), cause="missing_call")
    many = [dataclasses.replace(few, id=f"i{n}") for n in range(3)]
    (training,) = (r for r in plan(many, FACTS).remedies if r.kind == "FineTune")
    assert training.gain.failures == 24 and training.issues == ("i0", "i1", "i2")
    assert ("FineTune", True) not in kinds(many[:2])
    # What a setting mends, or less was shown to mend, is no reason to train.
    shown = Proof(gap="tool_call", rungs=(), named="rule", settled=True, subject="bot", stand_in=False)
    (one, two, three) = many
    assert ("FineTune", True) not in kinds([one, two, dataclasses.replace(three, proofs=(shown,))])
    broken = issues(count=30, gaps=("style",), signature=("json.schema",))
    assert not any(
        kind == "FineTune" for kind, _ in kinds([*broken, *issues(count=8, gaps=("style",), cause="tone")])
    )


def test_too_few_examples_are_named_with_their_number():
    few = dataclasses.replace(FACTS, good=12)
    training = plan(issues(gaps=("style",), cause="tone"), few).remedies[-1]
    assert any("50 good examples (12" in need for need in training.needs)
    own = dataclasses.replace(few, examples=38)
    training = plan(issues(gaps=("style",), cause="tone"), own).remedies[-1]
    assert not any("good examples" in need for need in training.needs)


def test_both_gaps_get_both_remedies():
    both = issues(gaps=("knowledge", "style"), cause="missing_content", broken=(SYSTEM,))
    assert {r.kind for r in plan(both, FACTS).remedies} == {"UpdateIndex", "ChangePrompt", "FineTune"}


def test_a_small_classifier_needs_labelled_texts():
    found = issues(gaps=("classification",), cause="misrouted")
    assert ("FineTune", True) in kinds(found)
    assert ("FineTune", False) in kinds(found, dataclasses.replace(FACTS, labelled=40))


def test_without_documents_the_cause_of_a_knowledge_gap_is_not_guessed():
    first = plan(issues(cause=None), dataclasses.replace(FACTS, documents=None)).remedies[0]
    assert (first.kind, first.action) == ("NotEnoughEvidence", "Run again with your pages (--documents)")


def test_a_form_failure_seen_once_is_not_enough():
    assert kinds(issues(count=1, gaps=("style",), cause="tone")) == [("NotEnoughEvidence", False)]


def test_no_issues_mean_leave_it_alone_and_no_log_means_nothing_is_known():
    assert kinds(()) == [("Nothing", False)]
    assert kinds((), dataclasses.replace(FACTS, exchanges=0)) == [("NotEnoughEvidence", False)]


def test_one_change_that_serves_several_issues_is_one_remedy():
    other = Broken(rule="cites(like=[1])", origin="system", words="Cite the source")
    found = [
        *issues(gaps=("style",), cause="required_element", broken=(SYSTEM,)),
        *issues(gaps=("style",), cause="required_element", broken=(other,)),
    ]
    prompt = next(r for r in plan(found, FACTS).remedies if r.kind == "ChangePrompt")
    assert len(prompt.issues) == 2
    assert prompt.details["move_to_end"] == ["Cite the source", "End with Bye"] or prompt.details[
        "move_to_end"
    ] == ["End with Bye", "Cite the source"]
    assert prompt.gain.failures == 60


@pytest.mark.parametrize(
    ("model", "today", "provider", "said"),
    [
        ("gpt-4.1-mini-2025-04-14", "2026-11-23", "local", "switched off on 2027-01-14, in 52 days"),
        ("gpt-4.1-mini-2025-04-14", "2027-02-01", "local", "switched off since 2027-01-14"),
        ("gpt-4.1-nano-2025-04-14", "2026-11-23", "local", "switched off since 2026-10-23"),
        ("amazon.nova-2-lite-v1", "2026-11-23", "bedrock", ""),
        ("my-own-llama", "2026-11-23", "local", ""),
    ],
)
def test_a_provider_that_will_not_serve_the_model_is_passed_over_with_its_date(model, today, provider, said):
    row, refusals = choose(dataclasses.replace(FACTS, models={model: 5}, today=today), rows())
    assert row.provider == provider
    assert row.open_on(date.fromisoformat(today))
    assert said in "; ".join(refusals)


def test_the_price_is_computed_from_tokens_and_dated():
    facts = dataclasses.replace(FACTS, models={"amazon.nova-2-lite-v1:0": 9}, good=100)
    price = plan(issues(gaps=("style",), cause="tone"), facts).remedies[-1].price
    # 100 examples x 400 tokens x 3 epochs = 120,000 tokens at $3.78 a million = $0.4536; and $1.95 a month.
    assert price.low == pytest.approx(0.8 * 0.4536, abs=0.01)
    assert price.high == pytest.approx(1.3 * 0.4536 + 1.95, abs=0.01)
    assert price.cap >= price.high
    assert "2026-11-23" in price.basis and "120,000 tokens" in price.basis


def test_the_same_issues_in_any_order_give_the_same_plan():
    found = [i for fields, _, _ in TABLE for i in issues(count=5, **fields)]
    shuffled = list(found)
    random.Random(3).shuffle(shuffled)
    assert plan(found, FACTS) == plan(shuffled, FACTS)


def test_failures_too_rare_to_act_on_wait_and_say_for_how_many():
    (waits,) = plan(issues(count=2, gaps=("style",), cause="tone"), FACTS).remedies
    assert waits.kind == "NotEnoughEvidence"
    assert "1 more like: Replies have the wrong tone" in waits.needs[0]
    assert "0.05% to 0.73%" in waits.why  # Wilson, 2 of 1,000


def test_rare_failures_that_a_remedy_for_others_mends_do_not_wait():
    other = Broken(rule="cites(like=[1])", origin="system", words="Cite the source")
    rare = issues(count=1, gaps=("style",), cause="required_element", broken=(other,))
    found = plan(
        [*issues(gaps=("style",), cause="required_element", broken=(SYSTEM,)), *rare], FACTS
    ).remedies
    assert "NotEnoughEvidence" not in {r.kind for r in found}
    assert set(found[0].issues) >= {rare[0].id}


def test_remedies_of_failures_with_two_gaps_name_each_other():
    both = issues(gaps=("knowledge", "style"), cause="missing_content", broken=(SYSTEM,))
    by_kind = {r.kind: r for r in plan(both, FACTS).remedies}
    index, prompt = by_kind["UpdateIndex"], by_kind["ChangePrompt"]
    assert index.details["together_with"] == [prompt.id]
    assert prompt.details["together_with"] == [index.id]
    assert "only together with: Move the broken rules" in index.why
    assert "together_with" not in plan(issues(), FACTS).remedies[0].details


def test_the_knowledge_half_of_a_double_failure_is_told_by_its_checks():
    fields = {"gaps": ("style", "knowledge"), "cause": "required_element", "broken": (SYSTEM,)}
    missed = plan(issues(signature=("knowledge.better_document",), **fields), FACTS).remedies
    assert "Index again" in " ".join(r.action for r in missed)
    unclear = plan(issues(signature=(), **fields), FACTS).remedies
    assert "not found, or not used?" in next(r.action for r in unclear if r.kind == "NotEnoughEvidence")


def test_pages_for_single_questions_are_one_remedy():
    members = [
        Member(
            id=f"{i:016x}",
            gaps=("knowledge",),
            cause="missing_content",
            confidence=0.8,
            signature=(),
            question=w,
        )
        for i, w in enumerate("abc")
    ]
    (pages,) = plan(group(members, total=100, clock={}), FACTS).remedies
    assert pages.action == "Write pages for single questions and put them in the index"
    assert pages.details["questions"] == ["a", "b", "c"]


def test_where_nobody_trains_the_model_training_is_blocked_with_the_reason():
    training = plan(issues(gaps=("style",), cause="tone"), FACTS, catalog=()).remedies[-1]
    assert (training.kind, training.blocked) == ("FineTune", True)
    assert any("a provider that trains and serves the model" in need for need in training.needs)


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("claude-haiku-4-5", True),
        ("openai/gpt-5-mini", True),
        ("gpt-oss-20b", False),
        ("llama-3-8b", False),
        ("", False),
    ],
)
def test_a_model_whose_weights_are_closed_needs_a_stand_in(model, asked):
    training = plan(
        issues(gaps=("style",), cause="tone"), dataclasses.replace(FACTS, models={model: 9})
    ).remedies[-1]
    assert training.details["provider"] == "local"
    assert any("in place of" in need for need in training.needs) is asked


def test_a_plan_of_every_kind_of_issue_comes_back_from_its_file():
    found = [i for fields, _, _ in TABLE for i in issues(count=5, **fields)]
    made = plan(found, FACTS)
    assert from_json(to_json(made)) == made


def test_the_plan_is_the_same_in_every_process():
    code = (
        "from tests.advisor.test_remedies import FACTS, TABLE, issues, plan\n"
        "print(plan([i for fields, _, _ in TABLE for i in issues(count=5, **fields)], FACTS).hash)"
    )
    root = Path(__file__).parents[2]
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "12"
    }
    assert len(hashes) == 1


def test_what_came_of_remedies_here_moves_the_expectation():
    found = issues(gaps=("style",), cause="required_element", broken=(DECLARED,))
    before = plan(found, FACTS).remedies[0]
    after = plan(found, dataclasses.replace(FACTS, learned={"ChangePrompt": (0, 40)})).remedies[0]
    assert after.kind == before.kind == "ChangePrompt"
    assert after.gain.high < before.gain.high
    assert "0 of 40 held-out failures mended" in after.gain.basis


def rung(name, *, turned=9, verdict="yes"):
    return Rung(
        name=name,
        asked=10,
        turned=turned,
        low={"yes": 0.6, "open": 0.3, "no": 0.0}[verdict],
        high={"yes": 0.98, "open": 0.96, "no": 0.3}[verdict],
        verdict=verdict,
    )


def proved(gap, named, *, settled=True, cause="missing_content", gaps=None, **fields):
    rungs = (
        rung("unchanged", turned=0, verdict="no"),
        *((rung(named),) if named else (rung("rule", turned=0, verdict="no" if settled else "open"),)),
    )
    proof = Proof(gap=gap, rungs=rungs, named=named, settled=settled, subject="local:x", stand_in=True)
    return [
        dataclasses.replace(i, proofs=(proof,)) for i in issues(gaps=gaps or (gap,), cause=cause, **fields)
    ]


PROVED = [
    ("knowledge", "oracle", {}, "UpdateIndex"),
    ("knowledge", "retrieval", {"cause": "retrieval_miss"}, "UpdateIndex"),
    ("knowledge", "rule", {"cause": "context_unused"}, "ChangePrompt"),
    ("knowledge", None, {}, "NotEnoughEvidence"),
    ("style", "settings", {"cause": "required_element", "broken": (DECLARED,)}, "ChangePrompt"),
    ("style", "rule", {"cause": "required_element", "broken": (DECLARED,)}, "ChangePrompt"),
    ("style", "exemplars", {"cause": "tone"}, "ChangePrompt"),
    ("style", None, {"cause": "required_element", "broken": (DECLARED,)}, "FineTune"),
    ("style", "unchanged", {"cause": "tone"}, "NotEnoughEvidence"),
    ("tool_call", "settings", {"cause": "schema_violation"}, "ChangePrompt"),
    ("classification", None, {"cause": "misrouted"}, "FineTune"),
]


@pytest.mark.parametrize(("gap", "named", "fields", "kind"), PROVED)
def test_the_rung_that_turned_it_is_the_remedy_and_no_other(gap, named, fields, kind):
    found = plan(proved(gap, named, **fields), FACTS)
    assert [r.kind for r in found.remedies] == [kind]
    assert "Asked was local:x, not the bot of the log" in found.remedies[0].why
    assert from_json(to_json(found)) == found
    if named not in (None, "unchanged"):
        assert (found.remedies[0].gain.low, found.remedies[0].gain.high) == (0.6, 0.98)
        assert "9 of 10 failures turned" in found.remedies[0].gain.basis


def test_a_classifier_is_tried_beside_a_prompt_that_turns_only_some_labels():
    found = proved("classification", "exemplars", cause="misrouted")
    labelled = dataclasses.replace(FACTS, labelled=40)
    assert kinds(found, labelled) == [("ChangePrompt", False), ("FineTune", False)]
    assert "exemplars turned 9 of 10" in plan(found, labelled).remedies[1].why
    assert kinds(found) == [("ChangePrompt", False)]  # nothing to train it on
    still_open = proved("classification", None, settled=False, cause="misrouted")
    assert kinds(still_open, labelled) == [("ChangePrompt", False), ("FineTune", False)]
    assert kinds(still_open) == [("ChangePrompt", False)]


@pytest.mark.parametrize(("high", "short"), [(0.94, True), (0.96, False)])
def test_training_is_tried_beside_a_prompt_that_surely_leaves_failures(high, short):
    """Which is as good the gate says; where the prompt may mend all, training waits."""
    (found,) = proved("style", None, settled=False, cause="required_element", broken=(DECLARED,))
    some = dataclasses.replace(rung("exemplars", turned=5, verdict="open"), high=high)
    (proof,) = found.proofs
    (half,) = [
        dataclasses.replace(found, proofs=(dataclasses.replace(proof, rungs=(*proof.rungs[:1], some)),))
    ]
    made = plan([half], FACTS)
    wanted = [("ChangePrompt", False), ("FineTune", False)] if short else [("ChangePrompt", False)]
    assert [(r.kind, r.blocked) for r in made.remedies] == wanted
    assert ("turns nearly all, and how many is open" in made.remedies[0].why) is short
    named = dataclasses.replace(half.proofs[0], named="exemplars", settled=True)
    assert kinds([dataclasses.replace(half, proofs=(named,))]) == wanted
    few = dataclasses.replace(FACTS, good=0)
    assert kinds([half], few) == [(kind, kind == "FineTune") for kind, _ in wanted]
    assert half.proofs[0].short is short and not dataclasses.replace(named, named="unchanged").short
    # What other issues of the bot showed of the same change counts with it.
    like = dataclasses.replace(named, pooled=dataclasses.replace(some, asked=90, turned=89, high=0.99))
    assert kinds([dataclasses.replace(half, proofs=(like,))]) == [("ChangePrompt", False)]


@pytest.mark.parametrize("probed", [(), ("style", "exemplars"), ("style", None)], ids=str)
def test_what_is_dearer_is_due_once_the_gate_refused_a_prompt(probed):
    """Whether nothing was probed, the probes name the prompt, or they leave it open."""
    fields = {"cause": "required_element", "broken": (DECLARED,)}
    found = (
        proved(*probed, settled=probed[1] is not None, **fields)
        if probed
        else issues(gaps=("style",), **fields)
    )
    assert ("FineTune", False) not in kinds(found)
    refused = dataclasses.replace(FACTS, refused=tuple(i.id for i in found))
    assert kinds(found, refused)[0][0] == "ChangePrompt"
    assert ("FineTune", False) in kinds(found, refused)
    assert ("FineTune", False) not in kinds(found, dataclasses.replace(FACTS, refused=("another",)))


def test_training_no_longer_waits_once_the_prompt_was_shown_not_to_hold():
    found = proved("style", None, cause="required_element", broken=(DECLARED,))
    (remedy,) = plan(found, FACTS).remedies
    assert not remedy.blocked
    assert remedy.needs == ()


def test_an_issue_whose_gaps_ask_for_the_same_is_named_once():
    rungs = (rung("unchanged", turned=0, verdict="no"), rung("settings"))
    both = [
        dataclasses.replace(
            i,
            proofs=tuple(
                Proof(gap=g, rungs=rungs, named="settings", settled=True, subject="x", stand_in=False)
                for g in ("knowledge", "style")
            ),
        )
        for i in issues(gaps=("knowledge", "style"), cause="tone")
    ]
    found = plan(both, FACTS)
    assert all(len(r.issues) == len(set(r.issues)) for r in found.remedies)
    assert from_json(to_json(found)) == found


def test_too_few_to_say_is_said_and_what_the_log_suggests_stays():
    remedies = plan(proved("style", None, settled=False, cause="tone"), FACTS).remedies
    assert {r.kind for r in remedies} == {"ChangePrompt"}
    assert all("still open: too few could be judged" in r.why for r in remedies)
    (missing,) = plan(proved("knowledge", None, settled=False, cause="missing_content"), FACTS).remedies
    assert missing.kind == "UpdateIndex"
