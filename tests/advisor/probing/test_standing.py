"""What a probe of an issue makes of the diagnoses of its members."""

from dataclasses import replace

import pytest

from advisor.diagnosis import Diagnosis
from advisor.issues import Issue, Rate, Trend
from advisor.probing.probe import proved, standing
from advisor.proof import Proof

STYLE = Diagnosis(
    exchange_id="e", failed=0.9, gaps={"knowledge": 0.2, "style": 0.8, "tool_call": 0.0, "classification": 0.0}, named=("style",), cause="format",
    standing="inferred", calibrated=False, evidence=(),
)  # fmt: skip
ISSUE = Issue(
    id="i", title="i", gaps=("style",), cause="format", signature=(), topic=(), exchange_ids=("e",), distinct=5,
    rate=Rate(count=5, total=50, value=0.1, low=0.0, high=0.2), trend=Trend(period_days=1.0, counts=(), totals=(), direction="unknown"),
    tenants=(), confidence=0.9, undetermined=0, examples=(),
)  # fmt: skip


def proof(gap="style", named="rule", *, settled=True, stand_in=False):
    return Proof(gap=gap, rungs=(), named=named, settled=settled, subject="bot", stand_in=stand_in)


@pytest.mark.parametrize("before", ["inferred", "confirmed", "refuted"])
@pytest.mark.parametrize(
    ("shown", "after"),
    [
        ((proof(),), "confirmed"), ((proof(named=None),), "confirmed"), ((proof(named="unchanged"),), "refuted"), ((proof(named=None, settled=False),), "inferred"),
        ((proof("knowledge", "unchanged"),), "inferred"), ((proof(stand_in=True),), None), ((proof(named="unchanged", stand_in=True),), None),
    ],
)  # fmt: skip
def test_a_probe_confirms_refutes_or_leaves_open(before, shown, after):
    found = standing(replace(STYLE, standing=before), proved(ISSUE, shown))
    assert found.standing == (after or before)
    assert found.named == ("style",)


def test_what_is_shown_is_named(exchange):
    issue = proved(ISSUE, (proof("knowledge", "oracle"), proof(named="unchanged")))
    assert issue.gaps == ("knowledge",)
    assert (standing(STYLE, issue).named, standing(STYLE, issue).standing) == (("knowledge",), "confirmed")
