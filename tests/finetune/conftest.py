import pytest
from made_examples import example

from finetune.datasets import save, split


@pytest.fixture
def dataset(tmp_path):
    """The folder of a small dataset."""
    return save(split(example(n) for n in range(40)), tmp_path / "datasets")
