"""Preflight: planted faults are found, good data passes, prices and ends are known before a cent is spent."""

import json
from dataclasses import replace
from datetime import date

import pytest
from planted_datasets import GOOD, LLAMA, MINI, NOVA, PLANTED, RECIPES, RFT, good, made, with_one

from finetune import datasets
from finetune.catalog import Life, find
from finetune.datasets import Dataset
from finetune.formats import FORMATS
from finetune.jobs import Jobs
from finetune.preflight import Terms, check
from finetune.pricing import Use
from finetune.recipe import Recipe
from finetune.tokens import count

DAY = date(2026, 10, 1)
TERMS = Terms(cap_usd=100, day=DAY)
LIKE_A_WARNING = {"broken_characters", "duplicate", "near_duplicate", "contradiction", "question_leak", "one_author", "validation_ignored"}  # fmt: skip


@pytest.mark.parametrize(("name", "code", "dataset", "recipe"), PLANTED, ids=[p[0] for p in PLANTED])
def test_a_planted_fault_is_found(name, code, dataset, recipe):
    if name == "no messages":
        dataset = replace(dataset, train=(*dataset.train[:-1], replace(dataset.train[-1], messages=())))
    report = check(dataset, recipe, replace(TERMS, allow=("price_unknown",)))
    found = [f for f in report.faults if f.code == code]
    assert found, str(report)
    assert found[0].level == ("warning" if code in LIKE_A_WARNING else "error")
    assert report.ok == (code in LIKE_A_WARNING), str(report)
    errors = {f.code for f in report.faults if f.level == "error"}
    assert errors <= {code, "no_tools"}, f"one fault was planted, found {errors}"


@pytest.mark.parametrize(("name", "code", "recipe"), RECIPES, ids=[r[0] for r in RECIPES])
def test_a_planted_fault_of_the_recipe_is_found(name, code, recipe):
    day = date(2026, 11, 28) if code == "ends_soon" else DAY
    report = check(Dataset(train=tuple(good(120))), recipe, replace(TERMS, day=day))
    assert not report.ok
    assert code in {f.code for f in report.faults if f.level == "error"}, str(report)


def test_there_are_enough_plants():
    assert len(PLANTED) + len(RECIPES) >= 60
    assert len({p[0] for p in PLANTED}) == len(PLANTED)


@pytest.mark.parametrize(("name", "dataset", "recipe"), GOOD, ids=[g[0] for g in GOOD])
def test_good_data_passes(name, dataset, recipe):
    report = check(dataset, recipe, TERMS)
    assert report.ok, str(report)
    assert {f.code for f in report.faults} <= {"existing_only"}, str(report)


def test_what_is_borne_is_told_and_does_not_forbid():
    data = with_one(
        {"role": "user", "content": "I am jane@example.org"}, {"role": "assistant", "content": "Hi."}
    )
    assert not check(data, NOVA, TERMS).ok
    report = check(data, NOVA, replace(TERMS, allow=("personal_data",)))
    assert report.ok
    assert "warning: a text holds personal data, such as [e-mail] [train.jsonl:40]" in str(report)


def test_what_stays_on_this_machine_is_told_of_only():
    data = with_one(
        {"role": "user", "content": "I am jane@example.org"},
        {"role": "assistant", "content": "Hi."},
        count=10,
    )
    report = check(data, Recipe(base="local:smollm2"), TERMS)
    assert report.ok and {f.code for f in report.faults} == {"too_few", "personal_data"}
    assert report.estimate.high == 0


# Price


def test_the_price_is_counted_to_the_token_where_the_encoding_is_known():
    pytest.importorskip("bpe_openai")
    one = made(
        1,
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello world"},
        {"role": "assistant", "content": "Hi."},
    )
    row = find("openai", "gpt-4.1-mini", "supervised")
    tokens = count([FORMATS["openai_chat"].write(one)], row)
    # 3 a message and its role (1), 3 a line; `Be kind.` 3, `Hello world` 2, `Hi.` 2.
    assert (tokens.total, tokens.exact) == (3 * (3 + 1) + 3 + 3 + 2 + 2, True)
    report = check(Dataset(train=tuple(good(100))), replace(MINI, epochs=4), TERMS)
    likely = report.tokens.total * 4 * 5.0 / 1e6
    assert report.estimate.exact
    assert report.estimate.low == pytest.approx(likely * 0.98) and report.estimate.high == pytest.approx(
        likely * 1.02
    )
    assert "4 epochs at $5 a million; prices of 2026-11-23" in report.estimate.basis


def test_elsewhere_it_is_an_estimate_and_says_so():
    pytest.importorskip("bpe_openai")
    report = check(Dataset(train=tuple(good(100))), NOVA, TERMS)
    assert not report.estimate.exact and "(an estimate)" in str(report)
    likely = report.tokens.total * 2 * 1.0 / 1e6
    assert report.estimate.low < likely < report.estimate.high
    assert report.estimate.high == pytest.approx(likely * 1.35 + 1.95)


def test_without_an_encoding_the_interval_is_wide(monkeypatch):
    from finetune import tokens

    def missing(name):
        raise ModuleNotFoundError(name)

    tokens._counter.cache_clear()
    monkeypatch.setattr(tokens, "import_module", missing)
    report = check(Dataset(train=tuple(good(100))), MINI, TERMS)
    tokens._counter.cache_clear()
    assert not report.tokens.exact and "length of the text" in report.tokens.basis
    assert report.tokens.high > 2.5 * report.tokens.low


