from datetime import date

import pytest

from finetune.catalog import open_on, rows


def test_every_row_is_dated_and_names_its_terms():
    assert len(rows()) >= 10
    for row in rows():
        assert row.as_of <= date(2030, 1, 1)
        assert row.note
        assert min(row.train_usd, row.input_usd, row.output_usd, row.month_usd) >= 0
        assert row.least_examples >= 1


def test_no_model_is_listed_twice():
    keys = [(r.provider, r.model, r.method) for r in rows()]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(("day", "expected"), [(date(2027, 1, 6), True), (date(2027, 1, 7), False)])
def test_openai_takes_no_new_jobs_after_its_last_day(day, expected):
    assert {r.open_on(day) for r in rows() if r.provider == "openai"} == {expected}


def test_what_is_trained_at_openai_dies_with_its_base():
    assert {r.days_served(date(2027, 1, 4)) for r in rows() if r.provider == "openai"} == {10}


def test_local_training_has_no_end():
    assert all(
        r.open_on(date(2040, 1, 1)) and r.days_served(date(2040, 1, 1)) is None
        for r in rows()
        if r.provider == "local"
    )


def test_no_claude_can_be_tuned():
    assert not [r for r in rows() if "claude" in r.model or "anthropic" in r.model]


def test_what_is_open_shrinks_to_what_has_no_end():
    today, later = open_on(date(2026, 11, 24)), open_on(date(2027, 6, 1))
    assert set(later) < set(today) == set(rows())
    assert {r.provider for r in later} == {"local", "bedrock"}
