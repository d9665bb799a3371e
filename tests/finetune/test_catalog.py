"""The catalogue: every row is complete and dated; what is closed is explained; a file overrides it."""

from dataclasses import replace
from datetime import date

import pytest

from finetune.catalog import (
    CatalogFailed,
    Life,
    Setting,
    explain,
    find,
    living,
    nearest,
    open_on,
    refusal,
    rows,
)

TODAY = date(2026, 11, 28)


def test_every_row_is_dated_and_names_its_terms():
    assert len(rows()) >= 30
    for row in rows():
        assert date(2026, 11, 1) <= row.as_of <= date(2030, 1, 1)
        assert row.note and row.source
        prices = (row.train_usd, row.input_usd, row.output_usd, row.month_usd, *(row.base_usd or ()))
        assert all(p >= 0 for p in prices if p is not None)
        assert row.least_examples >= 1
        assert row.provider == "local" or row.settings, row.model
        for setting in row.settings:
            assert setting.default is None or setting.takes(setting.default), (row.model, setting)


def test_a_price_that_is_not_known_is_said_so():
    for row in rows():
        if row.train_usd is None and row.open_on(TODAY):
            assert "no price" in row.note or "not known" in row.note, row.model


def test_no_model_is_listed_twice():
    keys = [(r.provider, r.model, r.method) for r in rows()]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(("day", "expected"), [(date(2027, 1, 6), True), (date(2027, 1, 7), False)])
def test_openai_takes_no_new_jobs_after_its_last_day(day, expected):
    openai = [r for r in rows() if r.provider == "openai" and r.create_until >= date(2027, 1, 1)]
    assert {r.open_on(day) for r in openai} == {expected}
    assert {r.days_served(date(2027, 1, 4)) for r in openai} == {10}


def test_local_training_has_no_end():
    for row in rows():
        if row.provider == "local":
            assert row.open_on(date(2040, 1, 1)) and row.days_served(date(2040, 1, 1)) is None


def test_no_claude_can_be_tuned_and_the_row_says_what_lives_in_its_place():
    claude = [r for r in rows() if "claude" in r.model]
    assert claude and not any(r.open_on(TODAY) for r in claude)
    told = explain(claude[0], TODAY)
    assert "switched off since 2026-09-10" in told and "`bedrock:amazon.nova" in told


def test_what_is_open_shrinks_to_what_has_no_end():
    today, later = open_on(TODAY), open_on(date(2027, 6, 1))
    assert set(later) < set(today) < set(rows())
    assert {r.provider for r in later} == {"local", "bedrock", "mantle"}


@pytest.mark.parametrize(
    ("model", "method", "alternative"),
    [
        ("gpt-4o-mini", "supervised", "amazon.nova-2-lite-v1:0:256k"),
        ("gpt-4.1-mini", "supervised", "amazon.nova-2-lite-v1:0:256k"),
        ("gpt-4.1-nano", "supervised", "amazon.nova-micro-v1:0:128k"),
        ("o4-mini", "reinforcement", "openai.gpt-oss-20b"),
        ("gpt-4.1", "preference", "*"),
    ],
)
def test_the_nearest_alternative_lives_and_is_open_to_anyone(model, method, alternative):
    row = find("openai", model, method)
    other = nearest(row, TODAY)
    assert other.model == alternative
    assert not refusal(other, TODAY) and other.opens_to == "anyone"
    assert f"{other.provider}:{other.model}" in explain(row, TODAY)


def test_the_explanation_names_where_the_same_model_lives_on():
    assert "at azure until 2027-10-14" in explain(find("openai", "gpt-4.1-mini", "supervised"), TODAY)


def test_a_refusal_knows_every_kind_of_end():
    row = find("azure", "gpt-4.1", "supervised")
    assert not refusal(row, TODAY)
    assert "takes no new supervised jobs at azure since 2027-04-14" in refusal(row, date(2027, 4, 15))
    assert "in 227 days" in refusal(row, date(2027, 3, 1), useful_days=400)
    assert not refusal(row, date(2027, 4, 14), useful_days=0)
    early = rows_with(create_from=date(2027, 1, 1))
    assert "from 2027-01-01 only" in refusal(early, TODAY)


def rows_with(**changes):
    return replace(find("bedrock", "nova-micro", "supervised"), **changes)


def test_models_are_found_by_their_other_names():
    assert find("openai", "ft:gpt-4.1-mini-2025-04-14:org::abc", "supervised").model.startswith(
        "gpt-4.1-mini"
    )
    assert find("local", "smollm2", "lora").model == "*"
    assert find("openai", "gpt-9", "supervised") is None
    assert find("openai", "gpt-4o-mini", "preference") is None


def test_what_the_provider_says_now_wins():
    row = find("bedrock", "nova-micro", "supervised")
    assert refusal(row, TODAY) == ""
    assert "the provider says so now" in refusal(living(row, Life(closed=True, told="LEGACY")), TODAY)
    ends = living(row, Life(shutdown=date(2026, 12, 24)))
    assert refusal(ends, TODAY) == f"{row.model} tuned at bedrock is switched off on 2026-12-24, in 26 days"
    openai = find("openai", "gpt-4.1", "supervised")
    assert living(openai, Life(shutdown=date(2028, 1, 1))).served_until == openai.served_until


def test_ranges():
    beta = Setting(name="beta", low=0, high=2, above=True)
    assert not beta.takes(0) and beta.takes(0.1) and beta.takes(2) and not beta.takes(2.1)
    assert not Setting(name="n", low=1, high=5, whole=True).takes(1.5)


def test_a_file_overrides_what_it_names_and_adds_the_rest(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        "- {provider: bedrock, model: 'amazon.nova-pro-v1:0:300k', method: supervised, train_usd: 8.0, as_of: 2026-12-01}\n"
        "- {provider: openai, model: gpt-7, methods: {supervised: openai_chat}, opens_to: anyone, create_until: null, served_until: null,"
        " train_usd: 1, input_usd: 1, output_usd: 2, month_usd: 0, least_examples: 10, note: new, source: mine, as_of: 2027-02-01}\n",
        encoding="utf-8",
    )
    known = rows(own)
    assert len(known) == len(rows()) + 1
    pro = find("bedrock", "nova-pro", "supervised", known)
    assert (pro.train_usd, pro.regions, pro.setting("epochCount").high) == (8.0, ("us-east-1",), 5)
    assert nearest(find("openai", "gpt-4o", "supervised"), TODAY, known).model == "gpt-7"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("provider: local", "must be a list of rows"),
        ("- {provider: local, model: x, method: lora, trian_usd: 1}", "row 1: unknown key `trian_usd`, did you mean `train_usd`"),
        ("- {provider: local, model: x, method: lora}", "row 1: missing"),
        ("- {provider: openai, model: gpt-4.1-2025-04-14, method: supervised, served_until: soon}", "`served_until` must be a day"),
        ("- {provider: openai, model: gpt-4.1-2025-04-14, method: supervised, train_usd: -1}", "must be numbers, 0 or more"),
        ("- {provider: openai, model: gpt-4.1-2025-04-14, method: supervised, format: xml}", "`format` is 'xml'"),
        ("- [", "cannot be read"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_by_row_and_key(tmp_path, text, said):
    own = tmp_path / "own.yaml"
    own.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogFailed, match=r"own\.yaml") as told:
        rows(own)
    assert said in str(told.value)
