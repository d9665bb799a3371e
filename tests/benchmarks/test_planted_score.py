import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "planted" / "score.py"


@pytest.fixture(scope="module")
def score():
    spec = importlib.util.spec_from_file_location("planted_score", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TRUTH = [
    {"id": "a", "plant": "page missing", "failed": True, "cause": "missing_content", "gaps": ["knowledge"]},
    {"id": "b", "plant": "page missing", "failed": True, "cause": "missing_content", "gaps": ["knowledge"]},
    {"id": "c", "plant": "tool: cut", "failed": True, "cause": "malformed", "gaps": ["tool_call"]},
    {"id": "d", "plant": "good", "failed": False, "cause": None, "gaps": []},
    {"id": "e", "plant": "good", "failed": False, "cause": None, "gaps": []},
]


def test_found_gaps_and_causes_are_counted_apart(score):
    said = [
        {"ids": ["x", "a"], "failed": 0.9, "gaps": ["knowledge"], "cause": "retrieval_miss"},
        {"ids": ["c"], "failed": 0.9, "gaps": ["tool_call", "style"], "cause": "malformed"},
        {"ids": ["d"], "failed": 0.6, "gaps": [], "cause": None},
        {"ids": ["e"], "failed": 0.4, "gaps": [], "cause": None},
    ]
    text = score.table(TRUTH, said)
    assert "| page missing | 2 | 0.50 (0.09–0.91) | 0.50 (0.09–0.91) | 0.00 (0.00–0.66) |" in text
    assert "| tool call: malformed | 1 | 1.00" in text
    assert "False alarms on good replies: 0.50" in text
    assert "not read: 1." in text


def test_wilson_is_the_published_interval(score):
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    assert score.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert score.wilson(0, 0) == (0.0, 1.0)
