import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from advisor.logs.files import InputError
from advisor.plan import Facts
from advisor.planfile import from_json, schema, sealed, to_json
from advisor.remedies import plan

FACTS = Facts(
    exchanges=9, failures=0, undetermined=0, good=9, calibrated=False, documents=None, served=0.0, labelled=0, models={}, tokens=0.0, days=None,
    today="2026-11-23",
)  # fmt: skip
PLAN = plan((), FACTS)


def test_a_plan_comes_back_from_its_file():
    assert from_json(to_json(PLAN)) == PLAN


def test_the_shipped_schema_is_one_and_the_file_keeps_it():
    Draft202012Validator.check_schema(schema())
    Draft202012Validator(schema()).validate(json.loads(to_json(PLAN)))


def test_a_changed_plan_is_refused_until_it_is_sealed():
    changed = dataclasses.replace(PLAN, exchanges=10)
    with pytest.raises(InputError, match=r"my.json: does not match its hash"):
        from_json(to_json(changed), path="my.json")
    assert from_json(to_json(sealed(changed))) == sealed(changed)
    assert sealed(changed).hash != PLAN.hash


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda d: d.pop("remedies"), "the top level"),
        (lambda d: d["remedies"][0].update(kind="Pray"), "remedies/0/kind"),
        (lambda d: d["remedies"][0]["gain"].update(high=2), "remedies/0/gain/high"),
        (lambda d: d.update(extra=1), "the top level"),
    ],
)
def test_a_file_that_is_no_plan_is_told_where(change, where):
    data = json.loads(to_json(PLAN))
    change(data)
    with pytest.raises(InputError, match=f"is not a plan \\({where}"):
        from_json(json.dumps(data))


@given(st.binary(max_size=80))
def test_any_bytes_give_a_clear_error(data):
    with pytest.raises(InputError):
        from_json(data)
