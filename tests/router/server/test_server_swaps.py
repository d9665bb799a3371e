"""Under load: releases and indexes are swapped, rolled back and cleared away without one failed request."""

import http.client
import json
import threading
import time

import pytest
from http_served import release, serving

from rag.documents import Document
from rag.index import Index
from router.contract.rules import Contract, Rule
from router.live import Live
from router.models.scripted import Scripted
from router.watching import Watch

pytest.importorskip("starlette")


class Load:
    """Asks without a pause from several threads, whole and streamed, and notes what came when."""

    def __init__(self, served, askers=4):
        self._address = served.address.removeprefix("http://")
        self._going = True
        self.answers = []
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(askers)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self._going = False
        for thread in self._threads:
            thread.join(30)

    def wait(self, count):
        until = len(self.answers) + count
        while len(self.answers) < until and all(t.is_alive() for t in self._threads):
            time.sleep(0.01)

    def until(self, release):
        """Wait until a release has answered."""
        until = time.monotonic() + 20
        while release not in {found for _, _, found in self.answers[-50:]} and time.monotonic() < until:
            time.sleep(0.01)

    def _ask(self, n):
        line = http.client.HTTPConnection(self._address, timeout=20)
        asked = 0
        while self._going:
            asked += 1
            body = {
                "model": "live", "messages": [{"role": "user", "content": "What does a parcel to Norway cost?"}],
                "stream": n % 2 == 0, "metadata": {"conversation": f"{n}-{asked}"},
            }  # fmt: skip
            began = time.monotonic()
            line.request(
                "POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"}
            )
            answer = line.getresponse()
            text = answer.read().decode()
            whole = answer.status == 200 and (n % 2 or text.endswith("data: [DONE]\n\n"))
            found = text.rpartition('"release":"')[2][:12] if whole else f"{answer.status} {text[:300]}"
            self.answers.append((began, whole, found))
        line.close()


def page(price):
    return [
        Document(id="ship", title="Delivery", text=f"A parcel to Norway costs {price} euros.", code="SHIP-01")
    ]


def test_releases_and_indexes_swapped_and_rolled_back(state):
    said = []

    def answer(messages):
        # Repeats the passage it was shown, so that a reply tells which index answered.
        words = str(messages[-1]["content"])
        return next(line for line in words.splitlines() if "costs" in line)

    with Index(state / "index", embedder="static", store="memory") as index:
        first = release(state, index=index.build(page(1)).id)
        with serving(state, model=lambda r: Scripted(outputs=answer)) as served:
            # As another process would: the server has to notice by itself.
            pointer = Live(state)
            pointer.promote(first)
            with Load(served) as load:
                load.wait(20)
                for price in range(2, 7):
                    made = release(state, index=index.update(add=page(price)).id)
                    pointer.promote(made)
                    said.append(made)
                    # What never answered is not held open, so clearing up might take its index away.
                    load.until(made)
                    index.gc(keep=1)
                for _ in range(3):
                    back, at = pointer.rollback().release, time.monotonic()
                    time.sleep(0.2)
                    load.wait(20)
                    # Whatever was asked more than a tenth of a second after the rollback was answered by what is live since.
                    after = [found for began, _, found in load.answers if began > at + 0.1]
                    assert after and set(after) == {back}
    assert [found for _, whole, found in load.answers if not whole] == []
    assert set(said) <= {found for _, _, found in load.answers}


def test_a_bad_canary_is_taken_back_while_it_is_asked(state):
    contract = Contract(rules=(Rule(kind="words", params={"max": 3}),))
    good = release(state, model="scripted:good", contract=contract)
    bad = release(state, model="scripted:bad", contract=contract)

    def model(reference):
        words = "Fine so far." if reference == "scripted:good" else "Far too many words here."
        return Scripted(outputs=lambda m: words)

    with serving(state, model=model) as served:
        served.bot.pointer.promote(good)
        watch, ended = Watch(served.bot.pointer, served.bot.outcomes), threading.Event()

        def look():
            while not ended.wait(0.1):
                watch.look()

        watching = threading.Thread(target=look)
        watching.start()
        with Load(served) as load:
            load.wait(20)
            served.bot.pointer.canary(bad, share=0.5)
            until = time.monotonic() + 20
            while served.bot.pointer.routes()["*"].canary is not None and time.monotonic() < until:
                time.sleep(0.01)
            at = time.monotonic()
            load.wait(20)
        ended.set()
        watching.join()
        route = served.bot.pointer.routes()["*"]
    assert route.canary is None and route.changes[0].what == "stop"
    assert [found for _, whole, found in load.answers if not whole] == []
    assert {found for began, _, found in load.answers if began > at} == {good}
    assert bad in {found for _, _, found in load.answers}
