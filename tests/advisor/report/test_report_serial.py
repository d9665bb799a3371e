import json
import math
from collections import Counter

import orjson

from advisor.report.serial import exchange_data, plain, to_data


def test_a_result_becomes_json(result):
    data = json.loads(orjson.dumps(to_data(result)))
    assert data["failed"] == {"count": 553, "total": 2480, "value": 553 / 2480, "low": 0.207, "high": 0.24}
    assert data["gaps"]["style"]["count"] == 321
    assert data["counts"]["dialects"] == {"openai-chat": 2533, "scores": 65}
    assert data["issues"][0]["id"] == "i-1f0c"
    assert data["plan"]["remedies"][0]["price"]["cap"] == 0.0
    assert len(data["skips"]) == 13
    assert data["unknown_scores"] == ["vibe", "<b>score</b>"]


def test_an_exchange_becomes_json(result):
    for example in result.examples.values():
        data = json.loads(orjson.dumps(exchange_data(example.exchange, example.diagnosis)))
        assert data["exchange"]["id"] == example.exchange.id
        assert data["diagnosis"]["named"] == list(example.diagnosis.named)
    canada = result.examples["e-canada"]
    assert "jo.miller@example.com" in json.dumps(exchange_data(canada.exchange, canada.diagnosis))
    assert "jo.miller@example.com" not in json.dumps(
        exchange_data(canada.exchange, canada.diagnosis, mask=True)
    )


def test_values_json_has_no_form_for():
    odd = {
        "a": math.nan,
        3: {"b", "a"},
        "big": 2**80,
        "s": "x\ud800",
        "n": None,
        "o": object,
        "c": Counter(a=1),
        "yes": True,
    }
    data = plain(odd)
    assert data["a"] is None
    assert data["3"] == ["a", "b"]
    assert data["big"] == str(2**80)
    assert data["s"] == "x\ufffd"
    assert data["yes"] is True
    assert "object" in data["o"]
    orjson.dumps(data)