def test_a_job_over_the_cap_or_without_a_price_is_refused():
    data = Dataset(train=tuple(good(120)))
    assert {f.code for f in check(data, MINI, Terms(day=DAY)).faults} == {"over_cap", "existing_only"}
    assert "price_unknown" in str(check(data, LLAMA, TERMS))
    borne = check(data, LLAMA, replace(TERMS, allow=("price_unknown",)))
    assert borne.ok and borne.estimate.high == 100 and "the cap of $100.00 stands for it" in str(borne)


USE = Use(requests=10_000, prompt=3000, saved=2500, reply=150)


def test_break_even_against_a_longer_prompt_and_against_caching():
    report = check(Dataset(train=tuple(good(1000))), MINI, replace(TERMS, use=USE))
    plain, cached = report.pay_back
    # a day: base (3000 x 0.40 + 150 x 1.60) x 0.01 = 14.40; tuned (500 x 0.80 + 150 x 3.20) x 0.01 = 8.80
    assert plain.saves_usd == pytest.approx(14.40 - 8.80)
    assert plain.days == pytest.approx(report.tokens.total * 3 * 5e-6 / 5.60)
    # cached: (500 x 0.40 + 2500 x 0.10 + 150 x 1.60) x 0.01 = 6.90, less than the tuned model costs
    assert cached.days is None and cached.saves_usd == pytest.approx(6.90 - 8.80)
    assert str(cached) == "against the longer prompt, cached: never, the tuned model costs $1.90 a day more"
    assert not report.ok and "never_pays_back" in str(report)
    assert check(Dataset(train=tuple(good(1000))), MINI, replace(TERMS, use=USE, force=True)).ok


def test_short_prompts_are_not_cached_and_throughput_costs_by_the_hour():
    short = check(
        Dataset(train=tuple(good())), MINI, replace(TERMS, use=replace(USE, prompt=1400, saved=900))
    )
    assert short.pay_back[0].saves_usd == short.pay_back[1].saves_usd
    hourly = check(Dataset(train=tuple(good(120))), LLAMA, replace(TERMS, use=USE))
    assert "costs by the hour whether it is asked or not" in str(hourly)
    assert hourly.pay_back[0].saves_usd > 0


# Ends


def test_a_model_that_ends_soon_takes_force_and_one_that_is_closed_cannot_be_forced():
    data = Dataset(train=tuple(good()))
    soon = replace(TERMS, day=date(2026, 11, 28))
    report = check(data, MINI, soon)
    assert not report.ok and report.days_left == 47
    assert "the tuned model ends on 2027-01-14, 47 days from now" in str(report)
    assert "nearest living alternative: `bedrock:amazon.nova-2-lite-v1:0:256k`" in str(report)
    assert check(data, MINI, replace(soon, force=True)).ok
    late = check(data, MINI, replace(TERMS, day=date(2027, 1, 7), force=True))
    assert not late.ok and "(closed)" in str(late)


def test_what_the_provider_says_now_closes_a_model():
    report = check(Dataset(train=tuple(good())), NOVA, replace(TERMS, life=Life(closed=True, told="LEGACY")))
    assert not report.ok and "the provider says so now" in str(report)


# Dry run


@pytest.mark.parametrize("recipe", [MINI, NOVA, RFT])
def test_a_dry_run_writes_all_that_would_be_sent(tmp_path, recipe):
    data = Dataset(train=tuple(good()), validation=tuple(made(n, part="v") for n in range(90, 95)))
    folder = datasets.save(data, tmp_path / "datasets")
    report = check(folder, recipe, replace(TERMS, allow=("price_unknown",)), out=tmp_path / "out")
    assert report.ok, str(report)
    lines = (tmp_path / "out/training.jsonl").read_bytes().splitlines()
    assert len(lines) == 40 and len((tmp_path / "out/validation.jsonl").read_bytes().splitlines()) == 5
    request = json.loads((tmp_path / "out/request.json").read_text())
    assert report.row.model in (request.get("model"), request.get("baseModelIdentifier"))
    told = json.loads((tmp_path / "out/preflight.json").read_text())
    assert told["ok"] and told["estimate"]["high"] == report.estimate.high
    again = check(folder, recipe, replace(TERMS, allow=("price_unknown",)), out=tmp_path / "again")
    assert (tmp_path / "again/training.jsonl").read_bytes() == (tmp_path / "out/training.jsonl").read_bytes()
    assert again.estimate == report.estimate


def test_the_estimate_goes_into_the_job(tmp_path):
    folder = datasets.save(Dataset(train=tuple(good())), tmp_path / "datasets")
    report = check(folder, NOVA, TERMS)
    job = Jobs(tmp_path / "state").write(NOVA, folder, cap_usd=100, estimate=report.estimate)
    assert job.estimate == report.estimate


def test_numbers_of_requests_are_what_providers_read():
    from finetune.bodies import bedrock_body

    row = find("bedrock", "nova-micro", "supervised")
    body = bedrock_body(
        "rf-1-1",
        replace(NOVA, learning_rate=1e-6, suffix="shop"),
        row,
        role_arn="r",
        training="s3://b/t",
        validation=None,
        output="s3://b/o/",
    )
    assert body["hyperParameters"] == {
        "epochCount": "2",
        "learningRate": "0.000001",
        "learningRateWarmupSteps": "10",
    }
    assert body["customModelName"] == "shop-rf-1-1"
