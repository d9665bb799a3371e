import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.diagnosis import GAP_SETS, diagnose, set_probabilities
from advisor.evidence import CAUSES, GAPS, Evidence
from advisor.weights import Weights, load

WEIGHTS = Weights(
    failed={
        "json.parse": 4.0,
        "json.ok": 1.0,
        "tool.schema": 4.0,
        "feedback.negative": 4.0,
        "knowledge.unsupported": 3.0,
    },
    gap={"json.parse": 4.0, "tool.schema": 4.0, "knowledge.unsupported": 4.0},
    failed_bias=-1.0,
    gap_bias=dict.fromkeys(GAPS, 0.0),
    second_gap=2.0,
    cap=5.0,
)


def saw(check, gap, strength=1.0, cause=None):
    return Evidence(check=check, gap=gap, strength=strength, note=check, cause=cause)


def test_no_evidence_names_nothing():
    d = diagnose("x", [], WEIGHTS)
    assert not d.is_failure
    assert d.named == ()
    assert d.standing == "inferred"


def test_a_failure_nobody_can_explain_is_left_to_a_person():
    d = diagnose("x", [saw("feedback.negative", None)], WEIGHTS)
    assert d.is_failure
    assert d.named == ()
    assert d.standing == "undetermined"


def test_one_firm_check_names_its_gap_and_cause():
    d = diagnose("x", [saw("json.parse", "style", cause="format")], WEIGHTS)
    assert (d.is_failure, d.named, d.cause) == (True, ("style",), "format")
    assert d.confidence == d.gaps["style"] > 0.8


def test_both_needs_evidence_for_each():
    both = diagnose("x", [saw("json.parse", "style"), saw("knowledge.unsupported", "knowledge")], WEIGHTS)
    assert set(both.named) == {"style", "knowledge"}
    weak = diagnose(
        "x", [saw("json.parse", "style"), saw("knowledge.unsupported", "knowledge", 0.3)], WEIGHTS
    )
    assert weak.named == ("style",)


def test_ten_checks_of_one_family_are_not_ten_witnesses():
    many = {f"json.c{i}": 4.0 for i in range(10)}
    w = replace(WEIGHTS, gap={**WEIGHTS.gap, **many})
    crowd = diagnose("x", [saw("feedback.negative", None), *(saw(c, "style") for c in many)], w)
    capped = diagnose(
        "x", [saw("feedback.negative", None), saw("json.parse", "style")], replace(w, gap={"json.parse": 5.0})
    )
    assert crowd.gaps["style"] == pytest.approx(capped.gaps["style"])


def test_evidence_against_lowers_the_gap():
    for_it = diagnose("x", [saw("json.parse", "style")], WEIGHTS).gaps["style"]
    against = diagnose("x", [saw("json.parse", "style", -1.0)], WEIGHTS).gaps["style"]
    assert against < 0.25 < for_it


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(WEIGHTS.gap)), st.sampled_from(GAPS), st.floats(-1, 1)), max_size=8
    ),
    st.randoms(),
)
def test_order_of_evidence_does_not_matter(rows, shuffler: random.Random):
    evidence = [saw(check, gap, strength) for check, gap, strength in rows]
    shuffled = evidence[:]
    shuffler.shuffle(shuffled)
    assert diagnose("x", evidence, WEIGHTS) == diagnose("x", shuffled, WEIGHTS)


@given(st.fixed_dictionaries({g: st.floats(-40, 40) for g in GAPS}))
def test_set_probabilities_sum_to_one(scores):
    sets = set_probabilities(scores, WEIGHTS)
    assert set(sets) == set(GAP_SETS)
    assert sum(sets.values()) == pytest.approx(1.0)


def test_shipped_weights_are_non_negative_and_name_known_things():
    weights = load()
    assert set(weights.gap_bias) == set(GAPS)
    assert all(w >= 0 for table in (weights.failed, weights.gap, weights.cause) for w in table.values())
    assert set(weights.cause_bias) <= {c for causes in CAUSES.values() for c in causes}
    assert not weights.calibrated


def test_weights_can_be_read_from_a_file(tmp_path):
    path = tmp_path / "w.json"
    path.write_text(
        json.dumps(
            {
                "failed": {},
                "gap": {},
                "failed_bias": 0,
                "gap_bias": dict.fromkeys(GAPS, 0),
                "second_gap": 1,
                "cap": 2,
                "n": 3,
            }
        )
    )
    assert load(path).cap == 2
