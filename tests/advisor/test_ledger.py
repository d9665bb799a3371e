"""Issues over time: known again, resolved after a remedy, back, gone, and honest about too little."""

from dataclasses import replace

import pytest

from advisor.grouping import wilson
from advisor.issues import Issue, Trend
from advisor.ledger import in_force, known, likeness, names
from advisor.plan import Facts
from advisor.state import Outcome, Run, Sighting
from router.live import Live

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


def history(*counts, total=100, applied_after=(), routes=None, **body):
    """Runs an hour apart, of failures or (failures, exchanges); a remedy is applied half an hour after the named ones."""
    base = 1_700_000_000.0
    seen = [c if isinstance(c, tuple) else (c, total) for c in counts]
    runs = [
        Run(number=n, at=base + 3600 * n, exchanges=of, failures=c, facts=facts(of))
        for n, (c, of) in enumerate(seen, 1)
    ]
    sightings = [
        Sighting(run=n, name="a", issue=issue(count=c, total=of)) for n, (c, of) in enumerate(seen, 1) if c
    ]
    outcomes = [
        Outcome(
            kind="UpdateIndex",
            verdict="applied: promoted",
            body={"issues": ["a"], **body},
            at=_iso(base + 3600 * n + 1800),
        )
        for n in applied_after
    ]
    return known(sightings, runs, outcomes, routes or {})


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


@pytest.mark.parametrize(
    ("counts", "standings"),
    [
        # Two good replies say nothing, so there is nothing to be back from.
        (((30, 100), (0, 2), (20, 100)), ("new", "open", "open")),
        # Told of once; then it is there until it goes again.
        (((30, 100), (0, 100), (25, 100), (28, 100)), ("new", "resolved!", "back!", "back")),
        (((30, 100), (0, 100), (25, 100), (0, 100)), ("new", "resolved!", "back!", "resolved!")),
        # A few failures were left when it was resolved.
        (((120, 400), (1, 400), (120, 400)), ("new", "resolved!", "back!")),
        # However long it was gone.
        (((120, 400), *[(0, 400)] * 20, (120, 400)), ("new", "resolved!", *["resolved"] * 19, "back!")),
        # One failure in a short log is no return, three over some are.
        (((30, 100), (0, 400), (1, 2), (0, 400)), ("new", "resolved!", "resolved", "resolved")),
        (
            ((30, 100), (0, 400), (1, 4), (1, 4), (1, 4)),
            ("new", "resolved!", "resolved", "resolved", "back!"),
        ),
        (((30, 100), (1, 400), (2, 400), (3, 400)), ("new", "resolved!", "resolved", "resolved")),
    ],
)
def test_what_turned_is_told_of_with_the_run_that_shows_it(counts, standings):
    found = [history(*counts[:n], applied_after=(1,))[0] for n in range(1, len(counts) + 1)]
    told = tuple(k.standing + "!" * (k.turned and k.standing != "new") for k in found)
    assert told == standings, [k.said for k in found]


def live(tmp_path, *steps):
    pointer = Live(tmp_path)
    for verb, *args in steps:
        more = {"share": 0.1} if verb == "canary" else {}
        getattr(pointer, verb)(*args, **more)
    return pointer.routes()


BEFORE = ("promote", "before")


@pytest.mark.parametrize(
    ("verdict", "steps", "holds"),
    [
        ("applied: promoted", (BEFORE, ("promote", "new")), True),
        ("applied: promoted", (BEFORE, ("promote", "new"), ("promote", "newer")), True),
        ("applied: promoted", (BEFORE, ("promote", "new"), ("promote", "newer"), ("rollback",)), True),
        ("applied: promoted", (BEFORE, ("promote", "new"), ("rollback",)), False),
        ("applied: canary", (BEFORE, ("canary", "new")), False),
        ("applied: canary", (BEFORE, ("canary", "new"), ("stop_canary",)), False),
        ("applied: canary", (BEFORE, ("canary", "new"), ("promote", "new")), True),
        ("not agreed", (BEFORE, ("promote", "new")), False),
    ],
)
def test_what_is_live_says_which_remedies_are_in_force(tmp_path, verdict, steps, holds):
    done = Outcome(
        kind="ChangePrompt", verdict=verdict, body={"release": "new", "route": "*"}, at=_iso(1_700_000_000)
    )
    since = in_force(done, live(tmp_path, *steps))
    assert (since is not None) == holds
    assert since is None or since > 1_700_000_000  # from when it answered everybody


def test_a_remedy_that_was_taken_back_is_not_measured(tmp_path):
    routes = live(tmp_path, BEFORE, ("promote", "new"), ("rollback",))
    (found,) = history(10, 0, 9, applied_after=(1,), routes=routes, release="new", route="*")
    assert (found.standing, found.applied) == ("open", ())


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


def test_a_larger_one_does_not_take_the_name_of_one_that_is_known_by_its_id():
    seen = [Sighting(run=1, name="a", issue=issue("a"))]
    assert names([issue("b", count=30), issue("a")], seen) == {"a": "a", "b": "b"}
    # Seen last under another id, which is its own again.
    seen += [Sighting(run=2, name="a", issue=issue("b"))]
    assert names([issue("c", count=30), issue("b")], seen) == {"b": "a", "c": "c"}
    found = names([issue("b", count=30), issue("a")], seen)
    assert found == {"a": "a", "b": "b"}


def test_the_latest_sighting_speaks_for_an_issue():
    runs = [Run(number=n, at=float(n), exchanges=100, failures=1, facts=facts(100)) for n in (1, 2)]
    seen = [
        Sighting(run=1, name="a", issue=issue("a")),
        Sighting(run=2, name="a", issue=replace(issue("b"), title="Newer")),
    ]
    (found,) = known(seen, runs, [], {})
    assert found.issue.title == "Newer"
