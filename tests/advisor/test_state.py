import sqlite3
import threading
import zlib

import pytest

from advisor.issues import Broken, Issue, Rate, Trend
from advisor.lessons import learned, refused
from advisor.logs.files import InputError
from advisor.serial import dumps
from advisor.state import Outcome, State, opened


def issue(key):
    rate = Rate(count=1, total=2, value=0.5, low=0.1, high=0.9)
    return Issue(
        id=key, title="Lost orders", gaps=("knowledge",), cause=None, signature=("feedback.negative",), topic=("order",), exchange_ids=("ab",),
        distinct=1, rate=rate, trend=Trend(period_days=1.0, counts=(1,), totals=(2,), direction="unknown"), tenants=("cork",), confidence=0.8,
        undetermined=0, examples=("ab",), questions=("Where?",), broken=(Broken(rule="r", origin="system", words="w"),), corrected=1,
    )  # fmt: skip


@pytest.fixture
def stored(exchange, diagnosis):
    return (exchange.id, zlib.compress(dumps(exchange, diagnosis)), sorted(exchange.ids))


def test_an_exchange_is_found_by_id_beginning_and_id_of_the_log(tmp_path, exchange, diagnosis, stored):
    with opened(tmp_path) as state:
        state.replace_run([stored], [])
        for wanted in (exchange.id, exchange.id[:5], "resp-1"):
            assert state.exchange(wanted) == (exchange, diagnosis)


def test_what_is_not_there_or_not_clear_is_said_in_one_line(tmp_path, stored):
    other = ("ab99" + stored[0][4:], *stored[1:])
    with opened(tmp_path) as state:
        state.replace_run([stored, other], [issue("ffff")])
        with pytest.raises(InputError, match="no exchange or issue 'zz'"):
            state.exchange("zz")
        with pytest.raises(InputError, match="fits several"):
            state.exchange("ab")
        assert state.issue("ff") == issue("ffff")
        assert state.issue("ab") is None


def test_a_run_that_breaks_off_leaves_the_one_before(tmp_path, exchange, stored):
    def broken():
        yield ("cd" + stored[0][2:], *stored[1:])
        raise KeyboardInterrupt

    with opened(tmp_path) as state:
        state.replace_run([stored], [issue("one")])
        with pytest.raises(KeyboardInterrupt):
            state.replace_run(broken(), [])
    with opened(tmp_path) as state:
        assert state.exchange(exchange.id)[0] == exchange
        assert state.issue("one") == issue("one")


def test_labels_outlive_runs_and_the_last_word_counts(tmp_path, exchange, stored):
    with opened(tmp_path) as state:
        state.replace_run([stored], [])
        state.label(exchange.id, ["style"], stored[1])
        state.label(exchange.id, ["knowledge", "style"], stored[1])
        state.label("only-an-id", [], None)
        state.replace_run([], [])
        assert [(x.id, x.gaps, x.exchange) for x in state.labels()] == [
            (exchange.id, frozenset({"knowledge", "style"}), exchange),
            ("only-an-id", frozenset(), None),
        ]
        assert state.sample(5) == []


def test_paid_verdicts_are_there_for_the_next_process(tmp_path):
    with opened(tmp_path) as state:
        state.verdicts()["k"] = "v"
    with opened(tmp_path) as state:
        assert dict(state.verdicts()) == {"k": "v"}
        del state.verdicts()["k"]
        assert "k" not in state.verdicts()


def test_two_runs_at_once_both_end_whole(tmp_path, stored):
    def one(letter):
        with opened(tmp_path) as state:
            for _ in range(20):
                state.replace_run([(letter * 16, *stored[1:])], [issue(letter)])

    threads = [threading.Thread(target=one, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with opened(tmp_path) as state:
        found = [letter for letter in "ab" if state.issue(letter)]
        assert len(found) == 1
        assert state.sample(9) == [found[0] * 16]


def test_a_file_that_is_not_ours_is_refused(tmp_path):
    (tmp_path / "advisor.db").write_bytes(b"not a database at all" * 99)
    with pytest.raises(InputError, match="cannot be used as state"):
        State(tmp_path)
    newer = tmp_path / "newer"
    newer.mkdir()
    with sqlite3.connect(newer / "advisor.db") as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(InputError, match="newer version"):
        State(newer)


def test_what_was_gated_once_is_learnt_from_once(tmp_path):
    def noted(verdict, *, kind="ChangePrompt", **body):
        state.note_outcome(Outcome(kind=kind, verdict=verdict, body={"mended": 5, "tried": 8, **body}))

    with opened(tmp_path) as state:
        for verdict in ("not agreed", "applied: promoted"):
            noted(verdict, plan="p", remedy="r", route="*")
        assert learned(state.outcomes()) == {"ChangePrompt": (5, 8)}
        noted("applied: promoted", plan="p", remedy="r", route="acme")
        noted("refused", plan="q", remedy="r", route="*")
        noted("refused", kind="FineTune", plan="q", remedy="r", route="*")
        assert learned(state.outcomes()) == {"ChangePrompt": (15, 24), "FineTune": (5, 8)}
        assert len(state.outcomes()) == 5


def test_a_prompt_that_surely_leaves_failures_is_as_good_as_refused(tmp_path):
    def noted(issue, verdict, mended, tried, kind="ChangePrompt"):
        state.note_outcome(Outcome(kind=kind, verdict=verdict, body={"issues": [issue], "mended": mended, "tried": tried}))  # fmt: skip

    with opened(tmp_path) as state:
        noted("few", "not enough evidence", 3, 25)
        noted("most", "not enough evidence", 24, 25)
        noted("small", "not enough evidence", 1, 5)
        noted("index", "not enough evidence", 0, 25, kind="UpdateIndex")
        noted("none", "refused", 0, 0)
        noted("live", "applied: canary", 9, 25)
        assert refused(state.outcomes()) == ("few", "none")
        noted("few", "applied: canary", 24, 25)
        assert refused(state.outcomes()) == ("none",)
