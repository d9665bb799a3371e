"""FineTune in the loop: examples from one half, a tuned model, gated on the other half like any other remedy."""

import json

import pytest
from planted_bot import CTA, PLACES, question, right, shop, told

from advisor.apply import fine_tune
from advisor.cli import main
from advisor.exchange import content_hash
from advisor.state import State
from finetune import datasets
from finetune.backends import BACKENDS
from finetune.backends.port import JobRefused, Standing
from finetune.backends.scripted import Scripted
from finetune.examples import text_of
from finetune.jobs import Jobs
from router.chatbot import Chatbot
from router.live import Live

CONFIG = (
    f"documents: [help]\nlabels: null\ncontract: {{rules: [{{kind: ends_with, text: '{CTA}', cause: required_element}}]}}\n"
    "index: {embedder: static, store: memory, sources: [help]}\n"
    "probe: {price: {input: 0, output: 0}}\n"
    "chat: {model: 'planted:shop', prompt: prompt.txt, cite: false, grounded: false}\ntrain: {base: 'local:smollm2'}\n"
)


class Backend(Scripted):
    """Tunes nothing and says what came of it."""

    model = "planted:tuned"

    def __init__(self):
        super().__init__(
            [Standing(state="succeeded", raw="ok", model=self.model, metrics={"held_loss": 0.1})]
        )


class Full(Scripted):
    def __init__(self):
        super().__init__([Standing(state="failed", raw="1", message="No space left on device")])


class Refusing(Scripted):
    def __init__(self):
        super().__init__(submits=[JobRefused("no room here")])


