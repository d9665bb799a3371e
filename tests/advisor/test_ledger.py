"""Issues over time: known again, resolved after a remedy, back, gone, and honest about too little."""

from dataclasses import replace

import pytest

from advisor.grouping import wilson
from advisor.issues import Issue, Trend
from advisor.ledger import known, likeness, names
from advisor.plan import Facts
from advisor.state import Outcome, Run, Sighting

NO_TREND = Trend(period_days=1.0, counts=(), totals=(), direction="unknown")


def issue(
    id="a",
    *,
    count=10,
    total=100,
    topic=("canada", "ship"),
    cause="missing_content",
    signature=("knowledge.nowhere", "feedback.bad"),
):
    return Issue(
        id=id, title=f"Issue {id}", gaps=("knowledge",), cause=cause, signature=signature, topic=topic, exchange_ids=tuple(f"{id}{n}" for n in range(count)), distinct=count,
        rate=wilson(count, total), trend=NO_TREND, tenants=(), confidence=0.9, undetermined=0, examples=(),
    )  # fmt: skip


def facts(total):
    return Facts(
        exchanges=total,
        failures=0,
        undetermined=0,
        good=0,
        calibrated=False,
        documents=None,
        served=0.0,
        labelled=0,
        models={},
        tokens=1.0,
        days=None,
        today="2026-11-25",
    )


def history(*counts, total=100, applied_after=()):
    """Runs an hour apart; a remedy is applied half an hour after the named ones."""
    base = 1_700_000_000.0
    runs = [
        Run(number=n, at=base + 3600 * n, exchanges=total, failures=c, facts=facts(total))
        for n, c in enumerate(counts, 1)
    ]
    sightings = [
        Sighting(run=n, name="a", issue=issue(count=c, total=total)) for n, c in enumerate(counts, 1) if c
    ]
    outcomes = [
        Outcome(
            kind="UpdateIndex",
            verdict="applied: promoted",
            body={"issues": ["a"]},
            at=_iso(base + 3600 * n + 1800),
        )
        for n in applied_after
    ]
    return known(sightings, runs, outcomes)


def _iso(at):
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("counts", "applied", "standing"),
    [
        ((10,), (), "new"),
        ((10, 12), (), "open"),
        ((10, 0), (1,), "resolved"),
        ((10, 1, 0), (1,), "resolved"),
        ((10, 9), (1,), "open"),
        ((10, 0, 9), (1,), "back"),
        ((10, 0), (), "gone"),
        ((10,), (1,), "new"),
        ((10, 11), (2,), "open"),
    ],
)
def test_what_became_of_an_issue(counts, applied, standing):
    (found,) = history(*counts, applied_after=applied)
    assert found.standing == standing, found.said
    assert [c for _, c, _ in found.counts] == list(counts)


def test_absence_in_a_short_log_says_little():
    (found,) = history(2, 0, total=100, applied_after=(1,))
    assert (found.standing, found.said) == ("open", "too few exchanges since the remedy to tell")
    (found,) = history(2, 0, total=100)
    assert "too short to tell" in found.said


def test_known_again_by_its_checks_and_topic():
    seen = [Sighting(run=1, name="a", issue=issue("a"))]
    again = issue("b", topic=("canada", "parcel"))
    other = issue("c", topic=("gift", "card"))
    assert names([again, other], seen) == {"b": "a", "c": "c"}
    assert likeness(issue("a"), issue("a", topic=("x",))) == 1.0
    assert likeness(issue("a"), issue("d", cause="retrieval_miss")) == 0.0


def test_two_issues_never_share_a_name():
    seen = [Sighting(run=1, name="a", issue=issue("a"))]
    found = names([issue("b"), issue("c", count=3)], seen)
    assert found == {"b": "a", "c": "c"}


def test_the_latest_sighting_speaks_for_an_issue():
    runs = [Run(number=n, at=float(n), exchanges=100, failures=1, facts=facts(100)) for n in (1, 2)]
    seen = [
        Sighting(run=1, name="a", issue=issue("a")),
        Sighting(run=2, name="a", issue=replace(issue("b"), title="Newer")),
    ]
    (found,) = known(seen, runs, [])
    assert found.issue.title == "Newer"
