"""The loop in small, on a model that fails for known reasons: asked, logged, diagnosed, probed, applied, gated, live, asked again."""

import json
import subprocess
import sys
import textwrap

import pytest
from planted_bot import CTA, PLACES, UNKNOWN, page, question, right

from advisor.cli import main
from advisor.state import opened
from router import models
from router.chatbot import Chatbot
from router.live import Live

BARE = "index: {embedder: static, store: memory, sources: [help], candidates: [spare]}\nchat: {model: 'planted:shop', prompt: prompt.txt, cite: false, grounded: false}\n"
DECLARED = (
    f"documents: [help]\ncontract: {{rules: [{{kind: ends_with, text: '{CTA}', cause: required_element}}]}}\n"
    f"probe: {{bot: live, price: {{input: 0, output: 0}}}}\n{BARE}"
)


def told(capsys, *args, code=0):
    capsys.readouterr()
    assert main(list(args)) == code, capsys.readouterr().err
    out, err = capsys.readouterr()
    return json.loads(out) if "--json" in args and code < 2 else out, err


def ask(known=PLACES, *, rate=True):
    """Ask the live bot about every place three times; people rate and correct what is wrong."""
    good = 0
    with Chatbot() as bot:
        for n in range(3):
            for place in known:
                reply = bot.reply(
                    [{"role": "user", "content": question(place, n)}], conversation=f"{place}-{n}"
                )
                fine = right(place) in reply.text
                good += fine and reply.text.endswith(CTA)
                if rate and not fine:
                    bot.feedback(reply.id, thumb="down", correction=f"{right(place)} {CTA}")
                elif rate:
                    bot.feedback(reply.id, thumb="up")
        bot.flush()
    return good


