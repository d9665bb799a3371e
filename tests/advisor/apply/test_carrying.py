"""Remedies put together: two that change the prompt are both in the release that goes live, or are not said to be."""

import json
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import pytest
from planted_bot import PLACES, question, right, shop, told

from advisor import config as settings
from advisor.apply import carrying
from advisor.apply.apply import Wishes, apply
from advisor.apply.carrying import Carrier, Tried
from advisor.apply.workplace import Made
from advisor.cli import main
from advisor.cli.asking import paying, within
from advisor.gate.decision import Pair
from advisor.lessons import refused
from advisor.planfile import from_json
from advisor.state import State, opened
from rag.index import Index
from router import models
from router.chatbot import Chatbot
from router.live import Live, Moved
from router.prompts import Part, Prompt, Prompts
from router.releases import Releases

RULES = "contract: {rules: [{kind: forbidden, words: [euros], cause: format}, {kind: forbidden, words: [cheers], cause: tone}]}\n"
CONFIG = (
    "documents: [help]\nprobe: {bot: live, price: {input: 0, output: 0}}\ngate: {margin: 0.6}\n"
    "index: {embedder: static, store: memory, sources: [help]}\n"
    "chat: {model: 'planted:obeying', prompt: prompt.txt, cite: false, grounded: false}\n"
)


@pytest.fixture
def place(tmp_path, monkeypatch, capsys):
    """A bot that breaks one rule for every even place and another for every odd one, until its prompt states it."""
    shop(tmp_path, monkeypatch, capsys, CONFIG)
    (tmp_path / "advisor.yaml").write_text(CONFIG + RULES, encoding="utf-8")
    with Chatbot() as bot:
        for n in range(3):
            for p in PLACES:
                reply = bot.reply([{"role": "user", "content": question(p, n)}], conversation=f"{p}-{n}")
                bot.feedback(reply.id, thumb="down", correction=right(p).replace("euros", "EUR"))
        bot.flush()
    told(capsys, ".advisor/traces")
    return tmp_path


def test_two_changes_of_the_prompt_are_both_in_what_goes_live(place, capsys):
    (done,) = json.loads(told(capsys, "apply", "--yes", "--json", "--only", "ChangePrompt"))
    assert [t["standing"] for t in done["tried"]] == ["accepted", "accepted"], done
    state = place / ".advisor"
    route = Live(state).routes()["*"]
    assert done["release"] in (route.release, route.canary)
    live = Prompts(state).get(Releases(state).get(done["release"]).prompt).system
    assert "euros" in live and "cheers" in live
    assert all(part["after"] == 1.0 for part in done["decision"]["issues"].values())
    with opened(state) as db:
        assert [o.verdict for o in db.outcomes()] == [f"applied: {done['action']}"] * 2
    again = json.loads(told(capsys, "apply", "--yes", "--json", "--only", "ChangePrompt"))
    assert again[0]["release"] == done["release"]


def test_a_change_that_another_takes_back_waits(place, capsys, monkeypatch):
    """Each is accepted alone; with both rules stated the bot follows the first only."""
    monkeypatch.setitem(models.PROVIDERS, "planted", "planted_bot:forgetful")
    (done,) = json.loads(told(capsys, "apply", "--yes", "--json", "--only", "ChangePrompt"))
    assert [t["standing"] for t in done["tried"]] == ["accepted", "left for later"], done
    assert "others change the prompt too" in done["tried"][1]["why"]
    with opened(place / ".advisor") as db:
        assert [o.verdict for o in db.outcomes()] == [f"applied: {done['action']}", "left for later"]


def one_for_both(place, remedy):
    """Whatever a remedy is for: the one rule that half of the failures need."""
    prompt = place.prompts.get(place.base.prompt)
    stated = prompt.with_part(Part(kind="text", name="price", text='Never write "euros".'))
    release = place.kept(place.base, stated)
    return Made(remedy=remedy.id, kind=remedy.kind, release=release, gaps=frozenset({"style"}), what="a rule")


def test_what_mends_nothing_of_its_own_is_not_applied_by_what_others_mend(place, capsys, monkeypatch):
    monkeypatch.setitem(carrying.MAKERS, "ChangePrompt", "test_carrying:one_for_both")
    (done,) = json.loads(told(capsys, "apply", "--yes", "--json", "--only", "ChangePrompt"))
    assert sorted(t["standing"] for t in done["tried"]) == ["accepted", "refused"], done
    (why,) = (t["why"] for t in done["tried"] if t["standing"] == "refused")
    assert why.startswith("0 of ") and "of its own are mended" in why
    assert done["action"] in ("promoted", "canary")
    with opened(place / ".advisor") as db:
        assert sorted(o.verdict for o in db.outcomes()) == [f"applied: {done['action']}", "refused"]
        (issue,) = refused(db.outcomes())
        assert [issue] == next(o.body["issues"] for o in db.outcomes() if o.verdict == "refused")


