import random

import pytest

from advisor.calibration import MIN_LABELS, Labelled, recalibrate, standing
from advisor.diagnosis import diagnose
from advisor.evidence import GAPS, Evidence
from advisor.weights import Weights

WEIGHTS = Weights(
    failed={"a.bad": 3.0},
    gap={"a.bad": 3.0},
    failed_bias=0.0,
    gap_bias=dict.fromkeys(GAPS, 0.0),
    second_gap=2.0,
    cap=5.0,
)


def labels(n, *, hit, seed=7):
    """Replies where the check fires at random and is right with probability `hit`."""
    rng = random.Random(seed)
    made = []
    for _ in range(n):
        fires = rng.random() < 0.5
        bad = rng.random() < (hit if fires else 1 - hit)
        seen = (Evidence(check="a.bad", gap="style", strength=1.0 if fires else -1.0, note=""),)
        made.append(Labelled(evidence=seen, gaps=frozenset({"style"}) if bad else frozenset()))
    return made


def test_too_few_labels_change_nothing_and_say_what_is_missing():
    few = labels(MIN_LABELS - 1, hit=0.9)
    assert recalibrate(WEIGHTS, few) is WEIGHTS
    assert standing(few).message.startswith("uncalibrated: 59 labels")
    one_sided = [label for label in labels(400, hit=0.9) if label.gaps][:100]
    assert not standing(one_sided).enough


def test_overconfident_scores_are_brought_down_to_what_happens():
    taught = labels(400, hit=0.7)
    fresh = recalibrate(WEIGHTS, taught)
    assert fresh.calibrated
    fires = next(label for label in taught if label.evidence[0].strength > 0)
    assert diagnose("x", fires.evidence, WEIGHTS).failed > 0.9
    assert diagnose("x", fires.evidence, fresh).failed == pytest.approx(0.7, abs=0.06)


def test_gaps_a_bot_never_has_become_less_likely():
    bland = Weights(
        failed={"a.bad": 3.0},
        gap={},
        failed_bias=0.0,
        gap_bias=dict.fromkeys(GAPS, 0.0),
        second_gap=2.0,
        cap=5.0,
    )
    fresh = recalibrate(bland, labels(300, hit=0.9))
    gaps = diagnose("x", [], fresh).gaps
    assert gaps["style"] > 0.8 > 0.3 > gaps["tool_call"]