@pytest.fixture
def place(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(BACKENDS, "local", "test_fine_tune:Backend")
    monkeypatch.setattr(Backend, "model", "planted:tuned")
    shop(tmp_path, monkeypatch, capsys, CONFIG.replace("contract:", "#"))
    with Chatbot() as bot:
        for n in range(3):
            for p in PLACES:
                reply = bot.reply([{"role": "user", "content": question(p, n)}], conversation=f"{p}-{n}")
                bot.feedback(reply.id, thumb="down", correction=f"{right(p)} {CTA}")
        bot.flush()
    (tmp_path / "advisor.yaml").write_text(CONFIG, encoding="utf-8")
    told(capsys, ".advisor/traces")
    return tmp_path


def applied(capsys, *more):
    """What came of it; whether it went live is the exit code too."""
    capsys.readouterr()
    code = main(["apply", "--only", "FineTune", "--yes", "--json", *more])
    (done,) = json.loads(capsys.readouterr().out)
    assert code == (0 if done["action"] in ("promoted", "canary") else 1)
    return done


def test_a_tuned_model_goes_live_if_the_gate_lets_it(place, capsys):
    done = applied(capsys)
    (tried,) = done["tried"]
    assert (tried["kind"], tried["standing"]) == ("FineTune", "accepted"), done
    assert done["action"] in ("promoted", "canary")
    assert done["decision"]["target"]["before"] == 0.0 and done["decision"]["target"]["after"] == 1.0
    release = json.loads((place / f".advisor/releases/{done['release']}.json").read_text(encoding="utf-8"))
    assert release["model"] == "planted:tuned"
    (folder,) = (place / ".advisor/datasets").iterdir()
    made = datasets.load(folder)
    assert not made.held_out and made.train
    replay = [e for e in made.train if e.origin in ("generic", "replay")]
    assert len(replay) == round(0.25 * (len(made.train) - len(replay)))
    teaching = {e.group for e in (*made.train, *made.validation) if e not in replay}
    assert all(int(g[:8], 16) % 2 == 0 for g in teaching), "what judges has taught"
    for example in [e for e in made.train if e not in replay]:
        assert text_of(example.target).endswith(CTA)
        assert example.messages[0]["content"] == "You help customers of a shop."
        assert ("Question: " in example.messages[-2]["content"]) is bool(example.passages)
        assert example.origin in ("correction", "written", "repaired")
        assert example.passages or example.origin == "written"
    declined = [e for e in made.train if e.origin == "written"]
    assert len(declined) < len(made.train) / 4
    assert made.about["origins"]["correction"] >= 10


def test_a_ruined_model_does_not(place, capsys, monkeypatch):
    monkeypatch.setattr(Backend, "model", "planted:ruined")
    done = applied(capsys)
    assert done["action"] == "refused", done
    assert "good replies are broken" in done["reason"]


def test_of_an_adapter_only_as_much_is_taken_as_mends(place, capsys, monkeypatch):
    # Whole it says something else, at half of its strength it has learnt nothing.
    forms = {1.0: "planted:ruined+whole", 0.5: "planted:shop+half", 0.75: "planted:tuned+most"}
    monkeypatch.setattr(Backend, "model", forms[1.0])
    monkeypatch.setattr(fine_tune, "weakened", lambda adapters, id, strength: (id, strength))
    monkeypatch.setattr(fine_tune.Adapters, "reference", lambda self, made: forms[made[1]])
    done = applied(capsys)
    (tried,) = done["tried"]
    assert tried["standing"] == "accepted", done
    strength = tried["about"]["strength"]
    assert strength["chosen"] == 0.75 and list(strength["tried"]) == ["1", "0.5", "0.75"]
    whole, half, most = strength["tried"].values()
    assert whole["mended"] == most["mended"] >= 10 and whole["broken"] > most["broken"] == 0
    assert half["mended"] == 0
    assert tried["what"].endswith("planted:tuned+most at 75% of its strength")
    release = json.loads((place / f".advisor/releases/{done['release']}.json").read_text(encoding="utf-8"))
    assert release["model"] == "planted:tuned+most"


def test_an_adapter_of_which_no_part_mends_as_much_stays_whole(place, capsys, monkeypatch):
    monkeypatch.setattr(Backend, "model", "planted:ruined+whole")
    monkeypatch.setattr(fine_tune, "weakened", lambda adapters, id, strength: None)
    monkeypatch.setattr(fine_tune.Adapters, "reference", lambda self, made: "planted:sometimes+part")
    (tried,) = applied(capsys)["tried"]
    strength = tried["about"]["strength"]
    assert strength["chosen"] == 1.0 and list(strength["tried"]) == ["1", "0.5", "0.75"]
    assert tried["what"].endswith("planted:ruined+whole")


def test_of_a_form_less_is_taken_though_the_whole_breaks_nothing(place, capsys, monkeypatch):
    monkeypatch.setattr(Backend, "model", "planted:tuned+whole")
    monkeypatch.setattr(fine_tune, "weakened", lambda adapters, id, strength: (id, strength))
    monkeypatch.setattr(fine_tune.Adapters, "reference", lambda self, made: "planted:tuned+half")
    (tried,) = applied(capsys)["tried"]
    strength = tried["about"]["strength"]
    assert strength["tried"]["1"]["broken"] == 0 and strength["chosen"] == 0.5


def test_applied_twice_it_is_trained_once(place, capsys):
    first = applied(capsys)
    job = first["tried"][0]["about"]["job"]
    again = applied(capsys)
    assert all(t["about"].get("job", job) == job for t in again["tried"])
    assert len(list((place / ".advisor/datasets").iterdir())) == 1


def test_what_is_not_trained_says_why(place, capsys, monkeypatch):
    monkeypatch.setitem(BACKENDS, "local", "test_fine_tune:Refusing")
    done = applied(capsys)
    assert done["tried"][0]["standing"] == "not made"
    assert done["tried"][0]["what"] == "not trained: no room here"


def test_an_example_that_no_file_can_hold_is_named(place, capsys):
    (place / "own.jsonl").write_text('{"question": "Hm?", "answer": "\\ud83d"}\n', encoding="utf-8")
    (place / "advisor.yaml").write_text(
        CONFIG.replace("train: {", "train: {examples: [own.jsonl], "), encoding="utf-8"
    )
    done = applied(capsys)
    assert done["tried"][0]["what"].startswith("not trained: own.jsonl:1: holds half a character"), done


def test_what_failed_here_is_tried_again(place, capsys, monkeypatch):
    monkeypatch.setitem(BACKENDS, "local", "test_fine_tune:Full")
    done = applied(capsys)
    assert (
        done["tried"][0]["what"] == "training failed: No space left on device; applying again tries it again"
    )
    monkeypatch.setitem(BACKENDS, "local", "test_fine_tune:Backend")
    again = applied(capsys)
    assert again["tried"][0]["standing"] == "accepted", again
    assert again["tried"][0]["about"]["job"] == done["tried"][0]["about"]["job"], "the same job goes on"


def test_preferences_are_learnt_from_pairs_only(place, capsys):
    (place / "own.jsonl").write_text(
        '{"question": "What is new?", "answer": "Nothing."}\n'
        '{"prompt": "What is old?", "chosen": "All.", "rejected": "No."}\n',
        encoding="utf-8",
    )
    (place / "advisor.yaml").write_text(
        CONFIG.replace("train: {", "train: {objective: dpo, examples: [own.jsonl], "), encoding="utf-8"
    )
    about = applied(capsys)["tried"][0]["about"]
    assert about["examples"]["left out"]["no rejected reply"] >= 1
    (folder,) = (place / ".advisor/datasets").iterdir()
    made = datasets.load(folder)
    assert all(e.rejected for e in (*made.train, *made.validation)) and len(made.train) >= 8


def test_an_operators_file_does_not_teach_what_judges(place, capsys):
    asked = {e.question for e, _ in State(place / ".advisor").exchanges()}
    rows = [{"question": f"[1] A page\nIt says so.\n\nQuestion: {q.upper()} ", "answer": f"Leaked {n}."} for n, q in enumerate(sorted(asked))]  # fmt: skip
    rows.append({"question": "What is new?", "answer": "Nothing is."})
    (place / "own.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    (place / "advisor.yaml").write_text(
        CONFIG.replace("train: {", "train: {examples: [own.jsonl], "), encoding="utf-8"
    )
    done = applied(capsys)
    (folder,) = (place / ".advisor/datasets").iterdir()
    made = datasets.load(folder)
    told = {e.request.rpartition("Question: ")[2].strip(): text_of(e.target) for e in (*made.train, *made.validation) if e.origin == "file"}  # fmt: skip
    judging = {q.upper() for q in asked if int(content_hash(q)[:8], 16) % 2}
    assert judging and not judging & set(told) and told["What is new?"] == "Nothing is."
    assert done["tried"][0]["about"]["examples"]["left out"]["asks what judges"] >= len(judging)


def test_a_tenants_bot_learns_from_that_tenant_only(place, capsys):
    state = place / ".advisor"
    release = Live(state).routes()["*"].release
    for tenant in ("acme", "beta"):
        Live(state).promote(release, tenant=tenant)
    with Chatbot() as bot:
        for n in range(4):
            for p in PLACES:
                for tenant in ("acme", "beta"):
                    said = f"{question(p, n)} I write for {tenant}."
                    reply = bot.reply([{"role": "user", "content": said}], conversation=f"{tenant}-{p}-{n}", tenant=tenant)  # fmt: skip
                    bot.feedback(reply.id, thumb="down", correction=f"{right(p)} {CTA}")
        bot.flush()
    told(capsys, ".advisor/traces")
    done = [(d["route"], d["reason"], [(t["what"], t["about"].get("job")) for t in d["tried"]]) for d in json.loads(told(capsys, "apply", "--only", "FineTune", "--yes", "--json"))]  # fmt: skip
    jobs = {j.recipe.extra.get("tenant"): datasets.load(j.dataset) for j in Jobs(state).all()}
    assert set(jobs) == {None, "acme", "beta"}, done
    for tenant, made in jobs.items():
        texts = [m.get("content") or "" for e in (*made.train, *made.validation) for m in e.messages]
        named = {t for t in ("acme", "beta") if any(f"I write for {t}" in x for x in texts)}
        assert named == ({tenant} if tenant else set())


def test_a_bot_that_cannot_be_trained_is_named(place, capsys):
    (place / "advisor.yaml").write_text(
        CONFIG.replace("train: {base: 'local:smollm2'}", ""), encoding="utf-8"
    )
    done = applied(capsys)
    assert (
        done["tried"][0]["what"]
        == "planted:shop cannot be trained here; name a model that can under train.base"
    )
    # Once it can, the same plan carries it out.
    (place / "advisor.yaml").write_text(CONFIG, encoding="utf-8")
    assert applied(capsys)["tried"][0]["standing"] == "accepted"


def test_at_a_provider_it_must_be_agreed_to(place, capsys):
    config = CONFIG.replace("local:smollm2", "openai:gpt-4.1-mini-2025-04-14").replace(
        "train: {", "train: {cap_usd: 0.0, "
    )
    (place / "advisor.yaml").write_text(config, encoding="utf-8")
    done = applied(capsys)
    assert done["tried"][0]["standing"] == "not made"
    assert "not trained" in done["tried"][0]["what"] and "cap" in done["tried"][0]["what"]
