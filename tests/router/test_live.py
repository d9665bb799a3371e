"""The live pointer: sticky by conversation, moved at once, taken back in one call, by any number of processes."""

import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.live import Choice, Live, Moved, NothingLive, UnknownTenant


def test_nothing_is_live_at_first(tmp_path):
    live = Live(tmp_path)
    for call in (live.choose, live.rollback, lambda: live.canary("b", share=0.5), lambda: live.shadow("b")):
        with pytest.raises(NothingLive):
            call()


def test_the_nearest_route_is_followed(tmp_path):
    live = Live(tmp_path)
    live.promote("any")
    live.promote("tickets", task="tickets")
    live.promote("acme", tenant="acme")
    live.promote("acme-tickets", tenant="acme", task="tickets")
    chosen = {
        (t, k): live.choose(tenant=t, task=k).release
        for t in (None, "acme", "zeta")
        for k in (None, "tickets", "cards")
    }
    assert chosen == {
        (None, None): "any", (None, "tickets"): "tickets", (None, "cards"): "any", ("acme", None): "acme", ("acme", "tickets"): "acme-tickets",
        ("acme", "cards"): "acme", ("zeta", None): "any", ("zeta", "tickets"): "tickets", ("zeta", "cards"): "any",
    }  # fmt: skip


def test_unknown_tenants_may_be_refused(tmp_path):
    live = Live(tmp_path, unknown="refuse")
    live.promote("any")
    live.promote("acme", tenant="acme")
    assert live.choose(tenant="acme").release == "acme"
    with pytest.raises(UnknownTenant):
        live.choose(tenant="zeta")
    assert live.choose().release == "any"


def test_a_canary_answers_about_its_share_and_each_conversation_stays(tmp_path):
    live = Live(tmp_path)
    live.promote("old")
    live.canary("new", share=0.2)
    talks = [f"talk-{n}" for n in range(2000)]
    first = [live.choose(conversation=t) for t in talks]
    assert 0.16 < sum(c.arm == "canary" for c in first) / len(talks) < 0.24
    assert [live.choose(conversation=t) for t in talks] == first
    live.canary("new", share=0.6)
    assert all(
        live.choose(conversation=t).release == "new"
        for t, c in zip(talks, first, strict=True)
        if c.arm == "canary"
    )


def test_back_is_one_call(tmp_path):
    live = Live(tmp_path)
    for release in ("a", "b", "c"):
        live.promote(release)
    live.canary("d", share=0.5, why="try")
    assert live.rollback().canary is None
    assert live.rollback().release == "b"
    assert live.rollback().release == "a"
    with pytest.raises(NothingLive, match="nothing was live before a"):
        live.rollback()
    told = live.routes()["*"].changes
    assert [c.what for c in told] == [
        "rollback",
        "rollback",
        "rollback",
        "canary",
        "promote",
        "promote",
        "promote",
    ]
    assert told[3].why == "try"


def test_promoting_what_is_live_changes_nothing_but_ends_a_canary(tmp_path):
    live = Live(tmp_path)
    live.promote("a")
    live.promote("b")
    live.canary("c", share=0.5)
    route = live.promote("b")
    assert (route.release, route.previous, route.canary) == ("b", ("a",), None)


def test_a_canary_is_stopped_only_if_it_is_the_one(tmp_path):
    live = Live(tmp_path)
    live.promote("a")
    live.canary("b", share=0.5)
    assert live.stop_canary(release="x").canary == "b"
    assert live.stop_canary(release="b", why="worse").canary is None
    assert live.shadow("s").shadow == "s"
    assert live.choose() == Choice(route="*", release="a", shadow="s")


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_a_share_is_a_share(tmp_path, share):
    live = Live(tmp_path)
    live.promote("a")
    with pytest.raises(ValueError, match="more than 0 and less than 1"):
        live.canary("b", share=share)


def test_another_process_sees_it_at_once(tmp_path):
    here, there = Live(tmp_path), Live(tmp_path)
    here.promote("a")
    assert there.choose().release == "a"
    code = (
        f"from pathlib import Path; from router.live import Live; Live(Path({str(tmp_path)!r})).promote('b')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    time.sleep(0.06)  # the file is looked at again after 50 ms
    assert there.choose().release == here.choose().release == "b"


def test_writers_at_once_lose_nothing(tmp_path):
    def work(tenant):
        mine = Live(tmp_path)
        for n in range(8):
            mine.promote(f"r{n}", tenant=tenant)

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    routes = Live(tmp_path).routes()
    assert {name: (r.release, len(r.previous)) for name, r in routes.items()} == {
        f"t{n}": ("r7", 7) for n in range(4)
    }


def test_a_damaged_file_is_told_of(tmp_path):
    (tmp_path / "live.json").write_text("{")
    with pytest.raises(NothingLive, match="cannot be read"):
        Live(tmp_path).choose()


@given(st.lists(st.sampled_from(["p1", "p2", "p3", "back", "canary", "stop"]), max_size=25))
def test_whatever_is_done_one_release_is_live_and_back_leads_back(tmp_path_factory, steps):
    live = Live(tmp_path_factory.mktemp("live"))
    live.promote("p0")
    for step in steps:
        try:
            if step == "back":
                before = live.routes()["*"]
                after = live.rollback()
                assert after.release == (before.release if before.canary else before.previous[0])
            elif step == "canary":
                live.canary("c", share=0.5)
            elif step == "stop":
                live.stop_canary()
            else:
                live.promote(step)
        except NothingLive:
            assert step == "back"
        route = live.routes()["*"]
        assert route.release not in route.previous
        assert live.choose().release in (route.release, route.canary)


def test_what_is_expected_to_be_live_must_be(tmp_path):
    live = Live(tmp_path)
    live.promote("a")
    live.promote("b", expected="a")
    with pytest.raises(Moved, match="b is live, no longer a"):
        live.promote("c", expected="a")
    with pytest.raises(Moved):
        live.canary("c", share=0.5, expected="a")
    assert (live.routes()["*"].release, live.routes()["*"].canary) == ("b", None)
