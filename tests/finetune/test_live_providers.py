"""The same contract against real accounts: opt in with `pytest -m live`, keys in the environment. It costs cents, and says so.

RIGHTFIX_LIVE_OPENAI_MODEL (with OPENAI_API_KEY), RIGHTFIX_LIVE_AZURE_MODEL (with AZURE_OPENAI_*), RIGHTFIX_LIVE_BEDROCK_MODEL (with
credentials of AWS, RIGHTFIX_BEDROCK_ROLE and RIGHTFIX_BEDROCK_BUCKET) name what is tuned; without one, its tests are skipped.
"""

import os

import pytest
from planted_datasets import good

from finetune import datasets
from finetune.backends import load
from finetune.backends.port import JobError
from finetune.datasets import Dataset
from finetune.jobs import Jobs
from finetune.ordering import Lookup, Ordering
from finetune.preflight import Terms
from finetune.recipe import Recipe

PROVIDERS = ("openai", "azure", "bedrock")
CAP_USD = 3.0

pytestmark = pytest.mark.live


@pytest.fixture(params=PROVIDERS)
def base(request):
    model = os.environ.get(f"RIGHTFIX_LIVE_{request.param.upper()}_MODEL")
    if not model:
        pytest.skip(f"RIGHTFIX_LIVE_{request.param.upper()}_MODEL names no model")
    return f"{request.param}:{model}"


@pytest.fixture
def folder(tmp_path):
    return datasets.save(Dataset(train=tuple(good(20))), tmp_path / "datasets")


def test_the_provider_says_how_long_the_model_lives(base):
    backend = load(base.partition(":")[0])
    assert isinstance(backend, Lookup)
    assert backend.life(base.partition(":")[2]) is not None


def test_a_job_is_made_once_found_again_and_cancelled(tmp_path, folder, base):
    order = Ordering(tmp_path / "state")
    key = order.write(Recipe(base=base, epochs=1), folder, Terms(cap_usd=CAP_USD, force=True)).key
    sent = order.send(key)
    try:
        # Another process that knows nothing but the key finds the job instead of making one.
        lost = Jobs(tmp_path / "state")
        lost._set(key, state="sending", provider_id=None)
        assert lost.submit(key).provider_id == sent.provider_id
        assert order.jobs.poll(key).raw
    finally:
        try:
            order.jobs.control(key, "cancel")
        except JobError as error:
            assert "over" in str(error)
    assert order.jobs.wait(key, timeout_s=600, every_s=10).is_over
