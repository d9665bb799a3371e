"""Keys, seals and limits by themselves."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.server.faults import Fault
from router.server.keys import Keys, KeysDamaged
from router.server.limits import Limits
from router.server.schemas import is_quick
from router.server.seal import Seal


@pytest.mark.parametrize("name", ["", "*", "a/b", "a b", "-a", "a\n", "x" * 65, "ä"])
def test_names_that_would_be_another_route_are_no_tenants(state, name):
    with pytest.raises(KeysDamaged, match="named with"):
        Keys(state).add(name)


def test_keys_made_at_the_same_time_are_all_kept(state):
    made = []
    threads = [threading.Thread(target=lambda: made.append(Keys(state).add("acme"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = Keys(state)
    assert set(keys.all()) == {key.id for key, _ in made} and len(made) == 8
    assert all(keys.find(token) == key for key, token in made)


def test_a_damaged_file_of_keys_lets_nobody_in(state):
    keys = Keys(state)
    token = keys.add("acme")[1]
    (state / "keys.json").write_text("{", encoding="utf-8")
    with pytest.raises(KeysDamaged, match="make new keys"):
        keys.find(token)


def test_a_key_that_is_not_there_cannot_be_revoked(state):
    with pytest.raises(KeysDamaged, match="no key 'x'"):
        Keys(state).revoke("x")


@given(st.none() | st.text(max_size=5), st.none() | st.text(max_size=5))
def test_an_id_is_of_the_tenant_it_was_made_for_and_of_nobody_else(tmp_path_factory, one, other):
    seal = Seal(tmp_path_factory.getbasetemp() / "sealed")
    id = seal.reply_id(one)
    assert seal.is_of(id, one)
    assert seal.is_of(id, other) == (one == other)
    assert Seal(tmp_path_factory.getbasetemp() / "sealed").is_of(id, one)


@given(st.text(max_size=60))
def test_no_made_up_id_is_of_anybody(tmp_path_factory, id):
    assert not Seal(tmp_path_factory.getbasetemp() / "sealed").is_of(id, None)


def test_another_state_has_another_seal(tmp_path):
    assert not Seal(tmp_path / "b").is_of(Seal(tmp_path / "a").reply_id("x"), "x")


def test_the_minute_fills_again():
    now = [0.0]
    limits = Limits(at_once=9, tenant_at_once=9, per_minute=60, clock=lambda: now[0])
    for _ in range(60):
        limits.count("a")
    with pytest.raises(Fault) as caught:
        limits.count("a")
    assert (caught.value.status, caught.value.again_s) == (429, 1)
    now[0] += 2
    limits.count("a"), limits.count("a")
    with pytest.raises(Fault):
        limits.count("a")
    limits.count("b")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_places_are_never_more_than_allowed_and_all_come_back(steps):
    limits, held = Limits(at_once=4, tenant_at_once=2, per_minute=None), {t: [] for t in "abc"}
    for tenant, take in steps:
        if take:
            try:
                held[tenant].append(limits.enter(tenant).__enter__())
            except Fault as fault:
                assert len(held[tenant]) == 2 or sum(map(len, held.values())) == 4
                assert fault.status == 429 and fault.again_s >= 1
        elif held[tenant]:
            slot = held[tenant].pop()
            slot.__exit__()
            slot.__exit__()
        assert limits.total == sum(map(len, held.values())) <= 4
        assert all(len(slots) <= 2 for slots in held.values())


@pytest.mark.parametrize(
    ("pattern", "quick"),
    [
        (r"^\d{4}-\d{2}-\d{2}$", True), (r"^[A-Z]{2,3}-\d+$", True), (r"(?:ab|cd)+", True), (r"^(?!x)\w+$", True), ("(", True),
        (r"(a+)+$", False), (r"(a|b*)*c", False), (r"(?:x{1,9}){5,}", False), (r"(a)\1+", False), ("a" * 501, False),
    ],
)  # fmt: skip
def test_patterns(pattern, quick):
    assert is_quick(pattern) is quick