def dear_rules(place, remedy):
    """Stands in for a training: keeps the rules that its remedy is for, and costs more."""
    prompt = place.prompts.get(place.base.prompt)
    for issue in place.issues_of(remedy):
        word = "euros" if "euros" in issue.title else "cheers"
        prompt = prompt.with_part(Part(kind="rule", name=word, text=f'Never write "{word}".'))
    what = f"trained for {len(remedy.issues)}"
    return Made(
        remedy=remedy.id, kind=remedy.kind, release=place.kept(place.base, prompt), gaps=frozenset({"style"}), what=what, cost=2
    )  # fmt: skip


@pytest.mark.parametrize(
    ("both", "standings"),
    [(False, ["accepted", "cheaper is as good"]), (True, ["dearer mends more", "accepted"])],
)
def test_of_two_for_the_same_failures_one_goes_live(place, capsys, monkeypatch, both, standings):
    """The cheaper where it is as good; the dearer where the cheaper mends nothing that it does not, and less."""
    monkeypatch.setitem(carrying.MAKERS, "FineTune", "test_carrying:dear_rules")
    state, config = place / ".advisor", settings.load(place / "advisor.yaml")
    plan = from_json((state / "plan.json").read_text(encoding="utf-8"))
    with opened(state) as db, Index(state / "index") as index:
        titles = {i.id: i.title for i in db.issues()}
        prompts = [r for r in plan.remedies if r.kind == "ChangePrompt"]
        first = next(r for r in prompts if "euros" in titles[r.issues[0]])
        of = tuple(r.issues[0] for r in prompts) if both else first.issues
        dear = replace(first, id="dear", kind="FineTune", issues=of)
        wishes = Wishes(agreed=within({}), live=lambda carried: True, tell=lambda *told: None)
        (done,) = apply(replace(plan, remedies=(first, dear)), config, db, index, wishes)
    assert [t.standing for t in done.carried.tried] == standings, done.as_data()
    (loser,) = (t for t in done.carried.tried if t.standing != "accepted")
    told = "trained for 2 mends all that it mends, and more" if both else "is cheaper and as good"
    assert told in loser.why
    live = Prompts(state).get(Releases(state).get(done.carried.release).prompt).system
    assert ("cheers" in live) is both


def test_what_makes_a_cheaper_one_needless_must_stand_itself(monkeypatch):
    """Of issue a the first prompt mends all, of b the second; the training mends a, and of b all but one, so that it is no better than the second."""
    mends = {"one": {"a"}, "two": {"b"}, "dear": {"a", "b"}}
    costs = {"one": 0, "two": 0, "dear": 2}
    issues = {"one": ("a",), "two": ("b",), "dear": ("a", "b")}

    def tried(name, **changes):
        made = Made(
            remedy=name, kind="k", release=name, gaps=frozenset({"style"}), what=name, cost=costs[name]
        )
        return Tried(made=replace(made, **changes), decision=None, standing="accepted", why="")

    def pairs(self, release, remedies, **given):
        cases = [(i, n) for i, many in (("a", 6), ("b", 16)) for n in range(many)]
        after = {c: c[0] in mends[release] and not (release == "dear" and c == ("b", 0)) for c in cases}
        return [
            Pair(id=f"{c}", group=f"{c}", kind="target", issue=c[0], before=False, after=after[c])
            for c in cases
        ]

    monkeypatch.setattr(Carrier, "_pairs", pairs)
    remedies = [SimpleNamespace(id=name, issues=issues[name]) for name in ("one", "two", "dear")]
    carrier = Carrier(SimpleNamespace(base=None), SimpleNamespace(remedies=remedies))
    found = carrier._cheapest([tried(n) for n in ("one", "two", "dear")])
    assert [t.standing for t in found] == ["accepted", "accepted", "cheaper is as good"]
    # What mends another gap besides is not needless.
    other = tried("one", gaps=frozenset({"style", "knowledge"}))
    assert carrier._cheapest([other, tried("dear")])[0].standing == "accepted"
    assert carrier._cheapest([tried("one"), tried("dear")])[0].standing == "dearer mends more"


def priced(place, more=""):
    text = (
        (place / "advisor.yaml")
        .read_text(encoding="utf-8")
        .replace("input: 0, output: 0", "input: 1, output: 1")
    )
    (place / "advisor.yaml").write_text(text + more, encoding="utf-8")


def answers(place):
    if not (place / ".advisor/probes.db").exists():
        return 0
    with closing(sqlite3.connect(place / ".advisor/probes.db")) as db:
        return db.execute("SELECT count(*) FROM answers").fetchone()[0]


