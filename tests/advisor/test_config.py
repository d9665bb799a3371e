from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from advisor.config import Config, contract_of, keys, load
from advisor.logs.files import InputError

SHIPPED = Path(__file__).parents[2] / "configs" / "advisor.yaml"


def flat(data: dict, prefix: str = "") -> dict:
    found = {}
    for key, value in data.items():
        nested = isinstance(value, dict) and value
        found |= flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return found


def test_the_shipped_file_shows_every_key_with_its_default():
    shown = flat(yaml.safe_load(SHIPPED.read_text(encoding="utf-8")))
    assert set(shown) == set(keys())
    assert load(SHIPPED).model_copy(update={"documents": ()}) == Config()


def test_all_faults_are_named_at_once_with_line_and_mend(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "documnets: [x]\njudge:\n  cap_usd: -1\n  modle: y\ncontract:\n  read_prompts: maybe\n",
        encoding="utf-8",
    )
    with pytest.raises(InputError) as caught:
        load(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert f"{path}:1: unknown key `documnets`; did you mean `documents`?" in lines
    assert any(line.startswith(f"{path}:3: `judge.cap_usd`") and "(given: -1)" in line for line in lines)
    assert any("`judge.modle`; did you mean `model`?" in line for line in lines)
    assert any(line.startswith(f"{path}:6: `contract.read_prompts`") for line in lines)


def test_a_rule_of_unknown_kind_is_named_with_its_line(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "contract:\n  rules:\n    - kind: ends_with\n      text: Bye\n    - kind: end_with\n      text: Bye\n",
        encoding="utf-8",
    )
    with pytest.raises(
        InputError, match=r"a.yaml:5: unknown kind of rule `end_with`; did you mean `ends_with`\?"
    ):
        load(path)


def test_declared_rules_become_the_contract(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "contract:\n  rules: [{kind: ends_with, text: Bye, cause: required_element}]\n  labels: [a, b]\n",
        encoding="utf-8",
    )
    contract = contract_of(load(path))
    assert contract.labels == ("a", "b")
    (rule,) = contract.rules
    assert (rule.kind, dict(rule.params), rule.cause, rule.origin) == (
        "ends_with",
        {"text": "Bye"},
        "required_element",
        "declared",
    )


def test_paths_are_relative_to_the_file_but_overrides_to_the_working_directory(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("documents: [pages]\nlabelled: t.csv\n", encoding="utf-8")
    config = load(path, {"labelled": Path("mine.csv"), "judge.model": "local:x"})
    assert config.documents == (tmp_path / "pages",)
    assert config.labelled == Path("mine.csv")
    assert config.judge.model == "local:x"


@pytest.mark.parametrize("text", ["- a\n", "a: [", "\x00", "a: b: c"])
def test_a_file_that_is_no_mapping_is_one_clear_line(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(path) in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_load_or_give_a_clear_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("c") / "a.yaml"
    path.write_bytes(data)
    try:
        assert isinstance(load(path), Config)
    except InputError as error:
        assert str(path) in str(error)
