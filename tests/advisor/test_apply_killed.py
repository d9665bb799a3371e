"""`advise apply` killed at every stage: the next run finishes it, nothing is asked, applied or written down twice."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from planted_bot import CTA, PLACES, UNKNOWN, page, question, right

from advisor.cli import main
from advisor.state import opened
from router import models
from router.chatbot import Chatbot
from router.live import Live

pytestmark = pytest.mark.slow

CONFIG = (
    f"documents: [help]\ncontract: {{rules: [{{kind: ends_with, text: '{CTA}', cause: required_element}}]}}\nprobe: {{bot: live, price: {{input: 0, output: 0}}}}\ngate: {{margin: 0.6}}\n"
    "index: {embedder: static, store: memory, sources: [help], candidates: [spare]}\n"
    "chat: {model: 'planted:sometimes', prompt: prompt.txt, cite: false, grounded: false}\n"
)
RUN = textwrap.dedent("""
    import hashlib, json, os, sys
    sys.path.insert(0, {tests!r})
    import planted_bot
    from router import models
    from router.live import Live
    from rag.index import Index
    from advisor.state import State
    from advisor.cli import main

    models.PROVIDERS["planted"] = "planted_bot:make"
    stage, when = sys.argv[1], sys.argv[2]
    answered = planted_bot.sometimes

    def counted(messages):
        with open("calls.txt", "a") as out:
            out.write(hashlib.sha256(json.dumps(messages).encode()).hexdigest() + "\\n")
        return answered(messages)

    planted_bot.sometimes = counted

    def deadly(owner, name):
        inner = getattr(owner, name)
        def call(*args, **more):
            if when == "before": os._exit(9)
            found = inner(*args, **more)
            os._exit(9)
        setattr(owner, name, call)

    stages = dict(made=(State, "note_step"), outcome=(State, "note_outcome"), live=(Live, "promote"), canary=(Live, "canary"), index=(Index, "promote"), staged=(Index, "update"))
    if stage in stages: deadly(*stages[stage])
    sys.exit(main(["apply", "--yes", "--quiet", "--json"]))
""")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A shop with a plan that was probed, made once and copied for every kill."""
    place = tmp_path_factory.mktemp("shop")
    before = Path.cwd()
    os.chdir(place)
    models.PROVIDERS["planted"] = "planted_bot:make"
    try:
        for folder, places in (("help", PLACES[:12]), ("spare", UNKNOWN)):
            (place / folder).mkdir()
            for p in places:
                (place / folder / f"{p.lower()}.md").write_text(page(p), encoding="utf-8")
        (place / "prompt.txt").write_text("You help customers of a shop.", encoding="utf-8")
        (place / "advisor.yaml").write_text(CONFIG.replace("contract:", "#"), encoding="utf-8")
        assert main(["index", "build"]) == main(["release", "make", "--promote"]) == 0
        with Chatbot() as bot:
            for n in range(2):
                for p in PLACES:
                    reply = bot.reply([{"role": "user", "content": question(p, n)}], conversation=f"{p}-{n}")
                    fine = right(p) in reply.text
                    bot.feedback(
                        reply.id,
                        thumb="up" if fine else "down",
                        correction=None if fine else f"{right(p)} {CTA}",
                    )
        (place / "advisor.yaml").write_text(CONFIG, encoding="utf-8")
        assert main([".advisor/traces", "--quiet"]) == main(["probe", "--quiet"]) == 0
    finally:
        del models.PROVIDERS["planted"]
        os.chdir(before)
    return place


def apply(place, stage="none", when="before"):
    script = RUN.format(tests=str(Path(__file__).parent))
    return subprocess.run(
        [sys.executable, "-c", script, stage, when],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def standing(place):
    state = place / ".advisor"
    route = Live(state).routes()["*"]
    with opened(state) as db:
        outcomes = sorted((o.kind, o.verdict) for o in db.outcomes())
    calls = (
        Counter((place / "calls.txt").read_text().split()) if (place / "calls.txt").exists() else Counter()
    )
    return {
        "live": route.release,
        "canary": route.canary,
        "previous": len(route.previous),
        "outcomes": outcomes,
        "calls": sum(calls.values()),
    }


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    """How things stand after a run that nobody kills."""
    place = tmp_path_factory.mktemp("whole") / "shop"
    shutil.copytree(prepared, place)
    done = apply(place)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["action"] in ("promoted", "canary")
    return standing(place)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("stage", ["staged", "made", "canary", "live", "index", "outcome"])
def test_the_next_run_finishes_what_was_killed(prepared, whole, tmp_path, stage, when):
    place = tmp_path / "shop"
    shutil.copytree(prepared, place)
    killed = apply(place, stage, when)
    if killed.returncode == 0:
        pytest.skip(f"this plan never comes to {stage}")
    assert killed.returncode == 9, killed.stderr
    done = apply(place)
    assert done.returncode == 0, done.stderr
    assert standing(place) == whole
