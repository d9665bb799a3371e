"""Exchanges handed over as they happen: at once, never raising, told of once."""

import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace

from advisor.advisor import Advisor
from advisor.config import Config
from advisor.exchange import Exchange, Feedback, Message, Source
from advisor.observing import Observer


def exchange(n, *, bad=True):
    return Exchange(
        id=f"{n:016x}", conversation=(Message(role="system", content="End every reply with: Anything else I can do?"), Message(role="user", content=f"What about thing {n}?")),
        reply=Message(role="assistant", content=f"It is fine {n}." if bad else f"It is fine {n}. Anything else I can do?"), source=Source(file="live", line=n, dialect="live"),
        feedback=(Feedback(name="thumbs", value="down", polarity=-1),) if bad else (),
    )  # fmt: skip


def test_an_issue_is_told_of_once(tmp_path):
    advisor = Advisor(Config(state=tmp_path))
    told, seen = [], []
    advisor.on_issue(told.append)
    advisor.observer.on_diagnosis(lambda e, d: seen.append(d.is_failure))
    for n in range(40):
        advisor.observe(exchange(n, bad=n % 2 == 0))
    assert advisor.observer.flush()
    assert seen.count(True) == 20
    assert [i.gaps for i in told] == [("style",)]
    for n in range(40, 60):
        advisor.observe(exchange(n))
    advisor.observer.close()
    assert len(told) == 1
    assert advisor.observer.faults == 0


def test_handing_over_is_quick_and_never_raises(tmp_path):
    slow = threading.Event()
    observer = Observer(lambda e: slow.wait(5) or 1 / 0)
    started = time.perf_counter()
    for n in range(12_000):
        observer.observe(exchange(n))
    took = (time.perf_counter() - started) / 12_000
    assert observer.dropped > 0
    assert took < 0.001
    observer.observe(None)
    slow.set()


def test_whatever_is_handed_over_the_thread_lives():
    seen = []
    advisor = Advisor(Config())
    observer = Observer(advisor.diagnose_one)
    observer.on_diagnosis(lambda e, d: seen.append(e.id) or 1 / 0)
    for odd in (None.__class__, 5, "x", replace(exchange(1), reply=None), exchange(2)):
        observer.observe(odd)
    assert observer.flush()
    assert seen == [exchange(2).id]
    assert observer.faults >= 4
    observer.close()


def test_a_forked_worker_diagnoses_what_it_is_handed(tmp_path):
    """As under `gunicorn --preload`: made, listened to and used where it is loaded, then forked while the thread is at work."""
    script = textwrap.dedent("""
        import os, sys, warnings
        from advisor.observing import Observer

        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads, which is the point
        seen = []
        observer = Observer(seen.append)
        observer.observe("loaded")
        observer.flush()
        for n in range(100):
            observer.observe(n)
        observer._waiting.mutex.acquire()  # as another thread may hold it at that moment
        child = os.fork()
        if child == 0:
            seen.clear()
            observer.observe("forked")
            os._exit(0 if observer.flush(10) and seen == ["forked"] else 1)
        observer._waiting.mutex.release()
        assert observer.flush(10) and len(seen) == 101, seen
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_where_no_thread_can_start_the_host_goes_on(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    advisor = Advisor(Config())
    with monkeypatch.context() as no_threads:
        no_threads.setattr(threading.Thread, "start", refuse)
        advisor.observe(exchange(1))
    assert (advisor.observer.faults, "new thread" in advisor.observer.fault) == (1, True)
    seen = []
    advisor.observer.on_diagnosis(lambda e, d: seen.append(e.id))
    advisor.observe(exchange(2))
    assert advisor.observer.flush()
    assert seen == [exchange(2).id]
    advisor.observer.close()
