import pytest
from made_examples import example
from made_jobs import pairs

from finetune.datasets import save, split


@pytest.fixture
def dataset(tmp_path):
    """The folder of a small dataset."""
    return save(split(example(n) for n in range(40)), tmp_path / "datasets")


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """The folder of a model of two layers, for tests that train it."""
    import tiny_base

    return tiny_base.folder(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The folder of pairs to train it on."""
    return pairs(tmp_path_factory.mktemp("datasets"))
