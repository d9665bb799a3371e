"""Heads: as good as a library's logistic regression, served as they were trained, silent on what has no label."""

import json

import numpy as np
import pytest

from finetune import train
from finetune.adapters import Adapters
from finetune.datasets import Dataset, save
from finetune.examples import Example
from finetune.head import HeadFailed, _fit, macro_f1
from finetune.head import train as train_head
from finetune.progress import read
from finetune.recipe import Recipe

THINGS = {
    "card": [
        "My card is lost",
        "the card was stolen",
        "block my credit card",
        "where is my new card",
        "the card does not work",
        "my card was swallowed",
    ],
    "parcel": [
        "My parcel is late",
        "where is the parcel",
        "the delivery has not come",
        "track my package",
        "the parcel is damaged",
        "nobody delivered it",
    ],
    "invoice": [
        "I need an invoice",
        "send me the bill",
        "the invoice is wrong",
        "VAT on my receipt",
        "a receipt for taxes",
        "the bill shows too much",
    ],
}
TEXTS = [(t, label) for label, own in THINGS.items() for t in own]


def test_it_learns_and_tells():
    found = train_head([t for t, _ in TEXTS], [label for _, label in TEXTS], embedder="static")
    assert found.labels == ("card", "invoice", "parcel") and found.weight.shape[0] == 3
    assert found.metrics["cv_accuracy"] > 0.6
    assert found.threshold == 0.0


def test_it_is_served_as_it_was_trained(tmp_path):
    from router.models import load

    found = train_head([t for t, _ in TEXTS], [label for _, label in TEXTS], embedder="static")
    folder = found.save(tmp_path / "head")
    model = load(f"head:{folder}")
    said = [model.complete([{"role": "user", "content": t}]).text for t, _ in TEXTS]
    assert sum(s == label for s, (_, label) in zip(said, TEXTS, strict=True)) >= 17
    assert json.loads((folder / "head.json").read_text(encoding="utf-8"))["embedder"] == "static"


def test_what_has_no_label_sets_a_threshold():
    outside = [
        "What is the weather in Oslo?",
        "Tell me a joke about cats",
        "Who won the football match?",
        "Sing a song for me",
    ]
    found = train_head(
        [t for t, _ in TEXTS], [label for _, label in TEXTS], embedder="static", outside=outside
    )
    assert 0.2 < found.threshold < 1.0


def test_it_is_the_regression_that_a_library_gives():
    linear = pytest.importorskip("sklearn.linear_model")
    chance = np.random.default_rng(0)
    x = chance.normal(size=(200, 12))
    y = (x @ chance.normal(size=(12, 4)) + 0.5 * chance.normal(size=(200, 4))).argmax(axis=1)
    penalty = 1e-2
    weight, bias = _fit(x, y, 4, penalty)
    theirs = linear.LogisticRegression(C=1 / (penalty * len(x)), max_iter=2000, tol=1e-8).fit(x, y)
    ours = x @ weight.T + bias
    assert (
        np.abs(
            (ours - ours.mean(axis=1, keepdims=True))
            - (theirs.decision_function(x) - theirs.decision_function(x).mean(axis=1, keepdims=True))
        ).max()
        < 0.01
    )


def test_macro_f1():
    right, said = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 2])
    assert macro_f1(right, said, 3) == pytest.approx((2 / 3 + 0.8 + 1.0) / 3)
    assert macro_f1(right, said, 5) == macro_f1(right, said, 3)


@pytest.mark.parametrize("labels", [["a", "a", "a"], ["a", "a", "b"]])
def test_too_few_are_refused(labels):
    with pytest.raises(HeadFailed, match="two labels with two texts each"):
        train_head(["x", "y", "z"], labels, embedder="static")


def test_a_job_trains_a_head_like_any_other(tmp_path):
    examples = tuple(
        Example(messages=({"role": "user", "content": t}, {"role": "assistant", "content": label}), label=label, group=t, origin="file", source=t)
        for t, label in TEXTS
    )  # fmt: skip
    data = save(Dataset(train=examples), tmp_path / "datasets")
    recipe = Recipe(base="local:static", task="classification", weights="head")
    train.write_job(tmp_path / "jobs/j", key="j", recipe=recipe, dataset=data, adapters=tmp_path / "adapters")
    assert train.main([str(tmp_path / "jobs/j")]) == 0
    done = read(tmp_path / "jobs/j")
    assert done.stage == "succeeded", done.message
    (found,) = Adapters(tmp_path / "adapters").all()
    assert done.model == f"head:{(tmp_path / 'adapters' / found.id).resolve()}"
    assert found.metrics["cv_accuracy"] > 0.6 and not found.is_adapter