def test_a_bot_that_costs_is_asked_only_once_somebody_agreed(place, capsys):
    priced(place)
    (done,) = json.loads(told(capsys, "apply", "--yes", "--json", "--only", "ChangePrompt", code=1))
    assert done["action"] == "nothing to do" and answers(place) == 0
    assert all("may cost up to $" in t["what"] for t in done["tried"])
    (done,) = json.loads(told(capsys, "apply", "--yes", "--json", "--only", "ChangePrompt", "--pay", "9"))
    assert done["action"] in ("promoted", "canary") and answers(place) > 0


def test_what_a_run_may_pay_for_one_kind_pays_for_no_other(place, capsys):
    priced(place, "run: {logs: [.advisor/traces], allow: {ChangePrompt: 0, FineTune: 5}}\n")
    done = json.loads(told(capsys, "run", "--json"))
    assert [a["action"] for a in done["applied"]] == ["nothing to do"] and answers(place) == 0


def test_an_allowance_is_used_up(capsys):
    pays = within({"ChangePrompt": 1.0, "FineTune": 0.0})
    assert [pays("ChangePrompt", "asking", usd) for usd in (0.6, 0.6, 0.4)] == [True, False, True]
    assert not pays("FineTune", "training", 0.01) and pays("FineTune", "training", 0.0)
    asked = paying(1.0)
    assert [asked("FineTune", "training", usd) for usd in (0.6, 0.6)] == [True, False]
    assert "training may cost up to $0.60; say --pay 1.20 to allow it" in capsys.readouterr().err


def test_at_the_cap_the_next_run_goes_on(place, capsys):
    text = (place / "advisor.yaml").read_text(encoding="utf-8").replace("gate: {", "gate: {cap_calls: 100, ")
    (place / "advisor.yaml").write_text(text, encoding="utf-8")
    capsys.readouterr()
    assert main(["apply", "--yes", "--quiet", "--only", "ChangePrompt"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "answers are kept: run again, or raise gate.cap_calls" in err
    for _ in range(9):
        if main(["apply", "--yes", "--quiet", "--only", "ChangePrompt"]) == 0:
            break
    assert "canary" in capsys.readouterr().out


def test_what_was_made_live_meanwhile_is_not_replaced(place, capsys):
    state, live = place / ".advisor", Live(place / ".advisor")
    base = Releases(state).get(live.routes()["*"].release)
    hotfix = Releases(state).add(replace(base, fallback="Please call us."))

    def meanwhile(carried):
        live.promote(hotfix)
        return True

    config = settings.load(place / "advisor.yaml")
    wishes = Wishes(only=("ChangePrompt",), agreed=within({}), live=meanwhile, tell=lambda *told: None)
    plan = from_json((state / "plan.json").read_text(encoding="utf-8"))
    with opened(state) as db, Index(state / "index") as index, pytest.raises(Moved, match="no longer"):
        apply(plan, config, db, index, wishes)
    assert (live.routes()["*"].release, live.routes()["*"].canary) == (hotfix, None)


def test_a_canary_that_was_given_to_everybody_is_not_its_own_canary(place, capsys):
    (done,) = json.loads(told(capsys, "apply", "--yes", "--json", "--only", "ChangePrompt"))
    Live(place / ".advisor").promote(done["release"])
    told(capsys, "apply", "--yes", "--json", "--only", "ChangePrompt")
    route = Live(place / ".advisor").routes()["*"]
    assert (route.release, route.canary) == (done["release"], None)


def test_beside_another_route_too_the_next_run_finishes_what_was_killed(place, capsys, monkeypatch):
    """The log has the prompt that was live before, which the bot of this route no longer has."""
    state, live = place / ".advisor", Live(place / ".advisor")
    base = Releases(state).get(live.routes()["*"].release)
    other = Releases(state).add(replace(base, prompt=Prompts(state).add(Prompt.of("You sort tickets."))))
    live.promote(other, task="tickets")
    with monkeypatch.context() as dying:
        dying.setattr(State, "note_outcome", lambda *given, **named: sys.exit(9))
        with pytest.raises(SystemExit):
            main(["apply", "--yes", "--quiet", "--only", "ChangePrompt"])
    route = live.routes()["*"]
    live.promote(route.canary or route.release)
    (done,) = json.loads(told(capsys, "apply", "--yes", "--json", "--only", "ChangePrompt"))
    assert done["route"] == "*" and done["release"] == live.routes()["*"].release
    with opened(state) as db:
        assert len(db.outcomes()) == 2


def test_what_is_left_out_is_named_with_its_reason(place, capsys):
    capsys.readouterr()
    assert main(["apply", "--yes", "--only", "ChangePromt"]) == 2
    assert "--only ChangePromt: neither a kind" in capsys.readouterr().err
    out = told(capsys, "apply", "--yes", "--only", "UpdateIndex", code=1)
    assert out.count("left out: it is not among those that are wanted") == 3
