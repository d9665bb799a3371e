import json

import pytest

from router.contract.rules import Contract, Rule
from router.releases import Generation, Price, Release, ReleaseMissing, Releases, Retrieving

RELEASE = Release(
    model="local:smollm2@a1", prompt="p1", index="i1", contract=Contract(rules=(Rule(kind="json", params={"schema": {"type": "object"}}),), labels=("x",)),
    generation=Generation(stop=("\n",)), retrieving=Retrieving(k=2), fallback="Sorry.", price=Price(input=0.1, output=0.4), note="first",
)  # fmt: skip


def test_kept_and_found_again_by_the_beginning_of_its_id(tmp_path):
    releases = Releases(tmp_path)
    id = releases.add(RELEASE)
    found = releases.get(id[:6])
    assert found.id == id == RELEASE.id
    assert (found.contract, found.generation, found.retrieving, found.price) == (
        RELEASE.contract,
        RELEASE.generation,
        RELEASE.retrieving,
        RELEASE.price,
    )
    assert releases.all() == [found]


def test_note_and_time_are_not_what_answers(tmp_path):
    other = Release(**{**{n: getattr(RELEASE, n) for n in RELEASE.__slots__}, "note": "again", "made": 5.0})
    assert other.id == RELEASE.id
    releases = Releases(tmp_path)
    releases.add(RELEASE)
    releases.add(other)
    assert [r.note for r in releases.all()] == ["first"]


def test_what_was_changed_by_hand_is_refused(tmp_path):
    id = Releases(tmp_path).add(RELEASE)
    file = tmp_path / "releases" / f"{id}.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "model": "openai:gpt"}))
    with pytest.raises(ReleaseMissing, match="it was changed since it was made"):
        Releases(tmp_path).get(id)
    file.write_text("{}")
    with pytest.raises(ReleaseMissing, match="is no release"):
        Releases(tmp_path).get(id)


@pytest.mark.parametrize("asked", ["", "nosuch"])
def test_unknown_ids_are_told(tmp_path, asked):
    Releases(tmp_path).add(RELEASE)
    with pytest.raises(ReleaseMissing, match="`advise release list` shows them"):
        Releases(tmp_path).get(asked)


def test_cost_needs_price_and_tokens():
    assert RELEASE.cost(1_000_000, 500_000) == pytest.approx(0.3)
    assert RELEASE.cost(None, 5) is None
    assert Release(model="m", prompt="p").cost(1, 1) is None