@pytest.fixture
def place(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(models.PROVIDERS, "planted", "planted_bot:make")
    for folder, places in (("help", PLACES[:12]), ("spare", UNKNOWN)):
        (tmp_path / folder).mkdir()
        for p in places:
            (tmp_path / folder / f"{p.lower()}.md").write_text(page(p), encoding="utf-8")
    (tmp_path / "prompt.txt").write_text("You help customers of a shop.", encoding="utf-8")
    (tmp_path / "advisor.yaml").write_text(BARE, encoding="utf-8")
    told(capsys, "index", "build")
    told(capsys, "release", "make", "--promote")
    return tmp_path


def test_pages_that_are_missing_are_added_and_nothing_else(place, capsys):
    assert ask() == 0
    (place / "advisor.yaml").write_text(DECLARED.replace("contract:", "#"), encoding="utf-8")
    told(capsys, ".advisor/traces")
    told(capsys, "probe")
    plan = json.loads((place / ".advisor/plan.json").read_text(encoding="utf-8"))
    assert {r["kind"] for r in plan["remedies"]} == {"UpdateIndex"}
    before = Live(place / ".advisor").routes()["*"].release
    (done,), _ = told(capsys, "apply", "--yes", "--json")
    assert done["action"] in ("promoted", "canary"), done
    assert [t["kind"] for t in done["tried"]] == ["UpdateIndex"]
    assert done["decision"]["target"]["after"] == 1.0
    assert done["decision"]["good"]["lost"] == 0
    route = Live(place / ".advisor").routes()["*"]
    assert done["release"] in (route.release, route.canary) and before != done["release"]


def test_after_a_rollback_the_pages_that_the_index_has_come_back(place, capsys):
    """The release is taken back, the index keeps its version: what the bot fails for want of is there already."""
    ask()
    (place / "advisor.yaml").write_text(DECLARED.replace("contract:", "#"), encoding="utf-8")
    told(capsys, ".advisor/traces")
    (done,), _ = told(capsys, "apply", "--yes", "--json", "--only", "UpdateIndex")
    Live(place / ".advisor").promote(done["release"])
    told(capsys, "apply", "--yes", "--json", "--only", "UpdateIndex")
    told(capsys, "rollback")
    ask()
    told(capsys, ".advisor/traces")
    (again,), _ = told(capsys, "apply", "--yes", "--json", "--only", "UpdateIndex")
    assert again["action"] in ("promoted", "canary") and again["release"] == done["release"], again


def test_the_whole_loop(place, capsys):
    assert ask() == 0
    (place / "advisor.yaml").write_text(DECLARED, encoding="utf-8")
    told(capsys, ".advisor/traces")
    told(capsys, "probe")
    plan = json.loads((place / ".advisor/plan.json").read_text(encoding="utf-8"))
    assert {r["kind"] for r in plan["remedies"]} == {"UpdateIndex", "ChangePrompt"}
    (done,), _ = told(capsys, "apply", "--yes", "--json")
    assert done["action"] == "promoted" or done["action"] == "canary", done
    assert {t["kind"]: t["standing"] for t in done["tried"]} == {
        "UpdateIndex": "accepted",
        "ChangePrompt": "accepted",
    }
    Live(place / ".advisor").promote(done["release"])
    assert ask(rate=False) == 3 * len(PLACES)
    with opened(place / ".advisor") as state:
        assert {o.verdict for o in state.outcomes()} <= {"applied: promoted", "applied: canary"}
    told(capsys, "rollback")
    assert ask(rate=False) == 0


def test_a_scheduled_run_does_not_plan_again_what_was_applied(place, capsys):
    assert ask() == 0
    scheduled = DECLARED + "run: {logs: [.advisor/traces]}\n"
    (place / "advisor.yaml").write_text(scheduled, encoding="utf-8")
    told(capsys, "run")
    told(capsys, "probe")
    (done,), _ = told(capsys, "apply", "--yes", "--json")
    assert len(done["tried"]) == 2
    Live(place / ".advisor").promote(done["release"])
    assert ask() == 3 * len(PLACES)
    told(capsys, "run")
    plan = json.loads((place / ".advisor/plan.json").read_text(encoding="utf-8"))
    assert [r["kind"] for r in plan["remedies"]] == ["Nothing"]
    # What was good before counts on, what was mended does not.
    assert plan["failures"] == 0 and plan["exchanges"] == 3 * len(PLACES)


def test_a_scheduled_run_that_probes_shows_what_was_proved(place, capsys):
    assert ask() == 0
    (place / "advisor.yaml").write_text(
        f"{DECLARED}run: {{logs: [.advisor/traces], probe: true}}\n", encoding="utf-8"
    )
    told(capsys, "run")
    plan = json.loads((place / ".advisor/plan.json").read_text(encoding="utf-8"))
    report = (place / ".advisor/report.html").read_text(encoding="utf-8")
    assert f"Plan <code>{plan['hash']}</code>" in report
    assert all(r["kind"] in report for r in plan["remedies"])


def test_a_scheduled_run_that_is_killed_after_it_applied_tells_of_it_and_applies_nothing_twice(
    place, capsys, monkeypatch
):
    """The process ends between the last of applying and the end of the run."""
    assert ask() == 0
    (place / "advisor.yaml").write_text(
        f"{DECLARED}run: {{logs: [.advisor/traces], probe: true, allow: {{UpdateIndex: 0, ChangePrompt: 0}}}}\n",
        encoding="utf-8",
    )

    def ended(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr("advisor.cli.run._message", ended)
        told(capsys, "run", code=130)
    route = Live(place / ".advisor").routes()["*"]
    with opened(place / ".advisor") as state:
        done = [(o.kind, o.verdict) for o in state.outcomes()]
    assert done
    message, _ = told(capsys, "run", "--json")
    assert (message["run"], len(message["new"])) == (1, 2)
    assert [a["action"] for a in message["applied"]] == [done[0][1].removeprefix("applied: ")], message
    after = Live(place / ".advisor").routes()["*"]
    assert (after.release, after.canary) == (route.release, route.canary)
    with opened(place / ".advisor") as state:
        assert [(o.kind, o.verdict) for o in state.outcomes()] == done


def test_what_was_rolled_back_is_planned_for_again(place, capsys):
    assert ask() == 0
    (place / "advisor.yaml").write_text(f"{DECLARED}run: {{logs: [.advisor/traces]}}\n", encoding="utf-8")
    told(capsys, "run")
    told(capsys, "probe")
    (done,), _ = told(capsys, "apply", "--yes", "--json")
    Live(place / ".advisor").promote(done["release"])
    told(capsys, "rollback")
    assert ask() == 0
    told(capsys, "run")
    plan = json.loads((place / ".advisor/plan.json").read_text(encoding="utf-8"))
    assert plan["failures"] == 2 * 3 * len(PLACES)
    assert {i["standing"] for i in told(capsys, "status", "--json")[0]["issues"]} == {"open"}


def test_applying_twice_is_applying_once(place, capsys):
    ask()
    (place / "advisor.yaml").write_text(DECLARED, encoding="utf-8")
    told(capsys, ".advisor/traces")
    told(capsys, "probe")
    first = told(capsys, "apply", "--json", code=1)[0]
    assert first[0]["action"] == "not agreed"
    second = told(capsys, "apply", "--yes", "--json")[0]
    assert second[0]["release"] == first[0]["release"]
    with opened(place / ".advisor") as state:
        count = len(state.outcomes())
    assert count >= 2
    again = told(capsys, "apply", "--yes", "--json")[0]
    assert again[0]["action"] in ("refused", "not enough evidence", "nothing to do", "promoted", "canary")


def test_only_what_is_wanted(place, capsys):
    ask()
    (place / "advisor.yaml").write_text(DECLARED, encoding="utf-8")
    told(capsys, ".advisor/traces")
    (done,), _ = told(capsys, "apply", "--only", "UpdateIndex", "--json", code=1)
    assert [t["kind"] for t in done["tried"]] == ["UpdateIndex"]


def test_a_remedy_that_does_nothing_is_refused(place, capsys):
    """The pages that are offered are about something else."""
    ask()
    for p in UNKNOWN:
        (place / "spare" / f"{p.lower()}.md").write_text(f"# Parcels\n\nWe like {p}.", encoding="utf-8")
    (place / "advisor.yaml").write_text(DECLARED.replace("contract:", "#"), encoding="utf-8")
    told(capsys, ".advisor/traces")
    before = Live(place / ".advisor").routes()["*"]
    (done,), _ = told(capsys, "apply", "--yes", "--json", code=1)
    assert done["action"] in ("refused", "nothing to do", "not enough evidence"), done
    assert Live(place / ".advisor").routes()["*"] == before


def test_where_nothing_in_the_prompt_mends_training_is_due(place, capsys):
    """The bot writes amounts as it does, whatever it is told."""
    rule = "{kind: forbidden, words: [euros], cause: format}"
    (place / "advisor.yaml").write_text(
        f"{BARE}contract: {{rules: [{rule}]}}\nprobe: {{bot: live, price: {{input: 0, output: 0}}}}\n",
        encoding="utf-8",
    )
    with Chatbot() as bot:
        for n, p in enumerate(PLACES[:12] * 3):
            reply = bot.reply([{"role": "user", "content": question(p, n // 12)}], conversation=f"{p}-{n}")
            bot.feedback(
                reply.id,
                thumb="down",
                correction=right(p).replace(" euros", "").replace("costs", "costs EUR"),
            )
        bot.flush()

    def waits():
        told(capsys, ".advisor/traces")
        plan = json.loads((place / ".advisor/plan.json").read_text(encoding="utf-8"))
        return {r["kind"]: any("prompt change" in need for need in r["needs"]) for r in plan["remedies"]}

    assert waits() == {"ChangePrompt": False, "FineTune": True}
    (done,), _ = told(capsys, "apply", "--yes", "--json", code=1)
    (tried,) = done["tried"]
    assert (done["action"], tried["standing"]) == ("refused", "refused"), done
    assert "mends any of the" in tried["why"]
    assert waits() == {"ChangePrompt": False, "FineTune": False}


def test_an_unharmed_bot_gets_no_remedy(place, capsys):
    ask(known=PLACES[:12])
    told(capsys, ".advisor/traces")
    plan = json.loads((place / ".advisor/plan.json").read_text(encoding="utf-8"))
    assert [r["kind"] for r in plan["remedies"]] == ["Nothing"]


def test_two_at_once_do_not_apply_both(place, capsys):
    ask()
    (place / "advisor.yaml").write_text(DECLARED, encoding="utf-8")
    told(capsys, ".advisor/traces")
    script = textwrap.dedent("""
        import time
        from pathlib import Path
        from advisor.apply.apply import alone
        with alone(Path(".advisor")):
            print("held", flush=True)
            time.sleep(30)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        holder.stdout.readline()
        assert "another process is applying a plan" in told(capsys, "apply", "--yes", code=2)[1]
        holder.kill()
    told(capsys, "apply", "--json", code=1)
