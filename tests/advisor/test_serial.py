import dataclasses

import pytest

from advisor.serial import dumps, loads, to_data


def test_what_was_dumped_comes_back(exchange, diagnosis):
    assert loads(dumps(exchange, diagnosis)) == (exchange, diagnosis)


@pytest.mark.parametrize("passages", [None, ()])
def test_no_passages_and_none_served_stay_apart(exchange, diagnosis, passages):
    changed = dataclasses.replace(exchange, passages=passages)
    assert loads(dumps(changed, diagnosis))[0].passages == passages
    assert ("passages" in to_data(changed)) == (passages is not None)


@pytest.mark.parametrize("text", [b"{}", b"[]", b"null", b'{"exchange": {}, "diagnosis": {}}', b"nonsense"])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError):
        loads(text)
